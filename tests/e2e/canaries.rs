//! A secret is in no argument list, label, event or log, whichever way it comes and whatever is done.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use rustix::process::Signal;

use crate::support::{DEBIAN, Output, Stage, docker};

/// Each way has a canary of its own, so that a failure names it.
const FLAG: &str = "canary-flag-7f3a";
const FILE: &str = "canary-file-91bc";
const EXEC: &str = "canary-exec-c44d";
const SIGN_IN: &str = "canary-signin-2e85";
const PASSWORD: &str = "canary-password-6b10";
const URL: &str = "canary-url-d0f9";
const REGISTRY: &str = "canary-registry-58ce";

/// What the argument lists of all programs of this machine had, looked at over and over.
struct Watch {
    stop: Arc<AtomicBool>,
    seen: Arc<Mutex<BTreeSet<String>>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Watch {
    fn start(canaries: Vec<String>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let seen: Arc<Mutex<BTreeSet<String>>> = Arc::default();
        let (ends, notes) = (Arc::clone(&stop), Arc::clone(&seen));
        let thread = std::thread::spawn(move || {
            while !ends.load(Ordering::Relaxed) {
                for entry in std::fs::read_dir("/proc").unwrap().flatten() {
                    let Ok(line) = std::fs::read(entry.path().join("cmdline")) else {
                        continue;
                    };
                    let line = String::from_utf8_lossy(&line).replace('\0', " ");
                    if canaries.iter().any(|canary| line.contains(canary)) {
                        notes.lock().unwrap().insert(line);
                    }
                }
                std::thread::yield_now();
            }
        });
        Self {
            stop,
            seen,
            thread: Some(thread),
        }
    }

    fn end(mut self) -> BTreeSet<String> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
        self.seen.lock().unwrap().clone()
    }
}

fn has_none(what: &str, text: &str, but: &[&str]) {
    for canary in [FLAG, FILE, EXEC, SIGN_IN, PASSWORD, URL, REGISTRY] {
        if !but.contains(&canary) {
            assert!(!text.contains(canary), "{canary} in {what}: {text}");
        }
    }
}

#[test]
fn a_secret_is_in_no_argument_list_label_event_or_log() {
    let stage = Stage::new();
    stage.repository("served", &[("file", "x")]);
    let forge = crate::repositories::server::Server::start(stage.home());
    let url = forge.url(&format!("me:{URL}@"), "served/.git");
    for (path, text) in [
        (
            ".claude/.credentials.json",
            format!(
                r#"{{"claudeAiOauth":{{"accessToken":"{SIGN_IN}","refreshToken":"r-{SIGN_IN}","expiresAt":4102444800000}}}}"#
            ),
        ),
        (
            ".codex/auth.json",
            format!(r#"{{"OPENAI_API_KEY":"{SIGN_IN}"}}"#),
        ),
        (
            ".docker/config.json",
            format!(
                r#"{{"auths":{{"registry.invalid":{{"username":"me","password":"{REGISTRY}"}}}}}}"#
            ),
        ),
    ] {
        stage.file(path, &text);
    }
    let variables = stage.file("variables", &format!("IN_FILE={FILE}\n"));
    let time = || docker(&["info", "--format", "{{.SystemTime}}"]).stdout_text();
    let since = time();

    let watch = Watch::start(
        [FLAG, FILE, EXEC, SIGN_IN, PASSWORD, REGISTRY, URL]
            .map(str::to_owned)
            .to_vec(),
    );
    let sandbox = stage.adopt(stage.name());
    let name = sandbox.name.as_str();
    let mut said: Vec<(String, i32, Output)> = Vec::new();
    // Values come by this shell, as people are told to give them: a flag's own value is in the list of
    // the program that was called.
    let mut run = |code: i32, args: &[&str]| {
        let mut command = stage.amika(&[&["--debug"], args].concat());
        for (name, value) in [
            ("BY_NAME", FLAG),
            ("OPENCODE_SERVER_PASSWORD", PASSWORD),
            ("OF_EXEC", EXEC),
        ] {
            command = command.env(name, value);
        }
        let output = command.output();
        said.push((args.join(" ").replace(URL, "…"), code, output));
    };
    let secrets = [
        "--env",
        "BY_NAME",
        "--env",
        "OPENCODE_SERVER_PASSWORD",
        "--env-file",
        &variables,
    ];
    let create = [
        "sandbox", "create", "--name", name, "--image", DEBIAN, "--git", &url,
    ];
    run(0, &[&create[..], &secrets[..], &["--dry-run"]].concat());
    let whole = [
        &create[..],
        &secrets[..],
        &["--credentials", "claude,codex", "--port", "8080"],
    ]
    .concat();
    run(0, &whole);
    run(0, &[&whole[..], &["--replace"]].concat());
    let host_file = stage.file("copied", "x");
    let inside = format!("{name}:/tmp/copied");
    let back = stage.home().join("back");
    let volumes = stage.volumes();
    let inspect_volumes: Vec<&str> = ["volume", "inspect"]
        .into_iter()
        .chain(volumes.iter().map(String::as_str))
        .collect();
    let renamed = stage.adopt(stage.name());
    let other = renamed.name.as_str();
    // What was made from its address is its clone.
    let clone = stage.home().join("served");
    let clone = clone.to_str().unwrap();
    let address = forge.url("", "served/.git");
    let origin = format!("git -C {clone} remote add origin {address}");
    stage.shell(&origin, &[]).output().ended(0, &[]);
    for (code, args) in [
        (0, &["sandbox", "ls"][..]),
        (0, &["sandbox", "inspect", name]),
        (0, &["sandbox", "inspect", name, "-o", "json"]),
        (
            0,
            &["sandbox", "exec", "--env", "OF_EXEC", name, "--", "true"],
        ),
        (0, &["sandbox", "cp", &host_file, &inside]),
        (0, &["sandbox", "cp", &inside, back.to_str().unwrap()]),
        (0, &["sandbox", "logs", name]),
        (0, &["sandbox", "logs", "--setup", name]),
        (0, &["sandbox", "logs", "--amikad", name]),
        (0, &["sandbox", "wait", name]),
        (0, &["sandbox", "stats", "--no-stream", name]),
        (0, &["sandbox", "adopt", "--force", name]),
        // It has no git either.
        (7, &["sandbox", "pull", name, "--into", clone]),
        (7, &["sandbox", "diff", name]),
        (7, &["sandbox", "push", name, "--from", clone]),
        // The image has no agent and no OpenCode.
        (127, &["sandbox", "prompt", name, "do it"]),
        (1, &["sandbox", "open", "--print-url", name]),
        (0, &["credentials", "ls"]),
        (0, &["credentials", "status", name]),
        (0, &["credentials", "refresh", name]),
        (0, &["credentials", "pull", name]),
        (0, &["service", "list"]),
        (0, &["volume", "ls"]),
        (0, &inspect_volumes),
        (0, &["system", "df"]),
        (0, &["events", "--since", "10m", "--until", "0"]),
        (0, &["sandbox", "rename", name, other]),
        (0, &["sandbox", "rename", other, name]),
        (0, &["sandbox", "stop", name]),
        (0, &["sandbox", "start", name]),
        (0, &["sandbox", "restart", name]),
        (0, &["sandbox", "stop", name]),
        (0, &["sandbox", "start", "--reassign-ports", name]),
    ] {
        run(code, args);
    }
    // What it finds is the whole engine's, with the sandboxes of others.
    let doctor = stage.amika(&["--debug", "doctor"]).output();
    assert!((0..=1).contains(&doctor.code), "{doctor:?}");
    // It stays until it is ended.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let forwarding = stage
        .amika(&["--debug", "forward", name, &format!("{port}:8080")])
        .env("BY_NAME", FLAG)
        .start();
    forwarding.says(&port.to_string()).signal(Signal::INT);
    let forwarded = forwarding.wait();
    let inspected: Vec<(String, String)> = [
        docker(&["inspect", "--format", "{{json .Config.Labels}} {{json .Args}} {{json .Config.Cmd}} {{json .Config.Entrypoint}} {{json .HostConfig}} {{json .Mounts}}", name]),
        docker(&["logs", name]),
        docker(&["top", name, "-eo", "pid,args"]),
        docker(&[&["volume", "inspect"][..], &stage.volumes().iter().map(String::as_str).collect::<Vec<_>>()].concat()),
        docker(&["image", "inspect", DEBIAN]),
        docker(&["network", "inspect", "amika"]),
    ]
    .map(|output| output.text())
    .into_iter()
    .enumerate()
    .map(|(number, text)| (format!("what the engine says ({number})"), text))
    .collect();
    let environment = docker(&["inspect", "--format", "{{json .Config.Env}}", name]).text();
    run(0, &["sandbox", "delete", "--force", "--volumes", name]);
    // The clone of the one that was replaced stayed.
    let kept = stage.volumes();
    let delete: Vec<&str> = ["volume", "delete"]
        .into_iter()
        .chain(kept.iter().map(String::as_str))
        .collect();
    run(0, &delete);
    let failing = forge.url(&format!("me:{URL}@"), "missing.git");
    let create = ["sandbox", "create", "--name", name, "--image"];
    run(7, &[&create[..], &[DEBIAN, "--git", &failing]].concat());
    run(6, &[&create[..], &["registry.invalid/a"]].concat());
    let until = time();
    let lists = watch.end();

    assert_eq!(forwarded.code, 130, "{forwarded:?}");
    let unexpected: Vec<_> = said
        .iter()
        .filter(|(_, code, output)| output.code != *code)
        .collect();
    assert!(unexpected.is_empty(), "{unexpected:?}");
    for (command, _, output) in &said {
        has_none(command, &output.text(), &[]);
    }
    has_none("doctor", &doctor.text(), &[]);
    has_none("forward", &forwarded.text(), &[]);
    for (what, text) in &inspected {
        has_none(what, text, &[]);
    }
    // What `--env` gives is in the container's environment: that is how Docker gives it. No more is.
    assert!(
        environment.contains(FLAG) && environment.contains(FILE),
        "{environment}"
    );
    has_none("the environment", &environment, &[FLAG, FILE]);
    let events = docker(&["events", "--since", since.trim(), "--until", until.trim()]).text();
    assert!(events.contains(name), "{events}");
    has_none("the events", &events, &[]);
    // The user's own call is what has the URL in its list.
    let others: Vec<&String> = lists
        .iter()
        .filter(|line| !line.contains(" --debug sandbox create "))
        .collect();
    assert!(others.is_empty(), "{others:?}");
    assert!(
        lists.iter().any(|line| line.contains(URL)),
        "the watch sees"
    );
}
