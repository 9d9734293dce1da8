//! Labels that Amika did not write: of images, of other users, of an older amika, of anybody.

use std::fs;
use std::net::TcpListener;

use serde_json::{Value, json};

use crate::support::{DEBIAN, Output, Sandbox, Stage, Stranger, docker, preset};

/// An id that no test's sandbox has.
const ID: &str = "01234567-89ab-4def-8123-456789abcdef";
/// A file at which work stands in a sandbox without a repository.
const WORK: &str = "/home/amika/workspace/work";

/// What an older amika wrote: nothing where there is nothing to tell, and no signature.
fn older(more: &[(&str, &str)]) -> Vec<String> {
    let labels = [
        ("dev.amika.agent-cwd", "/home/amika/workspace"),
        ("dev.amika.created-at", "1795336329000"),
        ("dev.amika.creator.boot-id", "b"),
        ("dev.amika.creator.host", "box"),
        ("dev.amika.creator.pid", "42"),
        ("dev.amika.creator.started", "4711"),
        ("dev.amika.id", ID),
        ("dev.amika.image", DEBIAN),
        ("dev.amika.kind", "sandbox"),
        ("dev.amika.version", "1"),
    ];
    let mut options = Vec::new();
    for (key, value) in labels.iter().chain(more) {
        options.extend(["--label".to_owned(), format!("{key}={value}")]);
    }
    options
}

/// A container with the labels of an older amika and these, which runs a script and ends.
fn made_by_another(
    stage: &Stage,
    labels: &[(&str, &str)],
    options: &[&str],
    script: &str,
) -> Stranger {
    let mut all = older(labels);
    all.extend(options.iter().map(|option| (*option).to_owned()));
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    let container = stage.stranger(&all, &[DEBIAN, "sh", "-c", script]);
    container.docker(&["start"]).ended(0, &[]);
    assert_eq!(container.exit_code(), "0", "{}", container.log());
    container
}

fn inspect(stage: &Stage, name: &str) -> Value {
    stage.sandbox_verb(&["inspect", name, "-o", "json"]).json()
}

fn adopt(stage: &Stage, args: &[&str]) -> Output {
    let args: Vec<&str> = ["adopt"].iter().chain(args).copied().collect();
    stage.sandbox_verb(&args)
}

/// What the setup script in a sandbox's container is now; nothing where there is none.
fn script_in(name: &str) -> String {
    let path = format!("{name}:/usr/local/etc/amikad/setup/setup.sh");
    docker(&["cp", &path, "-"]).stdout_text()
}

fn volume_is_there(name: &str) -> bool {
    docker(&["volume", "inspect", name]).code == 0
}

#[test]
fn an_image_that_speaks_for_a_sandbox_is_refused_before_anything_is_made() {
    let stage = Stage::new();
    let sandbox = stage.adopt(stage.name());
    for label in [
        "dev.amika.setup.host-path=/home/ada/bin/deploy",
        "dev.amika.setup.repo-path=x",
        "dev.amika.repo.name=x",
        "dev.amika.services=garbage",
        "dev.amika.credentials=claude,codex,opencode",
        "dev.amika.copied-files={}",
        "dev.amika.creator.pid=1",
        "dev.amika.id=01234567-89ab-4def-8123-456789abcdef",
        "dev.amika.id=",
        "dev.amika.kind=sandbox",
        "dev.amika.kind=home",
        "dev.amika.signature=00",
        "dev.amika.sandbox=x",
        "dev.amika.future=x",
        "dev.amika=x",
        "Dev.Amika.Setup.Host-Path=/x",
        "DEV.AMIKA.KIND=image",
    ] {
        let image = stage.image(&format!("FROM {DEBIAN}\nLABEL {label}\n"));
        let key = label.split('=').next().unwrap();
        for more in [&[][..], &["--dry-run"], &["--replace"]] {
            let told = [key, "labels that only amika may write", "LABEL lines"];
            sandbox.create(&image, more).ended(6, &told);
        }
        assert_eq!(stage.containers(), Vec::<String>::new(), "{label}");
        assert_eq!(stage.volumes(), Vec::<String>::new(), "{label}");
    }
    let two = "LABEL dev.amika.id=1 dev.amika.repo.name=x";
    let image = stage.image(&format!("FROM {DEBIAN}\n{two}\n"));
    let refused = sandbox.create(&image, &["-o", "json"]);
    refused.ended(6, &[]);
    let labels = &refused.json()["error"]["labels"];
    assert_eq!(labels, &json!(["dev.amika.id", "dev.amika.repo.name"]));
}

#[test]
fn no_preset_is_built_on_an_image_that_speaks_for_a_sandbox() {
    let stage = Stage::new();
    let image = stage.image(&format!("FROM {DEBIAN}\nLABEL dev.amika.repo.name=x\n"));
    let build = ["image", "build", "--force", "--base", &image];
    let refused = stage.amika(&build).output();
    refused.ended(
        6,
        &["dev.amika.repo.name", "labels that only amika may write"],
    );
}

#[test]
fn a_preset_s_own_labels_are_no_obstacle() {
    let stage = Stage::new();
    let image = preset(&stage);
    let sandbox = stage.sandbox(&image, &["--no-setup"]);
    assert_eq!(sandbox.inspect()["record"], "signed");
}

#[test]
fn what_a_preset_s_image_brings_is_taken_and_says_nothing_of_the_sandbox() {
    let stage = Stage::new();
    let image = stage.image(&format!(
        "FROM {DEBIAN}\nLABEL dev.amika.kind=image dev.amika.version=9 dev.amika.preset=coder dev.amika.recipe=0\n"
    ));
    let sandbox = stage.sandbox(&image, &[]);
    let seen = sandbox.inspect();
    assert_eq!(seen["preset"], Value::Null);
    assert_eq!(seen["record"], "signed");
    assert_eq!(seen["unreadable_labels"], json!([]));
    for key in ["base", "preset", "recipe", "repo.name", "setup.host-path"] {
        let label = format!("{{{{index .Config.Labels \"dev.amika.{key}\"}}}}");
        assert_eq!(sandbox.engine_says(&label), "", "{key}");
    }
}

#[test]
fn a_committed_sandbox_is_no_image_for_another_one() {
    let stage = Stage::new();
    let sandbox = stage.sandbox(DEBIAN, &[]);
    let image = format!("amika-test/{}-commit", sandbox.name);
    docker(&["commit", &sandbox.name, &image]).ended(0, &[]);
    let other = stage.adopt(stage.name());
    let refused = other.create(&image, &[]);
    docker(&["rmi", &image]).ended(0, &[]);
    refused.ended(6, &["dev.amika.id", "docker export"]);
}

/// A stopped sandbox of one user whose setup script was changed on the host since.
fn with_a_changed_script(stage: &Stage) -> (Sandbox<'_>, String) {
    let script = stage.script("setup.sh", "#!/bin/sh\necho first >>/made\n");
    let sandbox = stage.sandbox(DEBIAN, &["--setup-script", &script]);
    sandbox.verb("stop", &[]).output().ended(0, &[]);
    stage.script("setup.sh", "#!/bin/sh\necho second >>/made\n");
    (sandbox, script)
}

#[test]
fn another_user_s_host_path_is_not_followed_until_he_adopts() {
    let (ada, eve) = (Stage::new(), Stage::new());
    let (sandbox, script) = with_a_changed_script(&ada);
    let name = sandbox.name.as_str();
    assert_eq!(sandbox.inspect()["record"], "signed");
    let seen = inspect(&eve, name);
    assert_eq!(
        (&seen["record"], &seen["setup_script"]),
        (&json!("foreign"), &json!(script))
    );
    let text = eve.sandbox_verb(&["inspect", name]).stdout_text();
    assert!(text.contains(&format!("{script} (claimed)")), "{text}");
    assert!(text.contains("foreign"), "{text}");

    // It starts all the same, with the copy in it.
    let how = format!("`amika sandbox adopt {name}`");
    let started = eve.sandbox_verb(&["start", name]);
    started.ended(0, &["last copy", &how, &script]);
    assert!(script_in(name).contains("echo first"));
    let made = || sandbox.docker_exec(&["cat", "/made"]).stdout_text();
    assert_eq!(made(), "first\nfirst\n");
    // What is not read is not warned of.
    let skipped = eve.sandbox_verb(&["restart", "--skip-setup", name]);
    skipped.ended(0, &[]);
    assert!(!skipped.stderr_text().contains("adopt"), "{skipped:?}");
    // A script that the user names is his own word.
    let given = eve.script("own.sh", "#!/bin/sh\necho given >>/made\n");
    let given = eve.sandbox_verb(&["restart", "--setup-script", &given, name]);
    given.ended(0, &[]);
    assert!(!given.stderr_text().contains("adopt"), "{given:?}");
    let restarted = eve.sandbox_verb(&["restart", name]);
    restarted.ended(0, &["last copy", &how]);
    assert_eq!(made(), "first\nfirst\ngiven\ngiven\n");

    // Without a terminal nobody is asked.
    let refused = adopt(&eve, &[name]);
    refused.ended(4, &["nothing was adopted", &script, "--force"]);
    let refused = adopt(&eve, &["-o", "json", name]);
    refused.ended(4, &[]);
    assert_eq!(refused.json()["error"]["sandboxes"], json!([name]));
    assert_eq!(inspect(&eve, name)["record"], "foreign");

    let adopted = adopt(&eve, &["--yes", "-o", "json", name]);
    adopted.ended(0, &[]);
    let adopted = adopted.json();
    assert_eq!(adopted[0]["result"], "adopted");
    assert_eq!(adopted[0]["trusts"]["setup_script"], json!(script));
    assert_eq!(inspect(&eve, name)["record"], "adopted");
    let again = adopt(&eve, &[name]);
    again.ended(0, &["is yours already"]);
    assert_eq!(
        adopt(&ada, &[name, "-o", "json"]).json()[0]["result"],
        "already_yours"
    );

    let restarted = eve.sandbox_verb(&["restart", name]);
    restarted.ended(0, &[]);
    assert!(!restarted.stderr_text().contains("adopt"), "{restarted:?}");
    assert_eq!(made(), "first\nfirst\ngiven\ngiven\nsecond\n");
    // A name is no part of it.
    let renamed = ada.name();
    eve.sandbox_verb(&["rename", name, &renamed]).ended(0, &[]);
    assert_eq!(inspect(&eve, &renamed)["record"], "adopted");
    assert_eq!(inspect(&ada, &renamed)["record"], "signed");
    let notes = eve.home().join(".local/share/amika/adopted");
    assert_eq!(fs::read_dir(&notes).unwrap().count(), 1);
    eve.sandbox_verb(&["delete", "--force", &renamed])
        .ended(0, &[]);
    assert_eq!(fs::read_dir(&notes).unwrap().count(), 0);
}

#[test]
fn adopting_shows_what_is_trusted_and_asks_on_a_terminal() {
    let (ada, eve) = (Stage::new(), Stage::new());
    let (sandbox, script) = with_a_changed_script(&ada);
    let name = sandbox.name.as_str();
    let mut terminal = eve.on_terminal_of(400, &[], &["sandbox", "adopt", name]);
    terminal.shows(&script).shows("[y/N]").types("n\n");
    assert_eq!(terminal.end().0, 4);
    assert_eq!(inspect(&eve, name)["record"], "foreign");
    let mut terminal = eve.on_terminal_of(400, &[], &["sandbox", "adopt", name]);
    terminal.shows("[y/N]").types("y\n");
    assert_eq!(terminal.end().0, 0);
    assert_eq!(inspect(&eve, name)["record"], "adopted");
    adopt(&eve, &["--force", "no-such-sandbox"]).ended(3, &[]);
}

#[test]
fn new_ports_neither_lose_a_signature_nor_lend_one() {
    let (ada, eve) = (Stage::new(), Stage::new());
    let port = |sandbox: &Sandbox<'_>| {
        let port = sandbox.inspect()["ports"][0]["host_port"].as_u64().unwrap();
        u16::try_from(port).unwrap()
    };
    let moved = |stage: &Stage, sandbox: &Sandbox<'_>| {
        let number = port(sandbox);
        sandbox.verb("stop", &[]).output().ended(0, &[]);
        let _thief = TcpListener::bind(("127.0.0.1", number)).unwrap();
        let args = ["start", "--reassign-ports", &sandbox.name];
        stage.sandbox_verb(&args).ended(0, &[]);
        assert_ne!(port(sandbox), number);
    };
    let sandbox = ada.sandbox(DEBIAN, &["--port", "4711"]);
    let name = sandbox.name.as_str();
    moved(&ada, &sandbox);
    assert_eq!(sandbox.inspect()["record"], "signed");
    // Whoever makes the container anew signs what he trusts, and nothing else.
    moved(&eve, &sandbox);
    assert_eq!(inspect(&eve, name)["record"], "foreign");
    assert_eq!(sandbox.inspect()["record"], "foreign");
    adopt(&ada, &["--force", name]).ended(0, &[]);
    moved(&ada, &sandbox);
    assert_eq!(sandbox.inspect()["record"], "signed");
    assert_eq!(inspect(&eve, name)["record"], "foreign");
}

#[test]
fn an_older_amika_s_sandbox_works_but_for_the_paths_that_it_names() {
    let stage = Stage::new();
    let script = stage.script("deploy", "#!/bin/sh\necho CANARY\n");
    let labels = [
        ("dev.amika.setup.host-path", script.as_str()),
        ("dev.amika.repo.name", "app"),
        ("dev.amika.repo.source", "/src/app"),
        ("dev.amika.copied-files", r#"{"/data/x":"/src/x"}"#),
        ("dev.amika.credentials", "claude,codex"),
    ];
    let container = made_by_another(&stage, &labels, &[], "mkdir -p /home/amika /var/lib/amikad");
    let name = container.name.as_str();
    let seen = inspect(&stage, name);
    assert_eq!(seen["record"], "foreign");
    assert_eq!(
        (&seen["id"], &seen["repository"]["name"]),
        (&json!(ID), &json!("app"))
    );
    let text = stage.sandbox_verb(&["inspect", name]).stdout_text();
    assert!(text.contains("/src/x (claimed) -> /data/x"), "{text}");
    let start = ["start", "--no-wait", name];
    let started = stage.sandbox_verb(&start);
    started.ended(0, &["last copy", &format!("`amika sandbox adopt {name}`")]);
    assert!(!script_in(name).contains("CANARY"));
    stage.sandbox_verb(&["stop", name]).ended(0, &[]);

    // Nor are sign-ins taken that it says it was given.
    let sign_in = r#"{"claudeAiOauth":{"accessToken":"a","refreshToken":"r","expiresAt":1}}"#;
    stage.file(".claude/.credentials.json", sign_in);
    let refresh = |more: &[&str]| {
        let args = [&["credentials", "refresh", name], more].concat();
        stage.amika(&args).output()
    };
    let refused = refresh(&[]);
    refused.ended(
        4,
        &[
            "claude, codex",
            "--credentials",
            "adopt",
            "nothing was copied",
        ],
    );
    refresh(&["--credentials", "claude"]).ended(0, &[]);

    adopt(&stage, &["--force", name]).ended(0, &["is trusted as your own now"]);
    let started = stage.sandbox_verb(&start);
    started.ended(0, &[]);
    assert!(!started.stderr_text().contains("adopt"), "{started:?}");
    assert!(script_in(name).contains("CANARY"));
    stage
        .sandbox_verb(&["delete", "--force", name])
        .ended(0, &[]);
}

#[test]
fn a_sign_in_that_root_in_a_sandbox_claims_is_not_copied() {
    let stage = Stage::new();
    let sign_in = r#"{"claudeAiOauth":{"accessToken":"a","refreshToken":"r","expiresAt":1}}"#;
    stage.file(".claude/.credentials.json", sign_in);
    let tokens = r#"{"tokens":{"refresh_token":"SECRET"},"last_refresh":"2026-01-01T00:00:00Z"}"#;
    stage.file(".codex/auth.json", tokens);
    let sandbox = stage.sandbox(DEBIAN, &["--credentials", "claude"]);
    let claim = r#"echo '["codex","opencode"]' >/var/lib/amikad/added-credentials.json"#;
    sandbox.docker_exec(&["sh", "-c", claim]).ended(0, &[]);
    let refresh = |more: &[&str]| {
        let args = [&["credentials", "refresh", &sandbox.name], more].concat();
        stage.amika(&args).output()
    };
    let refreshed = refresh(&["-o", "json"]);
    refreshed.ended(0, &["codex, opencode", "--credentials"]);
    let copied = &refreshed.json()["copied"];
    assert_eq!(copied, &json!([".claude/.credentials.json"]));
    // What the user names is given to it, and is from then on.
    refresh(&["--credentials", "codex"]).ended(0, &[]);
    let refreshed = refresh(&["-o", "json"]);
    let copied = refreshed.json()["copied"].to_string();
    assert!(copied.contains(".codex/auth.json"), "{refreshed:?}");
}

#[test]
fn whatever_a_label_holds_the_sandbox_is_shown_and_can_be_deleted() {
    let stage = Stage::new();
    let long = "x\u{1b}[2J".repeat(2000);
    for (key, value, is_identified) in [
        ("dev.amika.id", "garbage", false),
        ("dev.amika.id", "", false),
        ("dev.amika.id", long.as_str(), false),
        ("dev.amika.version", "2", false),
        ("dev.amika.services", "garbage", true),
        ("dev.amika.services", &long, true),
        ("dev.amika.copied-files", "[]", true),
        ("dev.amika.created-at", "-1", true),
        ("dev.amika.creator.pid", "99999999999999999999", true),
    ] {
        let container = made_by_another(&stage, &[(key, value)], &[], "true");
        let name = container.name.as_str();
        let what = format!("{key}={value:.20}");
        let list = stage.sandbox_verb(&["list", "-o", "json"]);
        list.ended(0, &[name, "labels cannot be read: label dev.amika."]);
        let list = list.json();
        let row = list
            .as_array()
            .unwrap()
            .iter()
            .find(|row| row["name"] == name);
        let row = row.unwrap_or_else(|| panic!("{what}: {list}"));
        assert_eq!(row["state"], "stopped", "{what}");
        assert_eq!(row["id"] == ID, is_identified, "{what}");
        let seen = inspect(&stage, name);
        let unreadable = seen["unreadable_labels"][0].as_str().unwrap();
        assert!(unreadable.contains(key), "{what}: {unreadable}");
        let shown = stage.sandbox_verb(&["inspect", name]);
        let shown = shown.ended(0, &[]).stdout_text();
        assert!(shown.contains("labels cannot be read: "), "{what}: {shown}");
        assert!(
            !shown.contains('\u{1b}') && shown.len() < 5000,
            "{what}: {shown}"
        );
        let doctor = stage.amika(&["doctor"]).output();
        assert!([0, 1].contains(&doctor.code), "{what}: {doctor:?}");
        assert!(doctor.stdout_text().contains(name), "{what}: {doctor:?}");
        if is_identified {
            stage
                .sandbox_verb(&["start", "--no-wait", name])
                .ended(0, &[]);
        } else {
            let start = stage.sandbox_verb(&["start", name]);
            start.ended(
                1,
                &["cannot be read", &format!("amika sandbox delete {name}")],
            );
        }
        stage.sandbox_verb(&["stop", name]).ended(0, &[]);
        stage.sandbox_verb(&["delete", name]).ended(0, &[]);
        assert!(!stage.containers().contains(&name.to_owned()), "{what}");
    }
}

#[test]
fn a_claimed_repository_hides_no_work() {
    let stage = Stage::new();
    let script = format!("mkdir -p /home/amika/workspace && echo x >{WORK}");
    for labels in [
        &[][..],
        &[("dev.amika.repo.name", "x")],
        &[("dev.amika.repo.name", "work")],
        &[("dev.amika.repo.name", ".")],
        &[("dev.amika.repo.name", "x"), ("dev.amika.id", "garbage")],
        &[("dev.amika.repo.name", "x"), ("dev.amika.version", "2")],
    ] {
        let container = made_by_another(&stage, labels, &[], &script);
        let name = container.name.as_str();
        let refused = stage.sandbox_verb(&["delete", name]);
        refused.ended(4, &["holds work", "work", "--force"]);
        stage
            .sandbox_verb(&["delete", "--force", name])
            .ended(0, &[]);
    }
}

#[test]
fn a_claimed_day_of_its_making_hides_no_work_in_a_copy() {
    let stage = Stage::new();
    let volume = format!("{}-copy", stage.name());
    let test = stage.label();
    let id = format!("dev.amika.id={ID}");
    let labels = [
        "dev.amika.kind=rwcopy",
        "dev.amika.created-at=1795336329000",
        &id,
        &test,
    ];
    let mut create = vec!["volume", "create"];
    create.extend(labels.iter().flat_map(|label| ["--label", label]));
    create.push(&volume);
    docker(&create).ended(0, &[]);
    let mount = format!("{volume}:/data");
    let future = [("dev.amika.created-at", "99999999999999")];
    let container = made_by_another(&stage, &future, &["-v", &mount], "echo x >/data/work");
    let name = container.name.as_str();
    let refused = stage.sandbox_verb(&["delete", name]);
    refused.ended(4, &["holds work", "in /data: work"]);
    stage
        .sandbox_verb(&["delete", "--force", name])
        .ended(0, &[]);
    assert!(!volume_is_there(&volume), "it goes with its own sandbox");
}

#[test]
fn a_copied_id_takes_nothing_of_the_sandbox_that_has_it() {
    let stage = Stage::new();
    let sandbox = stage.sandbox(DEBIAN, &[]);
    sandbox
        .exec(&["sh", "-c", "echo mine >/home/amika/mine"])
        .output()
        .ended(0, &[]);
    let id = sandbox.inspect()["id"].as_str().unwrap().to_owned();
    let volumes = stage.volumes();
    assert_eq!(volumes.len(), 2, "{volumes:?}");
    // All that the sandbox's own container says, its signature too.
    let labels: Value =
        serde_json::from_str(&sandbox.engine_says("{{json .Config.Labels}}")).unwrap();
    let labels = labels.as_object().unwrap().iter();
    let labels: Vec<(&str, &str)> = labels
        .map(|(key, value)| (key.as_str(), value.as_str().unwrap()))
        .collect();
    for labels in [&[("dev.amika.id", id.as_str())][..], &labels] {
        let copy = made_by_another(&stage, labels, &[], "true");
        let list = stage.sandbox_verb(&["list", "-o", "json"]).json();
        assert_eq!(
            list.as_array()
                .unwrap()
                .iter()
                .filter(|row| row["id"] == id)
                .count(),
            2
        );
        let doctor = stage.amika(&["doctor", "--fix"]).output();
        let told = doctor.stdout_text();
        assert!(
            told.contains(&copy.name) && told.contains(&sandbox.name),
            "{doctor:?}"
        );
        stage
            .sandbox_verb(&["delete", "--volumes", &copy.name])
            .ended(0, &[]);
        assert_eq!(stage.volumes(), volumes);
    }
    let mine = sandbox.exec(&["cat", "/home/amika/mine"]).output();
    assert_eq!(mine.stdout_text(), "mine\n");
    // And the other way round: the copy takes nothing along, and keeps nothing.
    let copy = made_by_another(&stage, &[("dev.amika.id", &id)], &[], "true");
    sandbox.verb("delete", &["--force"]).output().ended(0, &[]);
    assert_eq!(stage.volumes(), Vec::<String>::new());
    stage.sandbox_verb(&["delete", &copy.name]).ended(0, &[]);
}

#[test]
fn a_copied_id_takes_nothing_of_a_sandbox_that_is_lost() {
    let stage = Stage::new();
    let sandbox = stage.sandbox(DEBIAN, &[]);
    let id = sandbox.inspect()["id"].as_str().unwrap().to_owned();
    docker(&["rm", "-f", &sandbox.name]).ended(0, &[]);
    let volumes = stage.volumes();
    assert_eq!(volumes.len(), 2, "{volumes:?}");
    let copy = made_by_another(&stage, &[("dev.amika.id", &id)], &[], "true");
    stage
        .sandbox_verb(&["delete", "--force", "--volumes", &copy.name])
        .ended(0, &[]);
    assert_eq!(stage.volumes(), volumes);
    let listed = stage.sandbox_verb(&["list", "-o", "json"]).json();
    let rows = listed.as_array().unwrap().iter();
    let lost: Vec<&Value> = rows
        .filter(|row| row["name"] == sandbox.name.as_str())
        .collect();
    assert_eq!(lost[0]["state"], "lost");
    let labels = older(&[("dev.amika.id", &id), ("dev.amika.creator.host", "")]);
    let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
    let made_never = stage.stranger(&labels, &[DEBIAN]);
    // A create that was broken off, to all that its labels say.
    let doctor = stage.amika(&["doctor", "--fix", "-o", "json"]).output();
    let removed = &doctor.ended(0, &[]).json()["removed"];
    assert_eq!(removed, &json!([made_never.name]));
    assert_eq!(stage.volumes(), volumes);
}
