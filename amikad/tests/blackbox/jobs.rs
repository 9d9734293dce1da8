//! Jobs: programs that run without anybody who waits for them.

use std::io::{Read as _, Write as _};
use std::time::Duration;

use serde_json::{Value, json};

use crate::http::idle;
use crate::support::{Answer, Builder, PROOF, Sandbox, eventually};

/// Starts a job that must be taken; its id.
fn start(sandbox: &Sandbox, body: &Value) -> String {
    let started = sandbox.post("/v1/jobs", body);
    assert_eq!(started.status, 201, "{started:?}");
    started.json()["id"].as_str().unwrap().to_owned()
}

fn shell(sandbox: &Sandbox, line: &str) -> String {
    start(sandbox, &json!({ "shell": line }))
}

fn job(sandbox: &Sandbox, id: &str) -> Value {
    let answer = sandbox.api(&format!("/v1/jobs/{id}"));
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

fn ended(sandbox: &Sandbox, id: &str) -> Value {
    eventually("the job's end", || {
        let job = job(sandbox, id);
        (job["state"] == "ended").then_some(job)
    })
}

fn log(sandbox: &Sandbox, id: &str, query: &str) -> String {
    let answer = sandbox.api(&format!("/v1/jobs/{id}/log{query}"));
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body
}

fn code(answer: &Answer) -> String {
    answer.json()["error"]["code"].as_str().unwrap().to_owned()
}

/// Numbers and states of the sandbox's processes whose command line has this.
fn processes(sandbox: &Sandbox, text: &str) -> Vec<String> {
    let script = "for p in /proc/[0-9]*; do grep -qs -- \"$0\" $p/cmdline && [ $p != /proc/$$ ] && echo $p; done; true";
    let output = sandbox.exec(&["sh", "-c", script, text]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(ToOwned::to_owned).collect()
}

fn zombies(sandbox: &Sandbox) -> String {
    let script = "grep -ls '^State:.Z' /proc/[0-9]*/status; true";
    let output = sandbox.exec(&["sh", "-c", script]).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_job_runs_as_exec_does_and_its_record_and_log_outlive_it() {
    let sandbox = Builder::new()
        .with_token()
        .env("OPENCODE_SERVER_PASSWORD", "canary")
        .env("FROM_THE_SANDBOX", "yes")
        .start_idle();
    sandbox.until_phase("running");
    let script = "id -u; id -G; pwd; echo $HOME $USER $FROM_THE_SANDBOX $CHOSEN; git config safe.directory; \
                  env | grep -c -E 'canary|TOKEN|EXEC_ENV'; cat; echo on errors >&2; exit 7";
    let started = sandbox.post(
        "/v1/jobs",
        &json!({"cmd": ["sh", "-c", script], "env": {"CHOSEN": "a b=c"}}),
    );
    assert_eq!(started.status, 201, "{started:?}");
    let first = started.json();
    assert_eq!(first["exit_code"], Value::Null);
    assert!(first["started_at"].as_u64().unwrap() > 1_700_000_000_000);
    let id = first["id"].as_str().unwrap();
    let last = ended(&sandbox, id);
    assert_eq!(
        (&last["exit_code"], &last["signal"], &last["pid"]),
        (&json!(7), &Value::Null, &Value::Null)
    );
    assert!(last["ended_at"].as_u64() >= last["started_at"].as_u64());
    assert_eq!(last["out_of_memory_kills"], 0);
    assert!(last["command"].as_str().unwrap().starts_with("id -u; "));
    assert!(!last.to_string().contains("a b=c"), "never a variable");
    let said =
        "1000\n1000 900\n/home/amika/workspace\n/home/amika amika yes a b=c\n*\n0\non errors\n";
    assert_eq!(log(&sandbox, id, "?follow=1"), said);
    assert_eq!(last["log_bytes"], said.len());
    assert_eq!(log(&sandbox, id, "?tail=1"), "on errors\n");
    assert_eq!(log(&sandbox, id, "?since=5&tail=99"), &said[5..]);
    let all = sandbox.api("/v1/jobs").json();
    assert_eq!(all, json!([last]));
    assert_eq!(zombies(&sandbox), "");
}

#[test]
fn user_and_directory_are_those_that_were_asked_for() {
    let sandbox = idle();
    let root = start(
        &sandbox,
        &json!({"shell": "id -u; pwd", "user": "root", "cwd": "/tmp"}),
    );
    assert_eq!(log(&sandbox, &root, "?follow=1"), "0\n/tmp\n");
    std::fs::create_dir_all(sandbox.path("/home/amika/workspace/src")).unwrap();
    let relative = start(&sandbox, &json!({"cmd": ["pwd"], "cwd": "src"}));
    assert_eq!(
        log(&sandbox, &relative, "?follow=1"),
        "/home/amika/workspace/src\n"
    );
    // Whom CMD runs as, where that was named.
    let named = Builder::new()
        .with_token()
        .options(&["--user", "other"])
        .start_idle();
    named.until_phase("running");
    let id = shell(&named, "id -u");
    assert_eq!(log(&named, &id, "?follow=1"), "2000\n");
}

#[test]
fn what_cannot_run_ends_as_exec_would_and_says_why() {
    let sandbox = idle();
    for (body, exit, why) in [
        (json!({"cmd": ["no-such"]}), 127, "`no-such` not found"),
        (json!({"cmd": ["/etc/passwd"]}), 126, "is not executable"),
        (
            json!({"cmd": ["true"], "cwd": "/gone"}),
            126,
            "cannot enter /gone",
        ),
        (
            json!({"cmd": ["true"], "user": "nope"}),
            125,
            "no user `nope`",
        ),
    ] {
        let id = start(&sandbox, &body);
        let told = log(&sandbox, &id, "?follow=1");
        assert!(told.contains(why), "{body}: {told}");
        assert_eq!(job(&sandbox, &id)["exit_code"], exit, "{body}");
    }
    assert_eq!(zombies(&sandbox), "");
}

#[test]
fn a_request_that_asks_for_nothing_is_refused_and_starts_nothing() {
    let sandbox = idle();
    let large = format!(r#"{{"cmd":["{}"]}}"#, "x".repeat(2_200_000));
    let json_type = "Content-Type: application/json";
    let post = |body: &str, headers: &[&str]| sandbox.request("POST", "/v1/jobs", headers, body);
    for (body, status, error) in [
        ("", 400, "bad_body"),
        ("{", 400, "bad_body"),
        ("[1]", 400, "bad_body"),
        ("{}", 400, "bad_body"),
        (r#"{"cmd":["a"],"nonsense":1}"#, 400, "bad_body"),
        (r#"{"cmd":["a\u0000"]}"#, 400, "bad_body"),
        (r#"{"cmd":["a"],"env":{"A=B":""}}"#, 400, "bad_body"),
        ("\u{feff}{}", 400, "bad_body"),
        (&large, 413, "too_large"),
    ] {
        let refused = post(body, &[PROOF, json_type]);
        assert_eq!(refused.status, status, "{body:.40}: {refused:?}");
        assert_eq!(code(&refused), error, "{body:.40}");
    }
    let good = r#"{"shell":"touch /tmp/ran"}"#;
    assert_eq!(code(&post(good, &[PROOF])), "bad_content_type");
    assert_eq!(post(good, &[json_type]).status, 401);
    let wrong = "Authorization: Amika 00";
    assert_eq!(post(good, &[json_type, wrong]).status, 401);
    let bearer = "Authorization: Bearer blackbox-token";
    assert_eq!(post(good, &[json_type, bearer]).status, 401);
    let foreign = "Origin: http://evil.example";
    assert_eq!(post(good, &[PROOF, json_type, foreign]).status, 403);
    assert_eq!(sandbox.request("PUT", "/v1/jobs", &[PROOF], "").status, 405);
    assert_eq!(sandbox.api("/v1/jobs?x=1").status, 400);
    for (method, target, status) in [
        ("GET", "/v1/jobs/c0ffee", 404),
        ("DELETE", "/v1/jobs/c0ffee", 404),
        ("GET", "/v1/jobs/c0ffee/log", 404),
        ("POST", "/v1/jobs/c0ffee/signal", 404),
        ("GET", "/v1/jobs/", 404),
        ("GET", "/v1/jobs/../status", 404),
        ("GET", "/v1/jobsx", 404),
    ] {
        let answer = sandbox.request(method, target, &[PROOF, json_type], "{}");
        assert_eq!(answer.status, status, "{method} {target}: {answer:?}");
    }
    let id = shell(&sandbox, "sleep 100");
    for (method, target, status) in [
        ("PUT", "", 405),
        ("POST", "/log", 405),
        ("GET", "/signal", 405),
        ("GET", "/nonsense", 404),
        ("GET", "/log?since=x", 400),
        ("GET", "/log?since=99", 410),
        ("GET", "?x=1", 400),
    ] {
        let target = format!("/v1/jobs/{id}{target}");
        let answer = sandbox.request(method, &target, &[PROOF], "");
        assert_eq!(answer.status, status, "{method} {target}: {answer:?}");
    }
    for bad in ["", "0", "65", "-1", "NONSENSE", "SIGRTMIN+99"] {
        let target = format!("/v1/jobs/{id}/signal");
        let answer = sandbox.post(&target, &json!({ "signal": bad }));
        assert_eq!(answer.status, 400, "{bad}: {answer:?}");
    }
    assert_eq!(sandbox.api("/v1/jobs").json().as_array().unwrap().len(), 1);
    assert!(!sandbox.path("/tmp/ran").exists());
}

#[test]
fn a_signal_reaches_the_job_s_group_and_how_it_ended_is_told() {
    let sandbox = idle();
    let id = shell(
        &sandbox,
        "trap 'echo told; exit 3' INT; echo up; while :; do sleep 0.05; done",
    );
    let until_up = |id: &str| {
        eventually("the job", || {
            log(&sandbox, id, "").contains("up").then_some(())
        });
    };
    let signal = |id: &str, signal: &str| {
        let target = format!("/v1/jobs/{id}/signal");
        sandbox.post(&target, &json!({ "signal": signal }))
    };
    until_up(&id);
    assert_eq!(signal(&id, "SIGINT").status, 202);
    assert_eq!(ended(&sandbox, &id)["exit_code"], 3);
    assert_eq!(log(&sandbox, &id, ""), "up\ntold\n");
    assert_eq!(code(&signal(&id, "INT")), "ended");
    let killed = shell(&sandbox, "echo up; sleep 100 & wait");
    until_up(&killed);
    assert_eq!(signal(&killed, "9").status, 202);
    let last = ended(&sandbox, &killed);
    assert_eq!(
        (&last["exit_code"], &last["signal"]),
        (&Value::Null, &json!(9))
    );
    assert_eq!(processes(&sandbox, "sleep.100"), [""; 0]);
    assert_eq!(zombies(&sandbox), "");
}

#[test]
fn one_that_is_deleted_gets_term_and_then_kill_with_all_that_it_started() {
    let sandbox = idle();
    // One goes when it is told, and one that left its session and group does not.
    let polite = shell(
        &sandbox,
        "trap 'echo bye; exit 5' TERM; echo up; while :; do sleep 0.05; done",
    );
    let deaf = shell(
        &sandbox,
        "trap '' TERM; setsid sh -c 'trap \"\" TERM; while :; do sleep 1.2345; done' & \
         echo up; while :; do sleep 0.05; done",
    );
    for id in [&polite, &deaf] {
        eventually("the job", || {
            log(&sandbox, id, "").contains("up").then_some(())
        });
        let told = sandbox.delete(&format!("/v1/jobs/{id}"));
        assert_eq!(told.status, 202, "{told:?}");
    }
    let last = ended(&sandbox, &polite);
    assert_eq!(last["exit_code"], 5);
    assert!(log(&sandbox, &polite, "").ends_with("bye\n"));
    let last = ended(&sandbox, &deaf);
    assert_eq!(last["signal"], 9);
    let took = last["ended_at"].as_u64().unwrap() - last["started_at"].as_u64().unwrap();
    assert!(took >= 3_000, "{last}");
    eventually("nothing of it", || {
        processes(&sandbox, "1.2345").is_empty().then_some(())
    });
    // Once more is no error, and takes nothing away.
    let again = sandbox.delete(&format!("/v1/jobs/{polite}"));
    assert_eq!((again.status, &again.json()["exit_code"]), (200, &json!(5)));
    assert!(log(&sandbox, &polite, "").ends_with("bye\n"));
}

#[test]
fn what_one_left_running_has_its_time_when_it_is_deleted_and_stays_when_it_ends_by_itself() {
    let sandbox = idle();
    // The shell goes at once; what it started cleans up first.
    let id = shell(
        &sandbox,
        "sh -c 'trap \"sleep 0.5; touch /tmp/clean; exit\" TERM; touch /tmp/up; while :; do sleep 0.05; done' & wait",
    );
    eventually("its child", || {
        sandbox.path("/tmp/up").exists().then_some(())
    });
    assert_eq!(sandbox.delete(&format!("/v1/jobs/{id}")).status, 202);
    assert_eq!(ended(&sandbox, &id)["signal"], 15);
    eventually("its child's last act", || {
        sandbox.path("/tmp/clean").exists().then_some(())
    });
    let id = shell(
        &sandbox,
        "sh -c 'while :; do echo still here; sleep 0.1; done' & echo left",
    );
    assert_eq!(ended(&sandbox, &id)["exit_code"], 0);
    // Its log ends with it for who follows, and what is said on is kept.
    assert!(log(&sandbox, &id, "?follow=1").contains("left\n"));
    let before = job(&sandbox, &id)["log_bytes"].as_u64();
    eventually("more words", || {
        (job(&sandbox, &id)["log_bytes"].as_u64() > before).then_some(())
    });
    assert_eq!(processes(&sandbox, "still.here").len(), 1);
}

#[test]
fn a_client_that_is_lost_costs_the_job_nothing() {
    let sandbox = idle();
    let id = shell(
        &sandbox,
        "i=0; while [ ! -e /tmp/go ]; do i=$((i+1)); echo line $i; sleep 0.02; done; echo last",
    );
    let (mut stream, proof) = sandbox.prove();
    let target = format!("/v1/jobs/{id}/log?follow=1");
    write!(
        stream,
        "GET {target} HTTP/1.1\r\nHost: localhost\r\n{proof}\r\n\r\n"
    )
    .unwrap();
    let mut some = [0; 64];
    stream.read_exact(&mut some).unwrap();
    drop(stream);
    // One who never sees the answer to the request itself.
    let body = r#"{"shell":"sleep 0.3; touch /tmp/lost"}"#;
    let (mut stream, proof) = sandbox.prove();
    write!(
        stream,
        "POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\n{proof}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    // The head of it was taken in.
    eventually("the second job", || {
        (sandbox.api("/v1/jobs").json().as_array().unwrap().len() == 2).then_some(())
    });
    drop(stream);
    eventually("its work", || {
        sandbox.path("/tmp/lost").exists().then_some(())
    });
    std::fs::write(sandbox.path("/tmp/go"), "").unwrap();
    assert_eq!(ended(&sandbox, &id)["exit_code"], 0);
    let whole = log(&sandbox, &id, "");
    assert!(whole.starts_with("line 1\nline 2\n"), "{whole:.60}");
    assert!(whole.ends_with("last\n"));
}

#[test]
fn ten_megabytes_of_output_hold_up_nothing_and_what_was_cut_is_told() {
    let sandbox = idle();
    let id = shell(&sandbox, "seq 1400000; echo the end");
    // A reader who never reads holds up neither.
    let (mut stalled, proof) = sandbox.prove();
    write!(
        stalled,
        "GET /v1/jobs/{id}/log?follow=1 HTTP/1.1\r\nHost: localhost\r\n{proof}\r\n\r\n"
    )
    .unwrap();
    let last = ended(&sandbox, &id);
    assert_eq!(last["exit_code"], 0, "{last}");
    let told = eventually("the whole log", || {
        let told = log(&sandbox, &id, "?follow=1");
        told.ends_with("the end\n").then_some(told)
    });
    let last = job(&sandbox, &id);
    assert!(last["log_bytes"].as_u64().unwrap() > 10_000_000, "{last}");
    assert_eq!(last["log_truncated"], true);
    assert!(told.starts_with("1\n2\n3\n"));
    assert!(told.contains("bytes left out]\n"), "it is told");
    assert!(told.len() < 1_400_000, "{}", told.len());
    assert_eq!(
        sandbox
            .api(&format!("/v1/jobs/{id}/log?since=300000"))
            .status,
        410
    );
    assert_eq!(log(&sandbox, &id, "?tail=2"), "1400000\nthe end\n");
    assert_eq!(sandbox.get("/livez").status, 200);
    drop(stalled);
}

#[test]
fn so_many_run_at_a_time_and_the_last_that_ended_are_kept_with_their_logs() {
    let sandbox = idle();
    let running: Vec<String> = (0..32)
        .map(|_| shell(&sandbox, "exec sleep 1000"))
        .collect();
    let refused = sandbox.post("/v1/jobs", &json!({"cmd": ["true"]}));
    assert_eq!(
        (refused.status, code(&refused).as_str()),
        (429, "too_many_jobs")
    );
    let message = refused.json()["error"]["message"].to_string();
    assert!(message.contains("end one"), "{message}");
    assert_eq!(
        sandbox.delete(&format!("/v1/jobs/{}", running[0])).status,
        202
    );
    ended(&sandbox, &running[0]);
    // One place is free: one after the other ends and is kept, but for the oldest.
    let ended: Vec<String> = (0..40)
        .map(|number| {
            let id = shell(&sandbox, &format!("echo number {number}"));
            ended(&sandbox, &id);
            id
        })
        .collect();
    let logs = || {
        std::fs::read_dir(sandbox.path("/var/log/amikad/jobs"))
            .unwrap()
            .count()
    };
    assert_eq!(sandbox.api(&format!("/v1/jobs/{}", ended[0])).status, 404);
    assert_eq!(log(&sandbox, &ended[39], ""), "number 39\n");
    let all = sandbox.api("/v1/jobs").json();
    let all = all.as_array().unwrap();
    let count = |state: &str| all.iter().filter(|job| job["state"] == state).count();
    // The one that was added last found 32 that had ended.
    assert_eq!((count("running"), count("ended")), (31, 33));
    assert_eq!(logs(), 64, "no file of one that is forgotten");
    assert_eq!(zombies(&sandbox), "");
}

#[test]
fn a_stop_ends_jobs_within_their_grace_and_takes_no_more() {
    let mut sandbox = Builder::new()
        .with_token()
        .start("trap 'until [ -e /tmp/go ]; do sleep 0.02; done; exit 4' TERM; while :; do sleep 0.02; done");
    sandbox.until_phase("running");
    let polite = shell(
        &sandbox,
        "trap 'touch /tmp/polite; exit' TERM; echo up; while :; do sleep 0.05; done",
    );
    let deaf = shell(
        &sandbox,
        "trap '' TERM; echo up; while :; do sleep 0.05; done",
    );
    for id in [&polite, &deaf] {
        eventually("the job", || {
            log(&sandbox, id, "").contains("up").then_some(())
        });
    }
    sandbox.signal(15);
    // Together with CMD, which takes its time.
    eventually("the polite one's end", || {
        sandbox.path("/tmp/polite").exists().then_some(())
    });
    let refused = sandbox.post("/v1/jobs", &json!({"cmd": ["touch", "/tmp/late"]}));
    assert_eq!((refused.status, code(&refused).as_str()), (409, "stopping"));
    assert_eq!(ended(&sandbox, &deaf)["signal"], 9);
    std::fs::write(sandbox.path("/tmp/go"), "").unwrap();
    assert_eq!(sandbox.wait().code, 4, "CMD's own");
    assert!(!sandbox.path("/tmp/late").exists());
}

#[test]
fn a_job_may_run_while_setup_does_and_decides_nothing() {
    let mut sandbox = Builder::new()
        .with_token()
        .setup("#!/bin/sh\nuntil [ -e /tmp/go ]; do sleep 0.02; done\n")
        .start("exit 6");
    sandbox.until_phase("setup");
    let id = shell(&sandbox, "exit 9");
    assert_eq!(ended(&sandbox, &id)["exit_code"], 9);
    assert_eq!(sandbox.api("/v1/status").json()["phase"], "setup");
    std::fs::write(sandbox.path("/tmp/go"), "").unwrap();
    assert_eq!(sandbox.wait().code, 6);
}

#[test]
fn a_running_job_counts_as_activity_however_quiet_it_is() {
    let sandbox = idle();
    let reasons = || sandbox.api("/v1/activity").json()["active_because"].clone();
    assert_eq!(reasons(), json!([]));
    let id = shell(&sandbox, "exec sleep 1000");
    eventually("activity", || {
        std::thread::sleep(Duration::from_millis(300));
        (reasons() == json!(["job"])).then_some(())
    });
    assert_eq!(sandbox.delete(&format!("/v1/jobs/{id}")).status, 202);
    eventually("its end", || {
        std::thread::sleep(Duration::from_millis(300));
        (reasons() == json!([])).then_some(())
    });
}

#[test]
fn a_second_daemon_touches_no_job_of_the_first() {
    let sandbox = idle();
    let id = shell(
        &sandbox,
        "echo before; until [ -e /tmp/go ]; do sleep 0.02; done; echo after",
    );
    let second = sandbox.exec(&["/amikad", "run", "--", "true"]).output();
    assert_eq!(second.unwrap().status.code(), Some(70));
    std::fs::write(sandbox.path("/tmp/go"), "").unwrap();
    assert_eq!(ended(&sandbox, &id)["exit_code"], 0);
    assert_eq!(log(&sandbox, &id, ""), "before\nafter\n");
}

#[test]
fn where_nothing_can_be_written_logs_are_kept_in_memory() {
    let sandbox = Builder::new().with_token().read_only().start_idle();
    eventually("the API", || {
        (sandbox.get("/readyz").status == 200).then_some(())
    });
    let id = start(&sandbox, &json!({"shell": "echo words", "cwd": "/"}));
    assert_eq!(ended(&sandbox, &id)["exit_code"], 0);
    assert_eq!(log(&sandbox, &id, "?follow=1"), "words\n");
}
