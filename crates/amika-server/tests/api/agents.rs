//! Conversations with agents: what is refused before any sandbox is looked for.

use pretty_assertions::assert_eq;
use serde_json::json;

use crate::support::Running;

#[tokio::test]
async fn a_message_that_cannot_be_meant_is_refused_with_the_member() {
    let server = Running::start().await;
    let key = &server.admin;
    let long = "x".repeat((512 << 10) + 1);
    for (body, field) in [
        (json!({ "message": " \n" }), "/message"),
        (json!({ "message": long }), "/message"),
        (json!({ "message": "hi", "agent": "gemini" }), "/agent"),
        (
            json!({ "message": "hi", "session_id": "s", "new_session": true }),
            "/new_session",
        ),
    ] {
        for path in [
            "/sandboxes/box/agent-send",
            "/sandboxes/box/agent-send-jobs",
            "/agent-sessions",
            "/agent-sessions/stream",
        ] {
            let refused = server.post(key, path, body.clone()).await.expect(400);
            assert_eq!(refused["details"][0]["field"], field, "{path}");
        }
    }
    let both = json!({ "message": "hi", "sandbox_id": "s", "repo_url": "https://example.com/r" });
    let both = server.post(key, "/agent-sessions", both).await.expect(400);
    assert_eq!(both["details"][0]["field"], "/repo_url");
    for (body, field) in [
        (json!({ "initial_prompt": "" }), "/initial_prompt"),
        (json!({ "agent": "gemini" }), "/agent"),
    ] {
        let refused = server.post(key, "/sandboxes", body).await.expect(400);
        assert_eq!(refused["details"][0]["field"], field);
    }
    let bad = json!({ "metadata": [1] });
    let bad = server.post(key, "/sandboxes/box/sessions", bad).await;
    assert_eq!(bad.expect(400)["details"][0]["field"], "/metadata");
}

#[tokio::test]
async fn nobody_has_a_session_before_the_first_message() {
    let server = Running::start().await;
    let none = server
        .get(&server.admin, "/agent-sessions")
        .await
        .expect(200);
    assert_eq!(none, json!({ "sessions": [], "total": 0 }));
    let unknown = server.get(&server.admin, "/agent-sessions/none").await;
    assert_eq!(unknown.refused(404), "not_found");
    let message = json!({ "message": "hi", "session_id": "none" });
    let unknown = server.post(&server.admin, "/agent-sessions", message).await;
    assert_eq!(unknown.refused(404), "not_found");
    for limit in ["0", "1001"] {
        let path = format!("/agent-sessions?limit={limit}");
        assert_eq!(server.get(&server.admin, &path).await.refused(400), "usage");
    }
}
