//! `amika sandbox exec`: streams byte for byte, signals, exit codes, and never a hang.

use std::io::Write as _;
use std::time::Duration;

use rustix::process::Signal;

use crate::support::{DEBIAN, NO_SHELL, SCRATCH, Stage, docker, eventually};

/// What a session without work may take on a busy machine; a hang takes the test's whole limit.
const SOON: Duration = Duration::from_secs(20);

/// Bytes that no encoding, line discipline or frame survives by luck.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

#[test]
fn streams_are_apart_and_exact_and_the_exit_code_passes_through() {
    let stage = Stage::new();
    let sandbox = stage.sandbox(DEBIAN, &[]);
    let both = sandbox
        .exec(&[
            "sh",
            "-c",
            r"printf 'o\0\377\r\n'; printf 'e\1\376' >&2; exit 77",
        ])
        .output();
    assert_eq!(both.code, 77, "{both:?}");
    assert_eq!(both.stdout, b"o\0\xff\r\n");
    assert_eq!(both.stderr, b"e\x01\xfe");

    for code in ["0", "1", "125", "255"] {
        let output = sandbox
            .exec(&["sh", "-c", &format!("exit {code}")])
            .output();
        assert_eq!(output.code.to_string(), code);
        assert!(
            output.stdout.is_empty() && output.stderr.is_empty(),
            "{output:?}"
        );
    }
    let not_found = sandbox.exec(&["no-such-program"]).output();
    assert_eq!(not_found.code, 127, "{not_found:?}");
    assert!(not_found.stderr_text().contains("no-such-program"));
    let not_executable = sandbox.exec(&["/etc/passwd"]).output();
    assert_eq!(not_executable.code, 126, "{not_executable:?}");

    // With -o json a success still is the program's bytes, and nothing else.
    let json = stage.sandbox_verb(&["exec", "-o", "json", &sandbox.name, "--", "echo", "{}"]);
    assert_eq!((json.code, json.stdout.as_slice()), (0, b"{}\n".as_slice()));
}

#[test]
fn a_hundred_megabytes_go_in_and_out_without_growth_in_memory() {
    let stage = Stage::new();
    let sandbox = stage.sandbox(DEBIAN, &[]);
    // A length that fits no buffer, so that each copy lies differently in them.
    let block = noise(1_000_003);
    let file = stage.home().join("noise");
    std::fs::write(&file, block.repeat(100)).unwrap();

    let running = sandbox
        .exec(&["cat"])
        .stdin(std::fs::File::open(&file).unwrap())
        .start();
    let mut peak = 0;
    eventually("all of it came back", || {
        peak = peak.max(running.proc_status("VmHWM").unwrap_or_default());
        running.said() == 100 * block.len()
    });
    let output = running.wait();
    assert_eq!(output.code, 0, "{output:?}");
    assert!(output.stdout.chunks(block.len()).all(|copy| copy == block));
    assert!(peak > 0 && peak < 64 * 1024, "{peak} KiB at its peak");
}

#[test]
fn the_end_of_input_is_passed_on() {
    let stage = Stage::new();
    let sandbox = stage.sandbox(DEBIAN, &[]);
    let echoed = sandbox.exec(&["cat"]).input("x\n").output();
    assert_eq!(
        (echoed.code, echoed.stdout.as_slice()),
        (0, b"x\n".as_slice())
    );

    // A program that speaks only after its input ended needs the other direction to stay open.
    let late = sandbox.exec(&["sh", "-c", "cat >/dev/null; sleep 0.3; echo after"]);
    assert_eq!(late.input("x").output().stdout, b"after\n");

    // A tar of the sandbox's own, out of one program and into another.
    let packed = sandbox
        .exec(&["tar", "-C", "/etc", "-c", "debian_version", "passwd"])
        .output();
    let unpacked = sandbox
        .exec(&[
            "sh",
            "-c",
            "mkdir -p /tmp/x && tar -C /tmp/x -x && cmp /etc/passwd /tmp/x/passwd",
        ])
        .input(packed.stdout)
        .output();
    assert_eq!(unpacked.code, 0, "{unpacked:?}");
}

#[test]
fn it_returns_when_the_program_ends_whatever_its_input_does() {
    let stage = Stage::new();
    let sandbox = stage.sandbox(DEBIAN, &[]);
    // A pipe that never closes.
    let (reader, mut writer) = std::io::pipe().unwrap();
    let open = sandbox
        .exec(&["echo", "done"])
        .stdin(reader)
        .limit(SOON)
        .output();
    assert_eq!(
        (open.code, open.stdout.as_slice()),
        (0, b"done\n".as_slice())
    );

    // One that was written to, and that the program does not read.
    let (reader, mut unread) = std::io::pipe().unwrap();
    unread.write_all(b"nobody reads this").unwrap();
    let output = sandbox.exec(&["true"]).stdin(reader).limit(SOON).output();
    assert_eq!(output.code, 0, "{output:?}");
    assert!(
        writer.write_all(b"x").is_err(),
        "the first one's reader is gone"
    );

    let null = sandbox
        .exec(&["cat"])
        .stdin(std::process::Stdio::null())
        .limit(SOON)
        .output();
    assert_eq!((null.code, null.stdout.len()), (0, 0), "{null:?}");

    // No standard input at all, as `<&-` leaves it.
    let closed = sandbox
        .exec_from_shell("<&-", &["cat"])
        .limit(SOON)
        .output();
    assert_eq!((closed.code, closed.stdout.len()), (0, 0), "{closed:?}");

    // Its output closed, the program goes on: its exit code is waited for.
    let silent = sandbox
        .exec(&["sh", "-c", "exec >&- 2>&-; sleep 1; exit 5"])
        .output();
    assert_eq!(silent.code, 5, "{silent:?}");
}

#[test]
fn a_slow_reader_loses_nothing() {
    let stage = Stage::new();
    let sandbox = stage.sandbox(DEBIAN, &[]);
    let output = sandbox
        .exec_from_shell(
            "| { sleep 2; cat; }",
            &["sh", "-c", "yes 0123456 | head -c 20000000"],
        )
        .output();
    assert_eq!(output.stdout.len(), 20_000_000);
    assert!(output.stdout.chunks(8).all(|line| line == b"0123456\n"));
}

#[test]
fn a_reader_that_leaves_ends_the_program_in_silence() {
    let stage = Stage::new();
    let sandbox = stage.sandbox(DEBIAN, &[]);
    let output = sandbox
        .exec_from_shell("| head -n 1", &["yes"])
        .limit(SOON)
        .output();
    assert_eq!(output.stdout, b"y\n");
    assert_eq!(output.stderr_text(), "");
    // One that takes no notice of a closed pipe ends too.
    let deaf = "trap '' PIPE; while :; do echo y; sleep 0.1; done 2>/dev/null";
    let output = sandbox
        .exec_from_shell("| head -n 1", &["sh", "-c", deaf])
        .limit(SOON)
        .output();
    assert_eq!(output.stdout, b"y\n");
    eventually("neither runs on", || {
        let all = sandbox
            .docker_exec(&["sh", "-c", "cat /proc/[0-9]*/comm"])
            .stdout_text();
        !all.lines().any(|name| name == "yes" || name == "sleep")
    });
}

#[test]
fn signals_reach_the_program_and_its_children() {
    let stage = Stage::new();
    let sandbox = stage.sandbox(DEBIAN, &[]);
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
        // Two processes in one group: without the group, the sleep would go on by itself.
        let running = sandbox
            .exec(&["sh", "-c", "echo up; sleep 1234; exit 9"])
            .start();
        running.says("up").signal(signal);
        let output = running.wait();
        assert_eq!(output.code, code, "{signal:?}: {output:?}");
    }
    // One that has its own idea of a signal keeps its exit code.
    let trapped = sandbox
        .exec(&[
            "sh",
            "-c",
            "trap 'echo bye; exit 7' TERM; echo up; while :; do sleep 0.1; done",
        ])
        .start();
    trapped.says("up").signal(Signal::TERM);
    let output = trapped.wait();
    assert_eq!(
        (output.code, output.stdout.as_slice()),
        (7, b"up\nbye\n".as_slice())
    );
    // One that ignores Ctrl-C is killed by the second.
    let deaf = sandbox
        .exec(&[
            "sh",
            "-c",
            "trap 'echo ignored' INT; echo up; while :; do sleep 0.1; done",
        ])
        .start();
    deaf.says("up").signal(Signal::INT);
    deaf.says("ignored").signal(Signal::INT);
    assert_eq!(deaf.wait().code, 137);
    eventually("nothing runs on", || {
        let all = sandbox
            .docker_exec(&["sh", "-c", "cat /proc/[0-9]*/comm"])
            .stdout_text();
        !all.lines().any(|name| name == "sleep")
    });
}

/// What is in an argument list is in the engine's events, and `ps` in the sandbox shows it.
#[test]
fn a_variable_of_exec_is_in_no_argument_list_and_no_event() {
    let stage = Stage::new();
    let sandbox = stage.sandbox(DEBIAN, &[]);
    let since = docker(&["info", "--format", "{{.SystemTime}}"]).stdout_text();
    let script = "cat /proc/[0-9]*/cmdline | tr '\\0' ' '; echo; echo $SECRET $USER";
    let env = ["--env", "SECRET=canary-4711", "--env", "USER=ada"];
    let ran = sandbox.exec_with(&env, &["sh", "-c", script]).output();
    ran.ended(0, &[]);
    let text = ran.stdout_text();
    let (cmdlines, value) = text.trim_end().rsplit_once('\n').unwrap();
    assert_eq!(value, "canary-4711 ada");
    assert!(!cmdlines.contains("canary-4711"), "{cmdlines}");
    let until = docker(&["info", "--format", "{{.SystemTime}}"]).stdout_text();
    let container = format!("container={}", sandbox.name);
    let events = docker(&[
        "events",
        "--since",
        since.trim(),
        "--until",
        until.trim(),
        "--filter",
        &container,
    ]);
    let events = events.text();
    // Podman's word is `exec`.
    assert!(events.contains(" container exec"), "{events}");
    assert!(!events.contains("canary-4711"), "{events}");
}

/// `docker exec --workdir` does the same: a program that deletes what it finds must not run elsewhere.
#[test]
fn a_directory_that_is_not_there_is_126_and_nothing_runs() {
    let stage = Stage::new();
    let sandbox = stage.sandbox(DEBIAN, &[]);
    let run = |workdir| sandbox.exec_with(&["-w", workdir], &["pwd"]).output();
    let missing = run("/nope");
    assert_eq!(
        (missing.code, missing.stdout_text()),
        (126, String::new()),
        "{missing:?}"
    );
    assert!(missing.stderr_text().contains("/nope"), "{missing:?}");
    sandbox.exec(&["mkdir", "scripts"]).output().ended(0, &[]);
    assert_eq!(
        run("scripts").stdout_text(),
        "/home/amika/workspace/scripts\n"
    );
    assert_eq!(run("nope").code, 126);
}

#[test]
fn nobody_is_locked_out_of_a_sandbox_whose_workspace_was_removed() {
    let stage = Stage::new();
    for args in [&["--image", DEBIAN][..], &[]] {
        let sandbox = stage.adopt(stage.name());
        let flags = [
            &[
                "create",
                "--name",
                &sandbox.name,
                "--env",
                "AMIKA_OPENCODE_WEB=0",
            ][..],
            args,
        ];
        stage.sandbox_verb(&flags.concat()).ended(0, &[]);
        let remove = ["sh", "-c", "cd / && rm -rf /home/amika/workspace"];
        sandbox.exec(&remove).output().ended(0, &[]);
        let where_ = sandbox.exec(&["pwd"]).output();
        where_.ended(
            0,
            &["/home/amika/workspace is no directory; starting in /home/amika"],
        );
        assert_eq!(where_.stdout_text(), "/home/amika\n");
        let mut shell = stage.on_terminal(&["sandbox", "connect", &sandbox.name]);
        shell
            .types("echo in $PWD; exit 7\n")
            .shows("in /home/amika\r");
        assert_eq!(shell.wait(), 7);
        sandbox.verb("inspect", &[]).output().ended(0, &[]);
    }
}

#[test]
fn user_directory_and_environment_are_the_agents_unless_named() {
    let stage = Stage::new();
    let sandbox = stage.sandbox(DEBIAN, &["--env", "FROM_CREATE=1"]);
    let show = r#"echo "$(id -u):$(id -g) $PWD $HOME $FROM_CREATE $A $B""#;
    let usual = sandbox.exec(&["sh", "-c", show]).output();
    assert_eq!(
        usual.stdout_text(),
        "0:0 /home/amika/workspace /home/amika 1  \n",
        "{usual:?}"
    );
    let named = sandbox
        .exec_with(
            &[
                "-u",
                "1234:4321",
                "-w",
                "/tmp",
                "-e",
                "A=x y",
                "-e",
                "B",
                "-e",
                "ABSENT",
            ],
            &["sh", "-c", show],
        )
        .env("B", "of the host")
        .output();
    assert_eq!(
        named.stdout_text(),
        "1234:4321 /tmp /home/amika 1 x y of the host\n",
        "{named:?}"
    );
    assert_eq!(
        named.stderr_text(),
        "warning: environment variable ABSENT is left out: it is not set here\n"
    );

    let bad = sandbox.exec_with(&["-e", "=x"], &["true"]).output();
    assert_eq!(bad.code, 125, "{bad:?}");
    let nobody = sandbox
        .exec_with(&["-u", "no-such-user"], &["true"])
        .output();
    assert_eq!(nobody.code, 125, "{nobody:?}");
    assert!(nobody.stderr_text().contains("no-such-user"), "{nobody:?}");
}

#[test]
fn without_a_user_in_the_image_it_is_whoever_cmd_runs_as() {
    let stage = Stage::new();
    // As an image that somebody made from a preset.
    let image = stage.image(&format!("FROM {DEBIAN}\nRUN useradd -u 4321 amika\n"));
    let sandbox = stage.sandbox(&image, &["--", "sh", "-c", "id -u; exec sleep 4321"]);
    eventually("CMD tells who it is", || {
        sandbox
            .verb("logs", &[])
            .output()
            .stdout_text()
            .contains("4321\n")
    });
    let output = sandbox.exec(&["id", "-u"]).output();
    assert_eq!(output.stdout_text(), "4321\n", "{output:?}");
}

#[test]
fn it_needs_neither_a_shell_nor_a_user_in_the_image() {
    let stage = Stage::new();
    let no_shell = stage.sandbox(NO_SHELL, &[]);
    let output = no_shell.exec(&["/app/probe", "cwd"]).output();
    assert_eq!(
        output.stdout_text(),
        "/home/amika/workspace\n1234:1234\n",
        "{output:?}"
    );
    let scratch = stage.sandbox(SCRATCH, &[]);
    let bytes = noise(100_000);
    let output = scratch
        .exec(&["/probe", "cat"])
        .input(bytes.clone())
        .output();
    assert_eq!(output.code, 0, "{output:?}");
    assert_eq!(output.stdout, bytes);
    let output = scratch.exec(&["sh"]).output();
    assert_eq!(output.code, 127, "{output:?}");
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
    eventually("a program can be run", || {
        let touched = sandbox.exec(&["touch", "/tmp/go"]).output();
        touched.code == 0
    });
    let created = creating.wait();
    assert_eq!(created.code, 0, "{created:?}");
}

#[test]
fn its_own_failures_are_125_in_words_that_tell_them_apart() {
    let stage = Stage::new();
    let absent = stage.sandbox_verb(&["exec", "-o", "json", "no-such-sandbox", "--", "true"]);
    assert_eq!(absent.code, 125, "{absent:?}");
    assert_eq!(absent.json()["error"]["code"], "not_found");
    assert_eq!(absent.json()["error"]["exit_code"], 125);

    let sandbox = stage.sandbox(DEBIAN, &[]);
    let no_terminal = sandbox.exec_with(&["--tty"], &["true"]).output();
    assert_eq!(no_terminal.code, 125, "{no_terminal:?}");
    assert!(
        no_terminal.stderr_text().contains("needs a terminal"),
        "{no_terminal:?}"
    );

    // What the engine ends under its hands is no success.
    let running = sandbox.exec(&["sh", "-c", "echo up; sleep 1234"]).start();
    running.says("up");
    docker(&["kill", &sandbox.name]);
    let output = running.wait();
    assert!([125, 137].contains(&output.code), "{output:?}");

    let stopped = sandbox.exec(&["true"]).output();
    assert_eq!(stopped.code, 125, "{stopped:?}");
    let text = stopped.stderr_text();
    assert!(
        text.contains("is not running") && text.contains("amika sandbox start"),
        "{text}"
    );
    let unreachable = sandbox
        .exec(&["true"])
        .env("DOCKER_HOST", "unix:///nonexistent/docker.sock")
        .output();
    assert_eq!(unreachable.code, 125, "{unreachable:?}");
}

#[test]
fn a_terminal_has_its_last_size_though_the_engine_is_slow_with_the_first() {
    let stage = Stage::new();
    let proxy = stage.engine_proxy();
    let sandbox = stage.sandbox(DEBIAN, &[]);
    proxy.hold_one("/resize");
    let mut terminal = stage.on_terminal_of(
        80,
        &[("DOCKER_HOST", &proxy.host())],
        &[
            "sandbox",
            "exec",
            "-t",
            &sandbox.name,
            "--",
            "sh",
            "-c",
            "echo there; read line; while [ \"$(stty size)\" != '33 77' ]; do sleep 0.05; done; echo at last",
        ],
    );
    terminal.shows("there");
    proxy.holds();
    let asked = proxy.changing().len();
    terminal.resize(33, 77);
    // Whoever asks for the second size before the first was answered does it within this time, and is overtaken by it.
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert_eq!(proxy.changing().len(), asked);
    proxy.let_go();
    terminal.types("\r").shows("at last");
    assert_eq!(terminal.wait(), 0);
}

#[test]
fn a_terminal_is_raw_has_the_right_size_and_is_put_back() {
    let stage = Stage::new();
    let sandbox = stage.sandbox(DEBIAN, &[]);
    let mut terminal = stage.on_terminal(&[
        "sandbox",
        "exec",
        "-t",
        &sandbox.name,
        "--",
        "sh",
        "-c",
        // NUL and Ctrl-A first: what a frame's header begins with.
        r"tty; echo $TERM; printf '\0\1\2raw\n'; read line; stty size; echo got=$line; exit 6",
    ]);
    terminal.shows("/dev/pts/").shows("xterm-256color");
    terminal.shows("\0\u{1}\u{2}raw");
    assert!(!terminal.is_cooked());
    terminal.resize(33, 77);
    // The size arrives by a call of its own; the program asks when it has read a line.
    eventually("the new size arrives", || {
        let size = sandbox.docker_exec(&[
            "sh",
            "-c",
            "for t in /dev/pts/[0-9]*; do stty size <$t; done",
        ]);
        size.stdout_text().contains("33 77")
    });
    terminal.types("hello\r").shows("33 77").shows("got=hello");
    assert_eq!(terminal.wait(), 6);
    assert!(terminal.is_cooked());
}
