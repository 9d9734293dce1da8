//! Timers, by the clock of the wall and the idle time that the sandbox tells.

use std::time::{Duration, Instant};

use serde_json::json;

use super::client::Server;
use crate::support::{DEBIAN, Stage};

#[test]
fn an_idle_sandbox_is_stopped_and_deleted_and_a_busy_one_is_not() {
    let stage = Stage::new();
    let server = Server::start(&stage, &[]);
    let idle = server.create(
        DEBIAN,
        json!({ "auto_stop_interval": 1, "auto_delete_interval": 0 }),
    );
    let busy = server.create(DEBIAN, json!({ "auto_stop_interval": 1 }));
    let path = |it: &serde_json::Value| format!("/sandboxes/{}", it["id"].as_str().unwrap());
    let work = json!({ "cmd": ["sh", "-c", "(while :; do :; done) >/dev/null 2>&1 &"] });
    assert_eq!(
        server
            .post(&format!("{}/exec", path(&busy)), &work)
            .expect(200)["exit_code"],
        0
    );
    let begun = Instant::now();
    crate::support::eventually(
        "it is told why the one is active, and when the other is stopped",
        || {
            let (idle, busy) = (server.get(&path(&idle)), server.get(&path(&busy)));
            let (idle, busy) = (idle.expect(200), busy.expect(200));
            let busy_with = busy["active_because"].to_string();
            busy_with.contains("cpu")
                && idle["active_because"] == json!([])
                && idle["auto_stop_at"].is_string()
        },
    );
    let told = server.get(&path(&idle)).expect(200);
    let minutes = |member: &str| {
        told[member].as_str().unwrap()[14..16]
            .parse::<u32>()
            .unwrap()
    };
    assert_eq!(
        minutes("auto_stop_at"),
        (minutes("last_active_at") + 1) % 60,
        "{told}"
    );
    assert_eq!(told["auto_delete_at"], json!(null), "it runs: {told}");
    while server.get(&path(&idle)).status == 200 {
        assert!(
            begun.elapsed() < Duration::from_mins(2),
            "it is still there"
        );
        std::thread::sleep(Duration::from_millis(500));
    }
    assert!(
        begun.elapsed() > Duration::from_secs(50),
        "too early: {:?}",
        begun.elapsed()
    );
    assert_eq!(server.get(&path(&busy)).expect(200)["state"], "started");
    server
        .delete(&format!("{}?force=true", path(&busy)))
        .expect(200);
}
