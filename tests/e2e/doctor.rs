//! `amika doctor`: what is missing, and what interrupted commands left.

use rustix::process::Signal;
use serde_json::Value;

use crate::support::{DEBIAN, Sandbox, Stage, docker, preset};

fn doctor(stage: &Stage, args: &[&str]) -> Value {
    let all: Vec<&str> = ["doctor", "-o", "json"]
        .iter()
        .chain(args)
        .copied()
        .collect();
    let output = stage.amika(&all).output();
    output.ended(0, &[]);
    output.json()
}

#[test]
fn a_healthy_machine_is_told_so() {
    let stage = Stage::new();
    let image = preset(&stage);
    let text = stage.amika(&["doctor"]).output();
    text.ended(0, &[]);
    let text = text.stdout_text();
    for part in [
        "✓ credentials",
        "✓ engine",
        "✓ amikad",
        &format!("{image} is there"),
        "✓ leftovers",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let report = doctor(&stage, &[]);
    let checks = report["checks"].as_array().unwrap();
    assert!(
        checks.iter().all(|check| check["result"] != "failed"),
        "{report}"
    );
    assert_eq!(report["leftovers"], serde_json::json!([]));
    stage.nothing_was_made();
}

#[test]
fn an_engine_that_is_down_is_5_and_the_other_checks_are_shown() {
    let stage = Stage::new();
    let run = |args: &[&str]| {
        let nowhere = "unix:///nonexistent/docker.sock";
        stage.amika(args).env("DOCKER_HOST", nowhere).output()
    };
    let text = run(&["doctor"]);
    text.ended(5, &["cannot be reached"]);
    let shown = text.stdout_text();
    assert!(
        shown.contains("✗ engine") && shown.contains("/nonexistent/docker.sock"),
        "{shown}"
    );
    assert!(shown.contains("apt-get install docker"), "{shown}");
    assert!(!shown.contains("amika doctor"), "{shown}");
    let json = run(&["doctor", "-o", "json"]);
    assert_eq!(json.code, 5);
    assert_eq!(json.json()["error"]["code"], "engine_unreachable");
    assert!(json.json()["error"]["report"]["checks"].is_array());
}

/// Kills a create with SIGKILL when its container is made and about to be started.
fn killed<'a>(stage: &'a Stage, repository: &str) -> Sandbox<'a> {
    let proxy = stage.engine_proxy();
    let sandbox = stage.adopt(stage.name());
    proxy.hold("/start");
    let creating = sandbox
        .create_run(DEBIAN, &["--git", repository])
        .env("DOCKER_HOST", &proxy.host())
        .start();
    proxy.holds();
    creating.signal(Signal::KILL);
    assert_eq!(creating.wait().code, 137);
    sandbox
}

#[test]
fn what_a_killed_create_left_is_found_and_removed() {
    let stage = Stage::new();
    let repository = stage.repository("project", &[("file", "content\n")]);
    let stranger = stage.stranger(&["-v", "/data"], &[DEBIAN]);
    let sandbox = killed(&stage, &repository);
    let listed = stage.sandbox_verb(&["list"]).stdout_text();
    let row = listed
        .lines()
        .find(|line| line.starts_with(&sandbox.name))
        .unwrap();
    assert!(row.contains("interrupted"), "{row}");

    let found = doctor(&stage, &[])["leftovers"].clone();
    assert_eq!(found[0]["name"], sandbox.name, "{found}");
    assert_eq!(found.as_array().unwrap().len(), 1, "{found}");
    let text = stage.amika(&["doctor"]).output();
    text.ended(0, &[]);
    assert!(
        text.stdout_text().contains("amika doctor --fix"),
        "{text:?}"
    );

    let fixed = doctor(&stage, &["--fix"]);
    assert_eq!(fixed["removed"], serde_json::json!([sandbox.name]));
    let [containers, volumes, _] = stage.left();
    assert_eq!(containers, std::slice::from_ref(&stranger.name));
    assert_eq!(volumes, Vec::<String>::new());
    assert_eq!(doctor(&stage, &[])["leftovers"], serde_json::json!([]));
}

#[test]
fn the_next_create_of_that_name_removes_what_a_killed_one_left() {
    let stage = Stage::new();
    let repository = stage.repository("project", &[("file", "content\n")]);
    let sandbox = killed(&stage, &repository);
    sandbox.create(DEBIAN, &[]).ended(0, &[]);
    let [containers, volumes, _] = stage.left();
    assert_eq!((containers.len(), volumes.len()), (1, 2), "{volumes:?}");
}

#[test]
fn volumes_of_a_sandbox_that_docker_removed_are_leftovers_but_its_work_is_not() {
    let stage = Stage::new();
    let repository = stage.repository("project", &[("file", "content\n")]);
    let sandbox = stage.sandbox(DEBIAN, &["--git", &repository]);
    docker(&["rm", "-f", &sandbox.name]).ended(0, &[]);
    let fixed = doctor(&stage, &["--fix"]);
    let removed = fixed["removed"].to_string();
    assert!(
        removed.contains("amika-home-") && removed.contains("amika-state-"),
        "{removed}"
    );
    let [_, volumes, _] = stage.left();
    assert_eq!(volumes.len(), 1, "{volumes:?}");
    assert!(volumes[0].starts_with("amika-git-"), "{volumes:?}");
    assert!(
        fixed["git_volumes"].to_string().contains(&volumes[0]),
        "{fixed}"
    );
    docker(&["volume", "rm", &volumes[0]]).ended(0, &[]);
}

#[test]
fn a_create_under_way_and_a_sandbox_that_runs_are_no_leftovers() {
    let stage = Stage::new();
    let running = stage.sandbox(DEBIAN, &[]);
    let proxy = stage.engine_proxy();
    let sandbox = stage.adopt(stage.name());
    proxy.hold("/start");
    let creating = sandbox
        .create_run(DEBIAN, &[])
        .env("DOCKER_HOST", &proxy.host())
        .start();
    proxy.holds();
    let fixed = doctor(&stage, &["--fix"]);
    assert_eq!(fixed["removed"], serde_json::json!([]));
    proxy.let_go();
    creating.wait().ended(0, &[]);
    assert_eq!(running.engine_state(), "running");
}
