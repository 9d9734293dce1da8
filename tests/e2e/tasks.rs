//! Jobs and terminals of a real sandbox, by the published port and through the engine.

use std::io::Write as _;

use serde_json::{Value, json};

use crate::support::{DEBIAN, Daemon, Sandbox, Stage, eventually};

/// Both ways in.
const WAYS: [fn(&Sandbox<'_>) -> Daemon; 2] = [Daemon::by_port, Daemon::by_relay];

fn ended(daemon: &mut Daemon, id: &str) -> Value {
    let mut last = Value::Null;
    eventually("the job's end", || {
        last = daemon.get(&format!("/v1/jobs/{id}")).1;
        last["state"] == "ended"
    });
    last
}

#[test]
fn a_job_outlives_its_client_and_its_log_is_read_by_either_way() {
    let stage = Stage::new();
    let options = [
        "--env",
        "AMIKA_OPENCODE_WEB=0",
        "--env",
        "GREETING=hello",
        "--cpus",
        "1",
    ];
    let sandbox = stage.sandbox(DEBIAN, &options);
    let script = "id -un; pwd; echo $GREETING $CHOSEN $GOMAXPROCS; until [ -e /tmp/go ]; do sleep 0.05; done; exit 7";
    let asked = json!({"shell": script, "env": {"CHOSEN": "too"}});
    for way in WAYS {
        sandbox
            .exec(&["rm", "-f", "/tmp/go"])
            .output()
            .ended(0, &[]);
        let mut daemon = way(&sandbox);
        let (status, job) = daemon.post("/v1/jobs", &asked);
        assert_eq!(status, 201, "{job}");
        let id = job["id"].as_str().unwrap().to_owned();
        drop(daemon);
        sandbox.exec(&["touch", "/tmp/go"]).output().ended(0, &[]);
        for way in WAYS {
            let mut daemon = way(&sandbox);
            assert_eq!(ended(&mut daemon, &id)["exit_code"], 7);
            let target = format!("/v1/jobs/{id}/log?follow=1");
            let (status, log) = daemon.text("GET", &target, "", "");
            // What `amika exec` says of the same program.
            let exec = [
                "sh",
                "-c",
                "id -un; pwd; echo $GREETING $CHOSEN $GOMAXPROCS",
            ];
            let exec = sandbox.exec_with(&["--env", "CHOSEN=too"], &exec).output();
            assert_eq!((status, log), (200, exec.stdout_text()));
        }
    }
    // What it reads is its own, whole and more than an argument may be.
    let text = "0123456789abcdef".repeat(60_000);
    let reads = json!({"shell": "cat >/tmp/read; wc -c </tmp/read; cat", "input": text});
    let mut daemon = Daemon::by_port(&sandbox);
    let (status, job) = daemon.post("/v1/jobs", &reads);
    assert_eq!(status, 201, "{job}");
    let id = job["id"].as_str().unwrap();
    let target = format!("/v1/jobs/{id}/log?follow=1");
    assert_eq!(daemon.text("GET", &target, "", "").1, "960000\n");
    let large = json!({"cmd": ["cat"], "input": "x".repeat(2 << 20)});
    assert_eq!(Daemon::by_port(&sandbox).post("/v1/jobs", &large).0, 413);
    // It ends with the sandbox, at once where it does as it is told.
    let mut daemon = Daemon::by_port(&sandbox);
    let running = json!({"shell": "exec sleep 1000"});
    assert_eq!(daemon.post("/v1/jobs", &running).0, 201);
    let stopped = sandbox.verb("stop", &[]).output();
    stopped.ended(0, &[]);
    sandbox.verb("start", &[]).output().ended(0, &[]);
    let (status, jobs) = Daemon::by_port(&sandbox).get("/v1/jobs");
    assert_eq!((status, jobs), (200, json!([])), "a boot begins with none");
}

/// One frame of a terminal.
fn frame(daemon: &mut Daemon) -> (u8, Vec<u8>) {
    let head = daemon.bytes(3);
    let length = usize::from(u16::from_be_bytes([head[1], head[2]]));
    (head[0], daemon.bytes(length))
}

fn types(daemon: &mut Daemon, text: &str) {
    let length = u16::try_from(text.len()).unwrap().to_be_bytes();
    let head = [0, length[0], length[1]];
    daemon
        .write_all(&[&head, text.as_bytes()].concat())
        .unwrap();
    daemon.flush().unwrap();
}

/// Reads until the terminal showed `text`; all that it showed.
fn shows(daemon: &mut Daemon, text: &str) -> String {
    let mut seen = String::new();
    while !seen.contains(text) {
        let (kind, content) = frame(daemon);
        if kind == 0 {
            seen.push_str(&String::from_utf8_lossy(&content));
        }
    }
    seen
}

fn attach(daemon: &mut Daemon, name: &str) {
    let target = format!("/v1/terminals/{name}/attach?columns=100&rows=30");
    let head = "Connection: Upgrade\r\nUpgrade: terminal\r\n";
    assert_eq!(daemon.text("POST", &target, head, ""), (101, String::new()));
}

#[test]
fn a_terminal_is_left_by_one_way_and_found_by_the_other() {
    let stage = Stage::new();
    let sandbox = stage.sandbox(DEBIAN, &["--env", "AMIKA_OPENCODE_WEB=0"]);
    let mut daemon = Daemon::by_port(&sandbox);
    let (status, terminal) = daemon.post("/v1/terminals", &json!({"name": "main"}));
    assert_eq!(status, 201, "{terminal}");
    assert_eq!(terminal["command"], "login shell");
    attach(&mut daemon, "main");
    types(&mut daemon, "stty size; echo $((40+2)) lines\r");
    assert!(shows(&mut daemon, "42 lines").contains("30 100"));
    drop(daemon);
    // Both at once, and both see it.
    let (mut port, mut relay) = (Daemon::by_port(&sandbox), Daemon::by_relay(&sandbox));
    for daemon in [&mut port, &mut relay] {
        attach(daemon, "main");
        shows(daemon, "42 lines");
    }
    types(&mut relay, "echo by the $((1+1))nd\r");
    for daemon in [&mut port, &mut relay] {
        shows(daemon, "by the 2nd");
    }
    types(&mut port, "exit 3\r");
    let mut last = Vec::new();
    while last != br#"{"exit_code":3}"# {
        last = frame(&mut relay).1;
    }
    let (status, terminal) = Daemon::by_relay(&sandbox).get("/v1/terminals/main");
    assert_eq!((status, &terminal["exit_code"]), (200, &json!(3)));
}

#[test]
fn the_terminal_of_an_exec_belongs_to_whoever_runs_on_it() {
    let stage = Stage::new();
    let image = stage.image(&format!("FROM {DEBIAN}\nRUN useradd -m amika\n"));
    let sandbox = stage.sandbox(&image, &[]);
    let amikad = "/usr/local/lib/amikad/amikad";
    let script = "tty=$(tty); stat -c %U $tty; echo by its name >$tty";
    let on_terminal = format!(
        "docker exec -t {} {amikad} exec-as --user amika -- sh -c '{script}'",
        sandbox.name
    );
    let told = stage
        .shell("script -qec \"$1\" /dev/null", &[&on_terminal])
        .output();
    let text = told.stdout_text().replace('\r', "");
    assert_eq!(text, "amika\nby its name\n", "{told:?}");
}
