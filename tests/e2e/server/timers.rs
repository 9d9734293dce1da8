//! Timers, by the clock of the wall and the idle time that the sandbox tells.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::client::Server;
use crate::support::{DEBIAN, Stage, docker, eventually};

#[test]
fn an_idle_sandbox_is_stopped_and_deleted_and_a_busy_one_is_not() {
    let stage = Stage::new();
    let server = Server::start(&stage, &[]);
    let idle = server.create(
        DEBIAN,
        json!({ "auto_stop_interval": 1, "auto_delete_interval": 0 }),
    );
    let busy = server.create(DEBIAN, json!({ "auto_stop_interval": 1 }));
    let late = server.create(
        DEBIAN,
        json!({ "auto_stop_interval": 1, "auto_delete_interval": 0 }),
    );
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
    // One that has something to do at the last moment stays.
    std::thread::sleep(Duration::from_secs(45).saturating_sub(begun.elapsed()));
    server
        .post(&format!("{}/exec", path(&late)), &work)
        .expect(200);
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
    for busy in [&busy, &late] {
        assert_eq!(server.get(&path(busy)).expect(200)["state"], "started");
        server.remove(busy["id"].as_str().unwrap());
    }
}

/// The library that sets a program's clock.
fn library(home: &Path) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/test-set-clock.c");
    let library = home.join("set-clock.so");
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", "-O", "-o"])
        .args([&library, &source])
        .arg("-ldl")
        .status();
    assert!(built.unwrap().success());
    library
}

/// More than what passes between two looks.
const LOOKS: Duration = Duration::from_secs(14);

#[test]
fn a_clock_that_is_set_deletes_nothing_early_and_a_server_that_was_away_catches_up() {
    let stage = Stage::new();
    let clock = stage.file("clock", "0");
    let library = library(stage.home());
    let env = [
        ("LD_PRELOAD", library.to_str().unwrap()),
        ("AMIKA_TEST_CLOCK", clock.as_str()),
    ];
    let set = |minutes: i64| {
        // At once: a file that is empty for a moment would be a clock that jumps.
        let next = stage.file("next", &(minutes * 60).to_string());
        std::fs::rename(next, &clock).unwrap();
    };
    let mut server = Server::start(&stage, &[]);
    server.signal(rustix::process::Signal::TERM);
    server.again_with(&env);
    let stopped = |server: &Server<'_>, minutes: i64| -> String {
        let body = json!({ "auto_stop_interval": 60, "auto_delete_interval": minutes });
        let made = server.create(DEBIAN, body);
        let id = made["id"].as_str().unwrap().to_owned();
        server
            .post(&format!("/sandboxes/{id}/stop"), &json!({}))
            .expect(202);
        server.until(&id, "stopped");
        id
    };
    let is_there =
        |server: &Server<'_>, id: &str| server.get(&format!("/sandboxes/{id}")).status == 200;
    let running = server.create(
        DEBIAN,
        json!({ "auto_stop_interval": 60, "auto_delete_interval": 0 }),
    );
    let (soon, later) = (stopped(&server, 30), stopped(&server, 90));

    // Less than an hour is believed: what is due is done, and what is not due is not.
    set(40);
    eventually("what is due is deleted", || !is_there(&server, &soon));
    assert!(is_there(&server, &later));
    // More is looked at again later, whichever way it goes.
    for minutes in [40 + 600, -600] {
        set(minutes);
        std::thread::sleep(LOOKS);
        assert!(is_there(&server, &later), "{minutes}");
    }
    // What became due while no server was there is done by the next one.
    server.signal(rustix::process::Signal::KILL);
    set(600);
    server.again();
    eventually("what became due meanwhile is deleted", || {
        !is_there(&server, &later)
    });
    // The wall is nothing to one that runs.
    let id = running["id"].as_str().unwrap();
    let seen = server.get(&format!("/sandboxes/{id}")).expect(200);
    assert_eq!(seen["state"], "started", "{seen}");
    server.remove(id);
    stage.nothing_was_made();
}

#[test]
fn a_sandbox_or_an_engine_that_does_not_answer_is_left_and_looked_at_again() {
    let stage = Stage::new();
    let mut server = Server::start(&stage, &[]);
    let proxy = stage.engine_proxy();
    server.signal(rustix::process::Signal::TERM);
    server.again_with(&[("DOCKER_HOST", &proxy.host())]);
    let made = |body: Value| server.create(DEBIAN, body);
    let paused = made(json!({ "auto_stop_interval": 1, "auto_delete_interval": 0 }));
    let gone = made(json!({ "auto_stop_interval": 0, "auto_delete_interval": 0 }));
    let name = |it: &Value| it["name"].as_str().unwrap().to_owned();
    let path = |it: &Value| format!("/sandboxes/{}", it["id"].as_str().unwrap());
    assert_eq!(docker(&["pause", &name(&paused)]).code, 0);
    let begun = Instant::now();

    // The engine answers nothing while the sandbox ends: nobody knows, and nothing is done.
    proxy.hold("/");
    assert_eq!(docker(&["kill", &name(&gone)]).code, 0);
    proxy.holds();
    std::thread::sleep(LOOKS);
    assert_eq!(docker(&["inspect", &name(&gone)]).code, 0);
    proxy.let_go();
    eventually("it is deleted once the engine answers", || {
        server.get(&path(&gone)).status == 404
    });

    // What cannot be asked whether it is idle is not stopped.
    std::thread::sleep(Duration::from_secs(80).saturating_sub(begun.elapsed()));
    let told = docker(&["inspect", "-f", "{{.State.Status}}", &name(&paused)]);
    assert_eq!(told.stdout_text().trim(), "paused");
    assert_eq!(docker(&["unpause", &name(&paused)]).code, 0);
    let begun = Instant::now();
    while server.get(&path(&paused)).status == 200 {
        assert!(
            begun.elapsed() < Duration::from_mins(2),
            "it is still there"
        );
        std::thread::sleep(Duration::from_millis(500));
    }
    stage.nothing_was_made();
}
