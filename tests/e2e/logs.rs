//! `amika sandbox logs`: the container's log and those of amikad, running and stopped.

use std::time::Duration;

use crate::support::{DEBIAN, Stage};

/// A log that is over ends at once; one that never ended would take the test's whole limit.
const SOON: Duration = Duration::from_secs(20);

#[test]
fn the_containers_log_has_both_streams_and_ends_with_it() {
    let stage = Stage::new();
    let cmd = "echo one; echo two; echo wrong >&2; echo three; read line; echo said $line; exec sleep 4321";
    let sandbox = stage.sandbox(DEBIAN, &["--", "sh", "-c", cmd]);
    let following = sandbox.verb("logs", &["-f"]).start();
    following.says("three");

    let all = sandbox.verb("logs", &["--tail", "all"]).output();
    assert_eq!(all.stdout, sandbox.verb("logs", &[]).output().stdout);
    let log = sandbox.verb("logs", &["--tail", "2"]).output();
    assert_eq!(log.code, 0, "{log:?}");
    let whole = sandbox.verb("logs", &[]).output();
    assert_eq!(whole.stdout, b"one\ntwo\nthree\n", "{whole:?}");
    assert!(whole.stderr_text().contains("wrong\n"), "{whole:?}");
    let json = sandbox
        .verb("logs", &["-o", "json", "--since", "10m"])
        .output()
        .json();
    assert_eq!(json["sandbox"], sandbox.name);
    assert_eq!(json["log"], "container");
    let lines: Vec<&str> = json["lines"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| line.as_str().unwrap())
        .collect();
    for line in ["one", "two", "wrong", "three"] {
        assert!(lines.contains(&line), "{lines:?}");
    }

    let stopped = sandbox.verb("stop", &["--timeout", "1s"]).output();
    assert_eq!(stopped.code, 0, "{stopped:?}");
    let followed = following.wait();
    assert_eq!((followed.code, followed.stdout), (0, whole.stdout.clone()));
    let after = sandbox.verb("logs", &["-f"]).limit(SOON).output();
    assert_eq!((after.code, after.stdout), (0, whole.stdout));
}

#[test]
fn setups_log_is_exact_and_outlives_the_sandboxs_stop() {
    let stage = Stage::new();
    let script = stage.script(
        "setup.sh",
        "#!/bin/sh\necho one\nprintf 'b\\0\\377\\n' >&2\necho three\n",
    );
    let sandbox = stage.sandbox(DEBIAN, &["--setup-script", &script]);
    let check = || {
        let whole = sandbox.verb("logs", &["--setup"]).output();
        assert_eq!(
            (whole.code, whole.stdout.as_slice()),
            (0, b"one\nb\0\xff\nthree\n".as_slice()),
            "{whole:?}"
        );
        let tail = sandbox.verb("logs", &["--setup", "-n", "1"]).output();
        assert_eq!(tail.stdout, b"three\n", "{tail:?}");
        let none = sandbox.verb("logs", &["--setup", "-n", "0"]).output();
        assert_eq!(none.stdout, b"", "{none:?}");
        let over = sandbox
            .verb("logs", &["--setup", "-f"])
            .limit(SOON)
            .output();
        assert_eq!(
            (over.code, over.stdout),
            (0, whole.stdout),
            "{:?}",
            over.stderr
        );
        let json = sandbox
            .verb("logs", &["--setup", "-o", "json"])
            .output()
            .json();
        assert_eq!(
            json["lines"],
            serde_json::json!(["one", "b\0\u{fffd}", "three"])
        );
    };
    check();
    let own = sandbox.verb("logs", &["--amikad"]).output();
    assert_eq!(own.code, 0, "{own:?}");
    assert!(!own.stdout.is_empty(), "{own:?}");
    let stopped = sandbox.verb("stop", &[]).output();
    assert_eq!(stopped.code, 0, "{stopped:?}");
    check();
    let own_stopped = sandbox.verb("logs", &["--amikad"]).output();
    assert!(
        own_stopped.stdout.starts_with(&own.stdout),
        "{own_stopped:?}"
    );
}

#[test]
fn setups_log_is_followed_until_setup_ends() {
    let stage = Stage::new();
    let script = stage.script(
        "setup.sh",
        "#!/bin/sh\necho begun\nwhile [ ! -e /tmp/go ]; do sleep 0.1; done\necho ended\n",
    );
    let sandbox = stage.adopt(stage.name());
    let creating = sandbox
        .create_run(DEBIAN, &["--no-wait", "--setup-script", &script])
        .output();
    assert_eq!(creating.code, 0, "{creating:?}");
    let following = sandbox.verb("logs", &["--setup", "--follow"]).start();
    following.says("begun");
    let go = sandbox.docker_exec(&["touch", "/tmp/go"]);
    assert_eq!(go.code, 0, "{go:?}");
    let followed = following.wait();
    assert_eq!(
        (followed.code, followed.stdout.as_slice()),
        (0, b"begun\nended\n".as_slice()),
        "{}",
        followed.stderr_text()
    );
}

#[test]
fn a_failed_setups_log_stays_readable() {
    let stage = Stage::new();
    let script = stage.script("setup.sh", "#!/bin/sh\necho last words\nexit 3\n");
    let sandbox = stage.adopt(stage.name());
    let created = sandbox.create(DEBIAN, &["--setup-script", &script]);
    assert_eq!(created.code, 20, "{created:?}");
    let log = sandbox.verb("logs", &["--setup"]).output();
    assert_eq!(
        (log.code, log.stdout.as_slice()),
        (0, b"last words\n".as_slice()),
        "{log:?}"
    );
}

#[test]
fn a_log_that_is_not_there_is_said_to_be_empty() {
    let stage = Stage::new();
    let sandbox = stage.sandbox(DEBIAN, &[]);
    for which in ["--setup", "--opencode"] {
        let log = sandbox.verb("logs", &[which]).output();
        assert_eq!((log.code, log.stdout.len()), (0, 0), "{log:?}");
        assert!(log.stderr_text().contains("has no"), "{log:?}");
    }
}

#[test]
fn a_reader_that_leaves_has_seen_enough() {
    let stage = Stage::new();
    let script = stage.script("setup.sh", "#!/bin/sh\nyes | head -n 500000\n");
    let sandbox = stage.sandbox(DEBIAN, &["--setup-script", &script]);
    for which in ["", "--setup"] {
        let script =
            format!(r#""$0" sandbox logs "$1" {which} | head -n 1; echo ${{PIPESTATUS[0]}}"#);
        let output = stage.shell(&script, &[&sandbox.name]).limit(SOON).output();
        assert_eq!(output.stdout_text(), "y\n0\n", "{output:?}");
        assert_eq!(output.stderr_text(), "");
    }
}

#[test]
fn what_cannot_be_is_refused() {
    let stage = Stage::new();
    let json = stage.sandbox_verb(&["logs", "-f", "-o", "json", "whatever"]);
    assert_eq!(json.code, 2, "{json:?}");
    assert_eq!(json.json()["error"]["code"], "usage");
    let two = stage.sandbox_verb(&["logs", "--setup", "--amikad", "whatever"]);
    assert_eq!(two.code, 2, "{two:?}");
    let absent = stage.sandbox_verb(&["logs", "--setup", "no-such-sandbox"]);
    assert_eq!(absent.code, 3, "{absent:?}");
}

#[test]
fn a_log_is_shown_from_a_time_on() {
    let stage = Stage::new();
    let sandbox = stage.sandbox(DEBIAN, &["--", "sh", "-c", "echo begun; exec sleep 4321"]);
    sandbox.logs("begun");
    for (since, shows) in [
        ("2026-01-01", true),
        ("2026-01-01T12:00:00+02:00", true),
        ("1700000000", true),
        ("90.5s", true),
        ("2037-01-01", false),
    ] {
        let log = sandbox.verb("logs", &["--since", since]).output();
        assert_eq!(log.code, 0, "{since}: {log:?}");
        assert_eq!(
            log.stdout_text().contains("begun"),
            shows,
            "{since}: {log:?}"
        );
    }
    let refused = sandbox.verb("logs", &["--since", "yesterday"]).output();
    assert_eq!(refused.code, 2, "{refused:?}");
}
