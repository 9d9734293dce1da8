//! What a repository's file mounts: `[sandbox] mounts`.

use serde_json::{Value, json};

use crate::support::{DEBIAN, Output, Sandbox, Stage, docker};

/// A repository whose `[sandbox]` mounts these.
fn repository(stage: &Stage, name: &str, mounts: &str, files: &[(&str, &str)]) -> String {
    let config = format!("[sandbox]\nmounts = [{mounts}]\n");
    let mut all = vec![(".amika/config.toml", config.as_str())];
    all.extend(files);
    stage.repository(name, &all)
}

fn said(sandbox: &Sandbox<'_>, script: &str) -> String {
    let said = sandbox.exec(&["sh", "-c", script]).output();
    said.ended(0, &[]).stdout_text()
}

/// The volumes that a repository's file named, as `volume list` has them.
fn named(stage: &Stage, repository: &str) -> Vec<Value> {
    let listed = stage.amika(&["volume", "list", "-o", "json"]).output();
    let listed = listed.ended(0, &[]).json();
    let is_its = |one: &&Value| one["kind"] == "named" && one["repository"] == repository;
    let all = listed.as_array().expect("a list").iter();
    all.filter(is_its).cloned().collect()
}

/// Removes volumes that no sandbox goes with.
fn remove(stage: &Stage, volumes: &[Value]) {
    for volume in volumes {
        let name = volume["name"].as_str().expect("a name");
        let deleted = stage.amika(&["volume", "delete", name]).output();
        deleted.ended(0, &[]);
    }
}

/// Deletes a sandbox that holds no work, and its clone after it.
fn without_force(sandbox: &Sandbox<'_>) {
    sandbox.verb("delete", &[]).output().ended(0, &[]);
    let prune = [
        "volume",
        "prune",
        "--force",
        "--sandbox-name",
        &sandbox.name,
    ];
    sandbox.stage.amika(&prune).output().ended(0, &[]);
}

#[test]
fn a_volume_is_the_repositorys_and_stays_for_its_next_sandbox() {
    let stage = Stage::new();
    let one = stage.name();
    let mounts = "\"cache:/home/amika/.cache/tool\", \"shared:/shared:ro\"";
    let app = repository(&stage, &one, mounts, &[]);
    let first = stage.sandbox(DEBIAN, &["--git", &app]);
    let in_cache = "cd /home/amika/.cache/tool";
    said(&first, &format!("{in_cache} && echo kept > file"));
    let refused = first.exec(&["sh", "-c", "echo x > /shared/file"]).output();
    assert_ne!(refused.code, 0, "{refused:?}");
    let volumes = named(&stage, &one);
    assert_eq!(volumes.len(), 2, "{volumes:?}");
    assert_eq!(volumes[0]["used_by"], json!([*first.name]));
    let name = volumes[0]["name"].as_str().expect("a name");
    assert!(
        name.starts_with(&format!("amika-named-{one}-cache-")),
        "{name}"
    );
    let in_use = stage.amika(&["volume", "delete", name]).output();
    in_use.ended(4, &["is in use by sandbox"]);
    // It is no work of the sandbox that made it, and does not go with it.
    without_force(&first);
    let second = stage.sandbox(DEBIAN, &["--git", &app]);
    assert_eq!(said(&second, &format!("{in_cache} && cat file")), "kept\n");

    // Another repository that calls its own the same has another.
    let two = stage.name();
    let other = repository(&stage, &two, mounts, &[]);
    let third = stage.sandbox(DEBIAN, &["--git", &other]);
    assert_eq!(said(&third, &format!("{in_cache} && ls -A")), "");
    for sandbox in [&second, &third] {
        let force = ["--volumes", "--force"];
        sandbox.verb("delete", &force).output().ended(0, &[]);
    }
    remove(&stage, &volumes);
    remove(&stage, &named(&stage, &two));
}

#[test]
fn a_path_of_the_repository_is_a_copy_of_what_is_committed() {
    let stage = Stage::new();
    let app = repository(
        &stage,
        "app",
        "\"./conf:/etc/app\", \"./tool/run.sh:/usr/local/bin/run-it\", \"conf/inner/b:/b\"",
        &[
            ("conf/a", "a\n"),
            ("conf/inner/b", "b\n"),
            ("tool/run.sh", "#!/bin/sh\necho ran\n"),
            (".gitignore", "conf/.env\n"),
        ],
    );
    let mark = "cd \"$1\" && chmod +x tool/run.sh && ln -s inner/b conf/link && git add -A && \
                git -c user.name=T -c user.email=t@example.org commit -qm x && echo secret > conf/.env";
    stage.shell(mark, &[&app]).output().ended(0, &[]);
    let sandbox = stage.sandbox(DEBIAN, &["--git", &app]);
    let names = said(&sandbox, "cd /etc/app && find . | sort | tr '\\n' ' '");
    assert_eq!(names, ". ./a ./inner ./inner/b ./link ");
    assert_eq!(
        said(&sandbox, "cat /etc/app/link /b; run-it"),
        "b\nb\nran\n"
    );
    let owner = "stat -c %u /etc/app /etc/app/a /b | sort -u";
    assert_eq!(said(&sandbox, owner), said(&sandbox, "id -u"));
    let view = sandbox.inspect();
    let mounts = view["mounts"].as_array().expect("a list");
    let of = |target: &str| mounts.iter().find(|it| it["target"] == target).cloned();
    assert!(of("/etc/app").is_some() && of("/b").is_some(), "{view}");
    // What is done there is work, and nothing else is.
    said(&sandbox, "echo new > /etc/app/new");
    let kept = sandbox.verb("delete", &[]).output();
    kept.ended(4, &["in /etc/app: new"]);
    let forced = ["--volumes", "--force"];
    sandbox.verb("delete", &forced).output().ended(0, &[]);
    // The host's files are as they were.
    assert!(!std::path::Path::new(&app).join("conf/new").exists());
    let again = stage.sandbox(DEBIAN, &["--git", &app]);
    without_force(&again);
}

/// `create` of this repository.
fn create(sandbox: &Sandbox<'_>, app: &str, more: &[&str]) -> Output {
    sandbox.create(DEBIAN, &[&["--git", app], more].concat())
}

#[test]
fn what_is_not_the_repositorys_is_refused_with_its_place() {
    let stage = Stage::new();
    for (entry, why) in [
        ("/etc:/x", "the source is absolute"),
        ("../x:/x", "the source has \"..\" in it"),
        ("~/.ssh:/x", "the source names a home"),
        ("./.git:/x", "the source stands in \".git\""),
        (
            "./out:/x",
            "the source leads out of the repository by a symbolic link",
        ),
        (
            "./in/out:/x",
            "the source leads out of the repository by a symbolic link",
        ),
        ("./none:/x", "the source does not exist"),
        ("amika-home-x:/x", "the source begins with \"amika-\""),
    ] {
        let name = stage.name();
        let root = stage.home().join(&name);
        std::fs::create_dir_all(root.join("in")).expect("a directory");
        std::os::unix::fs::symlink("/etc", root.join("out")).expect("a link");
        std::os::unix::fs::symlink("../../x", root.join("in/out")).expect("a link");
        let app = repository(&stage, &name, &format!("\"{entry}\""), &[]);
        let sandbox = stage.adopt(stage.name());
        let refused = create(&sandbox, &app, &[]);
        refused.ended(2, &[".amika/config.toml:2:11: mounts", why, "--no-setup"]);
        let checked = stage.amika(&["config", "check", &app]).output();
        checked.ended(2, &[why]);
        // A flag that wants nothing of it goes on without.
        let planned = create(&sandbox, &app, &["--no-setup", "--dry-run"]);
        planned.ended(0, &["--no-setup leaves out mounts"]);
    }
    stage.nothing_was_made();
}

#[test]
fn what_only_a_flag_may_ask_for_makes_the_section_not_apply() {
    let stage = Stage::new();
    for (entry, why) in [
        ("./x:/x:rw", "is mounted as a copy"),
        ("v1:/var/lib/amikad", "which Amika uses itself"),
        ("v1:/home/amika", "the agent's home"),
    ] {
        let app = repository(&stage, &stage.name(), &format!("\"{entry}\""), &[]);
        let sandbox = stage.adopt(stage.name());
        let planned = create(&sandbox, &app, &["--dry-run"]);
        planned.ended(0, &["[sandbox] is ignored", why]);
    }
    let over = repository(&stage, "over", "\"v1:/home/amika/workspace\"", &[]);
    let sandbox = stage.adopt(stage.name());
    let refused = create(&sandbox, &over, &[]);
    refused.ended(4, &["is in the way of the clone of over"]);
    stage.nothing_was_made();
}

#[test]
fn a_plan_shows_them_with_who_asked_and_a_flag_wins() {
    let stage = Stage::new();
    let mounts = "\"cache:/cache\", \"./f:/f\"";
    let app = repository(&stage, "app", mounts, &[("f", "")]);
    let sandbox = stage.adopt(stage.name());
    let planned = create(&sandbox, &app, &["--dry-run"]);
    let text = planned.ended(0, &[]).text();
    assert!(
        text.contains("mounts    cache:/cache:rw, ./f:/f:rwcopy"),
        "{text}"
    );
    assert!(text.contains(" -> /cache (.amika/config.toml)"), "{text}");
    let own = create(
        &sandbox,
        &app,
        &["--dry-run", "-o", "json", "--volume", "mine:/cache"],
    );
    let own = own.ended(0, &[]).json();
    assert_eq!(
        own["origins"]["mounts"],
        json!({ "/cache": "request", "/f": "file" })
    );
    assert_eq!(own["taken"]["mounts"], json!(["./f:/f:rwcopy"]));
    let untrusted = create(
        &sandbox,
        &app,
        &["--dry-run", "-o", "json", "--trust=never"],
    );
    let untrusted = untrusted.ended(0, &[]).json();
    assert_eq!(untrusted["origins"].get("mounts"), None);
}

#[test]
fn a_volume_of_that_name_that_was_not_made_for_it_is_refused() {
    let stage = Stage::new();
    let name = stage.name();
    let app = repository(&stage, &name, "\"cache:/cache\"", &[]);
    let sandbox = stage.adopt(stage.name());
    let planned = create(&sandbox, &app, &["--dry-run", "-o", "json"]);
    let planned = planned.ended(0, &[]).json();
    let mounts = planned["mounts"].as_array().expect("a list").iter();
    let mut of = mounts.filter_map(|it| it.as_str()?.split_once(" -> /cache"));
    let (volume, _) = of.next().expect("the volume");
    docker(&["volume", "create", "--label", &stage.label(), volume]).ended(0, &[]);
    let refused = create(&sandbox, &app, &[]);
    docker(&["volume", "rm", volume]).ended(0, &[]);
    refused.ended(4, &["which was not made for this repository"]);
}

#[test]
fn the_volume_of_a_create_that_fails_goes_with_it() {
    let stage = Stage::new();
    let name = stage.name();
    let app = repository(
        &stage,
        &name,
        "\"cache:/cache\", \"./d:/etc/passwd\"",
        &[("d/x", "")],
    );
    let sandbox = stage.adopt(stage.name());
    create(&sandbox, &app, &[]).ended(4, &["/etc/passwd in the image is a file"]);
    assert!(named(&stage, &name).is_empty());
}

#[test]
fn of_a_kept_clone_volumes_are_mounted_and_paths_are_left_out() {
    let stage = Stage::new();
    let name = stage.name();
    let mounts = "\"cache:/cache\", \"./f:/f\"";
    let app = repository(&stage, &name, mounts, &[("f", "f\n")]);
    let first = stage.sandbox(DEBIAN, &["--git", &app]);
    assert_eq!(said(&first, "cat /f && echo kept > /cache/file"), "f\n");
    let volumes = stage.volumes();
    let clone = volumes.iter().find(|it| it.starts_with("amika-git-"));
    let clone = clone.expect("the clone").clone();
    first.verb("delete", &[]).output().ended(0, &[]);
    let second = stage.adopt(stage.name());
    let created = second.create(DEBIAN, &["--from-volume", &clone]);
    created.ended(0, &["mounts \"./f:/f:rwcopy\" is left out"]);
    assert_eq!(
        said(&second, "cat /cache/file; ls /f 2>/dev/null; true"),
        "kept\n"
    );
    let forced = ["--volumes", "--force"];
    second.verb("delete", &forced).output().ended(0, &[]);
    remove(&stage, &named(&stage, &name));
}
