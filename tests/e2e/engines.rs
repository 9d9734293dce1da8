//! Engines whose socket is here and who are elsewhere: create, the setup gate, exec and delete work.

mod cannot;

use crate::support::{Browser, DEBIAN, Run, Sandbox, Stage};

const QUIET: [&str; 2] = ["--env", "AMIKA_OPENCODE_WEB=0"];

/// Makes, asks and removes a sandbox, each by a command that is prepared by `way`.
fn works(stage: &Stage, way: impl Fn(&Sandbox<'_>, &str) -> Run) {
    let sandbox = stage.adopt(stage.name());
    let setup = stage.script(
        "setup.sh",
        "#!/bin/sh\nsleep 0.3\necho gate >/tmp/gate\necho from setup\n",
    );
    let name = sandbox.name.as_str();
    let create = format!(
        "sandbox create --name {name} --image {DEBIAN} {} --setup-script {setup} -- sleep infinity",
        QUIET.join(" ")
    );
    way(&sandbox, &create).output().ended(0, &["setup"]);
    let asked = way(&sandbox, &format!("sandbox exec {name} -- cat /tmp/gate")).output();
    assert_eq!((asked.code, asked.stdout_text().as_str()), (0, "gate\n"));
    let log = way(&sandbox, &format!("sandbox logs {name}")).output();
    assert_eq!((log.code, log.stdout_text().as_str()), (0, "from setup\n"));
    way(
        &sandbox,
        &format!("sandbox delete --force --volumes {name}"),
    )
    .output()
    .ended(0, &[]);
}

/// Few enough that it can still be said which engines Amika runs on.
const MOST_ROWS: usize = 10;

#[test]
fn what_engines_cannot_do_is_what_the_table_says_and_it_is_short() {
    let text = include_str!("../../docs/engines.md");
    let (_, table) = text.split_once("## What an engine cannot do").unwrap();
    let rows = table.lines().filter(|line| line.starts_with("| "));
    // Below the head of the table.
    let rows: Vec<Vec<&str>> = rows.skip(1).map(|row| row.split(" | ").collect()).collect();
    let words: Vec<String> = rows.iter().map(|row| row[2].replace('`', "")).collect();
    assert_eq!(words.len(), cannot::WORDS.len(), "{words:?}");
    for (told, asserted) in words.iter().zip(cannot::WORDS) {
        assert!(told.starts_with(asserted), "{told} | {asserted}");
    }

    // What tests are not run for is either one of the rows or counts as another.
    let mut counted = rows.len();
    let left_out = include_str!("../engines/left-out");
    let (_, blocks) = left_out.split_once("\n\n").unwrap();
    for block in blocks.split("\n\n") {
        let (reason, tests) = block.split_once('\n').unwrap();
        assert!(
            tests.lines().all(|line| !line.starts_with('#')),
            "one reason for each block: {block}"
        );
        let (kind, what) = reason.split_once(": ").unwrap();
        match kind {
            "# Tests" => {}
            "# Row" => assert!(rows.iter().any(|row| row[1].starts_with(what)), "{what}"),
            "# Engine" => {
                assert!(table.contains(&format!("- {what}")), "{what}");
                counted += 1;
            }
            _ => panic!("no reason: {block}"),
        }
    }
    assert!(counted <= MOST_ROWS, "{counted}");
}

/// The one of all that is asked of every engine at each change (`scripts/test-engines`).
#[test]
fn every_engine_makes_a_sandbox_with_a_gate_runs_programs_and_removes_it() {
    let stage = Stage::new();
    works(&stage, |_, command| {
        let words: Vec<&str> = command.split(' ').collect();
        stage.amika(&words)
    });
    stage.nothing_was_made();
}

/// The host's ports are not reached from there, as from a container with the engine's socket.
#[test]
fn an_engine_that_publishes_in_another_network_is_reached_through_the_relay() {
    let stage = Stage::new();
    works(&stage, |_, command| {
        stage.shell(&format!("exec unshare --net \"$0\" {command}"), &[])
    });
}

/// The relay takes longer than a script that does nothing but say something.
#[test]
fn all_that_setup_said_is_shown_through_the_relay_though_it_ended_at_once() {
    let stage = Stage::new();
    let fails = "#!/bin/sh\nfor i in $(seq 300); do echo line $i; done\nexit 7\n";
    let fine = "#!/bin/sh\nfor i in $(seq 300); do echo line $i; done\n";
    for (script, cmd, code) in [(fails, "sleep 600", 20), (fine, "exit 5", 1)] {
        let setup = stage.script("setup.sh", script);
        let sandbox = stage.adopt(stage.name());
        let command = format!(
            "exec unshare --net \"$0\" sandbox create --name {} --image {DEBIAN} --setup-script {setup} -- sh -c '{cmd}'",
            sandbox.name
        );
        let created = stage.shell(&command, &[]).output();
        assert_eq!(created.code, code, "{created:?}");
        let told = created.stderr_text();
        for line in 1..=300 {
            let is_it = |told: &&str| told.trim_end().ends_with(&format!(" line {line}"));
            assert_eq!(told.lines().filter(is_it).count(), 1, "line {line}: {told}");
        }
    }
}

/// The kernel tells that who listens is in no PID namespace of ours; the other files would be meant.
#[test]
fn a_socket_whose_engine_is_outside_this_pid_namespace_gives_no_paths_of_this_one() {
    let stage = Stage::new();
    let inside = |command: &str| {
        let script =
            format!("exec unshare --net --pid --fork --kill-child --mount-proc \"$0\" {command}");
        stage.shell(&script, &[])
    };
    works(&stage, |_, command| inside(command));
    let bind = format!("sandbox create --image {DEBIAN} --mount /etc:/x:rw");
    inside(&bind)
        .output()
        .ended(2, &["the engine is on another machine", "/etc:/x:rwcopy"]);
}

/// Neither a published port nor an engine of this machine is needed: it goes the way that `exec` goes.
#[test]
fn open_reaches_opencode_that_is_published_nowhere_and_whose_engine_is_elsewhere() {
    let stage = Stage::new();
    let setup = stage.script("setup.sh", crate::impostor::SETUP);
    let args = ["--network", "none", "--setup-script", &setup];
    let sandbox = stage.sandbox(DEBIAN, &[&args[..], &["--", "sleep", "600"]].concat());
    let script = format!(
        "exec unshare --pid --fork --kill-child --mount-proc \"$0\" sandbox open --print-url {}",
        sandbox.name
    );
    let running = stage.shell(&script, &[]).start();
    let page = Browser::sign_in(&running).get("").unwrap();
    assert!(page.starts_with("HTTP/1.1 200 "), "{page}");
    assert!(page.contains("healthy"), "it is the sandbox's own: {page}");
}

/// A stand-in for `ssh` is this machine's shell: what is asked of ssh is what is tested.
#[test]
fn an_engine_behind_ssh_is_reached_by_its_dial_stdio() {
    let stage = Stage::new();
    stage.script(
        "bin/ssh",
        "#!/bin/sh\n\
         unset DOCKER_HOST\n\
         case \" $* \" in\n\
         *nowhere*) echo 'ssh: no such host' >&2; exit 255 ;;\n\
         *' -M '*) : >\"$2\"; exec sleep 600 ;;\n\
         *' -- me@far docker system dial-stdio ') exec docker system dial-stdio ;;\n\
         esac\n\
         exit 254\n",
    );
    let through = |host: &str, command: &str| {
        let bin = stage.home().join("bin");
        let script = format!(
            "PATH={}:$PATH DOCKER_HOST={host} exec \"$0\" {command}",
            bin.display()
        );
        stage.shell(&script, &[])
    };
    works(&stage, |_, command| through("ssh://me@far", command));
    let left = stage.temporary();
    assert!(left.is_empty(), "{left:?}");
    through("ssh://nowhere", "ls")
        .output()
        .ended(5, &["ssh: no such host", "ssh://nowhere"]);
}

/// As for cron, `sudo -u` and `su`.
#[test]
fn a_home_and_a_runtime_directory_that_are_not_there_are_no_obstacle() {
    let stage = Stage::new();
    works(&stage, |_, command| {
        let script = format!(
            "unset XDG_DATA_HOME XDG_CONFIG_HOME; HOME=/proc/nope XDG_RUNTIME_DIR=/proc/nope exec \"$0\" {command}"
        );
        stage.shell(&script, &[])
    });
}
