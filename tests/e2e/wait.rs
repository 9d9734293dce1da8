//! `amika sandbox wait`: for readiness, the end, and a port that is listened on.

use std::time::Duration;

use crate::support::{DEBIAN, SCRATCH, Stage, docker, eventually};

/// Listens with nothing but what a Debian base has: perl.
fn listen(port: u16, protocol: &str) -> String {
    let (kind, proto, then) = match protocol {
        "udp" => ("SOCK_DGRAM", 17, ""),
        _ => ("SOCK_STREAM", 6, "listen(S, 1) or die;"),
    };
    format!(
        "exec perl -MSocket -e 'socket(S, PF_INET, {kind}, {proto}) or die; \
         bind(S, sockaddr_in({port}, INADDR_LOOPBACK)) or die; {then} sleep 1000'"
    )
}

#[test]
fn a_sandbox_is_ready_once_setup_succeeded() {
    let stage = Stage::new();
    let script = stage.script(
        "setup.sh",
        "#!/bin/sh\nwhile [ ! -e /tmp/go ]; do sleep 0.1; done\n",
    );
    let sandbox = stage.adopt(stage.name());
    let created = sandbox
        .create_run(DEBIAN, &["--no-wait", "--setup-script", &script])
        .output();
    assert_eq!(created.code, 0, "{created:?}");
    let early = sandbox.verb("wait", &["--timeout", "500ms"]).output();
    assert_eq!(early.code, 21, "{early:?}");
    let waiting = sandbox.verb("wait", &["-o", "json"]).start();
    let go = sandbox.docker_exec(&["touch", "/tmp/go"]);
    assert_eq!(go.code, 0, "{go:?}");
    let waited = waiting.wait();
    assert_eq!(waited.code, 0, "{waited:?}");
    assert_eq!(waited.json()["condition"], "ready");
    for time in [&[][..], &["--timeout", "0s"]] {
        let again = sandbox.verb("wait", time).output();
        assert_eq!((again.code, again.stderr_text().as_str()), (0, ""));
    }

    assert_eq!(sandbox.verb("stop", &["-t", "1s"]).output().code, 0);
    let stopped = sandbox.verb("wait", &[]).output();
    assert_eq!(stopped.code, 4, "{stopped:?}");
    assert!(
        stopped.stderr_text().contains("amika sandbox start"),
        "{stopped:?}"
    );
}

#[test]
fn a_failed_setup_is_told_although_it_is_over() {
    let stage = Stage::new();
    let script = stage.script("setup.sh", "#!/bin/sh\nexit 3\n");
    let sandbox = stage.adopt(stage.name());
    let created = sandbox.create(DEBIAN, &["--setup-script", &script]);
    assert_eq!(created.code, 20, "{created:?}");
    let waited = sandbox.verb("wait", &["-o", "json"]).output();
    assert_eq!(waited.code, 20, "{waited:?}");
    assert_eq!(waited.json()["error"]["code"], "setup_failed");
}

#[test]
fn the_end_comes_with_the_exit_code() {
    let stage = Stage::new();
    let sandbox = stage.sandbox(
        DEBIAN,
        &[
            "--",
            "sh",
            "-c",
            "while [ ! -e /tmp/go ]; do sleep 0.1; done; exit 7",
        ],
    );
    let early = sandbox
        .verb("wait", &["--for", "stopped", "--timeout", "300ms"])
        .output();
    assert_eq!(early.code, 21, "{early:?}");
    let waiting = sandbox.verb("wait", &["--for", "stopped"]).start();
    assert_eq!(sandbox.docker_exec(&["touch", "/tmp/go"]).code, 0);
    let waited = waiting.wait();
    assert_eq!(
        (waited.code, waited.stdout_text()),
        (0, "7\n".to_owned()),
        "{waited:?}"
    );
    let again = sandbox
        .verb(
            "wait",
            &["--for", "stopped", "--timeout", "0s", "-o", "json"],
        )
        .output();
    assert_eq!(again.json()["exit_code"], 7, "{again:?}");
}

#[test]
fn a_port_is_waited_for_until_somebody_listens() {
    let stage = Stage::new();
    // Published, so that the engine's proxy accepts connections long before.
    let sandbox = stage.sandbox(DEBIAN, &["--port", "3000"]);
    for (port, protocol) in [(3000, "tcp"), (5353, "udp")] {
        let condition = format!("port:{port}/{protocol}");
        let early = sandbox
            .verb("wait", &["--for", &condition, "--timeout", "500ms"])
            .output();
        assert_eq!(early.code, 21, "{early:?}");
        let waiting = sandbox.verb("wait", &["--for", &condition]).start();
        let listens = docker(&[
            "exec",
            "-d",
            &sandbox.name,
            "sh",
            "-c",
            &listen(port, protocol),
        ]);
        assert_eq!(listens.code, 0, "{listens:?}");
        let waited = waiting.wait();
        assert_eq!(waited.code, 0, "{waited:?}");
        let now = sandbox
            .verb("wait", &["--for", &condition, "--timeout", "0s"])
            .output();
        assert_eq!(now.code, 0, "{now:?}");
    }

    // Nobody waits for a sandbox that ends.
    let waiting = sandbox.verb("wait", &["--for", "port:9"]).start();
    assert_eq!(sandbox.verb("stop", &["-t", "1s"]).output().code, 0);
    let ended = waiting.wait();
    assert_eq!(ended.code, 4, "{ended:?}");
}

#[test]
fn an_image_needs_no_program_for_it_and_ctrl_c_ends_it() {
    let stage = Stage::new();
    let sandbox = stage.sandbox(SCRATCH, &[]);
    // The daemon's own port.
    let daemon = sandbox.verb("wait", &["--for", "port:60999"]).output();
    assert_eq!(daemon.code, 0, "{daemon:?}");
    let waiting = sandbox
        .verb("wait", &["--for", "port:9"])
        .limit(Duration::from_secs(20))
        .start();
    eventually("it catches signals", || {
        let caught = waiting.proc_status_text("SigCgt").unwrap_or_default();
        u64::from_str_radix(&caught, 16).is_ok_and(|mask| mask & 2 != 0)
    });
    waiting.signal(rustix::process::Signal::INT);
    assert_eq!(waiting.wait().code, 130);
}

#[test]
fn what_cannot_be_waited_for_is_refused() {
    let stage = Stage::new();
    for condition in ["port:0", "port:x", "sunshine", "port:1/sctp"] {
        let refused = stage.sandbox_verb(&["wait", "whatever", "--for", condition]);
        assert_eq!(refused.code, 2, "{refused:?}");
    }
    for condition in ["ready", "stopped", "port:80"] {
        let absent = stage.sandbox_verb(&["wait", "no-such-sandbox", "--for", condition]);
        assert_eq!(absent.code, 3, "{absent:?}");
    }
}
