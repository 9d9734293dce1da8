//! Secrets of every kind, looked for wherever they must not be.

use std::process::Command;

use rustix::process::Signal;
use serde_json::json;

use super::client::Server;
use crate::repositories::server::Server as Forge;
use crate::support::{DEBIAN, Stage, docker};

/// In each of the secrets; the forge's password has one of its own.
const CANARIES: [&str; 2] = ["CANARY", "canary-url-d0f9"];

#[track_caller]
fn clean(what: &str, text: &str) {
    for canary in CANARIES {
        let found = text.find(canary).map(|at| {
            let around = at.saturating_sub(80)..(at + 80).min(text.len());
            text.get(around).unwrap_or_default()
        });
        assert_eq!(found, None, "{canary} in {what}");
    }
}

#[test]
fn a_secret_of_no_kind_is_in_the_clear_on_the_disk_in_a_log_or_in_the_engines_records() {
    let stage = Stage::new();
    let file = "[env]\nOF_FILE = { secret = \"file\" }\n";
    stage.repository("forge/app", &[(".amika/config.toml", file)]);
    let forge = Forge::start(&stage.home().join("forge"));
    let url = forge.url("", "app/.git");
    let host = url.split('/').nth(2).unwrap();
    // An agent that does what it is told, and a sandbox whose secrets are used by all of what runs in it.
    let image = stage.image(&format!(
        "FROM {DEBIAN}\nRUN printf '%s\\n' '#!/bin/sh' 'cat >/dev/null' 'test -n \"$MODEL_KEY\" || exit 9' \
         'echo \"{{\\\"type\\\":\\\"result\\\",\\\"is_error\\\":false,\\\"result\\\":\\\"done\\\"}}\"' >/usr/bin/claude && \
         chmod +x /usr/bin/claude\n"
    ));
    let config = stage.file(
        "server.toml",
        "allow_private_git = true\n[agent_env]\nMODEL_KEY = \"CANARY-agent-env\"\n",
    );
    let mut server = Server::start(&stage, &["--config", &config]);
    for (path, body) in [
        (
            "/secrets",
            json!({ "name": "mine", "value": "CANARY-mine" }),
        ),
        (
            "/secrets",
            json!({ "name": "file", "value": "CANARY-org", "scope": "org" }),
        ),
        (
            "/secrets/claude",
            json!({ "name": "c", "type": "api_key", "value": "CANARY-claude" }),
        ),
        (
            "/secrets/codex",
            json!({ "name": "c", "type": "oauth", "value": "{\"tokens\":\"CANARY-codex\"}" }),
        ),
        (
            "/secrets/github",
            json!({ "name": "c", "type": "api_key", "value": "CANARY-github" }),
        ),
        (
            "/secrets/opencode-auth",
            json!({ "name": "c", "type": "api_key", "value": "CANARY-opencode" }),
        ),
        ("/secrets/opencode", json!({ "value": "CANARY-password" })),
        (
            "/secrets/git",
            json!({ "host": host, "type": "token", "value": "me:canary-url-d0f9" }),
        ),
        (
            "/secrets/git",
            json!({ "host": "example.com", "type": "ssh_key", "value": "-----BEGIN CANARY-----" }),
        ),
    ] {
        server.post(path, &body).expect(201);
    }
    let body = json!({
        "repo_url": url,
        "secret_env_vars": { "MINE": "mine" },
        "agent_credentials": [{ "kind": "claude" }, { "kind": "codex" }, { "kind": "github" }, { "kind": "opencode" }],
        "setup_script_text": "#!/bin/sh\ncase \"$MINE$OF_FILE\" in *-mine*-org) ;; *) exit 1; esac\n",
    });
    let made = server.create(&image, body);
    assert_eq!(made["state"], "started", "{made}");
    let (id, name) = (made["id"].as_str().unwrap(), made["name"].as_str().unwrap());
    let of = |rest: &str| format!("/sandboxes/{id}{rest}");
    let said = server.post(
        &of("/agent-send"),
        &json!({ "message": "hi", "agent": "claude" }),
    );
    assert_eq!(said.expect(200)["response"], "done");
    server.post(&of("/restart"), &json!({})).expect(202);
    server.until(id, "started");
    // All of it is in there, for whoever it is for.
    let exec = json!({ "cmd": ["sh", "-c", "env; cat ~/.codex/auth.json ~/.local/share/opencode/auth.json"] });
    let inside = server.post(&of("/exec"), &exec).expect(200)["stdout"].to_string();
    for canary in ["mine", "org", "claude", "codex", "github", "opencode"] {
        assert!(
            inside.contains(&format!("CANARY-{canary}")),
            "{canary}: {inside}"
        );
    }

    let operations = made["operation_id"].as_str().unwrap_or("none");
    for path in [
        of(""),
        of("/lifecycle-events"),
        of("/sessions"),
        of("/logs?source=amikad"),
        of("/logs?source=setup"),
        of("/logs?source=container"),
        format!("/operations/{operations}"),
        "/audit?limit=1000".to_owned(),
        "/secrets".to_owned(),
        "/secrets/git".to_owned(),
        "/secrets/claude".to_owned(),
        "/agent-sessions".to_owned(),
    ] {
        clean(&path, &server.get(&path).body);
    }
    let committed = format!("{name}-committed");
    docker(&["commit", name, &committed]).ended(0, &[]);
    let all = "for one in /proc/[0-9]*; do test -d $one/root && tr '\\0' '\\n' <$one/cmdline; done";
    for record in [
        docker(&["inspect", name]),
        docker(&["inspect", &committed]),
        docker(&["history", "--no-trunc", &committed]),
        docker(&["logs", name]),
        docker(&["exec", name, "env"]),
        docker(&["exec", name, "sh", "-c", "tr '\\0' '\\n' </proc/1/environ"]),
        docker(&["exec", name, "sh", "-c", all]),
    ] {
        clean("the engine's records", &record.text());
    }
    let layers = Command::new("sh")
        .args([
            "-c",
            "docker save \"$0\" | grep -acE 'CANARY-|canary-url'",
            &committed,
        ])
        .output()
        .unwrap();
    docker(&["image", "rm", &committed]).ended(0, &[]);
    assert_eq!(
        String::from_utf8(layers.stdout).unwrap(),
        "0\n",
        "layers of a commit"
    );

    let copy = stage.home().join("copy").to_str().unwrap().to_owned();
    let data = server.data();
    stage
        .amika(&["server", "backup", &copy, "--data", &data])
        .output()
        .ended(0, &[]);
    let on_disk = |when: &str| {
        let found = Command::new("grep")
            .args(["-rlaE", "CANARY-|canary-url", &data, &copy])
            .output()
            .unwrap();
        assert_eq!(String::from_utf8(found.stdout).unwrap(), "", "{when}");
    };
    on_disk("while it runs, with the database's log beside it");
    server.signal(Signal::KILL);
    on_disk("after a kill");
    server.again();
    server.delete(&of("?force=true")).expect(200);
    let ended = server.signal(Signal::TERM);
    clean("what the server says", &ended.text());
    on_disk("after its end");
}
