//! Every route of the API, and who may ask.

use std::io::{BufRead, BufReader, Read, Write};

use crate::support::{Builder, PROOF, Sandbox, TOKEN, eventually, parse};

/// A setup that waits for a file, and a CMD that waits for another.
fn waiting() -> Sandbox {
    Builder::new()
        .with_token()
        .setup("#!/bin/sh\necho one\necho two\nuntil [ -e /tmp/go ]; do sleep 0.02; done\necho three\n")
        .start("until [ -e /tmp/end ]; do sleep 0.02; done; exit 5")
}

fn touch(sandbox: &Sandbox, path: &str) {
    std::fs::write(sandbox.path(path), "").unwrap();
}

pub fn idle() -> Sandbox {
    Builder::new().with_token().start_idle()
}

#[test]
fn probes_tell_the_phase_and_nothing_else() {
    let sandbox = waiting();
    // It answers before the boot is prepared, too.
    eventually("setup", || {
        sandbox.get("/livez").body.contains("setup").then_some(())
    });
    for target in ["/livez", "/healthz"] {
        let answer = sandbox.get(target);
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (200, r#"{"phase":"setup"}"#),
            "{target}"
        );
        let head = sandbox.request("HEAD", target, &[], "");
        assert_eq!((head.status, head.body.as_str()), (200, ""), "{target}");
    }
    for target in ["/startupz", "/readyz", "/readyz?require=opencode"] {
        let answer = sandbox.get(target);
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (503, r#"{"ready":false,"phase":"setup"}"#)
        );
        assert!(
            answer.head.contains("retry-after: 1"),
            "{target}: {answer:?}"
        );
    }
    touch(&sandbox, "/tmp/go");
    eventually("readiness", || {
        (sandbox.get("/readyz").status == 200).then_some(())
    });
    assert_eq!(sandbox.get("/startupz").status, 200);
    assert_eq!(sandbox.get("/readyz?require=opencode").status, 503);
    assert_eq!(sandbox.get("/readyz?require=nonsense").status, 400);
    assert_eq!(sandbox.get("/readyz?requires=opencode").status, 400);
}

#[test]
fn liveness_holds_while_stopping_and_readiness_does_not() {
    let mut sandbox = Builder::new()
        .with_token()
        .start("trap '' TERM; touch /tmp/up; until [ -e /tmp/end ]; do sleep 0.02; done");
    eventually("CMD", || sandbox.path("/tmp/up").exists().then_some(()));
    sandbox.signal(15);
    sandbox.until_status("the stop", |status| status["phase"] == "stopping");
    assert_eq!(sandbox.get("/livez").status, 200);
    assert_eq!(sandbox.get("/readyz").status, 503);
    assert_eq!(sandbox.get("/startupz").status, 200, "for good");
    touch(&sandbox, "/tmp/end");
    assert_eq!(sandbox.wait().code, 0);
}

#[test]
fn status_has_the_documented_shape_and_no_arguments() {
    let sandbox = Builder::new()
        .with_token()
        .start("sleep 60; echo canary-argument");
    sandbox.until_status("CMD", |status| status["cmd"]["state"] == "running");
    let answer = sandbox.api("/v1/status");
    assert!(!answer.body.contains("canary"), "{answer:?}");
    assert!(answer.head.contains("cache-control: no-store"));
    let status = answer.json();
    assert_eq!(status["api"], 1);
    assert_eq!(status["pid"], 1);
    assert_eq!(status["phase"], "running");
    assert_eq!(status["cmd"]["argv0"], "sh");
    assert_eq!(status["setup"]["state"], "absent");
    assert_eq!(status["services"]["opencode"]["state"], "off");
    assert_eq!(status["services"]["opencode"]["port"], 60998);
    for key in [
        "version",
        "boot_id",
        "outcome",
        "since",
        "uptime_ms",
        "reaped_orphans",
        "stop_signal",
        "out_of_memory",
    ] {
        assert!(status.get(key).is_some(), "{key}");
    }
}

#[test]
fn everything_under_v1_needs_the_token() {
    let sandbox = idle();
    let targets = [
        "/v1/status",
        "/v1/events",
        "/v1/logs/setup",
        "/v1/services/opencode",
        "/v1/services/opencode/restart",
        "/v1/activity",
        "/v1/activity/input",
        "/v1/execs/x",
        "/v1/nonsense",
        "/v1",
        "/v1/",
    ];
    for target in targets {
        for header in [
            "X-None: 1",
            "Authorization: Bearer blackbox-token",
            "Authorization: Amika 00",
            "Authorization: Basic Og==",
            "Authorization: Bearer ",
        ] {
            let answer = sandbox.request("GET", target, &[header], "");
            assert_eq!(answer.status, 401, "{target} {header}");
            assert!(
                answer.head.contains("www-authenticate: amika"),
                "{answer:?}"
            );
            assert_eq!(answer.json()["error"]["code"], "unauthorized");
        }
    }
    let twice = [PROOF, "Authorization: Bearer x"];
    assert_eq!(sandbox.request("GET", "/v1/status", &twice, "").status, 401);
    assert_eq!(sandbox.api("/v1/status").status, 200);
    assert_eq!(
        sandbox.get(&format!("/v1/status?token={TOKEN}")).status,
        401
    );
    assert!(
        sandbox.read("/var/lib/amikad/token").is_empty(),
        "no second token is made"
    );
}

#[test]
fn unknown_paths_and_methods_are_refused() {
    let sandbox = idle();
    assert_eq!(sandbox.get("/").status, 404);
    assert_eq!(
        sandbox.api("/v1/nonsense").json()["error"]["code"],
        "not_found"
    );
    assert_eq!(sandbox.api("/v1/logs/nonsense").status, 404);
    for (method, target, allow) in [
        ("POST", "/livez", "allow: get, head"),
        ("DELETE", "/v1/status", "allow: get, head"),
        ("GET", "/v1/services/opencode/restart", "allow: post"),
        ("OPTIONS", "/v1/events", "allow: get"),
    ] {
        let answer = sandbox.request(method, target, &[PROOF], "");
        assert_eq!(answer.status, 405, "{method} {target}");
        assert!(answer.head.contains(allow), "{answer:?}");
        assert!(!answer.head.contains("access-control"), "{answer:?}");
    }
}

#[test]
fn requests_that_a_foreign_page_could_send_are_refused() {
    let sandbox = idle();
    for (headers, status) in [
        (&["Host: evil.example"][..], 421),
        (&["Host: localhost.evil.example:60999"], 421),
        (&["Host: 127.0.0.1:49153"], 200),
        (&["Host: [::1]:49153"], 200),
        (&["Host: localhost", "Origin: https://evil.example"], 403),
        (&["Host: localhost", "Origin: null"], 403),
        (&["Host: localhost:3", "Origin: http://localhost:4"], 403),
        (&["Host: localhost:3", "Origin: http://localhost:3"], 200),
        (&["Host: localhost", "Sec-Fetch-Site: cross-site"], 403),
        (&["Host: localhost", "Sec-Fetch-Site: same-origin"], 200),
        (&["Host: localhost", "Host: localhost"], 400),
    ] {
        assert_eq!(
            sandbox.request("GET", "/livez", headers, "").status,
            status,
            "{headers:?}"
        );
    }
    let own = std::process::Command::new("hostname").output().unwrap();
    let own = String::from_utf8(own.stdout).unwrap();
    assert_eq!(
        sandbox
            .request("GET", "/livez", &[&format!("Host: {}", own.trim())], "")
            .status,
        200
    );
    let absolute = sandbox.talk(
        "GET http://evil.example/livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    );
    assert_eq!(parse(&absolute).status, 421);
    assert_eq!(
        parse(&sandbox.talk("GET /livez HTTP/1.1\r\nConnection: close\r\n\r\n")).status,
        400
    );
}

#[test]
fn a_followed_setup_log_comes_as_it_is_written_and_ends_by_itself() {
    let sandbox = waiting();
    let (mut stream, proof) = sandbox.prove();
    write!(stream, "GET /v1/logs/setup?follow=1 HTTP/1.1\r\nHost: localhost\r\n{proof}\r\nConnection: close\r\n\r\n").unwrap();
    let mut reader = BufReader::new(stream);
    let mut text = String::new();
    while !text.contains("two\n") {
        assert!(reader.read_line(&mut text).unwrap() > 0, "{text}");
    }
    touch(&sandbox, "/tmp/go");
    // The end of the body, while CMD still runs.
    reader.read_to_string(&mut text).unwrap();
    assert_eq!(parse(&text).body, "one\ntwo\nthree\n");
    eventually("readiness", || {
        (sandbox.get("/readyz").status == 200).then_some(())
    });
}

#[test]
fn logs_can_be_asked_for_in_part_and_as_events() {
    let sandbox = waiting();
    eventually("two lines", || {
        (sandbox.api("/v1/logs/setup").body == "one\ntwo\n").then_some(())
    });
    assert_eq!(sandbox.api("/v1/logs/setup?tail=1").body, "two\n");
    assert_eq!(sandbox.api("/v1/logs/setup?tail=0").body, "");
    assert_eq!(sandbox.api("/v1/logs/setup?since=5").body, "wo\n");
    assert_eq!(sandbox.api("/v1/logs/setup?since=8").body, "");
    assert_eq!(sandbox.api("/v1/logs/setup?since=9").status, 410);
    assert_eq!(sandbox.api("/v1/logs/setup?since=x").status, 400);
    assert_eq!(sandbox.api("/v1/logs/setup?follow=maybe").status, 400);
    let accept = "Accept: text/event-stream";
    let events = sandbox.request("GET", "/v1/logs/setup?since=4", &[PROOF, accept], "");
    assert!(events.head.contains("content-type: text/event-stream"));
    assert_eq!(events.body, "id: 8\ndata: two\n\n");
    touch(&sandbox, "/tmp/go");
    eventually("the daemon's log", || {
        sandbox
            .api("/v1/logs/amikad")
            .body
            .contains("phase is running")
            .then_some(())
    });
    assert_eq!(sandbox.api("/v1/logs/opencode").body, "");
}

#[test]
fn what_was_rotated_away_is_gone_and_says_so() {
    let sandbox = Builder::new()
        .with_token()
        .setup("#!/bin/sh\nhead -c 8388608 /dev/zero | tr '\\0' x\n")
        .start_idle();
    eventually("readiness", || {
        (sandbox.get("/readyz").status == 200).then_some(())
    });
    assert_eq!(sandbox.api("/v1/logs/setup?since=2000000").status, 410);
    assert_eq!(sandbox.api("/v1/logs/setup?since=1000").status, 200);
    let whole = sandbox.api("/v1/logs/setup").body;
    assert_eq!(
        whole.len(),
        (5 << 20) + "\n[amikad: 3145728 bytes left out]\n".len()
    );
    let status = sandbox.api("/v1/status").json();
    assert_eq!(status["setup"]["log_bytes"], 8 << 20);
    assert_eq!(status["setup"]["log_truncated"], true);
}

#[test]
fn events_bring_history_first_then_what_happens_and_end_with_the_daemon() {
    let mut sandbox = waiting();
    let (first, proof) = sandbox.prove();
    let mut first = BufReader::new(first);
    write!(
        first.get_mut(),
        "GET /v1/events HTTP/1.1\r\nHost: localhost\r\n{proof}\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut text = String::new();
    while !text.contains("event: setup") {
        assert!(first.read_line(&mut text).unwrap() > 0, "{text}");
    }
    touch(&sandbox, "/tmp/go");
    eventually("readiness", || {
        (sandbox.get("/readyz").status == 200).then_some(())
    });
    touch(&sandbox, "/tmp/end");
    first.read_to_string(&mut text).unwrap();
    assert_eq!(sandbox.wait().code, 5);
    let body = parse(&text).body;
    let data: Vec<serde_json::Value> = body
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let numbers: Vec<u64> = data
        .iter()
        .map(|change| change["seq"].as_u64().unwrap())
        .collect();
    assert_eq!(
        numbers,
        (0..data.len() as u64).collect::<Vec<_>>(),
        "without a gap"
    );
    let mut phases: Vec<&str> = data
        .iter()
        .map(|change| change["phase"].as_str().unwrap())
        .collect();
    phases.dedup();
    assert_eq!(phases[0], "setup");
    assert!(phases.contains(&"running"), "{phases:?}");
    assert_eq!(phases.last(), Some(&"exited"));
    assert_eq!(data.last().unwrap()["outcome"], "cmd_exited");
}

#[test]
fn an_event_stream_resumes_after_the_last_event_seen() {
    let sandbox = Builder::new().with_token().start("sleep 60");
    sandbox.until_status("CMD", |status| status["cmd"]["state"] == "running");
    let ids = |header: &str| {
        let (stream, proof) = sandbox.prove();
        let mut stream = BufReader::new(stream);
        write!(
            stream.get_mut(),
            "GET /v1/events HTTP/1.1\r\nHost: localhost\r\n{proof}\r\n{header}\r\n\r\n"
        )
        .unwrap();
        let mut line = String::new();
        while !line.starts_with("id: ") {
            line.clear();
            assert!(stream.read_line(&mut line).unwrap() > 0);
        }
        line.trim().to_owned()
    };
    let first = ids("X-None: 1");
    assert!(first.ends_with("-0"), "{first}");
    let second = ids(&format!(
        "Last-Event-ID: {}",
        first.strip_prefix("id: ").unwrap()
    ));
    assert!(second.ends_with("-1"), "{second}");
    assert!(ids("Last-Event-ID: another-boot-0").ends_with("-0"));
}

#[test]
fn opencode_cannot_be_restarted_where_it_is_off() {
    let sandbox = idle();
    let restart = |headers: &[&str], body| {
        let headers: Vec<&str> = std::iter::once(PROOF)
            .chain(headers.iter().copied())
            .collect();
        sandbox
            .request("POST", "/v1/services/opencode/restart", &headers, body)
            .status
    };
    assert_eq!(restart(&["Content-Type: application/json"], "{}"), 409);
    assert_eq!(
        restart(&["Content-Type: application/json; charset=utf-8"], ""),
        409
    );
    assert_eq!(restart(&["Content-Type: application/json"], "{"), 400);
    assert_eq!(restart(&["Content-Type: text/plain"], "{}"), 400);
    assert_eq!(restart(&[], "{}"), 400);
}

#[test]
fn a_taken_port_costs_the_api_and_nothing_else() {
    let thief = "import os, socket, sys\ns = socket.create_server(('0.0.0.0', 60999))\n\
                 os.set_inheritable(s.fileno(), True)\nos.execv(sys.argv[1], sys.argv[1:])";
    let mut sandbox = Builder::new()
        .wrapped(&["python3", "-c", thief])
        .start("until grep -q 'port 60999 cannot be had' /var/log/amikad/amikad.log; do sleep 0.02; done; exit 8");
    let end = sandbox.wait();
    assert_eq!(end.code, 8);
    assert!(end.stderr.contains("port 60999 cannot be had"), "{end:?}");
}

#[test]
fn a_stream_of_events_says_that_it_lives_while_orphans_are_reaped_without_a_pause() {
    let sandbox = Builder::new()
        .with_token()
        .start("while :; do (sleep 0.01 &); sleep 0.02; done");
    let reaped = || {
        sandbox.api("/v1/status").json()["reaped_orphans"]
            .as_u64()
            .unwrap()
    };
    eventually("orphans", || (reaped() > 10).then_some(()));
    let (mut stream, proof) = sandbox.prove();
    write!(
        stream,
        "GET /v1/events HTTP/1.1\r\nHost: localhost\r\n{proof}\r\n\r\n"
    )
    .unwrap();
    let before = reaped();
    let mut seen = Vec::new();
    let mut some = [0; 4096];
    while !seen.windows(6).any(|bytes| bytes == b": ping") {
        let count = stream.read(&mut some).unwrap();
        assert!(count > 0);
        seen.extend_from_slice(&some[..count]);
    }
    assert!(reaped() > before + 50, "all the time");
}

#[test]
fn the_status_has_where_the_agent_s_repository_is() {
    let sandbox = Builder::new()
        .with_token()
        .env("AMIKA_AGENT_CWD", "/work/src")
        .start_idle();
    let head = || sandbox.api("/v1/status").json()["head"].clone();
    assert_eq!(head(), serde_json::Value::Null);
    std::fs::create_dir_all(sandbox.path("/work/.git")).unwrap();
    std::fs::write(sandbox.path("/work/.git/HEAD"), "ref: refs/heads/main\n").unwrap();
    assert_eq!(head(), serde_json::json!({ "branch": "main" }));
    let commit = "0123456789abcdef0123456789abcdef01234567";
    std::fs::write(sandbox.path("/work/.git/HEAD"), commit).unwrap();
    assert_eq!(head(), serde_json::json!({ "commit": commit }));
}
