//! For whom a server builds an image of a repository's Dockerfile.

use super::client::{Server, done};
use crate::support::{DEBIAN, Stage};

#[test]
fn images_are_built_for_administrators_and_for_members_where_they_choose_any() {
    let stage = Stage::new();
    let config = "[sandbox]\ndockerfile = \"Dockerfile\"\n";
    let dockerfile = format!("FROM {DEBIAN}\nRUN echo built > /built\n");
    let app = stage.repository(
        "app",
        &[(".amika/config.toml", config), ("Dockerfile", &dockerfile)],
    );
    let server = Server::start(&stage, &[]);
    let ada = server.member("ada");
    let create = |key: &str| {
        let name = stage.name();
        let args = [
            "sandbox",
            "create",
            "--name",
            &name,
            "--git",
            &app,
            "--no-clean",
        ];
        server.amika_as(key, &[&args[..], &["-o", "json"]].concat())
    };
    let refused = create(&ada).output();
    assert_ne!(refused.code, 0, "{refused:?}");
    refused.ended(
        refused.code,
        &[
            ".amika/config.toml names a dockerfile",
            "only administrators have images built",
        ],
    );
    let made = done(create(&server.admin)).json();
    let id = made["id"].as_str().expect("an id").to_owned();
    let exec = serde_json::json!({ "cmd": ["cat", "/built"] });
    let said = server
        .post(&format!("/sandboxes/{id}/exec"), &exec)
        .expect(200);
    assert_eq!(said["stdout"], "built\n");
    server.remove(&id);
}
