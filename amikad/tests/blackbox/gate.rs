//! setup.sh decides whether CMD starts.

use crate::support::Builder;

const SETUP: &str = "/usr/local/etc/amikad/setup/setup.sh";

#[test]
fn cmd_starts_after_setup_succeeded_and_not_before() {
    let mut sandbox = Builder::new()
        .setup("#!/bin/sh\necho one\nsleep 0.2\necho two\n")
        .start("echo three");
    let end = sandbox.wait();
    assert_eq!(
        (end.code, end.stdout.as_str()),
        (0, "one\ntwo\nthree\n"),
        "{end:?}"
    );
    assert_eq!(sandbox.read("/var/log/amikad/setup.log"), "one\ntwo\n");
    assert_eq!(sandbox.record()["setup"]["state"], "succeeded");
    assert_eq!(sandbox.record()["outcome"], "cmd_exited");
}

#[test]
fn a_failing_setup_ends_the_container_with_its_code_and_cmd_never_runs() {
    let mut sandbox = Builder::new()
        .file("/termination-log", "old", 0o644)
        .setup("#!/bin/bash\nset -e\necho before\ntest -e /nowhere\necho after\n")
        .start("touch /tmp/cmd-ran");
    let end = sandbox.wait();
    assert_eq!(end.code, 1);
    assert_eq!(end.stdout, "before\n");
    assert_eq!(
        end.stderr,
        "amikad: setup failed: setup.sh exited with 1 at line 4; CMD was not started\n"
    );
    assert!(!sandbox.path("/tmp/cmd-ran").exists());
    assert_eq!(
        sandbox.read("/termination-log"),
        "setup failed: setup.sh exited with 1 at line 4; CMD was not started"
    );
    let record = sandbox.record();
    assert_eq!(record["outcome"], "setup_failed");
    assert_eq!(record["phase"], "exited");
    assert_eq!(record["container_exit_code"], 1);
    assert_eq!(record["setup"]["failed_line"], 4);
    assert_eq!(record["setup_tail"][0], "before");
    assert_eq!(record["cmd"]["state"], "pending");
}

#[test]
fn every_exit_code_of_setup_is_passed_on() {
    for code in [2, 77, 126, 127, 255] {
        let mut sandbox = Builder::new()
            .setup(&format!("#!/bin/sh\nexit {code}\n"))
            .start("true");
        assert_eq!(sandbox.wait().code, code);
    }
}

#[test]
fn a_setup_killed_by_a_signal_gives_128_plus_its_number() {
    let mut sandbox = Builder::new()
        .setup("#!/bin/sh\nkill -KILL $$\n")
        .start("echo cmd");
    let end = sandbox.wait();
    assert_eq!((end.code, end.stdout.as_str()), (137, ""));
    assert!(end.stderr.contains("was killed by SIGKILL"), "{end:?}");
    assert_eq!(sandbox.record()["setup"]["signal"], 9);
}

#[test]
fn each_way_not_to_start_has_its_own_message() {
    let cases: [(&str, u32, i32, &str); 5] = [
        (
            "#!/bin/sh\n",
            0o644,
            126,
            "is not executable; run `chmod +x`",
        ),
        (
            "#!/opt/nope -x\n",
            0o755,
            127,
            "needs the interpreter `/opt/nope`, which is not in this image",
        ),
        (
            "#!/bin/bash\r\necho\r\n",
            0o755,
            127,
            "has Windows line ends (CRLF)",
        ),
        (
            "#!/usr/bin/env bash\r\necho\r\n",
            0o755,
            127,
            "has Windows line ends (CRLF)",
        ),
        ("echo no shebang\n", 0o755, 126, "has no `#!` line"),
    ];
    for (text, mode, code, message) in cases {
        let mut sandbox = Builder::new().file(SETUP, text, mode).start("echo cmd");
        let end = sandbox.wait();
        assert_eq!(end.code, code, "{text:?}: {end:?}");
        assert!(end.stderr.contains(message), "{text:?}: {end:?}");
        assert!(!end.stdout.contains("cmd"), "{text:?}: {end:?}");
        assert_eq!(sandbox.record()["outcome"], "setup_failed");
    }
}

#[test]
fn a_setup_that_is_a_directory_or_a_link_to_nowhere_fails_with_a_message() {
    let mut sandbox = Builder::new()
        .file(&format!("{SETUP}/x"), "", 0o644)
        .start("true");
    let end = sandbox.wait();
    assert_eq!(end.code, 126);
    assert!(end.stderr.contains("is a directory"), "{end:?}");
    let builder = Builder::new();
    let mut sandbox = builder.link("/gone/setup.sh", SETUP).start("true");
    let end = sandbox.wait();
    assert_eq!(end.code, 127);
    assert!(
        end.stderr
            .contains("is a link to `/gone/setup.sh`, which does not exist"),
        "{end:?}"
    );
}

#[test]
fn a_link_into_the_repository_is_followed() {
    let mut sandbox = Builder::new()
        .program(
            "/home/amika/workspace/repo/scripts/setup.sh",
            "#!/bin/sh\necho from the repository\n",
        )
        .link("/home/amika/workspace/repo/scripts/setup.sh", SETUP)
        .start("true");
    assert_eq!(sandbox.wait().stdout, "from the repository\n");
}

#[test]
fn a_script_of_the_repository_finds_its_neighbours_by_its_own_place() {
    let mut sandbox = Builder::new()
        .program(
            "/home/amika/workspace/repo/scripts/setup.sh",
            "#!/bin/sh\n. \"$(dirname \"$0\")/lib/common.sh\"\nsay \"$0\"\n",
        )
        .file(
            "/home/amika/workspace/repo/scripts/lib/common.sh",
            "say() { echo \"said $1\"; }\n",
            0o644,
        )
        .link("/home/amika/workspace/repo/scripts/setup.sh", SETUP)
        .start("true");
    assert_eq!(
        sandbox.wait().stdout,
        "said /home/amika/workspace/repo/scripts/setup.sh\n"
    );
}

#[test]
fn groups_that_setup_gives_the_agent_hold_for_cmd_of_that_start() {
    let setup = "#!/bin/sh\necho 'extra:x:4321:amika' >>/etc/group\n";
    let mut sandbox = Builder::new().program(SETUP, setup).start("id -G; id -u");
    let end = sandbox.wait();
    let lines: Vec<&str> = end.stdout.lines().collect();
    assert!(lines[0].split(' ').any(|group| group == "4321"), "{end:?}");
    assert_eq!(lines[1], "1000", "{end:?}");
}

#[test]
fn without_a_setup_script_cmd_runs_and_only_the_log_says_so() {
    let mut sandbox = Builder::new().start(
        "until grep -qs 'no setup script' /var/log/amikad/amikad.log; do sleep 0.01; done; exit 9",
    );
    let end = sandbox.wait();
    assert_eq!(end.code, 9);
    // An image that has no script is nothing to be told of in the output of its CMD.
    assert_eq!(end.stderr, "");
    assert_eq!(sandbox.record()["setup"]["state"], "absent");
}

#[test]
fn setup_runs_as_root_in_the_agents_directory_with_the_agents_home() {
    let mut sandbox = Builder::new()
        .env("AMIKA_AGENT_CWD", "/home/amika/workspace/repo")
        .env("HOME", "/root")
        .setup("#!/bin/sh\nid -u; pwd; echo $HOME; git config safe.directory\n")
        .start("id -u; pwd; echo $HOME; git config safe.directory");
    let place = |uid| format!("{uid}\n/home/amika/workspace/repo\n/home/amika\n*\n");
    assert_eq!(sandbox.wait().stdout, place(0) + &place(1000));
}

#[test]
fn setup_does_not_eat_the_input_of_cmd() {
    let (reader, writer) = std::io::pipe().unwrap();
    let mut sandbox = Builder::new()
        .stdin(reader)
        .setup("#!/bin/sh\ncat\n")
        .start("cat");
    std::io::Write::write_all(&mut &writer, b"for CMD").unwrap();
    drop(writer);
    assert_eq!(sandbox.wait().stdout, "for CMD");
}

#[test]
fn a_background_child_of_setup_holds_nothing_up_and_is_still_logged() {
    let mut sandbox = Builder::new()
        .setup("#!/bin/sh\n(until [ -e /tmp/go ]; do sleep 0.02; done; echo late) &\necho early\n")
        .start("echo cmd; touch /tmp/go; until grep -q late /var/log/amikad/setup.log; do sleep 0.02; done");
    let end = sandbox.wait();
    assert_eq!((end.code, end.stdout.as_str()), (0, "early\ncmd\nlate\n"));
}

#[test]
fn setup_once_skips_a_script_that_already_succeeded_and_runs_a_changed_one() {
    let script = "#!/bin/sh\necho ran\n";
    let run = |done: &str| {
        let mut sandbox = Builder::new()
            .env("AMIKA_SETUP_ONCE", "1")
            .file("/var/lib/amikad/setup-done", done, 0o644)
            .setup(script)
            .start("true");
        (
            sandbox.wait().stdout,
            sandbox.read("/var/lib/amikad/setup-done"),
        )
    };
    let (stdout, hash) = run("");
    assert_eq!((stdout.as_str(), hash.len()), ("ran\n", 64));
    assert_eq!(run(&hash), (String::new(), hash.clone()));
    assert_eq!(run(&"0".repeat(64)), ("ran\n".to_owned(), hash));
    let mut failing = Builder::new()
        .env("AMIKA_SETUP_ONCE", "1")
        .setup("#!/bin/sh\nexit 1\n")
        .start("true");
    failing.wait();
    assert!(!failing.path("/var/lib/amikad/setup-done").exists());
}

#[test]
fn a_script_that_runs_once_is_run_again_when_a_file_that_it_depends_on_changed() {
    let lock = "/home/amika/workspace/package-lock.json";
    let run = |done: &str, content: Option<&str>| {
        let mut builder = Builder::new()
            .env(
                "AMIKA_SETUP_ONCE",
                "1\npackage-lock.json\n../../../etc/passwd",
            )
            .file("/var/lib/amikad/setup-done", done, 0o644)
            .setup(&format!("#!/bin/sh\necho ran\necho of-setup > {lock}\n"));
        if let Some(content) = content {
            builder = builder.file(lock, content, 0o644);
        }
        let mut sandbox = builder.start("true");
        (
            sandbox.wait().stdout,
            sandbox.read("/var/lib/amikad/setup-done"),
        )
    };
    let ran = |(stdout, _): (String, String)| stdout == "ran\n";
    // As setup left it is how it is remembered.
    let (_, done) = run("", Some("first"));
    assert!(!ran(run(&done, Some("of-setup\n"))));
    assert!(ran(run(&done, Some("changed"))));
    assert!(ran(run(&done, None)));
}

#[test]
fn orders_for_the_next_boot_count_once() {
    let mut sandbox = Builder::new()
        .file(
            "/var/lib/amikad/next-boot.json",
            r#"{"skip_setup":true}"#,
            0o600,
        )
        .setup("#!/bin/sh\nexit 1\n")
        .start("echo cmd");
    let end = sandbox.wait();
    assert_eq!((end.code, end.stdout.as_str()), (0, "cmd\n"));
    assert!(!sandbox.path("/var/lib/amikad/next-boot.json").exists());
}

#[test]
fn a_rescue_boot_runs_neither_setup_nor_cmd_and_stays_up() {
    let mut sandbox = Builder::new()
        .file(
            "/var/lib/amikad/next-boot.json",
            r#"{"rescue":true}"#,
            0o600,
        )
        .setup("#!/bin/sh\nexit 1\n")
        .start("echo cmd");
    sandbox.until_phase("running");
    sandbox.signal(15);
    let end = sandbox.wait();
    assert_eq!((end.code, end.stdout.as_str()), (143, ""));
}

#[test]
fn the_failed_line_is_told_for_bash_and_the_script_notices_nothing() {
    let cases = [
        ("set -eu\nf() {\n  ls /nowhere\n}\nf\n", Some(4)),
        ("false\nexit 3\n", Some(3)),
        ("set -u\ntrue\necho $nope\n", Some(4)),
        ("true\nif then\n", Some(3)),
        ("trap 'true' EXIT\ntrap true ERR\nset -e\nfalse\n", None),
        (
            "trap\necho \"env ${BASH_ENV-unset}\"\nbash -c 'trap; echo ${BASH_ENV-unset}'\nfalse a b\n\
          echo \"$_ $?\"\nset -o noclobber\nfalse\nfalse\n",
            Some(9),
        ),
    ];
    for (script, line) in cases {
        let mut sandbox = Builder::new()
            .setup(&format!("#!/bin/bash\n{script}"))
            .start("true");
        let end = sandbox.wait();
        assert_ne!(end.code, 0);
        let told = sandbox.record()["setup"]["failed_line"].as_u64();
        assert_eq!(told, line, "{script}: {end:?}");
        assert!(
            !end.stdout.contains("BASH_ENV=") && !end.stdout.contains("env /"),
            "{end:?}"
        );
        if script.contains("false a b") {
            assert!(end.stdout.contains("env unset\nunset\nb 1\n"), "{end:?}");
        }
    }
}

#[test]
fn a_script_that_cannot_be_looked_at_keeps_cmd_from_starting() {
    let setup = "rm -r /usr/local/etc/amikad/setup; ";
    for lay in [
        // ELOOP, and ENAMETOOLONG.
        "ln -s setup /usr/local/etc/amikad/setup".to_owned(),
        format!("ln -s /{} /usr/local/etc/amikad/setup", "x".repeat(300)),
    ] {
        let script = format!("{setup}{lay}; exec \"$@\"");
        let mut sandbox = Builder::new()
            .wrapped(&["sh", "-c", &script, "sh"])
            .start("echo cmd");
        let end = sandbox.wait();
        assert_eq!((end.code, end.stdout.as_str()), (126, ""), "{lay}: {end:?}");
        assert!(end.stderr.contains("CMD was not started"), "{lay}: {end:?}");
        assert_eq!(sandbox.record()["outcome"], "setup_failed");
    }
}

#[test]
fn what_is_remembered_of_a_setup_that_succeeded_is_what_ran() {
    let changing = "#!/bin/sh\necho '#!/bin/false' > /tmp/other\ncp /tmp/other /var/script.new\n\
                    chmod +x /var/script.new; mv /var/script.new /var/script\n";
    let mut sandbox = Builder::new()
        .program("/var/script", changing)
        .link("/var/script", SETUP)
        .env("AMIKA_SETUP_ONCE", "1")
        .start("true");
    assert_eq!(sandbox.wait().code, 0);
    let done = sandbox.read("/var/lib/amikad/setup-done");
    let ran = sandbox.path("/tmp/ran");
    std::fs::write(&ran, changing).unwrap();
    let sum = std::process::Command::new("sha256sum")
        .arg(&ran)
        .output()
        .unwrap();
    let sum = String::from_utf8(sum.stdout).unwrap();
    assert_eq!(Some(done.as_str()), sum.split(' ').next());
}
