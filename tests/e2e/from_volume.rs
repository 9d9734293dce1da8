//! A sandbox that goes on with the work that an earlier one left in a volume.

use rustix::process::Signal;

use crate::support::{
    DEBIAN, EngineProxy, Output, Run, Running, Sandbox, Stage, docker, eventually, preset,
};

/// The path of a repository named `app`, with a setup script and a service.
fn repository(stage: &Stage) -> String {
    let config = "[lifecycle]\nsetup_script = \"setup.sh\"\n[services.web]\nport = 4838\nurl_scheme = \"http\"\n";
    stage.script("app/setup.sh", "#!/bin/sh\necho ran >>/tmp/setup\n");
    stage.repository("app", &[(".amika/config.toml", config)])
}

/// A sandbox of the preset, which has git, with that repository.
fn sandbox<'a>(stage: &'a Stage, repository: &str) -> Sandbox<'a> {
    preset(stage);
    let sandbox = stage.adopt(stage.name());
    let args = [
        "sandbox",
        "create",
        "--name",
        &sandbox.name,
        "--git",
        repository,
    ];
    stage.amika(&args).output().ended(0, &[]);
    sandbox
}

/// Does some work in a sandbox, deletes it, and returns the name of the volume that stays.
fn left_by(sandbox: &Sandbox<'_>) -> String {
    let work = "git checkout -qb feature && echo one >new && git add new && \
                git -c user.name=A -c user.email=a@example.com commit -qm more && echo two >untracked";
    sandbox.exec(&["sh", "-c", work]).output().ended(0, &[]);
    kept_of(sandbox)
}

/// Deletes a sandbox, and returns the name of the volume that stays.
fn kept_of(sandbox: &Sandbox<'_>) -> String {
    let deleted = sandbox.verb("delete", &["-o", "json"]).output();
    deleted.ended(0, &[]);
    deleted.json()[0]["kept_volumes"][0]
        .as_str()
        .unwrap()
        .to_owned()
}

fn volume_is_there(name: &str) -> bool {
    docker(&["volume", "inspect", name]).code == 0
}

/// What lies in the directory where the agent works.
fn work(sandbox: &Sandbox<'_>) -> String {
    let look = "git branch --show-current; git log -1 --format=%s; cat untracked; cat /tmp/setup";
    sandbox.exec(&["sh", "-c", look]).output().stdout_text()
}

/// The create of a sandbox of a volume.
fn create(sandbox: &Sandbox<'_>, options: &[&str], volume: &str) -> Run {
    let args = ["sandbox", "create", "--name", &sandbox.name];
    let args = [&args[..], &["--from-volume", volume], options].concat();
    sandbox.stage.amika(&args)
}

/// Makes a sandbox of a volume.
fn again(sandbox: &Sandbox<'_>, options: &[&str], volume: &str) -> Output {
    create(sandbox, options, volume).output()
}

/// Begins to make a sandbox of a volume, as far as to the request with this in its first line.
fn held_at(request: &str, proxy: &EngineProxy, sandbox: &Sandbox<'_>, volume: &str) -> Running {
    proxy.hold(request);
    let creating = create(sandbox, &[], volume).env("DOCKER_HOST", &proxy.host());
    let creating = creating.start();
    proxy.holds();
    creating
}

#[test]
fn work_that_was_kept_is_gone_on_with() {
    let stage = Stage::new();
    let repository = repository(&stage);
    let first = sandbox(&stage, &repository);
    let volume = left_by(&first);
    let told = stage.amika(&["volume", "inspect", &volume]).output();
    assert!(
        told.stdout_text().contains("Repository    app\n"),
        "{told:?}"
    );

    let second = stage.adopt(stage.name());
    let dry = again(&second, &["--dry-run"], &volume);
    dry.ended(0, &[]);
    let told = dry.stdout_text();
    for part in [
        repository.as_str(),
        "feature",
        "the work in the volume, as it is",
    ] {
        assert!(told.contains(part), "{told}");
    }
    again(&second, &[], &volume).ended(0, &[]);
    assert_eq!(work(&second), "feature\nmore\ntwo\nran\n");
    let services = stage
        .amika(&[
            "-o",
            "json",
            "service",
            "list",
            "--sandbox-name",
            &second.name,
        ])
        .output()
        .json();
    assert_eq!(services[0]["service"], "web", "{services}");
    let listed = stage
        .amika(&["-o", "json", "sandbox", "list"])
        .output()
        .json();
    let mine = listed
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["name"] == *second.name);
    assert_eq!(mine.unwrap()["repository"]["branch"], "feature", "{listed}");

    let shown = stage
        .amika(&["-o", "json", "volume", "inspect", &volume])
        .output();
    assert_eq!(shown.json()["sandbox"], *second.name, "{shown:?}");

    // It is this one's now: it stays when that goes, and goes with it where that is asked for.
    let other = stage.adopt(stage.name());
    again(&other, &[], &volume).ended(4, &[&second.name, "in use"]);
    let refused = second.verb("delete", &["--volumes"]).output();
    refused.ended(4, &["commit"]);
    let deleted = second.verb("delete", &[]).output();
    deleted.ended(
        0,
        &[&format!("amika sandbox create --from-volume {volume}")],
    );
    assert!(volume_is_there(&volume));
    again(&second, &[], &volume).ended(0, &[]);
    // Another one in its place goes on with the same work.
    again(&second, &["--replace"], &volume).ended(0, &[]);
    assert_eq!(work(&second), "feature\nmore\ntwo\nran\n");
    second
        .verb("delete", &["--volumes", "--force"])
        .output()
        .ended(0, &[]);
    assert!(!volume_is_there(&volume));
}

#[test]
fn what_holds_no_work_or_is_not_there_is_refused() {
    let stage = Stage::new();
    let repository = repository(&stage);
    let sandbox = stage.sandbox(DEBIAN, &["--git", &repository]);
    let new = stage.adopt(stage.name());
    again(&new, &[], "no-such-volume").ended(3, &["there is no volume"]);
    let volumes = stage
        .amika(&["-o", "json", "volume", "list"])
        .output()
        .json();
    let home = volumes
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["kind"] == "home" && it["sandbox"] == *sandbox.name);
    let home = home.unwrap()["name"].as_str().unwrap();
    again(&new, &[], home).ended(2, &["holds no repository", "home"]);
    again(&new, &["--git", &repository], home).ended(2, &["cannot be used with"]);
    assert_eq!(new.engine_state(), "");
}

/// Whoever worked in the volume wrote what is in it: nothing there leads elsewhere, and a broken file is told of.
#[test]
fn what_the_agent_left_in_the_volume_is_read_as_a_strangers() {
    let stage = Stage::new();
    let repository = repository(&stage);
    let first = stage.sandbox(DEBIAN, &["--git", &repository]);
    let spoil =
        "rm -r .amika && ln -s /etc .amika && rm .git/HEAD && ln -s /etc/hostname .git/HEAD";
    first.exec(&["sh", "-c", spoil]).output().ended(0, &[]);
    let volume = kept_of(&first);
    let second = stage.adopt(stage.name());
    again(&second, &["--no-setup"], &volume).ended(0, &[]);
    assert_eq!(
        second.inspect()["repository"]["branch"],
        serde_json::Value::Null
    );
    second.exec(&["rm", ".amika"]).output().ended(0, &[]);
    let broken = "mkdir .amika && echo '[[[' >.amika/config.toml";
    second.exec(&["sh", "-c", broken]).output().ended(0, &[]);
    second.verb("delete", &[]).output().ended(0, &[]);
    again(&second, &[], &volume).ended(2, &[".amika/config.toml"]);
    assert_eq!(second.engine_state(), "");
    stage
        .amika(&["volume", "delete", &volume])
        .output()
        .ended(0, &[]);
}

/// What a create was given is never what it unmakes.
#[test]
fn a_create_that_is_killed_or_fails_takes_no_work_with_it() {
    let stage = Stage::new();
    let repository = repository(&stage);
    let first = sandbox(&stage, &repository);
    let volume = left_by(&first);
    let second = stage.adopt(stage.name());
    let delete = ["sandbox", "delete", "--force", "--volumes", &second.name];
    let proxy = stage.engine_proxy();
    let mends: [&[&str]; 2] = [&delete, &["doctor", "--fix"]];
    for mend in mends {
        let creating = held_at("/start", &proxy, &second, &volume);
        creating.signal(Signal::KILL);
        eventually("it ended", || {
            creating.proc_status_text("State").as_deref() == Some("Z")
        });
        eventually("it counts as interrupted", || {
            let listed = stage.sandbox_verb(&["list"]).stdout_text();
            listed.contains("creating (interrupted)")
        });
        stage.amika(mend).output().ended(0, &[]);
        // What it was held at is nowhere any more.
        proxy.let_go();
        assert_eq!(second.engine_state(), "", "{mend:?}");
        assert!(volume_is_there(&volume), "{mend:?}");
    }
    // Nor does one that ends by itself: there is no such image.
    again(&second, &["--image", "no-such-image"], &volume).ended(6, &[]);
    again(&second, &[], &volume).ended(0, &[]);
    assert_eq!(work(&second), "feature\nmore\ntwo\nran\n");
    second
        .verb("delete", &["--volumes", "--force"])
        .output()
        .ended(0, &[]);
}

/// While it is made, nobody has looked yet whether there is work in what it was given.
#[test]
fn a_delete_while_it_is_made_takes_no_work_with_it() {
    let stage = Stage::new();
    let repository = repository(&stage);
    let first = stage.sandbox(DEBIAN, &["--git", &repository]);
    let volume = kept_of(&first);
    let second = stage.adopt(stage.name());
    let proxy = stage.engine_proxy();
    let creating = held_at("/start", &proxy, &second, &volume);
    let _ = second.verb("delete", &["--volumes"]).output();
    proxy.let_go();
    let _ = creating.wait();
    assert!(volume_is_there(&volume));
    let _ = second.verb("delete", &["--force"]).output();
    stage
        .amika(&["volume", "delete", &volume])
        .output()
        .ended(0, &[]);
}

/// An engine makes an empty one in its place, which would pass for the work.
#[test]
fn a_volume_that_is_removed_meanwhile_is_no_empty_one() {
    let stage = Stage::new();
    let repository = repository(&stage);
    let first = stage.sandbox(DEBIAN, &["--git", &repository]);
    let volume = kept_of(&first);
    let second = stage.adopt(stage.name());
    let proxy = stage.engine_proxy();
    let its_own = format!("create?name={}", second.name);
    let creating = held_at(&its_own, &proxy, &second, &volume);
    stage
        .amika(&["volume", "delete", &volume])
        .output()
        .ended(0, &[]);
    proxy.let_go();
    creating
        .wait()
        .ended(4, &[&volume, "was removed meanwhile"]);
    assert!(!volume_is_there(&volume));
    assert_eq!(second.engine_state(), "");
}

/// What a label names is followed only where this user wrote it.
#[test]
fn a_setup_script_that_others_name_is_not_read() {
    let stage = Stage::new();
    let secret = stage.script("secret.sh", "#!/bin/sh\necho secret >/tmp/secret\n");
    let name = format!("{}-volume", stage.name());
    let label = |key: &str, value: &str| format!("--label=dev.amika.{key}={value}");
    let made = docker(&[
        "volume",
        "create",
        &label("kind", "git"),
        &label("version", "1"),
        &label("repo.name", "app"),
        &label("image", DEBIAN),
        &label("setup.host-path", &secret),
        &format!("--label={}", stage.label()),
        &name,
    ]);
    assert_eq!(made.code, 0, "{made:?}");
    let sandbox = stage.adopt(stage.name());
    again(&sandbox, &[], &name).ended(0, &["is named by somebody else"]);
    let read = sandbox.exec(&["cat", "/tmp/secret"]).output();
    assert_ne!(read.code, 0, "{read:?}");
    sandbox
        .verb("delete", &["--volumes", "--force"])
        .output()
        .ended(0, &[]);
}
