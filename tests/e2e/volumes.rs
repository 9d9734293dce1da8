//! What outlives a sandbox: git volumes, and what deletes them.

use std::fs;

use crate::support::{DEBIAN, Output, Sandbox, Stage, docker, eventually};

fn volume(stage: &Stage, args: &[&str]) -> Output {
    let all: Vec<&str> = std::iter::once("volume")
        .chain(args.iter().copied())
        .collect();
    stage.amika(&all).output()
}

/// The path of a repository named `app` with one commit.
fn repository(stage: &Stage) -> String {
    let path = stage.home().join("app");
    fs::create_dir_all(&path).unwrap();
    let script = "cd \"$1\" && git init -q . && echo x >file && git add -A && \
                  git -c user.name=A -c user.email=a@example.com commit -qm x";
    let made = stage.shell(script, &[path.to_str().unwrap()]).output();
    assert_eq!(made.code, 0, "{made:?}");
    path.to_str().unwrap().to_owned()
}

/// The name of the sandbox's git volume, as `volume list` has it.
fn git_volume(stage: &Stage, sandbox: &Sandbox<'_>) -> serde_json::Value {
    let listed = volume(stage, &["list", "-o", "json"]).json();
    let mine = |one: &&serde_json::Value| one["kind"] == "git" && one["made_for"] == *sandbox.name;
    listed
        .as_array()
        .unwrap()
        .iter()
        .find(mine)
        .unwrap()
        .clone()
}

fn has(output: &Output, code: i32, words: &str) {
    assert_eq!(output.code, code, "{output:?}");
    assert!(output.stderr_text().contains(words), "{output:?}");
}

#[test]
fn a_git_volume_survives_its_sandbox_until_it_is_deleted() {
    let stage = Stage::new();
    let repository = repository(&stage);
    let sandbox = stage.sandbox(DEBIAN, &["--git", &repository]);
    let listed = git_volume(&stage, &sandbox);
    let name = listed["name"].as_str().unwrap();
    assert!(
        name.starts_with(&format!("amika-git-{}-app-", sandbox.name)),
        "{name}"
    );
    assert_eq!(listed["sandbox"], *sandbox.name);
    assert_eq!(listed["repository"], "app");
    has(&volume(&stage, &["delete", name]), 4, &sandbox.name);
    let one = volume(&stage, &["inspect", name, "-o", "json"]).json();
    let two = volume(&stage, &["inspect", name, name, "-o", "json"]).json();
    assert_eq!(two, serde_json::json!([one, one]));
    let shown = volume(&stage, &["inspect", name, name]).stdout_text();
    let named = |line: &&str| **line == format!("Name          {name}");
    assert_eq!(shown.lines().filter(named).count(), 2, "{shown}");
    let missing = volume(&stage, &["inspect", name, "no-such-volume"]);
    assert_eq!((missing.code, missing.stdout_text().as_str()), (3, ""));
    let shown = volume(&stage, &["inspect", name]).stdout_text();
    assert!(shown.contains("Repository    app\n"), "{shown}");

    let deleted = sandbox.verb("delete", &["--force"]).output();
    has(
        &deleted,
        0,
        &format!("`amika volume delete {name}` removes it"),
    );
    let listed = git_volume(&stage, &sandbox);
    assert_eq!(
        (listed["name"].as_str(), &listed["sandbox"]),
        (Some(name), &serde_json::Value::Null)
    );
    let removed = volume(&stage, &["delete", name]);
    assert_eq!(
        (removed.code, removed.stdout_text()),
        (0, format!("{name}\n")),
        "{removed:?}"
    );
    has(&volume(&stage, &["delete", name]), 3, "there is no volume");
}

#[test]
fn a_strangers_volume_is_left_alone() {
    let stage = Stage::new();
    let name = stage.name();
    assert_eq!(docker(&["volume", "create", &name]).code, 0);
    let tried = ["delete", "inspect"].map(|verb| volume(&stage, &[verb, &name]));
    let still_there = docker(&["volume", "inspect", &name]).code;
    docker(&["volume", "rm", &name]);
    assert_eq!(still_there, 0);
    for output in tried {
        has(&output, 3, "is not amika's");
    }
}

#[test]
fn a_volume_that_anybody_else_uses_is_not_deleted() {
    let stage = Stage::new();
    let repository = repository(&stage);
    let sandbox = stage.sandbox(DEBIAN, &["--git", &repository]);
    let name = git_volume(&stage, &sandbox)["name"]
        .as_str()
        .unwrap()
        .to_owned();
    let user = stage.name();
    let mount = format!("{name}:/x");
    assert_eq!(
        docker(&["create", "--name", &user, "-v", &mount, DEBIAN]).code,
        0
    );
    sandbox.verb("delete", &["--force"]).output();
    let refused = volume(&stage, &["delete", &name]);
    docker(&["rm", &user]);
    has(&refused, 4, "is in use");
    assert_eq!(volume(&stage, &["delete", &name]).code, 0);
}

#[test]
fn a_volume_that_is_let_go_of_late_is_removed_all_the_same() {
    let stage = Stage::new();
    let sandbox = stage.sandbox(DEBIAN, &[]);
    let home = stage
        .volumes()
        .into_iter()
        .find(|name| name.starts_with("amika-home-"));
    let user = stage.stranger(&["-v", &format!("{}:/x", home.unwrap())], &[DEBIAN]);
    let deleting = sandbox.verb("delete", &["--force"]).start();
    eventually("its container is gone", || {
        !stage.containers().contains(&sandbox.name)
    });
    user.docker(&["rm", "-f"]).ended(0, &[]);
    deleting.wait().ended(0, &[]);
    assert_eq!(stage.volumes(), Vec::<String>::new());
}

#[test]
fn of_several_volumes_those_that_can_go_are_deleted_and_each_is_told_of() {
    let stage = Stage::new();
    let repository = repository(&stage);
    let user = stage.sandbox(DEBIAN, &["--git", &repository]);
    let kept = git_volume(&stage, &user)["name"]
        .as_str()
        .unwrap()
        .to_owned();
    let free = || {
        let sandbox = stage.sandbox(DEBIAN, &["--git", &repository]);
        let volume = git_volume(&stage, &sandbox)["name"].clone();
        sandbox.verb("delete", &["--force"]).output().ended(0, &[]);
        volume.as_str().unwrap().to_owned()
    };
    let (one, two) = (free(), free());
    let deleted = volume(&stage, &["delete", "no-such-volume", &one, &kept, &two]);
    assert_eq!(deleted.stdout_text(), format!("{one}\n{two}\n"));
    deleted.ended(
        3,
        &[
            "no volume \"no-such-volume\"",
            &format!("\"{kept}\" is in use"),
        ],
    );
    let left = stage.volumes();
    assert!(
        left.contains(&kept) && !left.contains(&one) && !left.contains(&two),
        "{left:?}"
    );

    let three = free();
    let deleted = volume(&stage, &["delete", &three, "no-such-volume", "-o", "json"]);
    assert_eq!(deleted.code, 3, "{deleted:?}");
    let error = &deleted.json()["error"];
    assert_eq!(error["code"], "not_found");
    assert_eq!(
        error["results"][0],
        serde_json::json!({"name": three, "result": "deleted"})
    );
    assert_eq!(error["results"][1]["result"], "failed");
    assert_eq!(error["results"][1]["error"]["code"], "not_found");
    assert!(!stage.volumes().contains(&three));
    let gone = user.verb("delete", &["--force", "--volumes"]).output();
    gone.ended(0, &[]);
}

#[test]
fn prune_removes_nothing_that_may_hold_work_unless_told_to() {
    let stage = Stage::new();
    let repository = repository(&stage);
    let sandbox = stage.sandbox(DEBIAN, &["--git", &repository]);
    let name = git_volume(&stage, &sandbox)["name"]
        .as_str()
        .unwrap()
        .to_owned();
    let of = ["prune", "--sandbox-name", sandbox.name.as_str()];
    let nothing = volume(&stage, &of);
    assert_eq!(
        (nothing.code, nothing.stdout_text().as_str()),
        (0, ""),
        "a used one is none"
    );
    sandbox.verb("delete", &["--force"]).output();
    let refused = volume(&stage, &of);
    has(&refused, 4, &format!("amika volume delete {name}"));
    assert!(
        refused.stderr_text().contains("cannot be told"),
        "{refused:?}"
    );
    let mut asked = stage.on_terminal(&["volume", "prune", "--sandbox-name", &sandbox.name]);
    asked.shows(&name).shows("[y/N]").types("n\n");
    assert_eq!(asked.wait(), 4);
    assert_eq!(docker(&["volume", "inspect", &name]).code, 0);
    let mut asked = stage.on_terminal(&["volume", "prune", "--sandbox-name", &sandbox.name]);
    asked.shows("[y/N]").types("y\n").shows(&name);
    assert_eq!(asked.wait(), 0);
    assert_eq!(docker(&["volume", "inspect", &name]).code, 1);
}

#[test]
fn forced_prune_removes_without_asking() {
    let stage = Stage::new();
    let repository = repository(&stage);
    let sandbox = stage.sandbox(DEBIAN, &["--git", &repository]);
    let name = git_volume(&stage, &sandbox)["name"]
        .as_str()
        .unwrap()
        .to_owned();
    sandbox.verb("delete", &["--force"]).output();
    let pruned = volume(
        &stage,
        &["prune", "--force", "--sandbox-name", &sandbox.name],
    );
    assert_eq!(
        (pruned.code, pruned.stdout_text()),
        (0, format!("{name}\n")),
        "{pruned:?}"
    );
}
