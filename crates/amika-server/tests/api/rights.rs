//! Every route, and every kind of caller.

use std::collections::BTreeSet;

use http_body_util::Full;
use pretty_assertions::assert_eq;
use serde_json::{Value, json};

use crate::support::Running;

/// What a route wants, as the tables below know it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Wants {
    Read,
    Write,
    Admin,
    Nothing,
}

use Wants::{Admin, Nothing, Read, Write};

/// Each route of the document, with what it wants.
const ROUTES: &[(&str, &str, Wants)] = &[
    ("GET", "/api/v0beta1/me", Read),
    ("GET", "/api/v0beta1/system", Read),
    ("GET", "/api/v0beta1/git-user-settings", Read),
    ("POST", "/api/v0beta1/git-user-settings", Write),
    ("GET", "/api/v0beta1/api-keys", Read),
    ("POST", "/api/v0beta1/api-keys", Write),
    ("DELETE", "/api/v0beta1/api-keys/{id}", Write),
    ("GET", "/api/v0beta1/users", Admin),
    ("POST", "/api/v0beta1/users", Admin),
    ("PATCH", "/api/v0beta1/users/{id}", Admin),
    ("DELETE", "/api/v0beta1/users/{id}", Admin),
    ("GET", "/api/v0beta1/audit", Admin),
    ("GET", "/api/v0beta1/sandboxes", Read),
    ("POST", "/api/v0beta1/sandboxes", Write),
    ("POST", "/api/v0beta1/sandboxes:plan", Write),
    ("GET", "/api/v0beta1/sandboxes/{ref}", Read),
    ("PATCH", "/api/v0beta1/sandboxes/{ref}", Write),
    ("DELETE", "/api/v0beta1/sandboxes/{ref}", Write),
    ("POST", "/api/v0beta1/sandboxes/{ref}/start", Write),
    ("POST", "/api/v0beta1/sandboxes/{ref}/stop", Write),
    ("POST", "/api/v0beta1/sandboxes/{ref}/restart", Write),
    ("POST", "/api/v0beta1/sandboxes/{ref}/exec", Write),
    ("GET", "/api/v0beta1/sandboxes/{ref}/exec", Write),
    ("GET", "/api/v0beta1/sandboxes/{ref}/jobs", Read),
    ("POST", "/api/v0beta1/sandboxes/{ref}/jobs", Write),
    ("GET", "/api/v0beta1/sandboxes/{ref}/jobs/{id}", Read),
    ("DELETE", "/api/v0beta1/sandboxes/{ref}/jobs/{id}", Write),
    ("GET", "/api/v0beta1/sandboxes/{ref}/jobs/{id}/log", Read),
    (
        "POST",
        "/api/v0beta1/sandboxes/{ref}/jobs/{id}/signal",
        Write,
    ),
    ("GET", "/api/v0beta1/sandboxes/{ref}/terminal", Write),
    ("GET", "/api/v0beta1/sandboxes/{ref}/tunnel/{port}", Write),
    ("POST", "/api/v0beta1/uploads", Write),
    ("GET", "/api/v0beta1/sandbox-services", Read),
    ("GET", "/api/v0beta1/sandboxes/{ref}/services", Read),
    ("POST", "/api/v0beta1/sandboxes/{ref}/services", Write),
    (
        "POST",
        "/api/v0beta1/sandboxes/{ref}/services/{service}/start",
        Write,
    ),
    (
        "POST",
        "/api/v0beta1/sandboxes/{ref}/services/{service}/stop",
        Write,
    ),
    (
        "POST",
        "/api/v0beta1/sandboxes/{ref}/services/{service}/restart",
        Write,
    ),
    (
        "PUT",
        "/api/v0beta1/sandboxes/{ref}/services/{service}",
        Write,
    ),
    (
        "DELETE",
        "/api/v0beta1/sandboxes/{ref}/services/{service}",
        Write,
    ),
    ("POST", "/api/v0beta1/tickets", Write),
    ("GET", "/api/v0beta1/sandboxes/{ref}/diff", Read),
    ("GET", "/api/v0beta1/sandboxes/{ref}/files", Read),
    ("PUT", "/api/v0beta1/sandboxes/{ref}/files", Write),
    ("GET", "/api/v0beta1/sandboxes/{ref}/logs", Read),
    ("GET", "/api/v0beta1/sandboxes/{ref}/lifecycle-events", Read),
    ("POST", "/api/v0beta1/sandboxes/{ref}/adopt", Admin),
    ("GET", "/api/v0beta1/sandboxes/{ref}/stats", Read),
    ("GET", "/api/v0beta1/sandboxes/{ref}/ports", Read),
    ("GET", "/api/v0beta1/sandboxes/{ref}/opencode", Write),
    ("GET", "/api/v0beta1/volumes", Read),
    ("DELETE", "/api/v0beta1/volumes/{name}", Write),
    ("POST", "/api/v0beta1/volumes/prune", Write),
    ("GET", "/api/v0beta1/events", Read),
    ("GET", "/api/v0beta1/operations", Read),
    ("GET", "/api/v0beta1/operations/{id}", Read),
    ("DELETE", "/api/v0beta1/operations/{id}", Write),
    ("POST", "/api/v0beta1/sandboxes/{ref}/agent-send", Write),
    (
        "POST",
        "/api/v0beta1/sandboxes/{ref}/agent-send-jobs",
        Write,
    ),
    (
        "GET",
        "/api/v0beta1/sandboxes/{ref}/agent-send-jobs/{job_id}",
        Read,
    ),
    ("GET", "/api/v0beta1/sandboxes/{ref}/sessions", Read),
    ("POST", "/api/v0beta1/sandboxes/{ref}/sessions", Write),
    ("GET", "/api/v0beta1/sandboxes/{ref}/sessions/latest", Read),
    ("GET", "/api/v0beta1/sandboxes/{ref}/sessions/{id}", Read),
    ("PATCH", "/api/v0beta1/sandboxes/{ref}/sessions/{id}", Write),
    ("GET", "/api/v0beta1/agent-sessions", Read),
    ("POST", "/api/v0beta1/agent-sessions", Write),
    ("POST", "/api/v0beta1/agent-sessions/stream", Write),
    ("GET", "/api/v0beta1/agent-sessions/{id}", Read),
    ("GET", "/api/v0beta1/repositories", Read),
    ("POST", "/api/v0beta1/repositories", Admin),
    ("GET", "/api/v0beta1/repositories/{id}", Read),
    ("PUT", "/api/v0beta1/repositories/{id}", Admin),
    ("DELETE", "/api/v0beta1/repositories/{id}", Admin),
    ("GET", "/api/v0beta1/repositories/branches", Read),
    ("GET", "/api/v0beta1/repositories/{id}/services/file", Read),
    ("GET", "/api/v0beta1/repositories/{id}/services", Read),
    ("DELETE", "/api/v0beta1/repositories/{id}/services", Admin),
    ("POST", "/api/v0beta1/services", Admin),
    ("PUT", "/api/v0beta1/services/{id}", Admin),
    ("DELETE", "/api/v0beta1/services/{id}", Admin),
    ("GET", "/api/v0beta1/secrets", Read),
    ("POST", "/api/v0beta1/secrets", Write),
    ("PUT", "/api/v0beta1/secrets/{id}", Write),
    ("DELETE", "/api/v0beta1/secrets/{id}", Write),
    ("POST", "/api/v0beta1/secrets/{id}/reveal", Write),
    ("GET", "/api/v0beta1/secrets/git", Read),
    ("POST", "/api/v0beta1/secrets/git", Write),
    ("DELETE", "/api/v0beta1/secrets/git/{id}", Write),
    ("GET", "/api/v0beta1/secrets/claude", Read),
    ("POST", "/api/v0beta1/secrets/claude", Write),
    ("DELETE", "/api/v0beta1/secrets/claude/{id}", Write),
    ("POST", "/api/v0beta1/secrets/claude/{id}/reveal", Write),
    ("GET", "/api/v0beta1/secrets/codex", Read),
    ("POST", "/api/v0beta1/secrets/codex", Write),
    ("DELETE", "/api/v0beta1/secrets/codex/{id}", Write),
    ("POST", "/api/v0beta1/secrets/codex/{id}/reveal", Write),
    ("GET", "/api/v0beta1/secrets/github", Read),
    ("POST", "/api/v0beta1/secrets/github", Write),
    ("DELETE", "/api/v0beta1/secrets/github/{id}", Write),
    ("POST", "/api/v0beta1/secrets/github/{id}/reveal", Write),
    ("GET", "/api/v0beta1/secrets/opencode-auth", Read),
    ("POST", "/api/v0beta1/secrets/opencode-auth", Write),
    ("DELETE", "/api/v0beta1/secrets/opencode-auth/{id}", Write),
    (
        "POST",
        "/api/v0beta1/secrets/opencode-auth/{id}/reveal",
        Write,
    ),
    ("GET", "/api/v0beta1/secrets/opencode", Read),
    ("POST", "/api/v0beta1/secrets/opencode", Write),
    ("DELETE", "/api/v0beta1/secrets/opencode", Write),
    ("POST", "/api/v0beta1/secrets/opencode/reveal", Write),
    ("POST", "/api/v0beta1/session", Nothing),
    ("DELETE", "/api/v0beta1/session", Nothing),
    ("GET", "/healthz", Nothing),
    ("GET", "/readyz", Nothing),
    ("GET", "/metrics", Read),
];

#[tokio::test]
async fn the_table_has_every_route_of_the_document() {
    let server = Running::start().await;
    let request = server
        .request("GET", "/api/openapi.json")
        .body(Full::default())
        .unwrap();
    let document = server.send(request).await.expect(200);
    let mut routes = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            routes.insert((method.to_uppercase(), path.clone()));
        }
    }
    let table = ROUTES
        .iter()
        .map(|(method, path, _)| ((*method).to_owned(), (*path).to_owned()));
    assert_eq!(table.collect::<BTreeSet<_>>(), routes);
}

#[tokio::test]
async fn every_route_lets_by_whom_it_should_and_nobody_else() {
    let server = Running::start().await;
    let member = server.member("ada").await;
    let read_key = server.key(&["read"]).await;
    let write_key = server.key(&["read", "write"]).await;
    let callers = [
        ("anonymous", "", Nothing),
        ("read key", &read_key, Read),
        ("write key", &write_key, Write),
        ("member", &member, Write),
    ];
    for (method, path, wants) in ROUTES {
        if *wants == Nothing {
            continue;
        }
        for (who, key, has) in callers {
            let short = path.strip_prefix("/api/v0beta1");
            let paths = match short {
                Some(short) => vec![(*path).to_owned(), format!("/api{short}")],
                None => vec![(*path).to_owned()],
            };
            for path in paths {
                let path = path
                    .replace("{id}", "00000000-0000-4000-8000-000000000000")
                    .replace("{port}", "3000")
                    .replace("{service}", "web")
                    .replace("{name}", "no-such-volume")
                    .replace("{ref}", "no-such-sandbox");
                // No body is a body that every route refuses at last, so that nothing is made here.
                let mut request = server
                    .request(method, &path)
                    .header("content-type", "application/json");
                if !key.is_empty() {
                    request = request.header("authorization", format!("Bearer {key}"));
                }
                let body = if *method == "GET" {
                    ""
                } else {
                    "{\"no such member\": 1}"
                };
                let answer = server.send(request.body(body.into()).unwrap()).await;
                let status = answer.status.as_u16();
                let is_let_by = match (has, wants) {
                    (Nothing, _) => {
                        assert_eq!(
                            answer.refused(401),
                            "unauthorized",
                            "{who}: {method} {path}"
                        );
                        continue;
                    }
                    (_, Admin) | (Read, Write) => false,
                    _ => true,
                };
                if is_let_by {
                    assert!(
                        status != 401 && status != 403 && status < 500,
                        "{who}: {method} {path}: {status}"
                    );
                } else {
                    assert_eq!(answer.refused(403), "forbidden", "{who}: {method} {path}");
                }
            }
        }
    }
}

#[tokio::test]
async fn nobody_touches_what_is_another_members() {
    let server = Running::start().await;
    let (ada, bob) = (server.member("ada").await, server.member("bob").await);
    let secret = server
        .post(&ada, "/secrets", json!({ "name": "s", "value": "v" }))
        .await
        .expect(201);
    let login = json!({ "name": "l", "value": "v", "type": "api_key" });
    let login = server
        .post(&ada, "/secrets/claude", login)
        .await
        .expect(201);
    let id = |it: &Value| it["id"].as_str().unwrap().to_owned();
    let key = server.get(&ada, "/api-keys").await.expect(200)["data"][0].clone();
    for (method, path, body) in [
        (
            "PUT",
            format!("/secrets/{}", id(&secret)),
            Some(json!({ "value": "x" })),
        ),
        ("DELETE", format!("/secrets/{}", id(&secret)), None),
        ("POST", format!("/secrets/{}/reveal", id(&secret)), None),
        ("DELETE", format!("/secrets/claude/{}", id(&login)), None),
        (
            "POST",
            format!("/secrets/claude/{}/reveal", id(&login)),
            None,
        ),
        ("DELETE", format!("/api-keys/{}", id(&key)), None),
    ] {
        // Not even an administrator reads another's own secrets.
        for other in [&bob, &server.admin] {
            let answer = server.ask(other, method, &path, body.clone()).await;
            assert_eq!(answer.refused(404), "not_found", "{method} {path}");
        }
    }
    for path in ["/secrets", "/secrets/claude"] {
        assert_eq!(
            server.get(&bob, path).await.expect(200),
            json!([]),
            "{path}"
        );
    }
    let shown = server
        .post(&ada, &format!("/secrets/{}/reveal", id(&secret)), json!({}))
        .await
        .expect(200);
    assert_eq!(shown["value"], "v");
}

#[tokio::test]
async fn a_key_gives_no_other_more_than_it_has() {
    let server = Running::start().await;
    let write_key = server.key(&["read", "write"]).await;
    let member = server.member("ada").await;
    for key in [&write_key, &member] {
        let body = json!({ "name": "more", "scopes": ["admin"] });
        assert_eq!(
            server.post(key, "/api-keys", body).await.refused(403),
            "forbidden"
        );
    }
}

#[tokio::test]
async fn what_was_done_is_noted_with_who_and_what_came_of_it() {
    let server = Running::start().await;
    let ada = server.member("ada").await;
    server
        .post(&ada, "/secrets", json!({ "name": "s", "value": "CANARY" }))
        .await
        .expect(201);
    server
        .post(&ada, "/users", json!({ "name": "eve" }))
        .await
        .refused(403);
    let audit = server.get(&server.admin, "/audit?limit=2").await;
    assert!(!String::from_utf8_lossy(&audit.body).contains("CANARY"));
    let audit = audit.expect(200);
    let of = |index: usize| {
        let it = &audit["items"][index];
        (
            it["user_name"].clone(),
            it["action"].clone(),
            it["status"].clone(),
            it["from"].clone(),
        )
    };
    assert_eq!(
        of(0),
        (
            json!("ada"),
            json!("POST /users"),
            json!(403),
            json!("127.0.0.1")
        )
    );
    assert_eq!(
        of(1),
        (
            json!("ada"),
            json!("POST /secrets"),
            json!(201),
            json!("127.0.0.1")
        )
    );
    let more = format!("/audit?limit=100&before={}", audit["next_before"]);
    let more = server.get(&server.admin, &more).await.expect(200);
    assert_eq!(more["next_before"], Value::Null);
    assert_eq!(more["items"][0]["action"], "POST /api-keys");
}
