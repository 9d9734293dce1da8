//! Secrets: what is kept, what is shown, and what stands on the disk.

use std::path::Path;

use pretty_assertions::assert_eq;
use serde_json::{Value, json};

use crate::support::Running;

#[tokio::test]
async fn a_secret_lives_from_its_making_to_its_end() {
    let server = Running::start().await;
    let key = &server.admin;
    let body = json!({ "name": "TOKEN", "value": "one", "description": "for ci" });
    let made = server.post(key, "/secrets", body).await.expect(201);
    assert_eq!(
        (&made["scope"], &made["org_id"]),
        (&json!("user"), &json!("amika"))
    );
    assert_eq!(made.get("value"), None);
    let path = format!("/secrets/{}", made["id"].as_str().unwrap());
    let taken = server
        .post(key, "/secrets", json!({ "name": "TOKEN", "value": "x" }))
        .await;
    assert_eq!(taken.refused(409), "conflict");
    let org = json!({ "name": "TOKEN", "value": "all", "scope": "org" });
    server.post(key, "/secrets", org).await.expect(201);
    let changed = server
        .ask(key, "PUT", &path, Some(json!({ "value": "two" })))
        .await
        .expect(200);
    assert_eq!(
        changed["description"], "for ci",
        "a change is of what it names alone"
    );
    let reveal = async || {
        server
            .post(key, &format!("{path}/reveal"), json!({}))
            .await
            .expect(200)
    };
    assert_eq!(reveal().await["value"], "two");
    server
        .ask(key, "PUT", &path, Some(json!({ "name": "OTHER" })))
        .await
        .expect(200);
    assert_eq!(reveal().await["name"], "OTHER");
    assert_eq!(
        server.ask(key, "DELETE", &path, None).await.expect(204),
        Value::Null
    );
    server.ask(key, "DELETE", &path, None).await.refused(404);
}

#[tokio::test]
async fn what_everybody_has_is_listed_to_all_and_read_by_administrators() {
    let server = Running::start().await;
    let ada = server.member("ada").await;
    let org = json!({ "name": "SHARED", "value": "v", "scope": "org" });
    assert_eq!(
        server
            .post(&ada, "/secrets", org.clone())
            .await
            .refused(403),
        "forbidden"
    );
    let made = server
        .post(&server.admin, "/secrets", org)
        .await
        .expect(201);
    assert_eq!(
        server.get(&ada, "/secrets").await.expect(200)[0]["name"],
        "SHARED"
    );
    let path = format!("/secrets/{}", made["id"].as_str().unwrap());
    let reveal = format!("{path}/reveal");
    assert_eq!(
        server.post(&ada, &reveal, json!({})).await.refused(403),
        "forbidden"
    );
    assert_eq!(
        server.ask(&ada, "DELETE", &path, None).await.refused(403),
        "forbidden"
    );
    assert_eq!(
        server
            .post(&server.admin, &reveal, json!({}))
            .await
            .expect(200)["value"],
        "v"
    );
}

#[tokio::test]
async fn a_list_is_whole_or_in_parts_that_follow_each_other() {
    let server = Running::start().await;
    for name in ["c", "a", "b"] {
        let body = json!({ "name": name, "value": "v" });
        server
            .post(&server.admin, "/secrets", body)
            .await
            .expect(201);
    }
    let all = server.get(&server.admin, "/secrets").await;
    assert!(!all.headers.contains_key("link"));
    assert_eq!(all.expect(200).as_array().unwrap().len(), 3);
    let mut path = "/secrets?limit=2".to_owned();
    let mut names = Vec::new();
    loop {
        let part = server.get(&server.admin, &path).await;
        assert_eq!(part.headers["x-total-count"], "3");
        let link = part
            .headers
            .get("link")
            .map(|it| it.to_str().unwrap().to_owned());
        let items = part.expect(200);
        names.extend(
            items
                .as_array()
                .unwrap()
                .iter()
                .map(|it| it["name"].as_str().unwrap().to_owned()),
        );
        let Some(link) = link else { break };
        let next = link.strip_prefix("</api/v0beta1").unwrap();
        path = next.split('>').next().unwrap().to_owned();
    }
    assert_eq!(names, ["a", "b", "c"]);
    server
        .get(&server.admin, "/secrets?limit=0")
        .await
        .refused(400);
}

#[tokio::test]
async fn sign_ins_of_each_kind_are_apart_and_have_a_type() {
    let server = Running::start().await;
    let key = &server.admin;
    for kind in ["claude", "codex", "github", "opencode-auth"] {
        let path = format!("/secrets/{kind}");
        let body = json!({ "name": "main", "value": format!("CANARY-{kind}"), "type": "api_key" });
        let made = server.post(key, &path, body.clone()).await.expect(201);
        assert_eq!(server.post(key, &path, body).await.refused(409), "conflict");
        let id = made["id"].as_str().unwrap();
        let listed = server.get(key, &path).await.expect(200);
        let expected = json!([{ "id": id, "name": "main", "type": "api_key", "scope": "user" }]);
        assert_eq!(listed, expected);
        let shown = server
            .post(key, &format!("{path}/{id}/reveal"), json!({}))
            .await
            .expect(200);
        assert_eq!(shown["value"], format!("CANARY-{kind}"));
        // Nor is it one that variables get their values from.
        server
            .post(key, &format!("/secrets/{id}/reveal"), json!({}))
            .await
            .refused(404);
        server
            .ask(key, "DELETE", &format!("{path}/{id}"), None)
            .await
            .expect(204);
    }
    let bad = json!({ "name": "x", "value": "y", "type": "password" });
    let bad = server.post(key, "/secrets/claude", bad).await.expect(400);
    assert_eq!(bad["details"][0]["field"], "/type");
}

#[tokio::test]
async fn a_user_has_one_password_of_opencodes() {
    let server = Running::start().await;
    let key = &server.admin;
    let none = server.get(key, "/secrets/opencode").await.expect(200);
    assert_eq!(
        none,
        json!({ "configured": false, "secretId": null, "passwordEnabled": false })
    );
    for value in ["one", "two"] {
        let set = server
            .post(key, "/secrets/opencode", json!({ "value": value }))
            .await
            .expect(201);
        assert_eq!(set["configured"], true);
    }
    let shown = server
        .post(key, "/secrets/opencode/reveal", json!({}))
        .await
        .expect(200);
    assert_eq!(shown["value"], "two");
    server
        .ask(key, "DELETE", "/secrets/opencode", None)
        .await
        .expect(204);
    server
        .post(key, "/secrets/opencode/reveal", json!({}))
        .await
        .refused(404);
}

#[tokio::test]
async fn nothing_of_a_secret_or_key_stands_in_the_clear_on_the_disk() {
    let mut server = Running::start().await;
    let ada = server.member("ada").await;
    let (cookie, second) = server.sign_in(&server.sign_in_url).await;
    let value = "CANARY-of-a-secret";
    server
        .post(&ada, "/secrets", json!({ "name": "s", "value": value }))
        .await
        .expect(201);
    let login = json!({ "name": "l", "value": "CANARY-of-a-sign-in", "type": "oauth" });
    server
        .post(&ada, "/secrets/claude", login)
        .await
        .expect(201);
    server
        .post(
            &ada,
            "/secrets/opencode",
            json!({ "value": "CANARY-password" }),
        )
        .await
        .expect(201);
    server.stop().await;
    let backup = server.directory.path().join("backup");
    amika_server::upkeep::backup(&server.data(), &backup)
        .await
        .unwrap();
    let cookie = cookie.split_once('=').unwrap().1;
    let (_, link) = server.sign_in_url.split_once('=').unwrap();
    let mut files = 0;
    each_file(server.directory.path(), &mut |path, bytes| {
        files += 1;
        for canary in [
            "CANARY",
            &ada[8..],
            &server.admin[8..],
            cookie,
            &second,
            link,
        ] {
            let found = bytes
                .windows(canary.len())
                .any(|window| window == canary.as_bytes());
            assert!(!found, "{} in {}", canary, path.display());
        }
    });
    assert!(files >= 5, "{files}");
}

fn each_file(directory: &Path, look: &mut impl FnMut(&Path, &[u8])) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            each_file(&path, look);
        } else {
            look(&path, &std::fs::read(&path).unwrap());
        }
    }
}

#[tokio::test]
async fn what_cannot_be_given_to_a_sandbox_is_refused_with_the_member() {
    let server = Running::start().await;
    let ada = server.member("ada").await;
    let others = json!({ "name": "mine", "value": "v" });
    server
        .post(&server.admin, "/secrets", others)
        .await
        .expect(201);
    for (body, field) in [
        (
            json!({ "secret_env_vars": { "A": "mine" } }),
            "/secret_env_vars/A",
        ),
        (
            json!({ "secret_env_vars": { "A=B": "x" } }),
            "/secret_env_vars/A=B",
        ),
        (
            json!({ "secret_env_vars": { "A": "x" }, "env_vars": { "A": "1" } }),
            "/secret_env_vars/A",
        ),
        (
            json!({ "agent_credentials": [{ "kind": "gemini" }] }),
            "/agent_credentials/0/kind",
        ),
        (
            json!({ "agent_credentials": [{ "kind": "claude" }, { "kind": "claude", "none": true }] }),
            "/agent_credentials/1/kind",
        ),
        (
            json!({ "agent_credentials": [{ "kind": "claude", "type": "password" }] }),
            "/agent_credentials/0/type",
        ),
    ] {
        for path in ["/sandboxes", "/sandboxes:plan"] {
            let refused = server.post(&ada, path, body.clone()).await.expect(400);
            assert_eq!(refused["details"][0]["field"], field, "{path} {body}");
        }
    }
}
