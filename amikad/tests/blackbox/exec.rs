//! `exec-as`, `kill`, `shell`, `relay` and `health`, as the host uses them.

use std::io::Write;
use std::process::Stdio;

use crate::support::{Builder, Sandbox, TOKEN, eventually, parse};

fn sandbox() -> Sandbox {
    let sandbox = Builder::new()
        .with_token()
        .env("OPENCODE_SERVER_PASSWORD", "canary")
        .start_idle();
    sandbox.until_phase("running");
    sandbox
}

fn output(sandbox: &Sandbox, words: &[&str]) -> (i32, String, String) {
    let output = sandbox.exec(words).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code().unwrap_or(-1),
        text(output.stdout),
        text(output.stderr),
    )
}

#[test]
fn exec_as_runs_as_the_agent_with_the_agents_environment() {
    let sandbox = sandbox();
    let script = "id -u; id -g; id -G; pwd; echo $HOME $USER $LOGNAME; git config safe.directory; env | grep -c -E 'canary|TOKEN'";
    let (code, stdout, _) = output(&sandbox, &["/amikad", "exec-as", "--", "sh", "-c", script]);
    assert_eq!(
        stdout,
        "1000\n1000\n1000 900\n/home/amika/workspace\n/home/amika amika amika\n*\n0\n"
    );
    assert_eq!(code, 1, "grep's own");
    let user = [
        "/amikad",
        "exec-as",
        "--user",
        "root",
        "--workdir",
        "/tmp",
        "--env",
        "A=b=c",
        "--",
        "sh",
        "-c",
        "id -u; pwd; echo $A",
    ];
    assert_eq!(output(&sandbox, &user).1, "0\n/tmp\nb=c\n");
}

#[test]
fn exec_as_says_what_is_wrong() {
    let sandbox = sandbox();
    for (words, code, message) in [
        (
            &["exec-as", "--", "no-such"][..],
            127,
            "`no-such` not found",
        ),
        (&["exec-as", "--", "/etc/passwd"], 126, "is not executable"),
        (
            &["exec-as", "--user", "nope", "--", "true"],
            125,
            "no user `nope`",
        ),
        (&["exec-as"], 2, "needs a command"),
        (&["nonsense"], 2, "unknown command"),
    ] {
        let all: Vec<&str> = std::iter::once("/amikad")
            .chain(words.iter().copied())
            .collect();
        let (got, _, stderr) = output(&sandbox, &all);
        assert_eq!(got, code, "{words:?}: {stderr}");
        assert!(stderr.contains(message), "{words:?}: {stderr}");
    }
    let (code, stdout, stderr) = output(
        &sandbox,
        &["/amikad", "exec-as", "--workdir", "/gone", "--", "pwd"],
    );
    assert_eq!((code, stdout.as_str()), (126, ""));
    assert!(stderr.contains("cannot enter /gone"), "{stderr}");
}

#[test]
fn a_relative_directory_is_meant_from_the_agents() {
    let sandbox = sandbox();
    let make = ["sh", "-c", "mkdir -p /home/amika/workspace/scripts"];
    assert_eq!(output(&sandbox, &make).0, 0);
    let relative = ["/amikad", "exec-as", "--workdir", "scripts", "--", "pwd"];
    let (code, stdout, _) = output(&sandbox, &relative);
    assert_eq!(
        (code, stdout.as_str()),
        (0, "/home/amika/workspace/scripts\n")
    );
}

#[test]
fn without_the_agents_directory_a_program_begins_in_the_nearest_that_is_there() {
    let sandbox = sandbox();
    let remove = ["sh", "-c", "rm -rf /home/amika/workspace"];
    assert_eq!(output(&sandbox, &remove).0, 0);
    let (code, stdout, stderr) = output(&sandbox, &["/amikad", "exec-as", "--", "pwd"]);
    assert_eq!((code, stdout.as_str()), (0, "/home/amika\n"));
    assert!(stderr.contains("starting in /home/amika"), "{stderr}");
}

#[test]
fn what_was_chosen_for_a_program_wins_over_what_amikad_sets() {
    let sandbox = sandbox();
    let mut exec = sandbox.exec(&[
        "/amikad",
        "exec-as",
        "--",
        "sh",
        "-c",
        "echo $HOME $USER $S; env | grep -c EXEC_ENV",
    ]);
    exec.env("AMIKA_EXEC_ENV", "HOME=USER=S=ABSENT");
    exec.env("HOME", "/root")
        .env("USER", "ada")
        .env("S", "secret");
    let ended = exec.output().unwrap();
    let text = String::from_utf8_lossy(&ended.stdout);
    assert_eq!(text, "/root ada secret\n0\n");
}

#[test]
fn kill_reaches_the_whole_group_of_an_exec_and_knows_when_it_is_gone() {
    let sandbox = sandbox();
    let script = "sleep 60 & echo $! > /tmp/child; wait";
    let mut exec = sandbox
        .exec(&[
            "/amikad", "exec-as", "--id", "job-1", "--", "sh", "-c", script,
        ])
        .spawn()
        .unwrap();
    sandbox.until_file_has("/tmp/child", "\n");
    assert_eq!(
        output(&sandbox, &["/amikad", "kill", "--id", "job-1", "0"]).0,
        0
    );
    assert_eq!(
        output(&sandbox, &["/amikad", "kill", "--id", "job-1", "TERM"]).0,
        0
    );
    eventually("the exec's end", || exec.try_wait().unwrap());
    let child = sandbox.read("/tmp/child");
    let stat = format!("/proc/{}/stat", child.trim());
    eventually("the child's end", || {
        (output(&sandbox, &["test", "-e", &stat]).0 == 1).then_some(())
    });
    assert_eq!(
        output(&sandbox, &["/amikad", "kill", "--id", "job-1", "TERM"]).0,
        3
    );
    assert_eq!(
        output(&sandbox, &["/amikad", "kill", "--id", "never", "TERM"]).0,
        3
    );
    assert_eq!(
        output(&sandbox, &["/amikad", "kill", "--id", "../x", "TERM"]).0,
        2
    );
}

#[test]
fn a_process_that_took_the_number_is_never_signalled() {
    let sandbox = sandbox();
    let script = "echo \"1 12345 0 program\" > /run/amikad/exec/stale";
    assert_eq!(output(&sandbox, &["sh", "-c", script]).0, 0);
    assert_eq!(
        output(&sandbox, &["/amikad", "kill", "--id", "stale", "KILL"]).0,
        3
    );
    assert_eq!(sandbox.get("/livez").status, 200);
}

#[test]
fn shell_is_the_users_login_shell_else_one_that_is_there() {
    let sandbox = sandbox();
    let script = "echo $0 $SHELL $USER; exit 4\n";
    for (words, said) in [
        (&["/amikad", "shell"][..], "-sh /bin/sh amika\n"),
        // Its own shell does not exist.
        (
            &[
                "/amikad",
                "shell",
                "--user",
                "other",
                "--env",
                "PATH=/nowhere:/usr/bin",
            ],
            "other\n",
        ),
    ] {
        let mut child = sandbox
            .exec(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(script.as_bytes())
            .unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(4));
        let stdout = String::from_utf8(output.stdout).unwrap();
        assert!(stdout.ends_with(said), "{stdout}");
    }
    let none = [
        "/amikad",
        "shell",
        "--user",
        "other",
        "--env",
        "PATH=/nowhere",
    ];
    let (code, _, stderr) = output(&sandbox, &none);
    assert_eq!(code, 127);
    assert!(stderr.contains("no shell"), "{stderr}");
}

#[test]
fn relay_speaks_the_api_for_root_without_a_token() {
    let sandbox = sandbox();
    let mut child = sandbox
        .exec(&["/amikad", "relay"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // Input stays open: the daemon's close ends the relay.
    let mut stdin = child.stdin.take().unwrap();
    stdin
        .write_all(b"GET /v1/status HTTP/1.1\r\nHost: anything\r\nConnection: close\r\n\r\n")
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(
        parse(&String::from_utf8(output.stdout).unwrap()).json()["pid"],
        1
    );
}

#[test]
fn relay_half_closes_and_still_brings_the_answer() {
    let sandbox = sandbox();
    let mut child = sandbox
        .exec(&["/amikad", "relay"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n")
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(
        parse(&String::from_utf8(output.stdout).unwrap()).status,
        200
    );
}

#[test]
fn the_socket_is_for_root_only_and_others_need_the_token() {
    let sandbox = sandbox();
    let relay = |words: &[&str], proof: &str| {
        let mut child = sandbox
            .exec(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let request = format!(
            "GET /v1/status HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{proof}\r\n"
        );
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(request.as_bytes()).unwrap();
        drop(stdin);
        let output = child.wait_with_output().unwrap();
        parse(&String::from_utf8(output.stdout).unwrap()).status
    };
    assert_eq!(relay(&["/amikad", "relay"], ""), 200);
    let agent = ["/amikad", "exec-as", "--", "/amikad", "relay"];
    assert_eq!(relay(&agent, ""), 401);
    let bearer = format!("Authorization: Bearer {TOKEN}\r\n");
    assert_eq!(
        relay(&agent, &bearer),
        401,
        "it is the port that it came to"
    );
}

#[test]
fn health_answers_from_inside() {
    let sandbox = Builder::new()
        .setup("#!/bin/sh\nuntil [ -e /tmp/go ]; do sleep 0.02; done\n")
        .start_idle();
    sandbox.connect();
    assert_eq!(output(&sandbox, &["/amikad", "health"]).0, 0);
    assert_eq!(output(&sandbox, &["/amikad", "health", "--ready"]).0, 1);
    std::fs::write(sandbox.path("/tmp/go"), "").unwrap();
    eventually("readiness", || {
        (output(&sandbox, &["/amikad", "health", "--ready"]).0 == 0).then_some(())
    });
    assert!(
        output(&sandbox, &["/amikad", "--version"])
            .1
            .starts_with("amikad ")
    );
    assert!(
        output(&sandbox, &["/amikad", "--help"])
            .1
            .contains("exec-as")
    );
}
