//! How much may be asked, how much somebody may have, and what is noted of it.

use pretty_assertions::assert_eq;
use serde_json::{Value, json};

use crate::support::Running;

#[tokio::test]
async fn too_many_changes_by_one_key_wait_and_other_keys_and_looks_do_not() {
    let server = Running::configured("[rates]\nper_key = 5\n").await;
    let other = server.key(&["read", "write"]).await;
    let git = json!({ "name": "Ada", "email": "ada@example.com" });
    let mut limited = None;
    for _ in 0..8 {
        let answer = server
            .post(&server.admin, "/git-user-settings", git.clone())
            .await;
        if answer.status == 429 {
            limited = Some(answer);
        }
    }
    let limited = limited.expect("five are allowed");
    let wait: u64 = limited.headers["retry-after"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((1..=13).contains(&wait), "{wait}");
    assert_eq!(limited.refused(429), "rate_limited");
    server.get(&server.admin, "/me").await.expect(200);
    server
        .post(&other, "/git-user-settings", git)
        .await
        .expect(200);
}

#[tokio::test]
async fn too_many_requests_from_an_address_wait_whoever_asks() {
    let server = Running::configured("[rates]\nper_address = 10\n").await;
    let mut codes = Vec::new();
    for _ in 0..12 {
        codes.push(server.get(&server.admin, "/me").await.status.as_u16());
    }
    assert_eq!(
        codes.iter().filter(|code| **code == 200).count(),
        10,
        "{codes:?}"
    );
    server.get("", "/me").await.refused(429);
}

#[tokio::test]
async fn a_quota_is_the_configurations_until_an_administrator_says_otherwise() {
    let server = Running::configured("[members]\nmax_sandboxes = 0\nmax_memory = \"4g\"\n").await;
    let ada = server.member("ada").await;
    let body = json!({ "preset": "coder", "size": "xs" });
    let refused = server.post(&ada, "/sandboxes", body.clone()).await;
    let text = refused.json()["message"].as_str().unwrap().to_owned();
    assert_eq!(refused.refused(403), "forbidden");
    assert_eq!(text, "you have 0 sandboxes, and may have 0");
    let users = server.get(&server.admin, "/users").await.expect(200);
    let ada_id = users
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["name"] == "ada");
    let path = format!("/users/{}", ada_id.unwrap()["id"].as_str().unwrap());
    let change = |body: Value| server.ask(&server.admin, "PATCH", &path, Some(body));
    for bad in [
        json!({ "max_cpus": -2 }),
        json!({ "max_sandboxes": 5_000_000_000_i64 }),
    ] {
        change(bad).await.refused(400);
    }
    let changed = change(json!({ "max_sandboxes": 2 })).await.expect(200);
    assert_eq!(
        (&changed["max_sandboxes"], &changed["max_memory"]),
        (&json!(2), &Value::Null)
    );
    let large = json!({ "preset": "coder", "size": "l" });
    let refused = server.post(&ada, "/sandboxes", large).await;
    let message = refused.json()["message"].to_string();
    assert!(message.contains("of memory"), "{message}");
    refused.refused(403);
    let changed = change(json!({ "max_sandboxes": -1 })).await.expect(200);
    assert_eq!(changed["max_sandboxes"], Value::Null);
    server.post(&ada, "/sandboxes", body).await.refused(403);
    let request = server
        .request("GET", "/metrics")
        .header("authorization", format!("Bearer {}", server.admin));
    let metrics = server
        .send(request.body(String::new().into()).unwrap())
        .await;
    let metrics = String::from_utf8(metrics.body.to_vec()).unwrap();
    assert!(metrics.contains("amika_over_quota_total 3\n"), "{metrics}");
}

#[tokio::test]
async fn what_was_done_stands_in_lines_too_and_goes_after_ninety_days() {
    let server = Running::start().await;
    let secret = json!({ "name": "s", "value": "CANARY" });
    server
        .post(&server.admin, "/secrets", secret)
        .await
        .expect(201);
    let text = std::fs::read_to_string(server.data().join("audit.jsonl")).unwrap();
    let last: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!(
        (&last["action"], &last["user_name"], &last["status"]),
        (&json!("POST /secrets"), &json!("admin"), &json!(201))
    );
    assert!(!text.contains("CANARY"));
    let count = |audit: &Value| audit["items"].as_array().unwrap().len();
    let before = server.get(&server.admin, "/audit").await.expect(200);
    assert_eq!(count(&before), 1);
    server.pass(91 * 24 * 60 * 60 * 1000);
    // It is looked once an hour, and at each start.
    let server = server.later(91 * 24 * 60 * 60 * 1000).await;
    crate::support::eventually("the old entries go", async || {
        count(&server.get(&server.admin, "/audit").await.expect(200)) == 0
    })
    .await;
}
