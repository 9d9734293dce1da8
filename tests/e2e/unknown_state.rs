//! A state of a container that the engine has another word for: it is unknown, and nothing goes because of it.

use serde_json::Value;

use crate::support::{DEBIAN, EngineProxy, Output, Sandbox, Stage};

/// From now on the engine has a word of its own for what has ended.
fn has_another_word(proxy: &EngineProxy) {
    for field in ["State", "Status"] {
        let word = |state: &str| format!("\"{field}\":\"{state}\"");
        proxy.answers(&word("exited"), &word("halted"));
    }
}

fn told(sandbox: &Sandbox<'_>, proxy: &EngineProxy, args: &[&str]) -> Output {
    let run = sandbox.stage.amika(args);
    run.env("DOCKER_HOST", &proxy.host()).output()
}

#[test]
fn a_state_of_another_word_is_unknown_and_nothing_is_deleted_because_of_it() {
    let stage = Stage::new();
    let repository = stage.repository("app", &[("file", "x")]);
    let sandbox = stage.sandbox(DEBIAN, &["--git", &repository, "--", "sleep", "600"]);
    let name = sandbox.name.as_str();
    let write = ["sh", "-c", "echo work >~/notes"];
    sandbox.exec(&write).output().ended(0, &[]);
    let stop = ["--timeout", "0s"];
    sandbox.verb("stop", &stop).output().ended(0, &[]);
    let volumes = stage.volumes();
    let proxy = stage.engine_proxy();
    has_another_word(&proxy);

    let list = told(&sandbox, &proxy, &["ls", "-o", "json"]).json();
    let is_it = |row: &&Value| row["name"] == name;
    let row = list.as_array().unwrap().iter().find(is_it).unwrap();
    assert_eq!(row["state"], "unknown");
    let inspected = told(
        &sandbox,
        &proxy,
        &["sandbox", "inspect", name, "-o", "json"],
    );
    assert_eq!(inspected.json()["state"], "unknown");

    // Whoever made it is gone: one that was never started would be a leftover, and its name free.
    let fixed = told(&sandbox, &proxy, &["doctor", "--fix", "-o", "json"]);
    let text = fixed.stdout_text();
    assert!(!text.contains(name), "{text}");
    let image = ["--image", DEBIAN];
    for options in [&[][..], &["--replace"]] {
        let create = [&["sandbox", "create", "--name", name], &image[..], options].concat();
        told(&sandbox, &proxy, &create).ended(4, &[]);
    }
    let delete = ["sandbox", "delete", name];
    told(&sandbox, &proxy, &delete).ended(4, &["in /home/amika: notes"]);
    assert_eq!(sandbox.engine_state(), "exited");
    assert_eq!(stage.volumes(), volumes);

    // What is asked for is done, and the clone is kept as that of any sandbox.
    let forced = told(&sandbox, &proxy, &["sandbox", "delete", "--force", name]);
    forced.ended(0, &[]);
    let left = stage.volumes();
    assert!(left.len() == 1 && left[0].contains("-git-"), "{left:?}");
    crate::support::docker(&["volume", "rm", &left[0]]).ended(0, &[]);
}

/// As where the word for one that runs is new: it is neither ended nor leftover.
#[test]
fn a_running_sandbox_of_another_word_stays_when_leftovers_are_removed() {
    let stage = Stage::new();
    let sandbox = stage.sandbox(DEBIAN, &["--", "sleep", "600"]);
    let proxy = stage.engine_proxy();
    for field in ["State", "Status"] {
        let word = |state: &str| format!("\"{field}\":\"{state}\"");
        proxy.answers(&word("running"), &word("walking"));
    }
    let list = told(&sandbox, &proxy, &["ls", "-o", "json"]).json();
    let mut rows = list.as_array().unwrap().iter();
    let row = rows.find(|row| row["name"] == *sandbox.name).unwrap();
    assert_eq!(row["state"], "unknown");
    told(&sandbox, &proxy, &["doctor", "--fix", "--others"]);
    assert_eq!(sandbox.engine_state(), "running");
    sandbox.exec(&["true"]).output().ended(0, &[]);
}
