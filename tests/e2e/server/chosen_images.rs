//! For whom a server makes a sandbox of the image that a repository's file chooses.

use super::client::{Server, done};
use crate::support::{DEBIAN, Stage};

#[test]
fn a_repository_chooses_for_a_member_no_image_that_the_member_may_not() {
    let stage = Stage::new();
    let dockerfile = format!("FROM {DEBIAN}\nRUN echo built > /built\n");
    let app = |name: &str, line: &str| {
        let config = format!("[sandbox]\n{line}\n");
        stage.repository(
            name,
            &[(".amika/config.toml", &config), ("Dockerfile", &dockerfile)],
        )
    };
    let mut server = Server::start(&stage, &[]);
    let ada = server.member("ada");
    let create = |server: &Server<'_>, key: &str, of: &str, more: &[&str]| {
        let name = stage.name();
        let args = [
            "sandbox",
            "create",
            "--name",
            &name,
            "--git",
            of,
            "--no-clean",
            "-o",
            "json",
        ];
        server.amika_as(key, &[&args[..], more].concat())
    };
    let built = app("built", "dockerfile = \"Dockerfile\"");
    for (of, what) in [
        (&built, "a dockerfile"),
        (
            &app("named", &format!("image = \"{DEBIAN}\"")),
            &*format!("the image \"{DEBIAN}\""),
        ),
        (
            &app("dind", "preset = \"coder-dind\""),
            "the preset coder-dind",
        ),
    ] {
        let message =
            format!(".amika/config.toml names {what}, which only administrators may have here");
        let refused = create(&server, &ada, of, &[]).output();
        assert_ne!(refused.code, 0, "{refused:?}");
        refused.ended(refused.code, &[&message]);
    }
    let planned = create(&server, &ada, &built, &["--dry-run"]).output();
    assert!(
        planned.stderr_text().contains("a dry run sends nothing"),
        "{planned:?}"
    );
    let builds = |server: &Server<'_>, key: &str| {
        let made = done(create(server, key, &built, &[])).json();
        let id = made["id"].as_str().expect("an id").to_owned();
        let exec = serde_json::json!({ "cmd": ["cat", "/built"] });
        let said = server
            .post(&format!("/sandboxes/{id}/exec"), &exec)
            .expect(200);
        assert_eq!(said["stdout"], "built\n");
        server.remove(&id);
    };
    builds(&server, &server.admin);
    server.signal(rustix::process::Signal::TERM);
    server.again_with(&[("AMIKA_SERVER_MEMBERS_IMAGE", "1")]);
    builds(&server, &ada);
}
