//! What sandboxes are given: secrets as variables, and sign-ins.

use serde_json::{Value, json};

use super::client::Server;
use crate::repositories::server::Server as Forge;
use crate::support::{DEBIAN, Stage, docker};

/// What a program in a sandbox says, by the API.
fn said(server: &Server<'_>, id: &str, script: &str, as_root: bool) -> String {
    let exec = json!({ "cmd": ["sh", "-c", script], "root": as_root });
    let ran = server.post(&format!("/sandboxes/{id}/exec"), &exec);
    ran.expect(200)["stdout"].as_str().unwrap().to_owned()
}

fn secret(server: &Server<'_>, name: &str, value: &str, scope: &str) -> String {
    let body = json!({ "name": name, "value": value, "scope": scope });
    let made = server.post("/secrets", &body).expect(201);
    made["id"].as_str().unwrap().to_owned()
}

#[test]
fn secrets_are_variables_of_what_runs_inside_and_stand_in_no_record_of_the_engine() {
    let stage = Stage::new();
    let file = "[lifecycle]\nsetup_script = \"s.sh\"\n[env]\nPLAIN = \"file\"\nOFF = \"file\"\n\
                OF_FILE = { secret = \"tok\" }\nGONE = { secret = \"nobody-has-it\" }\n";
    stage.script(
        "forge/app/s.sh",
        "#!/bin/sh\necho \"setup: $DB_URL $OF_FILE\" >/home/amika/setup-saw\n",
    );
    stage.repository("forge/app", &[(".amika/config.toml", file)]);
    let forge = Forge::start(&stage.home().join("forge"));
    let url = forge.url("me:ghp_s3cretTOKEN@", "app/.git");
    let server = Server::start(&stage, &["--allow-private-git"]);
    let db = secret(&server, "db", "CANARY-one", "user");
    secret(&server, "db", "CANARY-org", "org");
    secret(&server, "tok", "CANARY-tok", "org");
    let body = json!({
        "repo_url": url,
        "secret_env_vars": { "DB_URL": "db" },
        "disabled_repo_env_var_names": ["OFF"],
    });
    let image = stage.image(&format!(
        "FROM {DEBIAN}\nCMD [\"sh\", \"-c\", \"echo cmd: $DB_URL >/home/amika/cmd-saw; sleep infinity\"]\n"
    ));
    let made = server.create(&image, body);
    assert_eq!(made["state"], "started", "{made}");
    assert_eq!(
        made["secret_names"],
        json!(["db", "nobody-has-it", "tok"]),
        "{made}"
    );
    let id = made["id"].as_str().unwrap();
    let name = made["name"].as_str().unwrap();
    let all = "echo $DB_URL $OF_FILE ${GONE-unset} $PLAIN ${OFF-unset}";
    assert_eq!(
        said(&server, id, all, false),
        "CANARY-one CANARY-tok unset file unset\n"
    );
    assert_eq!(
        said(&server, id, "cat /home/amika/setup-saw", false),
        "setup: CANARY-one CANARY-tok\n"
    );
    assert_eq!(
        said(&server, id, "cat /home/amika/cmd-saw", false),
        "cmd: CANARY-one\n"
    );
    assert_eq!(
        said(
            &server,
            id,
            "stat -c '%U %a' /var/lib/amikad/secrets.env*",
            true
        ),
        "root 600\n"
    );
    let events = server.get(&format!("/sandboxes/{id}/lifecycle-events"));
    assert!(events.body.contains("nobody-has-it"), "{events:?}");
    // Whoever goes round amikad does not see them.
    let round = docker(&["exec", name, "sh", "-c", "echo ${DB_URL-unset}"]);
    assert_eq!(round.stdout_text(), "unset\n");
    for of_engine in [
        docker(&["inspect", name]),
        docker(&[
            "exec",
            name,
            "sh",
            "-c",
            "cat /proc/1/environ | tr '\\0' '\\n'",
        ]),
    ] {
        assert!(!of_engine.stdout_text().contains("CANARY"), "{of_engine:?}");
    }

    // A change holds from the next start, and what is gone is gone.
    let change = json!({ "value": "CANARY-two" });
    let path = format!("/secrets/{db}");
    server
        .ask(&server.admin, "PUT", &path, Some(&change))
        .expect(200);
    assert_eq!(said(&server, id, "echo $DB_URL", false), "CANARY-one\n");
    server
        .post(&format!("/sandboxes/{id}/restart"), &json!({}))
        .expect(202);
    server.until(id, "started");
    assert_eq!(said(&server, id, "echo $DB_URL", false), "CANARY-two\n");
    server.delete(&path).expect(204);
    server
        .post(&format!("/sandboxes/{id}/restart"), &json!({}))
        .expect(202);
    server.until(id, "started");
    assert_eq!(
        said(&server, id, "echo $DB_URL", false),
        "CANARY-org\n",
        "everybody's stands behind one's own"
    );
    // A start by whoever does not know them leaves what lies there.
    docker(&["restart", name]).ended(0, &[]);
    server.until(id, "started");
    assert_eq!(said(&server, id, "echo $DB_URL", false), "CANARY-org\n");
    server
        .delete(&format!("/sandboxes/{id}?force=true"))
        .expect(200);
}

#[test]
fn sign_ins_are_where_their_agents_read_them_and_the_newer_copy_stays() {
    let stage = Stage::new();
    let image = stage.image(&format!(
        "FROM {DEBIAN}\nRUN useradd --uid 1234 --create-home agent\nUSER agent\n"
    ));
    let server = Server::start(&stage, &[]);
    let claude = |refresh: &str, expires: u64| {
        json!({ "claudeAiOauth": { "accessToken": refresh, "refreshToken": refresh, "expiresAt": expires } })
            .to_string()
    };
    let sign_in = |kind: &str, name: &str, r#type: &str, value: &str| {
        let body = json!({ "name": name, "type": r#type, "value": value });
        let made = server.post(&format!("/secrets/{kind}"), &body).expect(201);
        made["id"].as_str().unwrap().to_owned()
    };
    let old = claude("CANARY-old", 4_000_000_000_000);
    sign_in("claude", "max", "oauth", &old);
    sign_in("claude", "key", "api_key", "CANARY-key");
    sign_in("codex", "key", "api_key", "CANARY-codex");
    sign_in("github", "gh", "api_key", "CANARY-gh");
    let expired =
        r#"{"anthropic":{"type":"oauth","access":"CANARY","refresh":"","expires":1700000000000}}"#;
    sign_in("opencode-auth", "old", "oauth", expired);
    let body = json!({ "agent_credentials": [
        { "kind": "claude" }, { "kind": "codex", "name": "key" }, { "kind": "github", "type": "api_key" },
        { "kind": "opencode" },
    ] });
    let made = server.create(&image, body);
    assert_eq!(made["state"], "started", "{made}");
    let resolved = |kind: &str, name: &str, r#type: &str| json!({ "kind": kind, "outcome": "resolved", "name": name, "type": r#type, "source": "user" });
    assert_eq!(
        made["resolved_agent_credentials"],
        json!([
            resolved("claude", "max", "oauth"),
            resolved("codex", "key", "api_key"),
            resolved("github", "gh", "api_key"),
            { "kind": "opencode", "outcome": "skipped", "reason": "expired" },
        ])
    );
    let id = made["id"].as_str().unwrap();
    let file = "/home/amika/.claude/.credentials.json";
    assert_eq!(said(&server, id, &format!("cat {file}"), false), old);
    assert_eq!(
        said(
            &server,
            id,
            &format!("stat -c '%u %a' {file} /home/amika/.codex/auth.json"),
            false
        ),
        "1234 600\n1234 600\n"
    );
    let codex: Value = serde_json::from_str(&said(
        &server,
        id,
        "cat /home/amika/.codex/auth.json",
        false,
    ))
    .unwrap();
    assert_eq!(codex["OPENAI_API_KEY"], "CANARY-codex");
    assert_eq!(
        said(
            &server,
            id,
            "echo $GH_TOKEN ${ANTHROPIC_API_KEY-unset}",
            false
        ),
        "CANARY-gh unset\n"
    );
    // The agent renewed it: a start does not put the spent one back.
    let renewed = claude("CANARY-renewed", 4_000_000_060_000);
    let write = format!("cat >{file} <<'E'\n{renewed}\nE");
    said(&server, id, &write, false);
    server
        .post(&format!("/sandboxes/{id}/restart"), &json!({}))
        .expect(202);
    server.until(id, "started");
    assert_eq!(
        said(&server, id, &format!("cat {file}"), false).trim_end(),
        renewed
    );
    server
        .delete(&format!("/sandboxes/{id}?force=true"))
        .expect(200);

    // Nothing is put in unless somebody asks.
    let made = server.create(
        &image,
        json!({ "agent_credentials": [{ "kind": "claude", "none": true }] }),
    );
    assert_eq!(
        made["resolved_agent_credentials"],
        json!([{ "kind": "claude", "outcome": "skipped", "reason": "request:none" }])
    );
    let id = made["id"].as_str().unwrap();
    assert_eq!(
        said(
            &server,
            id,
            "ls -A /home/amika; echo ${GH_TOKEN-unset}",
            false
        )
        .lines()
        .last(),
        Some("unset")
    );
    assert_eq!(said(&server, id, &format!("cat {file} || :"), false), "");
    server
        .delete(&format!("/sandboxes/{id}?force=true"))
        .expect(200);
}
