//! A create that was killed before its sandbox was started: what commands say of what is there of it.

use rustix::process::Signal;

use crate::support::{DEBIAN, Running, Sandbox, Stage, eventually};

/// Kills a create when its sandbox is about to be started. Nobody asks how it ended until the value goes.
fn killed(sandbox: &Sandbox<'_>, args: &[&str]) -> Running {
    let proxy = sandbox.stage.engine_proxy();
    proxy.hold("/start");
    let creating = sandbox
        .create_run(DEBIAN, args)
        .env("DOCKER_HOST", &proxy.host())
        .start();
    proxy.holds();
    creating.signal(Signal::KILL);
    eventually("it ended", || {
        creating.proc_status_text("State").as_deref() == Some("Z")
    });
    creating
}

#[test]
fn a_create_that_was_killed_counts_as_dead_before_its_parent_asked() {
    let stage = Stage::new();
    let sandbox = stage.adopt(stage.name());
    let _killed = killed(&sandbox, &[]);
    let listed = stage.sandbox_verb(&["list"]).stdout_text();
    assert!(listed.contains("creating (interrupted)"), "{listed}");
    sandbox.create(DEBIAN, &[]).ended(0, &[]);
    assert_eq!(sandbox.engine_state(), "running");
}

#[test]
fn every_command_says_that_the_create_was_interrupted() {
    let stage = Stage::new();
    let sandbox = stage.adopt(stage.name());
    let _killed = killed(&sandbox, &[]);
    let name = sandbox.name.as_str();
    let new = stage.name();
    let remote = format!("{name}:/etc/hostname");
    let commands: [(&[&str], i32); 18] = [
        (&["start", name], 4),
        (&["restart", name], 4),
        (&["stop", name], 4),
        (&["wait", name], 4),
        (&["wait", "--for", "stopped", name], 4),
        (&["wait", "--for", "port:80", name], 4),
        (&["exec", name, "--", "true"], 125),
        (&["exec", "-d", name, "--", "true"], 125),
        (&["jobs", name], 4),
        (&["wait", "--for", "job:0", name], 4),
        (&["prompt", name, "hello"], 125),
        (&["open", name], 4),
        (&["stats", name], 4),
        (&["logs", name], 4),
        (&["logs", "--setup", name], 4),
        (&["logs", "--follow", name], 4),
        (&["cp", &remote, "."], 4),
        (&["rename", name, &new], 4),
    ];
    for (command, code) in commands {
        let told = stage.sandbox_verb(command);
        assert_eq!(told.code, code, "{command:?}: {told:?}");
        let text = told.stderr_text();
        for part in [
            format!("the create of sandbox \"{name}\" was interrupted: it is not complete"),
            "the same `amika sandbox create …` makes it anew".to_owned(),
            "`amika doctor --fix` removes what is there of it".to_owned(),
        ] {
            assert!(text.contains(&part), "{command:?}: {told:?}");
        }
        assert_eq!(told.stdout_text(), "", "{command:?}");
    }
}

#[test]
fn a_wait_for_the_end_waits_for_a_create_that_is_under_way() {
    let stage = Stage::new();
    let proxy = stage.engine_proxy();
    let sandbox = stage.adopt(stage.name());
    proxy.hold("/start");
    let creating = sandbox
        .create_run(DEBIAN, &["--", "sh", "-c", "exit 7"])
        .env("DOCKER_HOST", &proxy.host())
        .start();
    proxy.holds();
    let waiting = sandbox.verb("wait", &["--for", "stopped", "--timeout", "1s"]);
    waiting.output().ended(21, &["did not come true"]);
    let waiting = sandbox.verb("wait", &["--for", "stopped"]).start();
    proxy.let_go();
    creating.wait();
    let waited = waiting.wait();
    assert_eq!((waited.code, waited.stdout_text().as_str()), (0, "7\n"));
}
