//! The server's own beginning and end.

use rustix::process::Signal;
use serde_json::Value;

use super::client::Server;
use crate::support::Stage;

#[test]
fn the_first_start_tells_key_and_link_once_and_sigterm_ends_it_well() {
    let stage = Stage::new();
    let mut server = Server::start(&stage, &[]);
    let me = server.get("/me").expect(200);
    let second = stage
        .amika(&[
            "server",
            "--listen",
            "127.0.0.1:0",
            "--data",
            &server.data(),
        ])
        .output();
    second.ended(4, &["another server uses the data directory"]);
    assert_eq!(server.signal(Signal::TERM).code, 0);
    server.again();
    assert_eq!(server.get("/me").expect(200)["id"], me["id"]);
    server.signal(Signal::TERM);
}

#[test]
fn a_lost_key_is_made_anew_and_a_backup_is_put_back() {
    let stage = Stage::new();
    let mut server = Server::start(&stage, &[]);
    let data = server.data();
    let copy = stage.home().join("copy").to_str().unwrap().to_owned();
    stage
        .amika(&["server", "backup", &copy, "--data", &data])
        .output()
        .ended(0, &[]);
    server.signal(Signal::TERM);
    let made = stage
        .amika(&[
            "-o", "json", "server", "key", "create", "--admin", "--data", &data,
        ])
        .output();
    let key = made.json()["api_key"].as_str().unwrap().to_owned();
    let checked = stage
        .amika(&["-o", "json", "server", "check", "--data", &data])
        .output();
    // A step of the tables is a file.
    let steps = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../crates/amika-server/migrations"
    );
    let steps = std::fs::read_dir(steps).unwrap().count();
    assert_eq!(checked.json()["version"], steps);
    server.again();
    assert_eq!(
        server.ask(&key, "GET", "/me", None).expect(200)["role"],
        "admin"
    );
    server.signal(Signal::TERM);
    stage
        .amika(&["server", "restore", &copy, "--data", &data])
        .output()
        .ended(0, &[]);
    server.again();
    assert_eq!(
        server.ask(&key, "GET", "/me", None).status,
        401,
        "it is younger than the backup"
    );
    server.get("/me").expect(200);
    server.signal(Signal::TERM);
}

#[test]
fn what_would_send_keys_in_the_clear_is_refused() {
    let stage = Stage::new();
    let refused = stage
        .amika(&["-o", "json", "server", "--listen", "0.0.0.0:0"])
        .output();
    assert_eq!(refused.code, 2);
    let error: Value = refused.json();
    assert!(
        error["error"]["message"]
            .as_str()
            .unwrap()
            .contains("without TLS"),
        "{error}"
    );
    let unknown = stage.file("server.toml", "listn = \"127.0.0.1:0\"\n");
    stage
        .amika(&["server", "--config", &unknown])
        .output()
        .ended(2, &["listn"]);
}
