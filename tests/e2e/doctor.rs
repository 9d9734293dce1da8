//! `amika doctor`: what is missing, and what interrupted commands left.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;

use rustix::process::Signal;
use serde_json::Value;

use crate::support::{DEBIAN, Output, Sandbox, Stage, docker, preset};

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
        "✓ socket",
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
    // What there is to know of the engine is told, and none of it is a failure.
    let version = docker(&["version", "--format", "{{.Server.Version}}"]).stdout_text();
    let major: u32 = version.split('.').next().unwrap().parse().unwrap();
    let check = |name: &str| {
        let found = checks.iter().find(|check| check["name"] == name);
        found.unwrap_or_else(|| panic!("{name}: {report}"))
    };
    if major < 28 {
        assert_eq!(check("neighbours")["result"], "warning");
        let hint = check("neighbours")["hint"].to_string();
        assert_eq!(hint.matches("iptables -I DOCKER-USER").count(), 2, "{hint}");
    }
    let security = docker(&["info", "--format", "{{json .SecurityOptions}}"]).stdout_text();
    let maps_users = security.contains("rootless") || security.contains("userns");
    let users = if maps_users { "ok" } else { "warning" };
    assert_eq!(check("users")["result"], users);
    let runc = docker(&["info", "--format", "{{.RuncCommit.ID}}"]).stdout_text();
    let told = check("runc")["message"].to_string();
    assert!(told.contains(runc.trim()), "{runc}: {told}");
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

/// A socket that this user has no rights on, in a directory that all may look into; and the program
/// beside it, as a user without rights runs it.
struct Fence {
    dir: tempfile::TempDir,
    _engine: UnixListener,
}

/// A user that owns nothing.
const NOBODY: &str = "65534";

impl Fence {
    fn new(stage: &Stage) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
        let engine = UnixListener::bind(dir.path().join("docker.sock")).unwrap();
        let copied = stage.shell("cp \"$0\" \"$1\"", &[dir.path().to_str().unwrap()]);
        copied.output().ended(0, &[]);
        let home = dir.path().join("home");
        std::fs::create_dir(&home).unwrap();
        std::fs::set_permissions(&home, Permissions::from_mode(0o777)).unwrap();
        Self {
            dir,
            _engine: engine,
        }
    }

    fn at(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().unwrap().to_owned()
    }

    fn run(&self, stage: &Stage, args: &[&str]) -> Output {
        let program = self.at("amika");
        let mut all = vec![program.as_str()];
        all.extend(args);
        // Root may use any socket; another user is one without rights by itself.
        let script = if rustix::process::geteuid().is_root() {
            format!("exec setpriv --reuid {NOBODY} --regid {NOBODY} --clear-groups \"$@\"")
        } else {
            "exec \"$@\"".to_owned()
        };
        stage
            .shell(&script, &all)
            .env("HOME", &self.at("home"))
            .env("XDG_RUNTIME_DIR", &self.at("home"))
            .env("DOCKER_HOST", &format!("unix://{}", self.at("docker.sock")))
            .output()
    }
}

#[test]
fn a_user_without_rights_on_the_socket_is_told_so_and_how_to_get_them() {
    let stage = Stage::new();
    let fence = Fence::new(&stage);
    let socket = fence.at("docker.sock");
    let mode = |mode| std::fs::set_permissions(&socket, Permissions::from_mode(mode)).unwrap();
    // Nobody's: also not that of the user who runs the tests and is not root.
    mode(0o000);
    let report = fence.run(&stage, &["doctor", "-o", "json"]);
    assert_eq!(report.code, 5, "{report:?}");
    let report = report.json()["error"]["report"].clone();
    let check = |name: &str| {
        let checks = report["checks"].as_array().unwrap();
        let found = checks.iter().find(|check| check["name"] == name);
        found.unwrap_or_else(|| panic!("{report}")).clone()
    };
    assert_eq!(check("socket")["result"], "failed");
    let hint = check("socket")["hint"].as_str().unwrap().to_owned();
    assert!(hint.starts_with("run with sudo"), "{hint}");
    assert!(
        hint.contains(&format!("sudo chgrp docker {socket}")),
        "{hint}"
    );
    // It is there and runs: neither a start nor an installation would help.
    assert_eq!(check("engine")["hint"], Value::Null);
    assert!(
        check("engine")["message"]
            .to_string()
            .contains("ermission denied")
    );
    let text = fence.run(&stage, &["doctor"]);
    text.ended(5, &["cannot be reached"]);
    assert!(text.stdout_text().contains("✗ socket"), "{text:?}");

    let listed = fence.run(&stage, &["ls", "-o", "json"]);
    assert_eq!(listed.code, 5, "{listed:?}");
    let hint = listed.json()["error"]["hint"].to_string();
    assert!(hint.contains("sudo usermod -aG docker $USER"), "{hint}");
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
    // Beside it, on this machine, what the copy of the repository was being made with.
    let [directory] = &stage.temporary()[..] else {
        panic!("{:?}", stage.temporary());
    };
    let directory = stage.home().join("tmp").join(directory);
    let directory = directory.to_str().unwrap();
    assert_eq!(found[1]["kind"], "directory", "{found}");
    assert_eq!(found[1]["name"], directory, "{found}");
    assert_eq!(found.as_array().unwrap().len(), 2, "{found}");
    let text = stage.amika(&["doctor"]).output();
    text.ended(0, &[]);
    assert!(
        text.stdout_text().contains("amika doctor --fix"),
        "{text:?}"
    );

    let fixed = doctor(&stage, &["--fix"]);
    let removed = serde_json::json!([sandbox.name, directory]);
    assert_eq!(fixed["removed"], removed);
    assert_eq!(fixed["kept"], serde_json::json!([]));
    let checks = fixed["checks"].as_array().unwrap();
    let check = checks.iter().find(|check| check["name"] == "leftovers");
    let message = "2 from interrupted commands removed";
    assert_eq!(check.unwrap()["message"], message, "{fixed}");
    assert_eq!(stage.temporary(), Vec::<std::ffi::OsString>::new());
    let [containers, volumes, _] = stage.left();
    assert_eq!(containers, std::slice::from_ref(&stranger.name));
    assert_eq!(volumes, Vec::<String>::new());
    assert_eq!(doctor(&stage, &[])["leftovers"], serde_json::json!([]));
}

#[test]
fn directories_of_others_that_are_named_alike_are_left_alone() {
    let stage = Stage::new();
    let repository = stage.repository("project", &[("file", "content\n")]);
    for name in ["work", "backup", "lEft00"] {
        stage.file(&format!("tmp/amika-copy-{name}/thesis.txt"), "years of it");
    }
    assert_eq!(
        doctor(&stage, &["--fix"])["leftovers"],
        serde_json::json!([])
    );
    let sandbox = stage.sandbox(DEBIAN, &["--git", &repository]);
    for name in ["work", "backup", "lEft00"] {
        let file = format!("tmp/amika-copy-{name}/thesis.txt");
        let text = std::fs::read_to_string(stage.home().join(file)).unwrap();
        assert_eq!(text, "years of it", "{name}");
    }
    assert_eq!(stage.temporary().len(), 3, "{:?}", stage.temporary());
    let volumes = sandbox.verb("delete", &["--force", "--volumes"]).output();
    volumes.ended(0, &[]);
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
fn what_another_machine_may_be_at_work_on_is_left_alone_for_a_day() {
    let stage = Stage::new();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now = now.unwrap().as_secs();
    let labels = |id: &str, age: u64| {
        let mut options = Vec::new();
        for (key, value) in [
            ("version", "1".to_owned()),
            ("id", format!("01234567-89ab-4def-8123-45678900000{id}")),
            ("created-at", ((now - age * 3600) * 1000).to_string()),
            ("creator.host", "far.example".to_owned()),
            ("creator.boot-id", "b".to_owned()),
            ("creator.pid", "42".to_owned()),
            ("creator.started", "4711".to_owned()),
        ] {
            options.extend(["--label".to_owned(), format!("dev.amika.{key}={value}")]);
        }
        options
    };
    let volume = |id: &str, age: u64| {
        let name = stage.name();
        let mut args = vec!["volume".to_owned(), "create".to_owned()];
        args.extend(labels(id, age));
        for label in [stage.label(), "dev.amika.kind=home".to_owned()] {
            let label = label.trim_start_matches("label=").to_owned();
            args.extend(["--label".to_owned(), label]);
        }
        args.push(name.clone());
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        docker(&args).ended(0, &[]);
        name
    };
    let (young, old) = (volume("1", 23), volume("2", 25));
    let mut container = labels("3", 25);
    container.extend(["--label".to_owned(), "dev.amika.kind=sandbox".to_owned()]);
    let container: Vec<&str> = container.iter().map(String::as_str).collect();
    let container = stage.stranger(&container, &[DEBIAN]);
    let fixed = doctor(&stage, &["--fix"]);
    assert_eq!(fixed["removed"], serde_json::json!([]), "{fixed}");
    assert_eq!(fixed["kept"][0]["name"], old.as_str(), "{fixed}");
    let reason = fixed["kept"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("on far.example, 25 h ago"), "{reason}");
    assert!(reason.contains("--fix --others"), "{reason}");
    let fixed = doctor(&stage, &["--fix", "--others"]);
    assert_eq!(fixed["removed"], serde_json::json!([old]), "{fixed}");
    // By the engine's clock it was made now, whatever its label says.
    docker(&["container", "inspect", &container.name]).ended(0, &[]);
    docker(&["volume", "rm", &young]).ended(0, &[]);
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
