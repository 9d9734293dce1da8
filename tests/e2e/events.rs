//! `amika events`: what happens to sandboxes, live and from the engine's memory.

use serde_json::Value;

use crate::support::{DEBIAN, Output, Stage, docker};

fn lines(output: &Output) -> Vec<Value> {
    output
        .stdout_text()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn a_sandboxs_life_is_told_as_it_happens() {
    let stage = Stage::new();
    let sandbox = stage.adopt(stage.name());
    let name = sandbox.name.clone();
    let new_name = stage.name();
    let watching = stage
        .amika(&["-o", "json", "events", "--since", "1m", &name, &new_name])
        .start();
    let created = sandbox.create(DEBIAN, &[]);
    assert_eq!(created.code, 0, "{created:?}");
    watching.says("\"start\"");
    assert_eq!(sandbox.exec(&["true"]).output().code, 0);
    let renamed = sandbox.verb("rename", &[&new_name]).output();
    assert_eq!(renamed.code, 0, "{renamed:?}");
    let deleted = stage.sandbox_verb(&["delete", "--force", &new_name]);
    assert_eq!(deleted.code, 0, "{deleted:?}");
    watching.says("\"destroy\"");
    watching.signal(rustix::process::Signal::INT);
    let told = watching.wait();
    assert_eq!(told.code, 130, "{told:?}");

    let past = stage
        .amika(&[
            "-o", "json", "events", "--since", "10m", "--until", "0", &name, &new_name,
        ])
        .output();
    assert_eq!(past.code, 0, "{past:?}");
    let events = lines(&past);
    let words: Vec<&str> = events
        .iter()
        .map(|event| event["event"].as_str().unwrap())
        .collect();
    let mut wanted = ["create", "start", "rename", "die", "destroy"]
        .iter()
        .peekable();
    for word in &words {
        wanted.next_if(|wanted| *wanted == word);
    }
    assert_eq!(wanted.peek(), None, "{words:?}");
    assert!(
        !words.iter().any(|word| word.starts_with("exec")),
        "{words:?}"
    );
    let ids: std::collections::BTreeSet<&str> = events
        .iter()
        .map(|event| event["id"].as_str().unwrap())
        .collect();
    assert_eq!(ids.len(), 1, "{events:?}");
    let rename = events
        .iter()
        .find(|event| event["event"] == "rename")
        .unwrap();
    assert_eq!(rename["sandbox"], new_name);
    // Podman does not say what it was.
    let old_name = &rename["old_name"];
    assert!(
        *old_name == name || (is_podman() && old_name.is_null()),
        "{rename}"
    );

    let text = stage
        .amika(&["events", "--since", "10m", "--until", "0", &new_name])
        .output();
    assert!(
        text.stdout_text().contains(&format!("{new_name}  destroy")),
        "{text:?}"
    );
}

/// What the engine's components are called; Podman has one of its own.
fn is_podman() -> bool {
    let components = "{{range .Server.Components}}{{.Name}} {{end}}";
    let told = docker(&["version", "--format", components]);
    told.stdout_text().contains("Podman")
}

#[test]
fn what_the_engine_has_forgotten_is_told_where_it_is_asked_for() {
    let stage = Stage::new();
    // Each is an event, of which Docker remembers 256.
    let tag = |number: usize| format!("amika-test/{}:{number}", stage.name());
    let tags: Vec<String> = (0..130).map(tag).collect();
    for tag in &tags {
        docker(&["tag", DEBIAN, tag]).ended(0, &[]);
    }
    let all: Vec<&str> = tags.iter().map(String::as_str).collect();
    docker(&[&["rmi"], &all[..]].concat()).ended(0, &[]);
    let events = |since: &str| {
        let args = ["events", "--since", since, "--until", "0", &stage.name()];
        stage.amika(&args).output()
    };
    let long = events("1970-01-02");
    assert_eq!(long.code, 0, "{long:?}");
    // It keeps them in a file.
    let words = "the engine has forgotten what happened before";
    assert_eq!(long.stderr_text().contains(words), !is_podman(), "{long:?}");
    let short = events("0");
    assert!(!short.stderr_text().contains(words), "{short:?}");
}

#[test]
fn strangers_containers_are_none_of_ours() {
    let stage = Stage::new();
    let name = stage.name();
    let ran = docker(&["run", "--rm", "--name", &name, DEBIAN, "true"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let past = stage
        .amika(&["-o", "json", "events", "--since", "10m", "--until", "0"])
        .output();
    assert_eq!(past.code, 0, "{past:?}");
    assert!(!past.stdout_text().contains(&name), "{past:?}");
}

#[test]
fn without_an_engine_there_is_one_document() {
    let stage = Stage::new();
    let unreachable = stage
        .amika(&["-o", "json", "events"])
        .env("DOCKER_HOST", "unix:///nonexistent/docker.sock")
        .output();
    assert_eq!(unreachable.code, 5, "{unreachable:?}");
    assert_eq!(unreachable.json()["error"]["code"], "engine_unreachable");
}
