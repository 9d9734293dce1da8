//! Ctrl-C, SIGTERM and two creates of one name, each at a moment that a held request makes certain.

mod at_work;
mod stalled;
mod unfinished;

use rustix::process::Signal;

use crate::support::{DEBIAN, EngineProxy, Run, Sandbox, Stage, eventually};

/// Interrupts a create that the proxy holds at a request, and asserts that nothing is left.
fn interrupt_at(request: impl Fn(&Sandbox<'_>) -> String, args: &[&str], signal: Signal) {
    let stage = Stage::new();
    let proxy = stage.engine_proxy();
    let sandbox = stage.adopt(stage.name());
    proxy.hold(&request(&sandbox));
    let creating = sandbox
        .create_run(DEBIAN, args)
        .env("DOCKER_HOST", &proxy.host())
        .start();
    proxy.holds();
    creating.signal(signal);
    creating.warns("interrupted: removing what was made");
    proxy.let_go();
    let created = creating.wait();
    created.ended(130, &["nothing was left behind"]);
    assert_eq!(created.stdout, b"");
    stage.nothing_was_made();
}

fn making(sandbox: &Sandbox<'_>) -> String {
    format!("/containers/create?name={}", sandbox.name)
}

#[test]
fn ctrl_c_while_the_container_is_being_made_leaves_nothing() {
    interrupt_at(making, &[], Signal::INT);
}

#[test]
fn sigterm_while_the_container_is_being_made_leaves_nothing() {
    interrupt_at(making, &[], Signal::TERM);
}

#[test]
fn ctrl_c_while_the_repository_is_cloned_leaves_nothing() {
    let stage = Stage::new();
    let repository = stage.repository("project", &[("file", "content\n")]);
    let args = ["--git", repository.as_str()];
    interrupt_at(|_| "archive?path=%2F ".into(), &args, Signal::INT);
}

#[test]
fn sigterm_while_the_container_is_being_started_leaves_nothing() {
    interrupt_at(|_| "/start".into(), &[], Signal::TERM);
}

#[test]
fn ctrl_c_while_dotfiles_are_installed_leaves_nothing() {
    let stage = Stage::new();
    let script = "echo begun\nexec sleep 4321\n";
    let dots = stage.repository("dots", &[("install.sh", script)]);
    let sandbox = stage.adopt(stage.name());
    let creating = sandbox.create_run(DEBIAN, &["--dotfiles", &dots]).start();
    creating.warns("begun").signal(Signal::INT);
    let created = creating.wait();
    created.ended(130, &["interrupted: removing what was made"]);
    stage.nothing_was_made();
}

/// Interrupts a create whose setup runs.
fn interrupt_setup(signal: Signal) {
    let stage = Stage::new();
    let script = stage.script("setup.sh", "#!/bin/sh\necho begun\nexec sleep 4321\n");
    let sandbox = stage.adopt(stage.name());
    let creating = sandbox
        .create_run(DEBIAN, &["-o", "json", "--setup-script", &script])
        .start();
    creating.warns("begun").signal(signal);
    let created = creating.wait();
    created.ended(130, &["interrupted: removing what was made"]);
    assert_eq!(created.json()["error"]["code"], "interrupted");
    stage.nothing_was_made();
}

#[test]
fn ctrl_c_during_setup_leaves_nothing() {
    interrupt_setup(Signal::INT);
}

#[test]
fn sigterm_during_setup_leaves_nothing() {
    interrupt_setup(Signal::TERM);
}

/// A service manager, `timeout`, a shutdown: what they end must end, whatever the engine does.
#[test]
fn sigterm_ends_a_command_though_the_engine_never_answers() {
    type Command = for<'s> fn(&Stage, &Sandbox<'s>) -> Run;
    // Side by side: each is given its time to tidy up.
    let commands: [(&str, Command); 3] = [
        ("/exec ", |_, sandbox| sandbox.exec(&["sleep", "30"])),
        ("/containers/create", |stage, _| {
            let args = [
                "sandbox",
                "create",
                "--name",
                &stage.name(),
                "--image",
                DEBIAN,
            ];
            stage.amika(&args)
        }),
        ("/stop", |_, sandbox| sandbox.verb("stop", &[])),
    ];
    std::thread::scope(|scope| {
        for (request, command) in commands {
            scope.spawn(move || {
                let stage = Stage::new();
                let sandbox = stage.sandbox(DEBIAN, &[]);
                let proxy = stage.engine_proxy();
                let run = command(&stage, &sandbox);
                proxy.hold(request);
                let running = run.env("DOCKER_HOST", &proxy.host()).start();
                proxy.holds();
                let told = std::time::Instant::now();
                running.signal(Signal::TERM);
                let ended = running.wait();
                assert_eq!(ended.code, 130, "{request}: {ended:?}");
                assert!(told.elapsed().as_secs() < 10, "{request}: {ended:?}");
                proxy.let_go().settles();
                stage.amika(&["doctor", "--fix"]).output().ended(0, &[]);
            });
        }
    });
}

#[test]
fn ctrl_c_before_anything_is_made_ends_at_once() {
    let stage = Stage::new();
    let proxy = stage.engine_proxy();
    let sandbox = stage.adopt(stage.name());
    proxy.hold("/images/");
    let creating = sandbox
        .create_run(DEBIAN, &[])
        .env("DOCKER_HOST", &proxy.host())
        .start();
    proxy.holds();
    creating.signal(Signal::INT);
    creating.wait().ended(130, &["nothing was left behind"]);
    proxy.let_go();
    assert_eq!(proxy.changing(), Vec::<String>::new());
    stage.nothing_was_made();
}

#[test]
fn waiting_for_an_env_file_that_is_a_pipe_can_be_ended() {
    let stage = Stage::new();
    let pipe = stage.home().join("pipe");
    let made = stage.shell("mkfifo \"$1\"", &[pipe.to_str().unwrap()]);
    made.output().ended(0, &[]);
    for signal in [Signal::INT, Signal::TERM] {
        let sandbox = stage.adopt(stage.name());
        let creating = sandbox
            .create_run(DEBIAN, &["--env-file", pipe.to_str().unwrap()])
            .start();
        // Opening for writing succeeds once somebody reads: then `amika` has the file open, and waits.
        let writer = std::fs::File::options().write(true).open(&pipe).unwrap();
        creating.signal(signal);
        creating.wait().ended(130, &["nothing was left behind"]);
        drop(writer);
    }
    stage.nothing_was_made();
}

#[test]
fn signals_that_the_caller_ignores_end_nothing() {
    let stage = Stage::new();
    let script = stage.script(
        "setup.sh",
        "#!/bin/sh\necho from setup\nwhile [ ! -e /tmp/go ]; do sleep 0.1; done\n",
    );
    let sandbox = stage.adopt(stage.name());
    // As `nohup` starts it, and as a shell does that ignores the others too.
    let ignoring = "trap '' HUP INT QUIT TERM; exec \"$0\" \"$@\"";
    let args = [
        "sandbox",
        "create",
        "--name",
        &sandbox.name,
        "--image",
        DEBIAN,
        "--setup-script",
        &script,
    ];
    let creating = stage.shell(ignoring, &args).start();
    let send = |running: &crate::support::Running| {
        for signal in [Signal::HUP, Signal::INT, Signal::QUIT, Signal::TERM] {
            running.signal(signal);
        }
    };
    creating.warns("from setup");
    send(&creating);
    sandbox.docker_exec(&["touch", "/tmp/go"]).ended(0, &[]);
    creating.wait().ended(0, &["succeeded"]);

    let args = [
        "sandbox",
        "exec",
        &sandbox.name,
        "--",
        "sh",
        "-c",
        "echo begun; while [ ! -e /tmp/end ]; do sleep 0.1; done; echo done",
    ];
    let running = stage.shell(ignoring, &args).start();
    running.says("begun");
    send(&running);
    sandbox.docker_exec(&["touch", "/tmp/end"]).ended(0, &[]);
    let ended = running.wait();
    assert_eq!(
        (ended.code, ended.stdout_text().as_str()),
        (0, "begun\ndone\n"),
        "{ended:?}"
    );
}

#[test]
fn ctrl_c_on_a_terminal_ends_create() {
    let stage = Stage::new();
    let script = stage.script("setup.sh", "#!/bin/sh\necho begun\nexec sleep 4321\n");
    let name = stage.name();
    let mut terminal = stage.on_terminal(&[
        "sandbox",
        "create",
        "--name",
        &name,
        "--image",
        DEBIAN,
        "--setup-script",
        &script,
    ]);
    terminal.shows("begun").types("\u{3}");
    terminal.shows("interrupted: removing what was made");
    assert_eq!(terminal.wait(), 130);
    stage.nothing_was_made();
}

#[test]
fn interrupting_a_start_leaves_the_sandbox() {
    let stage = Stage::new();
    let script = stage.script("setup.sh", "#!/bin/sh\ntrue\n");
    let sandbox = stage.sandbox(DEBIAN, &["--setup-script", &script]);
    sandbox.verb("stop", &[]).output().ended(0, &[]);
    stage.script("setup.sh", "#!/bin/sh\necho begun\nexec sleep 4321\n");
    let starting = sandbox.verb("start", &[]).start();
    starting.warns("begun").signal(Signal::INT);
    starting.wait().ended(130, &["goes on by itself"]);
    assert_eq!(sandbox.inspect()["state"], "setup");
}

#[test]
fn ctrl_c_while_the_repository_is_looked_at_leaves_no_temporary_directory() {
    let stage = Stage::new();
    let repository = stage.repository("project", &[("file", "content\n")]);
    // What git has to read before anything is copied: it is at it for a while.
    let many = r#"cd "$1" && mkdir new && for i in $(seq 12000); do echo $i >new/$i; done"#;
    stage.shell(many, &[&repository]).output().ended(0, &[]);
    let tmp = stage.home().join("tmp");
    // The beginnings of names in it: of git's own directory, and of what the state at the beginning is noted in.
    for moment in ["", "git-", "snapshot-index", "snapshot-objects"] {
        let sandbox = stage.adopt(stage.name());
        let creating = sandbox
            .create_run(DEBIAN, &["--git", &repository, "--no-clean"])
            .start();
        eventually(&format!("{moment:?} is there"), || {
            let mut made = stage.temporary().into_iter();
            made.any(|directory| {
                let names = std::fs::read_dir(tmp.join(directory));
                let mut names = names.into_iter().flatten().flatten();
                moment.is_empty()
                    || names.any(|name| name.file_name().to_string_lossy().starts_with(moment))
            })
        });
        creating.signal(Signal::INT);
        creating.wait().ended(130, &["nothing was left behind"]);
        let left = stage.temporary();
        assert_eq!(left, Vec::<std::ffi::OsString>::new(), "{moment:?}");
        stage.nothing_was_made();
    }
}

/// Starts a create that is held right before its container is made.
fn held(sandbox: &Sandbox<'_>, proxy: &EngineProxy) -> crate::support::Running {
    proxy.hold(&making(sandbox));
    let creating = sandbox
        .create_run(DEBIAN, &[])
        .env("DOCKER_HOST", &proxy.host())
        .start();
    proxy.holds();
    creating
}

#[test]
fn of_two_creates_of_one_name_the_second_is_refused() {
    let stage = Stage::new();
    let proxy = stage.engine_proxy();
    let sandbox = stage.adopt(stage.name());
    let first = held(&sandbox, &proxy);
    let second = sandbox.create(DEBIAN, &["-o", "json"]);
    second.ended(4, &["another amika is working on"]);
    assert_eq!(second.json()["error"]["code"], "conflict");
    proxy.let_go();
    first.wait().ended(0, &[]);
    assert_eq!(sandbox.engine_state(), "running");
}

#[test]
fn of_two_users_that_create_one_name_the_loser_leaves_the_winners_alone() {
    let stage = Stage::new();
    let proxy = stage.engine_proxy();
    let sandbox = stage.adopt(stage.name());
    let loser = held(&sandbox, &proxy);
    // Another user's locks are elsewhere: only the engine knows of both.
    let other = stage.home().join("other-user");
    let winner = sandbox
        .create_run(DEBIAN, &[])
        .env("XDG_RUNTIME_DIR", other.to_str().unwrap())
        .output();
    winner.ended(0, &[]);
    proxy.let_go();
    loser.wait().ended(4, &["already exists"]);
    assert_eq!(sandbox.engine_state(), "running");
    let [containers, volumes, _] = stage.left();
    assert_eq!((containers.len(), volumes.len()), (1, 2), "{volumes:?}");
}
