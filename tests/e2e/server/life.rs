//! A sandbox from its making to its end, by HTTP alone.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use super::client::Server;
use crate::repositories::server::Server as Forge;
use crate::support::{DEBIAN, Stage};

#[test]
fn a_sandbox_is_made_used_stopped_started_and_deleted() {
    let stage = Stage::new();
    let server = Server::start(&stage, &[]);
    let body = json!({
        "env_vars": { "COLOUR": "teal" },
        "metadata": { "team": "red" },
        "setup_script_text": "#!/bin/sh\necho set-up-here\n",
        "ports": ["8123"],
    });
    let made = server.create(DEBIAN, body);
    assert_eq!(made["state"], "started", "{made}");
    assert_eq!(made["status"], "running");
    assert_eq!(made["setup_status"], "ok");
    assert_eq!(made["origin"], "server");
    assert_eq!(made["created_by"]["name"], "admin");
    assert_eq!(
        (&made["auto_stop_interval"], &made["auto_delete_interval"]),
        (&json!(30), &Value::Null)
    );
    let port = &made["services"][0];
    assert_eq!(
        (&port["containerPort"], &port["url"]),
        (&json!(8123), &json!(""))
    );
    let (id, name) = (made["id"].as_str().unwrap(), made["name"].as_str().unwrap());
    assert_eq!(
        server.get(&format!("/sandboxes/{name}")).expect(200)["id"],
        id
    );
    let of = |rest: &str| format!("/sandboxes/{id}{rest}");

    let exec = json!({ "cmd": ["sh", "-c", "echo $COLOUR; cat; exit 3"], "stdin": "typed" });
    let ran = server.post(&of("/exec"), &exec).expect(200);
    assert_eq!(
        ran,
        json!({ "exit_code": 3, "stdout": "teal\ntyped", "stderr": "", "truncated": false })
    );
    let late = json!({ "cmd": ["sleep", "60"], "timeout_s": 1 });
    assert_eq!(server.post(&of("/exec"), &late).status, 504);
    let log = server.get(&of("/logs?source=setup"));
    assert!(log.body.contains("set-up-here"), "{log:?}");

    for (query, count) in [
        ("metadata.team=red", 1),
        ("metadata.team=blue", 0),
        ("state=started", 1),
        ("state=stopped", 0),
    ] {
        let listed = server.get(&format!("/sandboxes?{query}")).expect(200);
        assert_eq!(listed.as_array().unwrap().len(), count, "{query}: {listed}");
    }

    server.post(&of("/stop"), &json!({})).expect(202);
    let stopped = server.until(id, "stopped");
    assert_eq!(stopped["status"], "suspended");
    assert_eq!(server.post(&of("/exec"), &exec).status, 409);
    server.post(&of("/start"), &json!({})).expect(202);
    let starting = server.get(&of("")).expect(200);
    assert_eq!(
        starting["state"], "initializing",
        "before the answer of the start leaves"
    );
    server.until(id, "started");

    let changed = json!({ "auto_delete_interval": 60, "metadata": { "team": "blue" } });
    let changed = server
        .ask(&server.admin, "PATCH", &of(""), Some(&changed))
        .expect(200);
    assert_eq!(
        (
            &changed["auto_delete_interval"],
            &changed["metadata"]["team"]
        ),
        (&json!(60), &json!("blue"))
    );
    let events = server.get(&of("/lifecycle-events")).expect(200);
    let kinds: Vec<&str> = events["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["run_kind"].as_str().unwrap())
        .collect();
    for kind in ["create", "stop", "start"] {
        assert!(kinds.contains(&kind), "{events}");
    }
    let deleted = server.delete(&of("?force=true")).expect(200);
    assert_eq!(deleted, json!({ "ok": true, "kept_volumes": [] }));
    assert_eq!(server.get(&of("")).status, 404);
    stage.nothing_was_made();
}

#[test]
fn a_repository_is_cloned_by_url_and_what_is_saved_for_it_wins_over_its_file() {
    let stage = Stage::new();
    let file = "[lifecycle]\nsetup_script = \"s.sh\"\n[env]\nA = \"file\"\nB = \"file\"\n[services.web]\nport = 4001\n";
    stage.script("forge/app/s.sh", "#!/bin/sh\necho of-the-file\n");
    stage.script("forge/app/t.sh", "#!/bin/sh\necho of-the-store\n");
    stage.repository("forge/app", &[(".amika/config.toml", file)]);
    let forge = Forge::start(&stage.home().join("forge"));
    let url = forge.url("me:ghp_s3cretTOKEN@", "app/.git");
    let server = Server::start(&stage, &["--allow-private-git"]);
    let saved = json!({ "repo_url": url, "env_vars": { "B": "store" }, "setup_script": "t.sh" });
    server.post("/repositories", &saved).expect(201);
    let service = json!({ "repo_url": url, "name": "api", "ports": [{ "port": 4002, "url_scheme": "http" }] });
    server.post("/services", &service).expect(201);
    let made = server.create(
        DEBIAN,
        json!({ "repo_url": url, "env_vars": { "C": "request" } }),
    );
    assert_eq!(made["state"], "started", "{made}");
    assert!(!made.to_string().contains("s3cret"), "{made}");
    assert_eq!(
        (&made["repo_name"], &made["branch"]),
        (&json!("app"), &json!("main"))
    );
    let services = made["services"].as_array().unwrap();
    assert_eq!(services.len(), 1, "the saved ones alone: {services:?}");
    assert_eq!(services[0]["name"], "api");
    let url_of = services[0]["url"].as_str().unwrap();
    assert_eq!(
        url_of,
        format!("http://localhost:{}", services[0]["hostPort"])
    );
    let id = made["id"].as_str().unwrap();
    let exec = json!({ "cmd": ["sh", "-c", "echo $A $B $C; git status --short; ls"] });
    let ran = server
        .post(&format!("/sandboxes/{id}/exec"), &exec)
        .expect(200);
    assert!(
        ran["stdout"]
            .as_str()
            .unwrap()
            .starts_with("file store request\n"),
        "{ran}"
    );
    let log = server.get(&format!("/sandboxes/{id}/logs?source=setup"));
    assert!(log.body.contains("of-the-store"), "{log:?}");
    let kept = server.delete(&format!("/sandboxes/{id}")).expect(200);
    assert_eq!(
        kept["kept_volumes"].as_array().unwrap().len(),
        1,
        "the git volume stays: {kept}"
    );
    for volume in stage.volumes() {
        crate::support::docker(&["volume", "rm", &volume]);
    }
}

#[test]
fn what_fails_is_failed_with_why_and_is_removed_like_any_other() {
    let stage = Stage::new();
    let server = Server::start(&stage, &["--allow-private-git"]);
    let script = "#!/bin/sh\necho going; echo no such thing >&2; exit 7\n";
    let setup = server.create(DEBIAN, json!({ "setup_script_text": script }));
    assert_eq!(
        (&setup["state"], &setup["setup_status"]),
        (&json!("failed"), &json!("setup-failed"))
    );
    let message = setup["error_message"].as_str().unwrap();
    assert!(message.contains("no such thing"), "{message}");
    let log = server.get(&format!(
        "/sandboxes/{}/logs?source=setup",
        setup["id"].as_str().unwrap()
    ));
    assert!(log.body.contains("going"), "{log:?}");

    stage.repository("forge/app", &[("a", "a")]);
    let forge = Forge::start(&stage.home().join("forge"));
    let url = forge.url("me:ghp_s3cretTOKEN@", "app/.git");
    let branch = server.create(DEBIAN, json!({ "repo_url": url, "branch": "nope" }));
    assert_eq!(
        (&branch["state"], &branch["setup_status"]),
        (&json!("failed"), &json!("git-failed")),
        "{branch}"
    );
    for failed in [setup, branch] {
        let path = format!("/sandboxes/{}?force=true", failed["id"].as_str().unwrap());
        server.delete(&path).expect(200);
    }
    assert_eq!(server.get("/sandboxes").expect(200), json!([]));
    stage.nothing_was_made();
}

#[test]
fn a_create_that_is_canceled_is_unmade_and_work_is_not_lost_with_a_sandbox() {
    let stage = Stage::new();
    let server = Server::start(&stage, &[]);
    let body = json!({ "image": DEBIAN, "name": stage.name(), "setup_script_text": "#!/bin/sh\nsleep 600\n" });
    let making = server.post("/sandboxes", &body).expect(202);
    assert_eq!(making["state"], "initializing");
    let taken = server.post("/sandboxes", &body);
    assert_eq!(taken.expect(409)["details"][0]["field"], "/name");
    let operation = format!("/operations/{}", making["operation_id"].as_str().unwrap());
    let begun = Instant::now();
    while stage.containers().is_empty() && begun.elapsed() < Duration::from_secs(30) {
        std::thread::sleep(Duration::from_millis(50));
    }
    server.delete(&operation).expect(200);
    let failed = server.until(making["id"].as_str().unwrap(), "failed");
    assert_eq!(failed["operation_id"], Value::Null);
    assert_eq!(server.get(&operation).expect(200)["state"], "canceled");
    stage.nothing_was_made();

    let made = server.create(DEBIAN, json!({}));
    let of = |rest: &str| format!("/sandboxes/{}{rest}", made["id"].as_str().unwrap());
    let work = json!({ "cmd": ["sh", "-c", "echo work >$HOME/work.txt"] });
    assert_eq!(server.post(&of("/exec"), &work).expect(200)["exit_code"], 0);
    assert_eq!(server.delete(&of("?if_clean=true")).status, 409);
    server.until(made["id"].as_str().unwrap(), "started");
    let kept = server.delete(&of("")).expect(200);
    let kept: Vec<&str> = kept["kept_volumes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["name"].as_str().unwrap())
        .collect();
    assert!(
        kept.iter().any(|name| name.starts_with("amika-home-")),
        "{kept:?}"
    );
    let there = stage.volumes();
    assert!(
        kept.iter().all(|name| there.iter().any(|it| it == name)),
        "{kept:?} {there:?}"
    );
    for volume in there {
        crate::support::docker(&["volume", "rm", &volume]);
    }
}

#[test]
fn what_a_killed_server_was_at_is_finished_or_unmade_and_told() {
    let stage = Stage::new();
    let mut server = Server::start(&stage, &[]);
    let body = json!({ "image": DEBIAN, "name": stage.name(), "setup_script_text": "#!/bin/sh\nsleep 3\n" });
    let made = server.post("/sandboxes", &body).expect(202);
    let begun = Instant::now();
    while stage.containers().is_empty() && begun.elapsed() < Duration::from_secs(30) {
        std::thread::sleep(Duration::from_millis(20));
    }
    server.signal(Signal::KILL);
    server.again();
    let operation = format!("/operations/{}", made["operation_id"].as_str().unwrap());
    let begun = Instant::now();
    let ended = loop {
        let operation = server.get(&operation).expect(200);
        if operation["state"] != "running" {
            break operation;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "{operation}");
        std::thread::sleep(Duration::from_millis(100));
    };
    let id = made["id"].as_str().unwrap();
    match ended["state"].as_str().unwrap() {
        "succeeded" => drop(server.until(id, "started")),
        "failed" => {
            server.until(id, "failed");
            stage.nothing_was_made();
        }
        other => panic!("{other}: {ended}"),
    }
    server
        .delete(&format!("/sandboxes/{id}?force=true"))
        .expect(200);
    stage.nothing_was_made();
}
