//! Ctrl-C while a command is in the midst of its work, on a real engine: its exit code, and one
//! document, or one line where it prints lines.

use std::fs::File;
use std::path::Path;

use rustix::process::Signal;
use serde_json::Value;

use crate::support::{DEBIAN, EngineProxy, Output, Running, Sandbox, Stage, docker, eventually};

/// More than is copied before a test is done with it. It takes no room where it comes from.
const BIG: u64 = 8 << 30;

fn interrupt(running: Running) -> Output {
    running.signal(Signal::INT);
    let output = running.wait();
    assert_eq!(output.code, 130, "{output:?}");
    output
}

fn is_interrupted(document: &Value) {
    assert_eq!(document["error"]["code"], "interrupted", "{document}");
    assert_eq!(document["error"]["exit_code"], 130, "{document}");
}

/// Starts a command of a sandbox through a proxy, with JSON asked for.
fn start(sandbox: &Sandbox<'_>, proxy: &EngineProxy, verb: &str, args: &[&str]) -> Running {
    let mut all = vec!["-o", "json", "sandbox", verb, &sandbox.name];
    all.extend(args);
    let run = sandbox.stage.amika(&all);
    run.env("DOCKER_HOST", &proxy.host()).start()
}

/// Waits until a command asked the engine for this.
fn asked(proxy: &EngineProxy, request: &str) {
    eventually(&format!("{request} is asked for"), || {
        proxy.changing().iter().any(|line| line.contains(request))
    });
}

#[test]
fn a_wait_and_a_stop_end_with_one_document() {
    let stage = Stage::new();
    let proxy = stage.engine_proxy();
    // It ignores the request to end, so that a stop takes its whole grace.
    let stubborn = ["--", "sh", "-c", "trap '' TERM; while :; do sleep 1; done"];
    let sandbox = stage.sandbox(DEBIAN, &stubborn);
    let waiting = start(&sandbox, &proxy, "wait", &["--for", "stopped"]);
    asked(&proxy, "/wait");
    is_interrupted(&interrupt(waiting).json());
    let stopping = start(&sandbox, &proxy, "stop", &["--timeout", "30s"]);
    asked(&proxy, "/stop");
    is_interrupted(&interrupt(stopping).json());
    // The engine was asked and goes on.
    assert_eq!(docker(&["kill", &sandbox.name]).code, 0);
    eventually("it ended", || sandbox.engine_state() == "exited");
}

#[test]
fn a_start_and_a_restart_that_wait_for_setup_end_with_one_document() {
    let stage = Stage::new();
    let proxy = stage.engine_proxy();
    let script = stage.script("setup.sh", "#!/bin/sh\ntrue\n");
    let sandbox = stage.sandbox(DEBIAN, &["--setup-script", &script]);
    assert_eq!(sandbox.verb("stop", &[]).output().code, 0);
    stage.script("setup.sh", "#!/bin/sh\necho begun\nexec sleep 4321\n");
    for verb in ["start", "restart"] {
        let waiting = start(&sandbox, &proxy, verb, &[]);
        waiting.warns("begun");
        is_interrupted(&interrupt(waiting).json());
        assert_eq!(sandbox.inspect()["state"], "setup", "{verb}");
    }
    let waiting = start(&sandbox, &proxy, "wait", &["--for", "ready"]);
    waiting.warns("begun");
    is_interrupted(&interrupt(waiting).json());
}

#[test]
fn what_prints_lines_ends_with_one() {
    let stage = Stage::new();
    let sandbox = stage.sandbox(DEBIAN, &[]);
    let name = sandbox.name.as_str();
    let filter = format!("name={name}");
    for command in [
        &["events", "--since", "1m", name][..],
        &["sandbox", "stats", name],
        &["ls", "--watch", "--filter", &filter],
    ] {
        let mut args = vec!["-o", "json"];
        args.extend(command);
        let running = stage.amika(&args).start();
        eventually("a line came", || running.said() > 100);
        let output = interrupt(running);
        let documents: Vec<Value> = output
            .stdout_text()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{output:?}")))
            .collect();
        let (last, rest) = documents.split_last().unwrap();
        is_interrupted(last);
        assert!(!rest.is_empty(), "{output:?}");
        assert!(
            rest.iter()
                .all(|line| line["sandbox"] == name || line[0]["name"] == name),
            "{output:?}"
        );
    }
}

#[test]
fn people_who_end_what_they_follow_are_told_nothing() {
    let stage = Stage::new();
    let sandbox = stage.sandbox(DEBIAN, &["--", "sh", "-c", "echo begun; exec sleep 4321"]);
    let name = sandbox.name.as_str();
    for command in [
        &["events", "--since", "1m", name][..],
        &["sandbox", "stats", name],
        &["ls", "--watch"],
        &["sandbox", "logs", "-f", name],
    ] {
        let running = stage.amika(command).start();
        eventually("something came", || running.said() > 0);
        let output = interrupt(running);
        // Setup's gate has a word in the container's log.
        let of_amikad = |line: &str| line.starts_with("amikad: ");
        // Of an engine that many use, some events of that minute may be forgotten.
        let of_engine = |line: &str| line.contains("the engine has forgotten what happened before");
        let is_expected = |line: &str| of_amikad(line) || of_engine(line);
        assert!(output.stderr_text().lines().all(is_expected), "{output:?}");
    }
    // What has an end did not come to it.
    let waiting = sandbox.verb("wait", &["--for", "stopped"]).start();
    let caught = |mask: &str| u64::from_str_radix(mask, 16).unwrap() & 2 != 0;
    eventually("signals are caught", || {
        let mask = waiting.proc_status_text("SigCgt");
        mask.is_some_and(|mask| caught(&mask))
    });
    let output = interrupt(waiting);
    assert!(output.stderr_text().contains("interrupted"), "{output:?}");
}

#[test]
fn a_log_that_is_followed_ends_with_one_document_where_json_is_asked_for() {
    let stage = Stage::new();
    let sandbox = stage.sandbox(DEBIAN, &["--", "sh", "-c", "echo begun; exec sleep 4321"]);
    let following = sandbox.verb("logs", &["--follow"]).start();
    following.says("begun");
    let output = interrupt(following);
    assert_eq!(output.stdout_text(), "begun\n");
    let refused = sandbox.verb("logs", &["--follow", "-o", "json"]).output();
    assert_eq!(refused.code, 2, "{refused:?}");
    assert_eq!(refused.json()["error"]["code"], "usage");
}

#[test]
fn copies_of_what_is_big_end_with_one_document() {
    let stage = Stage::new();
    let proxy = stage.engine_proxy();
    let sandbox = stage.sandbox(DEBIAN, &[]);
    let big = stage.home().join("big");
    File::create(&big).unwrap().set_len(BIG).unwrap();
    let copy = |from: &str, to: &str| {
        let run = stage.amika(&["-o", "json", "sandbox", "cp", from, to]);
        run.env("DOCKER_HOST", &proxy.host()).start()
    };
    let going_in = copy(big.to_str().unwrap(), &format!("{}:/tmp/in", sandbox.name));
    // The engine answers nobody else about the container until the copy is over.
    asked(&proxy, "PUT ");
    is_interrupted(&interrupt(going_in).json());

    // Holes come out as holes: something else comes first.
    let fill = format!("head -c 2M /dev/urandom >/tmp/out && truncate -s {BIG} /tmp/out");
    let made = sandbox.docker_exec(&["sh", "-c", &fill]);
    assert_eq!(made.code, 0, "{made:?}");
    let target = stage.home().join("target");
    std::fs::create_dir(&target).unwrap();
    let going_out = copy(
        &format!("{}:/tmp/out", sandbox.name),
        target.to_str().unwrap(),
    );
    eventually("a part is there", || size_of_all(&target) > 1_000_000);
    is_interrupted(&interrupt(going_out).json());
}

/// Bytes of the files in a directory.
fn size_of_all(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).unwrap().flatten();
    entries
        .filter_map(|entry| entry.metadata().ok())
        .map(|meta| meta.len())
        .sum()
}

#[test]
fn a_program_and_an_agent_have_the_last_word() {
    let stage = Stage::new();
    // Says that it works, in place of an agent that would need an account.
    let image = stage.image(&format!(
        "FROM {DEBIAN}\nRUN printf '#!/bin/sh\\necho begun; exec sleep 4321\\n' >/usr/bin/codex && \
         chmod +x /usr/bin/codex\n"
    ));
    let sandbox = stage.sandbox(&image, &["--env", "CODEX_API_KEY=none"]);
    let name = sandbox.name.as_str();
    for command in [
        &["exec", name, "--", "codex"][..],
        &["prompt", "--agent", "codex", name, "hello"],
    ] {
        let mut args = vec!["-o", "json", "sandbox"];
        args.extend(command);
        let running = stage.amika(&args).start();
        running.says("begun");
        assert_eq!(interrupt(running).stdout_text(), "begun\n", "{command:?}");
        eventually("nothing runs on", || {
            // The brackets keep the search from finding itself.
            let search = ["sh", "-c", "grep -l '[4]321' /proc/[0-9]*/cmdline"];
            sandbox.docker_exec(&search).stdout.is_empty()
        });
    }
}

/// A CMD that tells that it is being stopped, and takes its time.
const SLOW_END: &str =
    "trap 'echo ending; sleep 5; exit 0' TERM; echo up; while :; do sleep 0.1; done";

#[test]
fn an_interrupted_stop_restart_and_delete_say_what_the_engine_goes_on_with() {
    let stage = Stage::new();
    let sandbox = stage.sandbox(DEBIAN, &["--", "bash", "-c", SLOW_END]);
    for (verb, told) in [
        ("stop", "`amika sandbox wait NAME --for stopped`"),
        (
            "restart",
            "`amika sandbox start NAME` starts it once it is stopped",
        ),
    ] {
        let before = sandbox.log().matches("ending").count();
        let running = sandbox.verb(verb, &[]).start();
        eventually("it is being stopped", || {
            sandbox.log().matches("ending").count() > before
        });
        running.signal(Signal::INT);
        let told = told.replace("NAME", &sandbox.name);
        running.wait().ended(130, &["the engine goes on", &told]);
        sandbox
            .verb("wait", &["--for", "stopped"])
            .output()
            .ended(0, &[]);
        sandbox.verb("start", &[]).output().ended(0, &[]);
    }
    let proxy = stage.engine_proxy();
    proxy.hold("DELETE /");
    let deleting = sandbox.verb("delete", &["--force"]);
    let deleting = deleting.env("DOCKER_HOST", &proxy.host()).start();
    proxy.holds();
    deleting.signal(Signal::INT);
    let again = format!("`amika sandbox delete {}`", sandbox.name);
    deleting.wait().ended(130, &["was being removed", &again]);
    proxy.let_go();
}
