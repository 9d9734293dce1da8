//! Whose the volumes are that a repository's file names, on a server.

use serde_json::{Value, json};

use super::client::{Server, done};
use crate::support::Stage;

#[test]
fn a_copy_that_was_sent_shares_its_volumes_with_no_other_sandbox() {
    let stage = Stage::new();
    let config = "[sandbox]\nmounts = [\"cache:/cache\"]\n";
    let name = stage.name();
    let app = stage.repository(&name, &[(".amika/config.toml", config)]);
    let server = Server::start(&stage, &[]);
    let ada = server.member("ada");
    let create = |key: &str| {
        let sandbox = stage.name();
        let args = [
            "sandbox",
            "create",
            "--name",
            &sandbox,
            "--git",
            &app,
            "--no-clean",
            "-o",
            "json",
        ];
        let made = done(server.amika_as(key, &args)).json();
        made["id"].as_str().expect("an id").to_owned()
    };
    let says = |key: &str, id: &str, script: &str| {
        let exec = json!({ "cmd": ["sh", "-c", script] });
        let path = format!("/sandboxes/{id}/exec");
        let said = server.ask(key, "POST", &path, Some(&exec)).expect(200);
        said["stdout"].as_str().expect("a text").to_owned()
    };
    let mine = create(&server.admin);
    says(&server.admin, &mine, "echo poison > /cache/file");
    let hers = create(&ada);
    assert_eq!(
        says(&ada, &hers, "ls -A /cache; echo hers > /cache/file"),
        ""
    );
    // Where such a copy comes from it says itself.
    let again = create(&ada);
    assert_eq!(says(&ada, &again, "ls -A /cache"), "");
    let volumes = server.ask(&ada, "GET", "/volumes", None).expect(200);
    let volumes = volumes.as_array().expect("a list").clone();
    let is_named = |it: &&Value| it["kind"] == "named";
    let named: Vec<&Value> = volumes.iter().filter(is_named).collect();
    assert_eq!(named.len(), 2, "{volumes:?}");
    for id in [&mine, &hers, &again] {
        server.remove(id);
    }
    // It stays for the next sandbox, and goes when it is asked for.
    let prune = json!({});
    let kept = server
        .ask(&ada, "POST", "/volumes/prune", Some(&prune))
        .expect(200);
    let volume = named[0]["name"].as_str().expect("a name");
    let kept = kept["kept"].as_array().expect("a list");
    assert!(kept.iter().any(|it| it["name"] == volume), "{kept:?}");
    for key in [&ada, &server.admin] {
        let force = json!({ "force": true });
        server
            .ask(key, "POST", "/volumes/prune", Some(&force))
            .expect(200);
    }
}
