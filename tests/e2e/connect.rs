//! `amika sandbox connect`: a real terminal, put back on every way out, and a way into a sandbox
//! that does not come up.

use rustix::process::Signal;

use crate::support::{DEBIAN, NO_SHELL, Sandbox, Stage, Terminal, eventually};

fn connect(sandbox: &Sandbox<'_>, options: &[&str]) -> Terminal {
    let mut all = vec!["sandbox", "connect", sandbox.name.as_str()];
    all.extend(options);
    sandbox.stage.on_terminal(&all)
}

fn runs(sandbox: &Sandbox<'_>, program: &str) -> bool {
    let all = sandbox.docker_exec(&["sh", "-c", "cat /proc/[0-9]*/comm"]);
    all.stdout_text().lines().any(|name| name == program)
}

#[test]
fn a_shell_is_the_agents_on_a_real_terminal() {
    let stage = Stage::new();
    let image = stage.image(&format!(
        "FROM {DEBIAN}\nRUN useradd -u 4321 -s /bin/bash dev\nUSER dev\n"
    ));
    let sandbox = stage.sandbox(&image, &[]);
    let mut terminal = connect(&sandbox, &[]);
    // What is typed is shown too: only the sum tells the answer from the question.
    terminal
        .types("echo $((40+2)) $(id -u) $0 $PWD $HOME $TERM\r")
        .shows("42 4321 -bash /home/amika/workspace /home/amika xterm-256color");
    assert!(!terminal.is_cooked());
    terminal
        .types("stty size; tty\r")
        .shows("24 80")
        .shows("/dev/pts/");
    terminal.resize(50, 132);
    eventually("the new size arrives", || {
        let size = "for t in /dev/pts/[0-9]*; do stty size <$t; done";
        sandbox
            .docker_exec(&["sh", "-c", size])
            .stdout_text()
            .contains("50 132")
    });
    terminal.types("stty size\r").shows("50 132");
    terminal.types("exit 9\r");
    assert_eq!(terminal.wait(), 9);
    assert!(terminal.is_cooked());

    let mut root = connect(&sandbox, &["--root"]);
    root.types("echo $((40+2)) $(id -u)\r").shows("42 0");
    root.types("exit\r");
    assert_eq!(root.wait(), 0);
}

#[test]
fn a_terminal_that_the_image_does_not_know_is_brought_or_called_by_a_name_that_it_knows() {
    let stage = Stage::new();
    let sandbox = stage.sandbox(DEBIAN, &[]);
    let told = |terminfo: &str, term: &str| {
        let env = [("TERM", term), ("TERMINFO", terminfo)];
        let args = ["sandbox", "connect", sandbox.name.as_str()];
        let mut terminal = stage.on_terminal_of(80, &env, &args);
        terminal.types("tput cols && clear && echo TERM=$TERM.; exit\n");
        let (code, screen) = terminal.end();
        assert_eq!(code, 0, "{screen:?}");
        assert!(screen.contains("80"), "{screen:?}");
        screen
    };
    let none = stage.home().join("none").to_str().unwrap().to_owned();
    for term in ["xterm-ghostty", "foot-of-nobody", "../../etc/passwd"] {
        assert!(told(&none, term).contains("TERM=xterm-256color."), "{term}");
    }
    // What this machine knows of it goes with it.
    let own = stage.file("own.src", "xterm-ghostty|a test,\n\tuse=xterm-256color,\n");
    let dir = stage.home().join("terminfo").to_str().unwrap().to_owned();
    let compiled = stage
        .shell("tic -x -o \"$1\" \"$2\"", &[&dir, &own])
        .output();
    compiled.ended(0, &[]);
    assert!(told(&dir, "xterm-ghostty").contains("TERM=xterm-ghostty."));
    let there = sandbox.exec(&["sh", "-c", "ls ~/.terminfo/x"]).output();
    assert_eq!(there.stdout_text(), "xterm-ghostty\n", "{there:?}");
    // Now the image knows it: the host need not.
    assert!(told(&none, "xterm-ghostty").contains("TERM=xterm-ghostty."));
}

#[test]
fn keys_go_to_the_sandbox_one_by_one() {
    let stage = Stage::new();
    let sandbox = stage.sandbox(DEBIAN, &[]);
    let mut terminal = connect(&sandbox, &[]);
    terminal.types("sleep 1234\r");
    eventually("the sleep runs", || runs(&sandbox, "sleep"));
    terminal.types("\u{3}");
    eventually("Ctrl-C ended it", || !runs(&sandbox, "sleep"));
    terminal
        .types("echo $((40+2)) still here\r")
        .shows("42 still here");
    // The engine would hold Ctrl-P back until the next key, as the first half of its own Ctrl-P Ctrl-Q.
    terminal
        .types("stty -echo -icanon; echo $((40+3)); cat -v\r")
        .shows("43");
    eventually("cat runs", || runs(&sandbox, "cat"));
    terminal.types("\u{10}").shows("^P");
    terminal.types("\u{3}");
    eventually("Ctrl-C ended it", || !runs(&sandbox, "cat"));
    terminal.types("exit 0\r");
    assert_eq!(terminal.wait(), 0);
}

#[test]
fn a_signal_ends_the_shell_and_puts_the_terminal_back() {
    let stage = Stage::new();
    let sandbox = stage.sandbox(DEBIAN, &["--", "sleep", "infinity"]);
    for (signal, code) in [(Signal::TERM, 143), (Signal::HUP, 129)] {
        let mut terminal = connect(&sandbox, &[]);
        terminal.types("echo is-$((40+2))\r").shows("is-42");
        assert!(!terminal.is_cooked());
        terminal.signal(signal);
        assert_eq!(terminal.wait(), code, "{signal:?}: {:?}", terminal.text());
        assert!(terminal.is_cooked());
        eventually("the shell ended", || !runs(&sandbox, "bash"));
    }
}

#[test]
fn without_a_terminal_or_a_shell_it_says_what_to_do() {
    let stage = Stage::new();
    let sandbox = stage.sandbox(NO_SHELL, &[]);
    let no_terminal = sandbox.verb("connect", &[]).output();
    assert_eq!(no_terminal.code, 125, "{no_terminal:?}");
    let hint = format!("amika sandbox exec {} --", sandbox.name);
    assert!(no_terminal.stderr_text().contains(&hint), "{no_terminal:?}");

    let mut terminal = connect(&sandbox, &[]);
    assert_eq!(terminal.wait(), 127);
    terminal.shows("no shell").shows("exec");
    assert!(terminal.is_cooked());

    let mut absent = stage.on_terminal(&["sandbox", "connect", "no-such-sandbox"]);
    assert_eq!(absent.wait(), 125);
    absent.shows("there is no sandbox");
}

#[test]
fn it_works_while_setup_runs() {
    let stage = Stage::new();
    let script = stage.script(
        "setup.sh",
        "#!/bin/sh\nwhile [ ! -e /tmp/go ]; do sleep 0.1; done\n",
    );
    let sandbox = stage.adopt(stage.name());
    let creating = sandbox
        .create_run(DEBIAN, &["--setup-script", &script])
        .start();
    eventually("setup runs", || runs(&sandbox, "setup.sh"));
    let mut terminal = connect(&sandbox, &[]);
    terminal.types("echo is-$((40+2))\r").shows("is-42");
    terminal.types("touch /tmp/go; exit\r");
    assert_eq!(terminal.wait(), 0);
    let created = creating.wait();
    assert_eq!(created.code, 0, "{created:?}");
}

#[test]
fn a_sandbox_whose_setup_fails_is_rescued_and_stopped_again() {
    let stage = Stage::new();
    let script = stage.script("setup.sh", "#!/bin/sh\n[ -e /mended ] || exit 3\n");
    let sandbox = stage.adopt(stage.name());
    let cmd = ["--setup-script", script.as_str(), "--", "sleep", "4321"];
    let created = sandbox.create(DEBIAN, &cmd);
    assert_eq!(created.code, 20, "{created:?}");

    let mut refused = connect(&sandbox, &[]);
    assert_eq!(refused.wait(), 125);
    refused.shows("is not running").shows("--rescue");

    let mut terminal = connect(&sandbox, &["--rescue"]);
    terminal.types("echo $((40+2)) $(id -u)\r").shows("42 0");
    assert!(!runs(&sandbox, "sleep"), "CMD must not run in a rescue");
    terminal.types("touch /mended; exit 4\r");
    assert_eq!(terminal.wait(), 4, "{}", terminal.text());
    let start = format!("amika sandbox start {}", sandbox.name);
    terminal.shows(&start);
    assert_eq!(sandbox.engine_state(), "exited");

    // The next start is a usual one: with setup, which was mended, and with CMD.
    let started = sandbox.verb("start", &[]).output();
    assert_eq!(started.code, 0, "{started:?}");
    eventually("CMD runs", || runs(&sandbox, "sleep"));
    // In a sandbox that runs, a rescue is a shell like any other: it is not stopped.
    let mut terminal = connect(&sandbox, &["--rescue"]);
    terminal.types("exit\r");
    assert_eq!(terminal.wait(), 0);
    assert_eq!(sandbox.engine_state(), "running");
}

#[test]
fn a_rescue_that_is_broken_off_leaves_no_sandbox_running() {
    let stage = Stage::new();
    let sandbox = stage.sandbox(DEBIAN, &[]);
    let stopped = sandbox.verb("stop", &[]).output();
    assert_eq!(stopped.code, 0, "{stopped:?}");
    let mut terminal = connect(&sandbox, &["--rescue"]);
    terminal.types("echo is-$((40+2))\r").shows("is-42");
    terminal.signal(Signal::TERM);
    assert_eq!(terminal.wait(), 143, "{}", terminal.text());
    assert!(terminal.is_cooked());
    assert_eq!(sandbox.engine_state(), "exited");
}

#[test]
fn a_session_outlives_its_terminal_and_is_found_again_with_what_it_showed() {
    let stage = Stage::new();
    let sandbox = stage.sandbox(DEBIAN, &[]);
    let again = format!("`amika sandbox connect {} --session work`", sandbox.name);
    let session = || connect(&sandbox, &["--session", "work"]);

    let mut first = session();
    first.types("echo $((40+2)) $PWD; stty size; MINE=kept\r");
    first.shows("42 /home/amika/workspace").shows("24 80");
    assert!(!first.is_cooked());
    first.resize(50, 132);
    eventually("the new size arrives", || {
        let size = "for t in /dev/pts/[0-9]*; do stty size <$t; done";
        let sizes = sandbox.docker_exec(&["sh", "-c", size]).stdout_text();
        sizes.contains("50 132")
    });
    for (signal, code) in [(Signal::HUP, 129), (Signal::TERM, 143)] {
        first.signal(signal);
        assert_eq!(first.wait(), code);
        assert!(first.is_cooked());
        first.shows(&again);
        first = session();
        // It shows what was there, and is the same shell.
        first.shows("42 /home/amika/workspace");
        first.types("echo $MINE-$((1+1))\r").shows("kept-2");
    }
    // Killed, as a machine that goes away is.
    first.signal(Signal::KILL);
    first.wait();
    let mut last = session();
    last.types("echo $MINE-$((1+2))\r").shows("kept-3");
    // Two look at one.
    let mut other = session();
    other.shows("kept-3");
    last.types("exit 9\r");
    assert_eq!((last.wait(), other.wait()), (9, 9));
    assert!(last.is_cooked());

    // One that ended is another one.
    let mut new = session();
    new.types("echo [$MINE]$((2+2))\r").shows("[]4");
    let stopped = sandbox.verb("stop", &[]).output();
    stopped.ended(0, &[]);
    let (code, screen) = new.end();
    assert!([125, 129].contains(&code), "{code} {screen}");
    for (options, told) in [
        (&["--session", "work", "--root"][..], "cannot be used with"),
        (&["--session", "work", "--rescue"], "cannot be used with"),
        (&["--session", "a/b"], "letters, digits"),
        (&["--session", "work"], "is not running"),
    ] {
        let (code, screen) = connect(&sandbox, options).end();
        assert!(code == 125 && screen.contains(told), "{code} {screen}");
    }
}
