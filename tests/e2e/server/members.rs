//! Who sees and touches which sandbox.

use serde_json::json;

use super::client::Server;
use crate::support::{DEBIAN, Stage};

#[test]
fn members_touch_their_own_administrators_all_and_the_command_lines_are_told_apart() {
    let stage = Stage::new();
    let server = Server::start(&stage, &[]);
    let (ada, bob) = (server.member("ada"), server.member("bob"));
    let local = stage.sandbox(DEBIAN, &[]);
    let body = json!({ "image": DEBIAN, "name": stage.name() });
    assert_eq!(
        server.ask(&ada, "POST", "/sandboxes", Some(&body)).status,
        403,
        "images are an administrator's"
    );
    let dind = json!({ "preset": "coder-dind" });
    assert_eq!(
        server.ask(&ada, "POST", "/sandboxes", Some(&dind)).status,
        403
    );
    let private = json!({ "repo_url": "https://127.0.0.1/o/r" });
    assert_eq!(
        server
            .ask(&ada, "POST", "/sandboxes", Some(&private))
            .status,
        400
    );

    let made = server.create(DEBIAN, json!({}));
    let id = made["id"].as_str().unwrap();
    for other in [&ada, &bob] {
        for (method, rest) in [
            ("GET", ""),
            ("PATCH", ""),
            ("DELETE", ""),
            ("POST", "/start"),
            ("POST", "/stop"),
            ("POST", "/restart"),
            ("GET", "/logs"),
            ("GET", "/lifecycle-events"),
        ] {
            let path = format!("/sandboxes/{id}{rest}");
            assert_eq!(
                server.ask(other, method, &path, Some(&json!({}))).status,
                404,
                "{method} {path}"
            );
        }
        let exec = json!({ "cmd": ["id"] });
        assert_eq!(
            server
                .ask(other, "POST", &format!("/sandboxes/{id}/exec"), Some(&exec))
                .status,
            404
        );
        assert_eq!(
            server.ask(other, "GET", "/sandboxes", None).expect(200),
            json!([])
        );
        assert_eq!(
            server.ask(other, "GET", "/sandboxes?all=true", None).status,
            403
        );
    }
    let all = server.get("/sandboxes?all=true").expect(200);
    let origin = |name: &str| {
        let mut all = all.as_array().unwrap().iter();
        all.find(|it| it["name"] == name)
            .map(|it| it["origin"].clone())
    };
    assert_eq!(origin(&local.name), Some(json!("cli")));
    assert_eq!(
        origin(made["name"].as_str().unwrap()),
        Some(json!("server"))
    );
    assert_eq!(
        server
            .get("/sandboxes")
            .expect(200)
            .as_array()
            .unwrap()
            .len(),
        1,
        "one's own alone"
    );
    // Whoever has sandboxes stays, unless they go over to somebody.
    let heir = server.admin("eve");
    let me = server.get("/me").expect(200)["id"].clone();
    let path = format!("/users/{}", me.as_str().unwrap());
    let left = server.ask(&heir, "DELETE", &path, None);
    assert!(
        left.expect(409)["message"]
            .to_string()
            .contains("sandboxes (1)")
    );
    for nobody in ["no-such-user", me.as_str().unwrap()] {
        let to = format!("{path}?transfer_to={nobody}");
        assert_eq!(
            server.ask(&heir, "DELETE", &to, None).status,
            400,
            "{nobody}"
        );
    }
    let eve = server.ask(&heir, "GET", "/me", None).expect(200)["id"].clone();
    let to = format!("{path}?transfer_to={}", eve.as_str().unwrap());
    server.ask(&heir, "DELETE", &to, None).expect(200);
    assert_eq!(server.get("/me").status, 401);
    let own = server.ask(&heir, "GET", "/sandboxes", None).expect(200);
    assert_eq!(own[0]["id"], *id);
    server
        .ask(
            &heir,
            "DELETE",
            &format!("/sandboxes/{id}?force=true"),
            None,
        )
        .expect(200);
}
