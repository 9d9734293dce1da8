//! Whether anything goes on, as far as it needs no engine: the rest is for the end-to-end tests.

use std::io::Write;
use std::time::{Duration, Instant};

use crate::http::idle;
use crate::support::{Builder, PROOF, Sandbox, eventually};
use crate::tunnel::tunnel;

fn reasons(sandbox: &Sandbox) -> Vec<String> {
    let answer = sandbox.api("/v1/activity").json();
    let reasons = answer["active_because"].as_array().unwrap();
    let words = reasons.iter().map(|reason| reason.as_str().unwrap());
    words.map(ToOwned::to_owned).collect()
}

fn until(sandbox: &Sandbox, what: &str, reason: &[&str]) {
    eventually(what, || {
        std::thread::sleep(Duration::from_millis(300));
        (reasons(sandbox) == reason).then_some(())
    });
}

#[test]
fn the_answer_has_the_documented_shape_and_begins_at_nothing() {
    let sandbox = idle();
    let answer = sandbox.api("/v1/activity");
    assert_eq!(answer.status, 200);
    let document = answer.json();
    let keys: Vec<&String> = document.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["active_because", "idle_ms", "last_active_at"]);
    assert!(document["idle_ms"].as_u64().unwrap() < 5_000, "{document}");
    assert_eq!(document["active_because"], serde_json::json!([]));
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    let at = document["last_active_at"].as_u64().unwrap();
    assert!(u128::from(at).abs_diff(now.as_millis()) < 10_000, "{at}");
    // It grows between samples too.
    let later = eventually("idle time", || {
        let idle = sandbox.api("/v1/activity").json()["idle_ms"].as_u64()?;
        (idle > 1_500).then_some(idle)
    });
    assert!(later < 40_000, "{later}");
    let head = sandbox.request("HEAD", "/v1/activity", &[PROOF], "");
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    assert_eq!(sandbox.api("/v1/activity?x=1").status, 400);
    let post = sandbox.request("POST", "/v1/activity", &[PROOF], "");
    assert_eq!(post.status, 405);
    let input = "/v1/activity/input";
    assert_eq!(sandbox.request("POST", input, &["X: 1"], "").status, 401);
    assert_eq!(sandbox.api(input).status, 405);
    assert_eq!(sandbox.request("POST", input, &[PROOF], "").status, 202);
    until(&sandbox, "what was told", &["input"]);
}

#[test]
fn setup_counts_for_as_long_as_it_runs() {
    let sandbox = Builder::new()
        .with_token()
        .setup("#!/bin/sh\nwhile [ ! -e /tmp/go ]; do sleep 0.1; done\n")
        .start("sleep 100");
    until(&sandbox, "setup", &["setup"]);
    std::fs::write(sandbox.path("/tmp/go"), "").unwrap();
    until(&sandbox, "its end", &[]);
}

#[test]
fn processor_time_counts_whoever_has_it_but_amikad() {
    let busy = Builder::new()
        .with_token()
        .start("(while :; do :; done) & exec sleep 100");
    // Until it is measured nothing is known, and then at once.
    until(&busy, "a busy child", &["cpu"]);
    // Many short-lived ones, none of which is there for long.
    let compilers = Builder::new()
        .with_token()
        .start("while :; do sh -c 'i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done'; done");
    until(&compilers, "children that come and go", &["cpu"]);

    let quiet = idle();
    assert_eq!(reasons(&quiet), [""; 0]);
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(6) {
        assert_eq!(quiet.get("/livez").status, 200);
        let health = quiet.exec(&["/amikad", "health"]).status().unwrap();
        assert!(health.success());
    }
    assert_eq!(
        reasons(&quiet),
        [""; 0],
        "amikad itself, and its own errands"
    );
}

#[test]
fn an_engine_inside_counts_by_what_it_runs_and_not_by_itself() {
    let program = "#!/bin/sh\nwhile [ ! -e /tmp/run ]; do :; done\n\
                   sh -c 'while :; do :; done' & wait\n";
    let sandbox = Builder::new()
        .with_token()
        .env("AMIKA_DOCKERD", "1")
        .program("/usr/local/bin/dockerd", program)
        .start_idle();
    eventually("the engine", || {
        let status = sandbox.api("/v1/status").json();
        status["services"]["dockerd"]["pid"].as_i64()
    });
    assert_eq!(reasons(&sandbox), [""; 0]);
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(reasons(&sandbox), [""; 0]);
    std::fs::write(sandbox.path("/tmp/run"), "").unwrap();
    until(&sandbox, "what it runs", &["cpu"]);
}

#[test]
fn a_program_that_is_a_turn_counts_and_learns_nothing_of_it() {
    let sandbox = idle();
    let script = "env >/tmp/env; exec sleep 100";
    let words = [
        "/amikad", "exec-as", "--id", "turn1", "--", "sh", "-c", script,
    ];
    let mut turn = sandbox.exec(&words);
    let mut turn = turn
        .env("AMIKA_EXEC_TURN", "1")
        .env("AMIKA_EXEC_ENV", "AMIKA_EXEC_TURN")
        .spawn()
        .unwrap();
    until(&sandbox, "the turn", &["turn"]);
    let env = sandbox.read("/tmp/env");
    assert!(!env.contains("AMIKA_EXEC"), "{env}");
    let running = sandbox.api("/v1/execs/turn1").json();
    assert_eq!(
        running,
        serde_json::json!({"running": true, "out_of_memory_kills": 0})
    );
    turn.kill().unwrap();
    let kill = ["/amikad", "kill", "--id", "turn1", "KILL"];
    sandbox.exec(&kill).status().unwrap();
    turn.wait().unwrap();
    until(&sandbox, "its end", &[]);
    assert_eq!(sandbox.api("/v1/execs/turn1").json()["running"], false);
    for unknown in ["never", "..", "%2e%2e", "", "a/b"] {
        let answer = sandbox.api(&format!("/v1/execs/{unknown}"));
        assert_eq!(answer.status, 404, "{unknown}");
    }
}

#[test]
fn of_programs_that_ended_the_last_are_remembered() {
    let sandbox = idle();
    let script = "for i in $(seq 80); do /amikad exec-as --id run$i -- true; done; ls /run/amikad/exec | wc -l";
    let output = sandbox.exec(&["sh", "-c", script]).output().unwrap();
    let left: u32 = String::from_utf8(output.stdout)
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    assert!((64..=66).contains(&left), "{left}");
    assert_eq!(sandbox.api("/v1/execs/run80").json()["running"], false);
    assert_eq!(sandbox.api("/v1/execs/run1").status, 404);
}

#[test]
fn opencode_s_page_left_open_is_nobody_and_a_message_is_somebody() {
    let program = "import socket, threading\n\
         server = socket.create_server(('127.0.0.1', 60998))\n\
         def talk(peer):\n  while peer.recv(65536): peer.sendall(b'HTTP/1.1 204 No Content\\r\\n\\r\\n')\n\
         open('/tmp/up', 'w').close()\n\
         while True: threading.Thread(target=talk, args=(server.accept()[0],), daemon=True).start()\n";
    let sandbox = Builder::new()
        .with_token()
        .env("AMIKA_OPENCODE_WEB", "0")
        .start_words(&["python3", "-c", program]);
    eventually("the server", || {
        sandbox.path("/tmp/up").exists().then_some(())
    });
    assert_eq!(reasons(&sandbox), [""; 0]);
    let ask = |request: &str| {
        let mut stream = tunnel(&sandbox, "60998").unwrap();
        let text = format!(
            "{request} HTTP/1.1\r\nHost: x\r\nCookie: {}\r\n\r\n",
            "c".repeat(900)
        );
        stream.write_all(text.as_bytes()).unwrap();
        stream
    };
    let stream = ask("GET /global/event");
    for _ in 0..4 {
        ask("GET /api/health");
        std::thread::sleep(Duration::from_millis(500));
    }
    assert_eq!(
        reasons(&sandbox),
        [""; 0],
        "more bytes than other tunnels may carry"
    );
    let message = ask("POST /session/ses_1/message");
    until(&sandbox, "a message", &["request"]);
    drop((stream, message));
}

/// An OpenCode with a terminal for its page, into which it types what it is sent: here, while there is a file.
const WITH_TERMINAL: &str = "#!/usr/bin/python3
import fcntl, os, struct, subprocess, time
master = os.open('/dev/pts/ptmx', os.O_RDWR | os.O_NOCTTY)
fcntl.ioctl(master, 0x40045431, struct.pack('i', 0))
number = struct.unpack('i', fcntl.ioctl(master, 0x80045430, struct.pack('i', 0)))[0]
slave = os.open(f'/dev/pts/{number}', os.O_RDWR | os.O_NOCTTY)
subprocess.Popen(['cat'], stdin=slave, stdout=subprocess.DEVNULL)
open('/tmp/up', 'w').close()
while True:
    time.sleep(1)
    if os.path.exists('/tmp/type'): os.write(master, bytes([120, 10]))
";

#[test]
fn what_is_typed_into_a_terminal_of_opencode_s_page_counts() {
    let sandbox = Builder::new()
        .with_token()
        .options(&["--user", "root"])
        .program("/usr/local/bin/opencode", WITH_TERMINAL)
        .start_idle();
    eventually("the terminal", || {
        sandbox.path("/tmp/up").exists().then_some(())
    });
    until(&sandbox, "quiet", &[]);
    std::fs::write(sandbox.path("/tmp/type"), "").unwrap();
    until(&sandbox, "a key", &["input"]);
}

/// Looks by a shell's script, at most this long where that is given.
fn look(sandbox: &Sandbox, id: &str, script: &str, seconds: Option<&str>) -> std::process::Child {
    let words = ["/amikad", "exec-as", "--id", id, "--", "sh", "-c", script];
    let mut look = sandbox.exec(&words);
    look.env("AMIKA_EXEC_LOOK", "1");
    if let Some(seconds) = seconds {
        look.env("AMIKA_EXEC_LOOK_SECONDS", seconds);
    }
    let names = "AMIKA_EXEC_LOOK=AMIKA_EXEC_LOOK_SECONDS";
    look.env("AMIKA_EXEC_ENV", names).spawn().unwrap()
}

/// Works without end, in a session of its own whose parent has ended.
const ELSEWHERE: &str = "setsid sh -c 'echo $$ >/tmp/pid; while :; do :; done' & wait";

fn has_ended(sandbox: &Sandbox) {
    eventually("all of it has ended", || {
        let pid = sandbox.read("/tmp/pid");
        let there = sandbox.exec(&["kill", "-0", pid.trim()]).output().unwrap();
        (!there.status.success()).then_some(())
    });
}

#[test]
fn a_program_by_which_the_host_looks_does_not_count_with_all_that_it_starts() {
    let sandbox = idle();
    assert_eq!(reasons(&sandbox), [""; 0]);
    let script = format!("env >/tmp/env; {ELSEWHERE}");
    let mut running = look(&sandbox, "look1", &script, None);
    eventually("it runs", || {
        sandbox.path("/tmp/pid").exists().then_some(())
    });
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(reasons(&sandbox), [""; 0]);
    let env = sandbox.read("/tmp/env");
    assert!(!env.contains("AMIKA_EXEC"), "{env}");
    let kill = ["/amikad", "kill", "--id", "look1", "KILL"];
    sandbox.exec(&kill).status().unwrap();
    running.wait().unwrap();
    has_ended(&sandbox);
    // Its time is nobody's, also now that it ended.
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(reasons(&sandbox), [""; 0]);
}

#[test]
fn a_look_ends_in_time_with_all_that_it_started_whoever_waits() {
    let sandbox = idle();
    let mut running = look(&sandbox, "look1", ELSEWHERE, Some("1"));
    assert_eq!(running.wait().unwrap().code(), Some(128 + 9));
    has_ended(&sandbox);
    // One that ends by itself has its own code, and takes along what it left.
    let script =
        "setsid sh -c 'echo $$ >/tmp/pid; sleep 600' & until [ -s /tmp/pid ]; do :; done; exit 7";
    std::fs::remove_file(sandbox.path("/tmp/pid")).unwrap();
    let mut running = look(&sandbox, "look2", script, Some("60"));
    assert_eq!(running.wait().unwrap().code(), Some(7));
    has_ended(&sandbox);
    assert_eq!(reasons(&sandbox), [""; 0]);
}
