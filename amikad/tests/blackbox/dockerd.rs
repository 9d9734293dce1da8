//! How the Docker Engine inside is supervised; a program stands in for it.
//!
//! That a real one works is for the tests with the preset image.

use crate::support::{Builder, Sandbox, eventually};

const PROGRAM: &str = "/usr/local/bin/dockerd";

/// Answers on the engine's socket as an engine does, after a while; what it was called with stands in a file.
const STAND_IN: &str = r#"#!/usr/bin/perl
use IO::Socket::UNIX;
open(my $said, '>', '/tmp/said'); print $said "$> @ARGV\n"; close $said;
select(undef, undef, undef, 0.5);
mkdir '/var/run'; mkdir '/var/run/docker';
unlink '/var/run/docker.sock';
open(my $up, '>', '/tmp/up');
my $socket = IO::Socket::UNIX->new(Local => '/var/run/docker.sock', Listen => 5) or die $!;
while (my $client = $socket->accept) {
    while (<$client>) { last if /^\r?$/ }
    print $client "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nOK";
    close $client;
}
"#;

fn dockerd(sandbox: &Sandbox) -> serde_json::Value {
    sandbox.api("/v1/status").json()["services"]["dockerd"].clone()
}

fn with_engine() -> Builder {
    Builder::new().with_token().env("AMIKA_DOCKERD", "1")
}

#[test]
fn setup_and_cmd_find_it_up() {
    let mut sandbox = with_engine()
        .program(PROGRAM, STAND_IN)
        .setup("#!/bin/sh\n[ -S /var/run/docker.sock ] || exit 3\ncp /tmp/said /tmp/at-setup\n")
        .start("[ -S /var/run/docker.sock ] || exit 4; exit 5");
    let ended = sandbox.wait();
    assert_eq!(ended.code, 5, "{ended:?}");
    assert_eq!(sandbox.read("/tmp/at-setup"), "0 --shutdown-timeout 14\n");
}

#[test]
fn its_state_its_log_and_its_restart_are_those_of_a_service() {
    let sandbox = with_engine()
        .program(
            PROGRAM,
            &STAND_IN.replace("use IO", "print STDERR \"hello\\n\"; use IO"),
        )
        .start_idle();
    sandbox.until_phase("running");
    let status = dockerd(&sandbox);
    assert_eq!(status["state"], "ready", "{status}");
    assert_eq!(status["port"], serde_json::Value::Null);
    assert_eq!(sandbox.get("/readyz?require=dockerd").status, 200);
    assert_eq!(sandbox.api("/v1/logs/dockerd").body, "hello\n");
    assert_eq!(sandbox.read("/var/log/amikad/dockerd.log"), "hello\n");
    let pid = status["pid"].to_string();
    assert!(
        sandbox
            .exec(&["kill", "-9", &pid])
            .status()
            .unwrap()
            .success()
    );
    eventually("it is started again", || {
        let status = dockerd(&sandbox);
        let is_up = status["state"] == "ready" && status["restarts"] == 1;
        (is_up && status["last_exit"] == "signal 9").then_some(())
    });
}

#[test]
fn what_a_dead_one_left_behind_is_ended_wherever_it_went() {
    // As containerd and its shims do: a session of their own, and a parent that is gone.
    let program = "#!/bin/sh\n[ -e /tmp/left ] && exec sleep 600\n\
                   (setsid sh -c 'echo $$ >/tmp/new; mv /tmp/new /tmp/left; exec sleep 600' &)\n\
                   until [ -e /tmp/left ]; do sleep 0.05; done\nexit 1\n";
    let sandbox = with_engine().program(PROGRAM, program).start_idle();
    eventually("the next one", || {
        let status = dockerd(&sandbox);
        (status["restarts"] == 1 && status["pid"].is_i64()).then_some(())
    });
    let left = sandbox.read("/tmp/left");
    eventually("what was left to be gone", || {
        let alive = sandbox.exec(&["kill", "-0", left.trim()]).status().unwrap();
        (!alive.success()).then_some(())
    });
}

#[test]
fn one_that_never_comes_up_decides_nothing() {
    let mut sandbox = with_engine()
        .program(PROGRAM, "#!/bin/sh\necho no >&2\nexit 1\n")
        .setup("#!/bin/sh\ntouch /tmp/setup\n")
        .start("[ -e /tmp/setup ] || exit 3; exit 6");
    assert_eq!(sandbox.wait().code, 6);
    assert_eq!(
        sandbox.read("/var/log/amikad/dockerd.log").lines().next(),
        Some("no")
    );
}

#[test]
fn what_an_earlier_one_left_is_not_in_its_way() {
    let files = [
        "/var/run/docker.pid",
        "/var/run/docker/containerd/containerd.pid",
    ];
    let mut builder = with_engine().program(
        PROGRAM,
        &format!(
            "#!/bin/sh\nls {} > /tmp/said 2>/dev/null\nexit 1\n",
            files.join(" ")
        ),
    );
    for file in files {
        builder = builder.file(file, "1", 0o644);
    }
    let mut sandbox = builder.start("exit 0");
    assert_eq!(sandbox.wait().code, 0);
    assert!(sandbox.path("/tmp/said").exists());
    assert_eq!(sandbox.read("/tmp/said"), "");
}

#[test]
fn a_right_that_is_missing_is_named_and_it_is_not_tried_again() {
    for (capability, name) in [("sys_admin", "SYS_ADMIN"), ("net_admin", "NET_ADMIN")] {
        let without = format!("-{capability}");
        let words = [
            "setpriv",
            "--bounding-set",
            &without,
            "--inh-caps",
            &without,
        ];
        let mut sandbox = with_engine()
            .wrapped(&words)
            .program(PROGRAM, "#!/bin/sh\ntouch /tmp/ran\n")
            .setup("#!/bin/sh\ntouch /tmp/setup\n")
            .start("until [ -e /tmp/go ]; do sleep 0.05; done; exit 7");
        sandbox.until_phase("running");
        let status = dockerd(&sandbox);
        assert_eq!(status["state"], "failed", "{status}");
        let why = status["last_exit"].as_str().unwrap();
        assert!(why.contains(&format!("{name} missing")), "{why}");
        std::fs::write(sandbox.path("/tmp/go"), "").unwrap();
        let ended = sandbox.wait();
        assert_eq!(ended.code, 7);
        let said = format!("the Docker Engine is not started: {why}");
        assert_eq!(ended.stderr.matches(&said).count(), 1, "{}", ended.stderr);
        assert!(sandbox.path("/tmp/setup").exists() && !sandbox.path("/tmp/ran").exists());
    }
}

#[test]
fn its_end_is_its_own_to_arrange() {
    // A child that is not told ends by the word of its parent.
    let program = "#!/bin/sh
        (trap 'echo told >> /tmp/told' TERM; echo $$ > /tmp/child; while [ ! -e /tmp/over ]; do sleep 0.05; done) &
        trap 'sleep 0.3; touch /tmp/over; wait; echo graceful >> /tmp/told; exit 0' TERM
        touch /tmp/up
        while :; do sleep 0.05; done\n";
    let mut sandbox = with_engine()
        .program(PROGRAM, program)
        // It never answers: CMD is what goes on after the time for that, or the stop before.
        .start("exit 9");
    sandbox.until_file_has("/tmp/child", "");
    eventually("the stand-in is up", || {
        sandbox.path("/tmp/up").exists().then_some(())
    });
    sandbox.signal(15);
    assert_eq!(sandbox.wait().code, 143);
    assert_eq!(sandbox.read("/tmp/told"), "graceful\n");
}

#[test]
fn without_the_word_for_it_no_engine_is_started() {
    for (key, value) in [
        ("OTHER", "1"),
        ("AMIKA_DOCKERD", "0"),
        ("AMIKA_DOCKERD", ""),
    ] {
        let mut sandbox = Builder::new()
            .env(key, value)
            .program(PROGRAM, "#!/bin/sh\ntouch /tmp/ran\n")
            .start("exit 8");
        let ended = sandbox.wait();
        assert_eq!((ended.code, ended.stderr.as_str()), (8, ""));
        assert!(!sandbox.path("/tmp/ran").exists());
        let record = sandbox.record();
        assert_eq!(record["services"]["dockerd"]["state"], "off");
    }
}
