//! The sandbox's own services: started after setup, kept up, seen to be up, started when somebody comes.

use serde_json::{Value, json};

use crate::support::{Builder, Sandbox, eventually};

/// Serves its directory on this port, and says so.
fn server(port: u16) -> String {
    format!("exec python3 -u -m http.server {port} --bind 127.0.0.1")
}

/// A service of this name, run in this way.
fn service(name: &str, port: Option<u16>, run: Value) -> Value {
    let ports: Vec<Value> = port
        .into_iter()
        .map(|port| json!({ "port": port, "protocol": "tcp", "url_scheme": null }))
        .collect();
    json!({ "name": name, "ports": ports, "run": run })
}

fn sh(command: &str) -> Value {
    json!({ "command": ["sh", "-c", command] })
}

/// With more keys.
fn with(mut run: Value, more: Value) -> Value {
    let Value::Object(more) = more else {
        panic!("{more}");
    };
    run.as_object_mut().unwrap().extend(more);
    run
}

fn declare(services: &[Value]) -> Builder {
    let text = serde_json::to_string(services).unwrap();
    Builder::new()
        .with_token()
        .env("AMIKA_OPENCODE_WEB", "0")
        .file("/var/lib/amikad/services.json", &text, 0o600)
}

fn shown(sandbox: &Sandbox, name: &str) -> Value {
    sandbox.api("/v1/status").json()["services"][name].clone()
}

fn until(sandbox: &Sandbox, name: &str, state: &str) -> Value {
    eventually(&format!("{name} to be {state}"), || {
        Some(shown(sandbox, name)).filter(|it| it["state"] == state)
    })
}

fn get(sandbox: &Sandbox, port: u16) -> String {
    let url = format!("http://127.0.0.1:{port}/");
    let output = sandbox
        .exec(&["curl", "-sS", "--max-time", "20", &url])
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn they_run_as_the_agent_after_setup_where_and_with_what_was_declared() {
    let run = with(
        sh("(id -u; pwd; echo $GREETING; cat /tmp/setup) > /tmp/said; exec sleep 60"),
        json!({ "cwd": "apps/web", "env": { "GREETING": "hello you" } }),
    );
    let sandbox = declare(&[service("web", None, run)])
        .setup("#!/bin/sh\nmkdir -p apps/web\nsleep 0.3\necho done > /tmp/setup\n")
        .start_idle();
    until(&sandbox, "web", "ready");
    let said = eventually("its words", || {
        Some(sandbox.read("/tmp/said")).filter(|said| said.contains("done"))
    });
    assert_eq!(
        said,
        "1000\n/home/amika/workspace/apps/web\nhello you\ndone\n"
    );
    let log = sandbox.api("/v1/logs/web");
    assert_eq!((log.status, log.body.as_str()), (200, ""));
}

#[test]
fn a_setup_that_fails_starts_none_of_them() {
    let run = sh("touch /tmp/ran");
    let mut sandbox = declare(&[service("web", None, run)])
        .setup("#!/bin/sh\nexit 3\n")
        .start_idle();
    assert_eq!(sandbox.wait().code, 3);
    assert!(!sandbox.path("/tmp/ran").exists());
}

#[test]
fn none_of_them_decides_what_becomes_of_cmd() {
    let run = with(sh("exit 7"), json!({ "restart": "no" }));
    let mut sandbox = declare(&[service("web", None, run)]).start("sleep 1; exit 4");
    let web = until(&sandbox, "web", "failed");
    assert_eq!(web["last_exit"], "exit code 7");
    assert_eq!(sandbox.wait().code, 4);
}

#[test]
fn one_that_dies_is_started_again_with_all_that_it_left_behind_gone() {
    let run = sh("echo $$ >> /tmp/pids; (trap '' TERM; exec sleep 61) & sleep 0.2; exit 1");
    let sandbox = declare(&[service("web", None, run)]).start_idle();
    eventually("a second start", || {
        (sandbox.read("/tmp/pids").lines().count() > 1).then_some(())
    });
    let web = shown(&sandbox, "web");
    assert!(web["restarts"].as_u64().unwrap() >= 1, "{web}");
    let sleeping = sandbox
        .exec(&["pgrep", "-fc", "^sleep 61$"])
        .output()
        .unwrap();
    let count: u32 = String::from_utf8_lossy(&sleeping.stdout)
        .trim()
        .parse()
        .unwrap();
    assert!(count <= 1, "{count} are left");
}

#[test]
fn each_way_to_be_up_is_seen() {
    let late = |port| format!("sleep 0.3; {}", server(port));
    let http = with(
        sh(&late(8001)),
        json!({ "ready": { "http": { "port": 8001, "path": "/" } } }),
    );
    let tcp = with(
        sh(&late(8002)),
        json!({ "ready": { "tcp": { "port": 8002 } } }),
    );
    let log = with(
        sh("echo preparing; sleep 0.3; printf '\\033[1mready\\033[0m in 3 ms\\n'; exec sleep 60"),
        json!({ "ready": { "log": { "matches": "^ready in \\d+ ms$" } } }),
    );
    let silent = with(
        sh("exec sleep 60"),
        json!({ "ready": { "tcp": { "port": 8009 } }, "ready_timeout_s": 1 }),
    );
    // Somebody else's port does not make a service be up.
    let impostor = with(
        sh("exec sleep 60"),
        json!({ "ready": { "tcp": { "port": 8002 } }, "ready_timeout_s": 2 }),
    );
    let sandbox = declare(&[
        service("http", Some(8001), http),
        service("tcp", Some(8002), tcp),
        service("log", None, log),
        service("silent", None, silent),
        service("impostor", None, impostor),
    ])
    .start_idle();
    for name in ["http", "tcp", "log"] {
        until(&sandbox, name, "ready");
    }
    let silent = until(&sandbox, "silent", "failed");
    assert_eq!(silent["last_exit"], "it was not ready within 1 s");
    assert_eq!(silent["pid"], Value::Null, "it was ended");
    until(&sandbox, "impostor", "failed");
}

#[test]
fn one_waits_for_another_to_be_up() {
    let db = with(
        sh("sleep 0.5; touch /tmp/db; echo up; exec sleep 60"),
        json!({ "ready": { "log": { "matches": "^up$" } } }),
    );
    let web = with(
        sh("ls /tmp/db > /tmp/found 2>&1; exec sleep 60"),
        json!({ "depends_on": ["db"] }),
    );
    let sandbox = declare(&[service("web", None, web), service("db", None, db)]).start_idle();
    until(&sandbox, "web", "ready");
    sandbox.until_file_has("/tmp/found", "/tmp/db\n");
}

#[test]
fn one_that_has_something_to_do_is_up_once_it_did_it() {
    let done = |script: &str| {
        with(
            sh(script),
            json!({ "ready": "done", "restart": "no", "ready_timeout_s": 1 }),
        )
    };
    let web = with(
        sh("ls /tmp/made > /tmp/found 2>&1; exec sleep 60"),
        json!({ "depends_on": ["start-script"] }),
    );
    let services = [
        // Longer than any other may take to be up.
        service("start-script", None, done("sleep 1.5; touch /tmp/made")),
        service("web", None, web.clone()),
    ];
    let sandbox = declare(&services).start_idle();
    until(&sandbox, "web", "ready");
    sandbox.until_file_has("/tmp/found", "/tmp/made\n");
    let it = shown(&sandbox, "start-script");
    assert_eq!(
        (&it["state"], &it["last_exit"], &it["restarts"]),
        (&json!("stopped"), &json!("exit code 0"), &json!(0))
    );
    let services = [
        service("start-script", None, done("exit 3")),
        service("web", None, web),
    ];
    let sandbox = declare(&services).start_idle();
    let it = until(&sandbox, "start-script", "failed");
    assert_eq!(it["last_exit"], "exit code 3");
    until(&sandbox, "web", "failed");
}

#[test]
fn they_are_stopped_and_started_by_whoever_asks() {
    let sandbox = declare(&[service("web", None, sh("exec sleep 60"))]).start_idle();
    let first = until(&sandbox, "web", "ready")["pid"].clone();
    let ask = |verb: &str| sandbox.post(&format!("/v1/services/web/{verb}"), &json!({}));
    let told = ask("start");
    assert_eq!(
        (told.status, told.json()),
        (202, json!({ "starting": false })),
        "it runs"
    );
    assert_eq!(ask("stop").json(), json!({ "stopping": true }));
    let stopped = until(&sandbox, "web", "stopped");
    assert_eq!(stopped["pid"], Value::Null);
    assert_eq!(ask("start").json(), json!({ "starting": true }));
    let second = until(&sandbox, "web", "ready")["pid"].clone();
    assert_ne!(first, second);
    assert_eq!(ask("restart").status, 202);
    eventually("a third process", || {
        let now = shown(&sandbox, "web");
        (now["state"] == "ready" && now["pid"] != second).then_some(())
    });
    assert_eq!(ask("dance").status, 404);
}

#[test]
fn on_demand_nobody_notices_that_it_was_not_there() {
    let run = with(
        sh(&format!("echo started >> /tmp/starts; {}", server(8003))),
        json!({ "start": "on-demand", "ready": { "tcp": { "port": 8003 } } }),
    );
    let sandbox = declare(&[service("web", Some(8003), run)]).start_idle();
    let web = until(&sandbox, "web", "listening");
    assert_eq!((&web["pid"], &web["port"]), (&Value::Null, &json!(8003)));
    // Who only looks who listens starts nothing.
    assert_eq!(sandbox.api("/v1/ports").status, 200);
    assert_eq!(sandbox.read("/tmp/starts"), "");
    assert!(get(&sandbox, 8003).contains("Directory listing"));
    assert_eq!(sandbox.read("/tmp/starts"), "started\n");
    until(&sandbox, "web", "ready");
    let pid = shown(&sandbox, "web")["pid"].clone();
    assert!(get(&sandbox, 8003).contains("Directory listing"));
    assert_eq!(shown(&sandbox, "web")["pid"], pid);
    assert_eq!(sandbox.read("/tmp/starts"), "started\n", "it is there");
    sandbox.post("/v1/services/web/stop", &json!({}));
    until(&sandbox, "web", "stopped");
    assert!(
        get(&sandbox, 8003).contains("Failed to connect"),
        "it is stopped"
    );
}

#[test]
fn on_demand_it_is_held_again_once_it_did_its_work() {
    let once = "import http.server as h\nh.HTTPServer(('127.0.0.1', 8004), h.SimpleHTTPRequestHandler).handle_request()";
    let run = json!({ "command": ["python3", "-c", once], "start": "on-demand" });
    let sandbox = declare(&[service("web", Some(8004), run)]).start_idle();
    for _ in 0..3 {
        until(&sandbox, "web", "listening");
        assert!(get(&sandbox, 8004).contains("Directory listing"));
    }
}

#[test]
fn on_demand_one_that_cannot_be_started_lets_go_of_who_came() {
    let run = json!({ "command": ["/nowhere/at-all"], "start": "on-demand" });
    let sandbox = declare(&[service("web", Some(8005), run)]).start_idle();
    until(&sandbox, "web", "listening");
    let said = get(&sandbox, 8005);
    assert!(
        said.contains("Empty reply") || said.contains("reset"),
        "{said}"
    );
    let web = until(&sandbox, "web", "failed");
    assert!(
        web["last_exit"]
            .as_str()
            .unwrap()
            .contains("/nowhere/at-all"),
        "{web}"
    );
}

#[test]
fn a_stop_ends_them_and_a_new_boot_starts_them() {
    let run = with(
        sh(
            "trap 'echo told >> /tmp/said; exit 0' TERM; echo up >> /tmp/said; while :; do sleep 0.05; done",
        ),
        json!({ "ready": { "log": { "matches": "x" } } }),
    );
    let mut sandbox = declare(&[service("web", None, run)]).start_idle();
    sandbox.until_file_has("/tmp/said", "up");
    sandbox.signal(15);
    assert_eq!(sandbox.wait().code, 143);
    assert_eq!(sandbox.read("/tmp/said"), "up\ntold\n");
    let sandbox = sandbox.crash().start_idle();
    sandbox.until_file_has("/tmp/said", "told\nup\n");
}

#[test]
fn a_list_that_is_not_roots_word_is_none() {
    let run = json!([service("web", None, sh("touch /tmp/ran"))]).to_string();
    for (text, mode) in [("{", 0o600), (&run, 0o666)] {
        let sandbox = Builder::new()
            .with_token()
            .file("/var/lib/amikad/services.json", text, mode)
            .start_idle();
        sandbox.until_phase("running");
        let status = sandbox.api("/v1/status").json();
        assert_eq!(status["services"]["web"], Value::Null, "{mode:o}");
        let log = sandbox.read("/var/log/amikad/amikad.log");
        assert!(log.contains("services.json"), "{log}");
    }
}
