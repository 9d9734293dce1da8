//! Jobs in sandboxes of a server, agents among them, and shells that outlive a connection: by the API and the command line.

use rustix::process::Signal;
use serde_json::{Value, json};

use super::client::{Server, done};
use crate::support::{DEBIAN, Run, Stage, eventually};

/// The id that a command printed.
#[track_caller]
fn id(run: Run) -> String {
    let id = done(run).stdout_text().trim_end().to_owned();
    assert!(!id.is_empty() && !id.contains(char::is_whitespace), "{id}");
    id
}

#[test]
fn a_job_is_started_listed_read_signalled_and_ended_by_the_api() {
    let stage = Stage::new();
    let server = Server::start(&stage, &[]);
    let made = server.create(DEBIAN, json!({ "env_vars": { "GREETING": "hello" } }));
    let sandbox = made["id"].as_str().unwrap();
    let jobs = format!("/sandboxes/{sandbox}/jobs");
    assert_eq!(server.get(&jobs).expect(200)["items"], json!([]));
    let body = json!({ "shell": "trap 'echo caught; exit 7' INT; echo $GREETING $TWO; pwd; cat; while :; do sleep 0.05; done",
        "cwd": "/tmp", "env": { "TWO": "too" }, "input": "typed\n" });
    let job = server.post(&jobs, &body).expect(201);
    let first = job["id"].as_str().unwrap().to_owned();
    let one = format!("{jobs}/{first}");
    let log = format!("{one}/log");
    eventually("it to write", || {
        server.get(&log).body.contains("hello too\n/tmp\ntyped\n")
    });
    let shown = server.get(&one).expect(200);
    assert_eq!(
        (&shown["state"], &shown["exit_code"]),
        (&json!("running"), &Value::Null)
    );
    assert!(
        shown["started_at"].as_str().unwrap().ends_with('Z'),
        "{shown}"
    );
    assert_eq!(
        server.get(&jobs).expect(200)["items"][0]["id"],
        first.as_str()
    );

    // It is asked by a signal, and another is ended though it heeds none.
    let signal = format!("{one}/signal");
    let refused = server.post(&signal, &json!({ "signal": "NOPE" }));
    assert_eq!(refused.status, 400, "{refused:?}");
    server
        .post(&signal, &json!({ "signal": "INT" }))
        .expect(202);
    let all = server.get(&format!("{log}?follow=true"));
    assert!(all.body.contains("caught\n"), "{all:?}");
    let last = server.get(&format!("{log}?tail=1")).body;
    assert!(
        last.contains("caught\n") && !last.contains("typed"),
        "{last}"
    );
    let ended = server.get(&one).expect(200);
    assert_eq!(
        (&ended["state"], &ended["exit_code"]),
        (&json!("ended"), &json!(7))
    );
    assert_eq!(
        server.post(&signal, &json!({ "signal": "INT" })).status,
        409
    );
    let stubborn =
        json!({ "cmd": ["sh", "-c", "trap '' TERM; echo deaf; while :; do sleep 0.05; done"] });
    let stubborn = server.post(&jobs, &stubborn).expect(201);
    let stubborn = format!("{jobs}/{}", stubborn["id"].as_str().unwrap());
    eventually("it to heed no signal", || {
        server
            .get(&format!("{stubborn}/log"))
            .body
            .contains("deaf\n")
    });
    server.delete(&stubborn).expect(202);
    eventually("it to be killed", || {
        server.get(&stubborn).expect(200)["signal"] == 9
    });
    server.delete(&stubborn).expect(202);

    // What cannot be, and who may not.
    for body in [
        json!({}),
        json!({ "cmd": [] }),
        json!({ "cmd": ["a"], "shell": "b" }),
        json!({ "cmd": ["a"], "cwd": "" }),
        json!({ "cmd": ["a"], "env": { "A=B": "" } }),
        json!({ "cmd": ["a"], "comand": 1 }),
        json!({ "cmd": ["a"], "root": true, "user": "b" }),
    ] {
        assert_eq!(server.post(&jobs, &body).status, 400, "{body}");
    }
    for path in ["no-such", "..", "a%2Fb"] {
        assert_eq!(server.get(&format!("{jobs}/{path}")).status, 404, "{path}");
    }
    let good = json!({ "cmd": ["true"] });
    let read = server.key(&["read"]);
    assert_eq!(server.ask(&read, "POST", &jobs, Some(&good)).status, 403);
    assert_eq!(server.ask(&read, "DELETE", &one, None).status, 403);
    assert_eq!(server.ask(&read, "GET", &log, None).status, 200);
    let ada = server.member("ada");
    assert_eq!(server.ask(&ada, "GET", &jobs, None).status, 404);
    assert_eq!(server.ask(&ada, "GET", &log, None).status, 404);
    assert_eq!(server.ask(&ada, "POST", &jobs, Some(&good)).status, 404);
    let stop = format!("/sandboxes/{sandbox}/stop");
    server.post(&stop, &json!({})).expect(202);
    server.until(sandbox, "stopped");
    assert_eq!(server.get(&jobs).status, 409);
    assert_eq!(server.post(&jobs, &good).status, 409);
    server.remove(sandbox);
}

#[test]
fn a_job_of_a_servers_sandbox_is_started_waited_for_and_ended_by_the_command_line() {
    let stage = Stage::new();
    let server = Server::start(&stage, &[]);
    let made = server.create(DEBIAN, json!({}));
    let name = made["name"].as_str().unwrap();
    let amika = |args: &[&str]| server.amika(args);
    let script = "echo $TWO; pwd; until [ -e /tmp/go ]; do sleep 0.05; done; echo last; exit 7";
    let exec = [
        "sandbox",
        "exec",
        "-d",
        "--env",
        "TWO=too",
        "--workdir",
        "/tmp",
        name,
        "--",
        "sh",
        "-c",
    ];
    let start = |script: &str| id(amika(&[&exec[..], &[script]].concat()));
    let job = start(script);
    let condition = format!("job:{job}");
    let wait = ["sandbox", "wait", name, "--for", &condition];
    let late = amika(&[&wait[..], &["--timeout", "0"]].concat()).output();
    late.ended(21, &["did not end in time", &format!("--job {job}`")]);
    let reading = amika(&["sandbox", "logs", "-f", name, "--job", &job]).start();
    reading.says("too\n/tmp\n");
    let listed = done(amika(&["sandbox", "jobs", name])).stdout_text();
    let row = listed.lines().find(|row| row.starts_with(&job)).unwrap();
    assert!(
        row.contains("running") && row.contains("echo $TWO"),
        "{listed}"
    );
    let waiting = amika(&[&["-o", "json"], &wait[..]].concat()).start();
    done(amika(&["sandbox", "exec", name, "--", "touch", "/tmp/go"]));
    let waited = waiting.wait();
    assert_eq!(waited.code, 7, "{waited:?}");
    assert_eq!(waited.json()["exit_code"], 7);
    let read = reading.wait();
    assert_eq!(
        (read.code, read.stdout_text().as_str()),
        (0, "too\n/tmp\nlast\n")
    );

    // Ended, with what they end with; and asked by a signal.
    let (one, two) = (
        start("exec sleep 1000"),
        start("trap 'exit 3' INT; while :; do sleep 0.05; done"),
    );
    let stopped = done(amika(&[
        "-o", "json", "sandbox", "jobs", name, "--stop", &one,
    ]))
    .json();
    assert_eq!(
        (&stopped[0]["id"], &stopped[0]["signal"]),
        (&json!(one), &json!(15))
    );
    let told = done(amika(&[
        "sandbox", "jobs", name, "--stop", &two, "--signal", "INT",
    ]));
    assert_eq!(told.stdout_text(), format!("{two}\n"));
    let condition = format!("job:{two}");
    amika(&["sandbox", "wait", name, "--for", &condition])
        .output()
        .ended(3, &[]);
    for (args, code, words) in [
        (&["--stop", "no-such"][..], 3, "has no job \"no-such\""),
        (&["--stop", &two, "--signal", "INT"], 4, "has ended"),
        (&["--signal", "INT"], 2, "--stop"),
        (&["--stop", ""], 2, "--stop"),
    ] {
        let args = [&["sandbox", "jobs", name][..], args].concat();
        amika(&args).output().ended(code, &[words]);
    }
    amika(&["sandbox", "wait", name, "--for", "job:no-such"])
        .output()
        .ended(3, &["has no job"]);
    amika(&["sandbox", "jobs", "no-such-sandbox"])
        .output()
        .ended(3, &["there is no sandbox"]);
    server.remove(name);
}

#[test]
fn an_agent_in_a_servers_sandbox_works_as_a_job_goes_on_and_tells_of_it() {
    let stage = Stage::new();
    let server = Server::start(&stage, &[]);
    // Says what it was given, in place of an agent that would need an account.
    let image = stage.image(&format!(
        "FROM {DEBIAN}\nRUN printf '#!/bin/sh\\necho \"$*\"; cat; exit 6\\n' >/usr/bin/claude && chmod +x /usr/bin/claude\n"
    ));
    // What could be a key is one, for who does not know the agent.
    let key = json!({ "env_vars": { "ANTHROPIC_API_KEY": "none" } });
    let made = server.create(&image, key);
    let name = made["name"].as_str().unwrap();
    let amika = |args: &[&str]| server.amika(args);
    let prompt = |options: &[&str]| {
        let args = [
            &["sandbox", "prompt", "--agent", "claude"][..],
            options,
            &[name, "-"],
        ];
        amika(&args.concat()).input("do \"it\"\n")
    };
    let flags = "--print --dangerously-skip-permissions";
    let job = id(prompt(&["-d"]));
    let condition = format!("job:{job}");
    amika(&["sandbox", "wait", name, "--for", &condition])
        .output()
        .ended(6, &[]);
    let log = done(amika(&["sandbox", "logs", name, "--job", &job])).stdout_text();
    assert_eq!(log, format!("{flags}\ndo \"it\"\n"));
    for (option, words) in [
        (&["--continue"][..], "--output-format json --continue"),
        (&["--events"], "--output-format stream-json --verbose"),
    ] {
        let given = prompt(option).output();
        assert_eq!(given.code, 6, "{given:?}");
        assert_eq!(given.stdout_text(), format!("{flags} {words}\ndo \"it\"\n"));
    }
    let empty = prompt(&["-d"]).input(" \n").output();
    assert_eq!(empty.code, 125, "{empty:?}");
    server.remove(name);
}

#[test]
fn a_session_of_a_servers_sandbox_outlives_its_terminal_and_is_found_again() {
    let stage = Stage::new();
    let server = Server::start(&stage, &[]);
    let made = server.create(DEBIAN, json!({}));
    let name = made["name"].as_str().unwrap();
    let variables = [
        ("AMIKA_DEFAULT", "remote"),
        ("AMIKA_API_URL", &server.url()),
        ("AMIKA_API_KEY", &server.admin),
    ];
    let connect = |session: &str| {
        let args = ["sandbox", "connect", name, "--session", session];
        stage.on_terminal_of(80, &variables, &args)
    };
    let mut first = connect("work");
    first
        .types("echo $((40+2)) $PWD; stty size; MINE=kept\r")
        .shows("42 /home/amika/workspace")
        .shows("24 80");
    first
        .resize(50, 132)
        .types("sleep 0.5; stty size\r")
        .shows("50 132");
    first.signal(Signal::HUP);
    assert_eq!(first.wait(), 129);
    assert!(first.is_cooked());
    first.shows(&format!(
        "`amika sandbox connect --remote {name} --session work` finds it again"
    ));
    let mut again = connect("work");
    again.shows("42 /home/amika/workspace");
    again.types("echo $MINE-$((1+1))\r").shows("kept-2");
    again.signal(Signal::KILL);
    again.wait();
    let mut last = connect("work");
    last.types("echo $MINE-$((1+2))\r").shows("kept-3");
    last.types("exit 9\r");
    assert_eq!(last.wait(), 9);
    assert!(last.is_cooked());
    let (code, screen) = connect("a/b").end();
    assert!(
        code == 125 && screen.contains("letters, digits"),
        "{code} {screen}"
    );
    // With the sandbox it ends too.
    let mut other = connect("other");
    other.types("echo up-$((1+1))\r").shows("up-2");
    let stop = format!("/sandboxes/{name}/stop");
    server.post(&stop, &json!({})).expect(202);
    let (code, screen) = other.end();
    assert!([125, 129].contains(&code), "{code} {screen}");
    server.until(name, "stopped");
    server.remove(name);
}
