//! CMD gets what the container was given, and its end is the container's.

use std::time::Duration;

use crate::support::Builder;

#[test]
fn the_end_of_cmd_is_the_end_of_the_container() {
    for (script, code) in [
        ("exit 0", 0),
        ("exit 7", 7),
        ("exit 255", 255),
        ("kill -TERM $$", 143),
        ("kill -40 $$", 168),
    ] {
        assert_eq!(Builder::new().start(script).wait().code, code, "{script}");
    }
}

#[test]
fn a_cmd_that_cannot_start_is_126_or_127_and_named() {
    let cases: [(&str, i32, &str); 5] = [
        ("no-such-program", 127, "`no-such-program` not found"),
        ("/tmp/missing", 127, "`/tmp/missing` not found"),
        ("/tmp/plain", 126, "`/tmp/plain` is not executable"),
        ("/tmp", 126, "`/tmp` is a directory"),
        ("/tmp/noformat", 126, "`/tmp/noformat` is in no format"),
    ];
    for (program, code, message) in cases {
        let mut sandbox = Builder::new()
            .file("/tmp/plain", "#!/bin/sh\n", 0o644)
            .program("/tmp/noformat", "echo run by a shell\n")
            .start_words(&[program]);
        let end = sandbox.wait();
        assert_eq!(end.code, code, "{program}: {end:?}");
        assert!(end.stderr.contains(message), "{program}: {end:?}");
        assert_eq!(end.stdout, "");
    }
}

#[test]
fn arguments_are_exact() {
    let script = "for word; do printf '<%s>' \"$word\"; done";
    let words = [
        "sh", "-c", script, "sh", "", " a  b ", "--user", "--", "\u{e9}\n", "$HOME",
    ];
    let end = Builder::new().start_words(&words).wait();
    assert_eq!(end.stdout, "<>< a  b ><--user><--><\u{e9}\n><$HOME>");
}

#[test]
fn the_environment_is_exact_but_for_what_the_contract_names() {
    let end = Builder::new()
        .with_token()
        .env("OPENCODE_SERVER_PASSWORD", "canary-password")
        .env("ODD", "a=b\n c")
        .env("AMIKA_OPENCODE_WEB", "0")
        .start_words(&["env", "-0"])
        .wait();
    let variables = end.stdout.split_terminator('\0');
    // The shell that makes the test's root sets its own.
    let mut variables: Vec<_> = variables.filter(|pair| !pair.starts_with("PWD=")).collect();
    variables.sort_unstable();
    assert_eq!(
        variables,
        [
            "AMIKA_AGENT_CWD=/home/amika/workspace",
            "AMIKA_OPENCODE_WEB=0",
            "GIT_CONFIG_COUNT=1",
            "GIT_CONFIG_KEY_0=safe.directory",
            "GIT_CONFIG_VALUE_0=*",
            "HOME=/home/amika",
            "LOGNAME=amika",
            "ODD=a=b\n c",
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "USER=amika",
        ]
    );
}

#[test]
fn cmd_runs_as_the_agent_or_as_whom_it_was_told() {
    for (user, ids) in [
        (None, "1000 1000 1000 900\n"),
        (Some("other"), "2000 2000 2000\n"),
        (Some("4242"), "4242 0 0\n"),
        (Some("1000:900"), "1000 900 900\n"),
        (Some("root"), "0 0 0\n"),
    ] {
        let options: Vec<_> = user.iter().flat_map(|user| ["--user", user]).collect();
        let end = Builder::new()
            .options(&options)
            .start("echo $(id -u) $(id -g) $(id -G)")
            .wait();
        assert_eq!(end.stdout, ids, "{user:?}: {end:?}");
    }
    let end = Builder::new()
        .options(&["--user", "nobody-here"])
        .start("true")
        .wait();
    assert_eq!(end.code, 70);
    assert!(
        end.stderr.contains("no user `nobody-here` in /etc/passwd"),
        "{end:?}"
    );
}

#[test]
fn a_workdir_is_for_cmd_alone() {
    let end = Builder::new()
        .options(&["--workdir", "/srv/new"])
        .setup("#!/bin/sh\npwd\n")
        .start("pwd; echo $AMIKA_AGENT_CWD")
        .wait();
    assert_eq!(
        end.stdout,
        "/home/amika/workspace\n/srv/new\n/home/amika/workspace\n"
    );
}

#[test]
fn signal_mask_and_dispositions_are_as_the_container_was_given_them() {
    // env(1) sets them up before amikad, and shows what came through.
    let show = ["grep", "-E", "^Sig(Blk|Ign):", "/proc/self/status"];
    for wrapper in [
        &[
            "env",
            "--ignore-signal=PIPE",
            "--ignore-signal=HUP",
            "--block-signal=USR2",
        ][..],
        &["env", "--default-signal=PIPE"],
    ] {
        let mut direct = std::process::Command::new(wrapper[0]);
        let direct = direct
            .args(&wrapper[1..])
            .args(show)
            .output()
            .unwrap()
            .stdout;
        let end = Builder::new().wrapped(wrapper).start_words(&show).wait();
        let masks = |text: &str| -> Vec<u64> {
            let digits = text
                .lines()
                .map(|line| line.split_whitespace().nth(1).unwrap());
            // 32 and 33 belong to the C library, which handles them in every threaded program.
            digits
                .map(|digits| u64::from_str_radix(digits, 16).unwrap() & !(3 << 31))
                .collect()
        };
        assert_eq!(
            masks(&end.stdout),
            masks(std::str::from_utf8(&direct).unwrap()),
            "{wrapper:?}"
        );
    }
}

#[test]
fn inherited_descriptors_are_passed_on_and_none_of_ours() {
    let end = Builder::new()
        .wrapped(&[
            "sh",
            "-c",
            "exec 7</etc/passwd; ls /proc/self/fd; exec \"$@\"",
            "sh",
        ])
        .start_words(&["ls", "/proc/self/fd"])
        .wait();
    let lines: Vec<_> = end.stdout.lines().collect();
    let (before, after) = lines.split_at(lines.len() / 2);
    assert_eq!(before, after);
    assert!(after.contains(&"7"));
}

#[test]
fn closed_standard_streams_do_no_harm() {
    let mut sandbox = Builder::new()
        .wrapped(&["sh", "-c", "exec \"$@\" <&- >&- 2>&-", "sh"])
        .setup("#!/bin/sh\necho lost\n")
        .start("cat; exit 6");
    assert_eq!(sandbox.wait().code, 6);
    assert_eq!(sandbox.read("/var/log/amikad/setup.log"), "lost\n");
}

#[test]
fn a_stopped_cmd_has_not_ended() {
    let mut sandbox = Builder::new().start("(sleep 0.2; kill -CONT $$) & kill -STOP $$; exit 5");
    assert_eq!(sandbox.wait().code, 5);
}

#[test]
fn orphans_are_reaped_and_the_exit_code_is_right_amid_a_storm() {
    let mut sandbox = Builder::new().with_token().start(
        "i=0; while [ $i -lt 500 ]; do (sh -c 'exit 3' & ) ; i=$((i+1)); done; \
         until [ -e /tmp/go ]; do sleep 0.02; done; \
         for i in 1 2 3 4 5 6 7 8 9; do (sleep 0.01 &); done; exit 23",
    );
    sandbox.until_status("500 orphans", |status| {
        status["reaped_orphans"].as_u64() >= Some(500)
    });
    let zombies = sandbox.exec(&[
        "sh",
        "-c",
        "grep -l '^State:.Z' /proc/[0-9]*/status | wc -l",
    ]);
    let mut zombies = zombies;
    crate::support::eventually("no zombie left", || {
        (zombies.output().unwrap().stdout == b"0\n").then_some(())
    });
    std::fs::write(sandbox.path("/tmp/go"), "").unwrap();
    assert_eq!(sandbox.wait().code, 23);
}

#[test]
fn when_it_is_not_pid_1_it_still_reaps_and_ends_what_is_left() {
    let mut sandbox = Builder::new().not_init().start(
        "(setsid sh -c 'trap \"\" TERM; touch /tmp/up; while :; do sleep 0.05; done' &); \
                until [ -e /tmp/up ]; do sleep 0.01; done; echo $(cat /proc/$PPID/comm) $$; exit 4",
    );
    let end = sandbox.wait();
    assert_eq!(end.code, 4);
    assert!(!end.stdout.contains(" 1\n"), "{end:?}");
}

#[test]
fn when_memory_is_short_the_kernel_takes_cmd_before_the_daemon() {
    let own = std::fs::read_to_string("/proc/self/oom_score_adj").unwrap();
    let raised = (own.trim().parse::<i32>().unwrap() + 300).min(1000);
    let end = Builder::new()
        .start("cat /proc/1/oom_score_adj /proc/self/oom_score_adj")
        .wait();
    assert_eq!(end.stdout, format!("{own}{raised}\n"));
}

#[test]
fn a_script_is_called_by_the_name_it_was_given() {
    let end = Builder::new()
        .program("/home/amika/workspace/run.sh", "#!/bin/sh\necho $0\n")
        .start_words(&["./run.sh"])
        .wait();
    assert_eq!(end.stdout, "./run.sh\n");
}

#[test]
fn a_daemon_with_nothing_to_do_sleeps() {
    let sandbox = Builder::new()
        .setup("#!/bin/sh\nexit 0\n")
        .start("until [ -e /tmp/go ]; do sleep 0.02; done; sleep 3; touch /tmp/up; sleep 60");
    assert_eq!(sandbox.get("/livez").status, 200);
    // Setup is over, and what followed it.
    sandbox.until_phase("running");
    // What was asked until now may take a moment for its end.
    crate::support::eventually("it is quiet", || {
        let before = sandbox.sleeps();
        std::thread::sleep(Duration::from_millis(500));
        (sandbox.sleeps() == before).then_some(())
    });
    std::fs::write(sandbox.path("/tmp/go"), "").unwrap();
    let before = sandbox.sleeps();
    // Three seconds by CMD's own clock: one tick a second would show.
    crate::support::eventually("CMD", || sandbox.path("/tmp/up").exists().then_some(()));
    let woken = sandbox.sleeps() - before;
    assert!(woken <= 2, "{woken} times");
}
