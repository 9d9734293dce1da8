//! `amika` is killed, or loses its engine, at every request that it makes: what is listed afterwards
//! is true, the same command then succeeds, `doctor --fix` cleans up, and nobody else's things are
//! touched.
//!
//! All requests are tried where `AMIKA_CRASH=all` (`make crash-test`); else some of each command.

mod bystanders;
mod engine_killed;
pub(crate) mod line;

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::Value;

use crate::support::{DEBIAN, Output, Sandbox, Stage, docker, eventually, runtime_dir};
use bystanders::Bystanders;
use line::{Break, Fate, Line, Moment};

/// How many requests of a command are tried without `AMIKA_CRASH=all`.
const SAMPLE: usize = 3;

/// What a step between a break and the next try is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mend {
    /// The same command again.
    Again,
    /// `amika doctor --fix`.
    Doctor,
}

fn run(stage: &Stage, args: &[&str], line: &Line) -> Output {
    let mut all = vec!["-o", "json"];
    all.extend(args);
    stage
        .amika(&all)
        .env("DOCKER_HOST", &line.address())
        .output()
}

fn amika(stage: &Stage, args: &[&str]) -> Output {
    let mut all = vec!["-o", "json"];
    all.extend(args);
    stage.amika(&all).output()
}

fn done(output: &Output) {
    assert_eq!(output.code, 0, "{output:?}");
}

/// Ways in which `amika` loses a request, and what is done then.
const WAYS: [(Moment, Fate, Mend); 5] = [
    (Moment::Answered, Fate::Killed, Mend::Again),
    (Moment::Sent, Fate::Killed, Mend::Doctor),
    (Moment::Answered, Fate::Killed, Mend::Doctor),
    (Moment::Sent, Fate::Killed, Mend::Again),
    (Moment::Answered, Fate::CutOff, Mend::Doctor),
];

/// The places where a command breaks that makes these requests, each with a way to mend it.
fn places(requests: &[String]) -> Vec<(Break, Mend)> {
    places_of(requests, &WAYS)
}

/// As [`places`], in these ways.
fn places_of(requests: &[String], ways: &[(Moment, Fate, Mend)]) -> Vec<(Break, Mend)> {
    let all = std::env::var("AMIKA_CRASH").is_ok_and(|which| which == "all");
    // Those that change something say most.
    let changing: Vec<usize> = (1..=requests.len())
        .filter(|number| all || !requests[number - 1].starts_with("GET"))
        .collect();
    let step = if all {
        1
    } else {
        changing.len().div_ceil(SAMPLE)
    };
    let mut places = Vec::new();
    for (turn, request) in changing.into_iter().step_by(step).enumerate() {
        for (number, &(moment, fate, mend)) in ways.iter().enumerate() {
            if all || number % 3 == turn % 3 {
                let at = Break {
                    request,
                    moment,
                    fate,
                };
                places.push((at, mend));
            }
        }
    }
    assert!(!places.is_empty(), "{requests:?}");
    places
}

/// Runs a command on a line that breaks; whether it did.
fn broken(stage: &Stage, args: &[&str], at: Break) -> bool {
    let line = Line::new(stage.home(), Some(at));
    // Shown when the test fails.
    println!("{at:?}");
    let output = run(stage, args, &line);
    println!("{:?}", line.requests());
    if !line.is_broken() {
        done(&output);
        return false;
    }
    match at.fate {
        Fate::Killed => assert_eq!(output.code, 137, "{at:?} {output:?}"),
        // One document, whatever it says: a request that is not vital may have been given up.
        Fate::CutOff | Fate::EngineKilled => {
            let document = output.json();
            assert_eq!(
                output.code != 0,
                document.get("error").is_some(),
                "{at:?} {output:?}"
            );
        }
    }
    true
}

/// The state that `list` tells, once that agrees with the engine; none when there is no sandbox.
fn truth(sandbox: &Sandbox<'_>) -> Option<String> {
    let mut told = None;
    eventually("list and engine agree", || {
        let before = sandbox.engine_state();
        let listed = amika(sandbox.stage, &["sandbox", "list"]);
        done(&listed);
        told = state_in(&listed.json(), &sandbox.name);
        before == sandbox.engine_state() && agrees(&before, told.as_deref())
    });
    told
}

/// Whether `list` tells a state that is the engine's, once the command that made it is over.
fn agrees(engine: &str, told: Option<&str>) -> bool {
    match engine {
        "created" => told == Some("interrupted"),
        "running" => matches!(told, Some("running" | "setup")),
        "exited" => told == Some("stopped"),
        // The engine itself was killed while it removed it.
        "dead" => told == Some("dead"),
        "" => matches!(told, None | Some("lost")),
        _ => false,
    }
}

fn state_in(list: &Value, name: &str) -> Option<String> {
    let all = list.as_array().unwrap();
    let this = all.iter().find(|sandbox| sandbox["name"] == name)?;
    Some(this["state"].as_str().unwrap().to_owned())
}

/// Volumes of the stage by kind.
fn volumes(stage: &Stage, kind: &str) -> Vec<String> {
    let own = format!("label={}", stage.label());
    let format = r#"{{.Name}} {{.Label "dev.amika.kind"}}"#;
    // Of two filters for labels Podman wants one to hold.
    let list = docker(&["volume", "ls", "--filter", &own, "--format", format]);
    let text = list.stdout_text();
    let rows = text.lines().filter_map(|row| row.split_once(' '));
    rows.filter(|(_, its)| *its == kind)
        .map(|(name, _)| name.to_owned())
        .collect()
}

/// Whether nothing is left but what goes with the sandboxes that there are.
fn is_clean(sandbox: &Sandbox<'_>) -> bool {
    let there = !sandbox.engine_state().is_empty();
    let gone = ["home", "state", "rwcopy"]
        .iter()
        .all(|kind| volumes(sandbox.stage, kind).is_empty());
    sandbox.engine_state() != "created" && (there || gone)
}

/// What `doctor --fix` says that it removed is not there any more.
fn removed_is_gone(fixed: &Output, at: Break) {
    done(fixed);
    for name in fixed.json()["removed"].as_array().unwrap() {
        let name = name.as_str().unwrap();
        let found = docker(&["inspect", "--type", "container", name]).code == 0
            || docker(&["inspect", "--type", "image", name]).code == 0
            || docker(&["inspect", "--type", "volume", name]).code == 0
            || Path::new(name).exists();
        assert!(!found, "{at:?} {name} is there: {fixed:?}");
    }
}

/// `doctor --fix` cleans up. Where the engine was left with a request on its way, that may be
/// carried out only after `doctor` looked.
fn doctor_cleans(sandbox: &Sandbox<'_>, at: Break) {
    let fix = || removed_is_gone(&amika(sandbox.stage, &["doctor", "--fix"]), at);
    fix();
    if at.moment == Moment::Answered {
        assert!(is_clean(sandbox), "{at:?}: {}", sandbox.engine_state());
    }
    eventually("doctor cleaned up", || {
        is_clean(sandbox) || {
            fix();
            false
        }
    });
}

/// Breaks `create` with these options everywhere.
fn create_is_broken(stage: &Stage, options: &[&str]) {
    let bystanders = Bystanders::new(stage);
    let sandbox = stage.adopt(stage.name());
    let mut args = vec![
        "sandbox",
        "create",
        "--name",
        &sandbox.name,
        "--image",
        DEBIAN,
    ];
    args.extend(options);
    let delete = ["sandbox", "delete", "--force", "--volumes", &sandbox.name];
    let rehearsal = Line::new(stage.home(), None);
    done(&run(stage, &args, &rehearsal));
    done(&amika(stage, &delete));

    for (at, mend) in places(&rehearsal.requests()) {
        if !broken(stage, &args, at) {
            done(&amika(stage, &delete));
            continue;
        }
        let listed = truth(&sandbox);
        match mend {
            Mend::Again => {
                // Also where the engine had started it: nobody was told of that one yet.
                let again = amika(stage, &args);
                assert_eq!(again.code, 0, "{at:?} {listed:?} {again:?}");
                assert_eq!(again.json()["name"], sandbox.name, "{at:?} {again:?}");
                let text = sandbox.exec(&["echo", "alive"]).output();
                assert_eq!(text.stdout_text(), "alive\n", "{at:?} {text:?}");
                // Now somebody was.
                let third = amika(stage, &args);
                assert_eq!(third.code, 4, "{at:?} {third:?}");
            }
            Mend::Doctor => doctor_cleans(&sandbox, at),
        }
        let deleted = amika(stage, &delete);
        assert!([0, 3].contains(&deleted.code), "{at:?} {deleted:?}");
        done(&amika(stage, &["doctor", "--fix"]));
        // A repository that was being copied in when its create ended held no work yet; one whose
        // container went first is kept, since nothing tells that.
        for volume in volumes(stage, "git") {
            docker(&["volume", "rm", &volume]);
        }
        assert_eq!(stage.volumes(), Vec::<String>::new(), "{at:?} {mend:?}");
        bystanders.are_untouched();
    }
}

#[test]
fn a_create_survives_its_end_at_any_request() {
    create_is_broken(&Stage::new(), &[]);
}

#[test]
fn a_create_with_a_repository_survives_its_end_at_any_request() {
    let stage = Stage::new();
    let repository = repository(&stage);
    create_is_broken(&stage, &["--git", &repository]);
}

#[test]
fn a_create_with_a_large_repository_survives_its_end_at_any_request() {
    let stage = Stage::new();
    // So many files go through a pipe to a container of their own.
    let dir = stage.home().join("repo");
    let script = "git init -q -b main \"$1\" && cd \"$1\" && for i in {1..4100}; do echo $i > file-$i; done && \
                  git add . && git -c user.name=T -c user.email=t@example.org commit -q -m first && git gc -q";
    let repository = dir.to_str().unwrap();
    done(&stage.shell(script, &[repository]).output());
    create_is_broken(&stage, &["--git", repository]);
}

#[test]
fn a_create_with_setup_and_a_copy_survives_its_end_at_any_request() {
    let stage = Stage::new();
    let script = stage.script("setup.sh", "#!/bin/sh\nexit 0\n");
    let data = stage.home().join("data");
    std::fs::create_dir(&data).unwrap();
    std::fs::write(data.join("file"), "content").unwrap();
    let mount = format!("{}:/data", data.display());
    create_is_broken(&stage, &["--setup-script", &script, "--mount", &mount]);
}

/// Kills this `create` when it asked the engine for the start.
fn killed_at_start(stage: &Stage, sandbox: &Sandbox<'_>, args: &[&str], moment: Moment) -> Break {
    let rehearsal = Line::new(stage.home(), None);
    run(stage, args, &rehearsal);
    delete(sandbox);
    let requests = rehearsal.requests();
    let start = requests.iter().position(|line| line.ends_with("/start"));
    let at = Break {
        request: start.unwrap() + 1,
        moment,
        fate: Fate::Killed,
    };
    assert!(broken(stage, args, at));
    at
}

fn delete(sandbox: &Sandbox<'_>) {
    let delete = ["sandbox", "delete", "--force", "--volumes", &sandbox.name];
    done(&amika(sandbox.stage, &delete));
}

fn create_args<'a>(name: &'a str, options: &[&'a str]) -> Vec<&'a str> {
    let mut args = vec!["sandbox", "create", "--name", name, "--image", DEBIAN];
    args.extend(options);
    args
}

#[test]
fn doctor_does_not_say_removed_of_a_sandbox_that_is_being_started() {
    let stage = Stage::new();
    let sandbox = stage.adopt(stage.name());
    let args = create_args(&sandbox.name, &[]);
    let at = killed_at_start(&stage, &sandbox, &args, Moment::Sent);
    // The engine is at it now.
    let fixed = amika(&stage, &["doctor", "--fix"]);
    removed_is_gone(&fixed, at);
    let report = fixed.json();
    for kept in report["kept"].as_array().unwrap() {
        assert_eq!(kept["name"], sandbox.name, "{report}");
        assert_eq!(sandbox.engine_state(), "running", "{report}");
    }
    doctor_cleans(&sandbox, at);
    amika(&stage, &["sandbox", "delete", "--force", &sandbox.name]);
}

#[test]
fn what_a_killed_create_had_started_is_given_to_the_same_create_only() {
    let stage = Stage::new();
    let sandbox = stage.adopt(stage.name());
    let args = create_args(&sandbox.name, &["--env", "TOKEN=geheim"]);
    killed_at_start(&stage, &sandbox, &args, Moment::Answered);
    done(&sandbox.exec(&["sh", "-c", "echo mine > ~/work"]).output());

    let lock = format!("amika/locks/sandbox-{}", sandbox.name);
    let lock = runtime_dir().join(lock);
    let left = std::fs::read_to_string(&lock).unwrap();
    assert!(left.contains("asked") && !left.contains("geheim"), "{left}");
    let mode = lock.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    let other = amika(&stage, &create_args(&sandbox.name, &["--env", "TOKEN=x"]));
    assert_eq!(other.code, 4, "{other:?}");
    let error = other.json()["error"].to_string();
    assert!(error.contains("its create was interrupted"), "{error}");

    let same = amika(&stage, &args);
    done(&same);
    assert_eq!(same.json()["state"], "running", "{same:?}");
    let work = sandbox.exec(&["sh", "-c", "cat ~/work"]).output();
    assert_eq!(work.stdout_text(), "mine\n");

    let again = amika(&stage, &args);
    assert_eq!(again.code, 4, "{again:?}");
    let error = again.json()["error"].to_string();
    assert!(!error.contains("its create was interrupted"), "{error}");
    assert!(!lock.exists(), "{}", lock.display());
}

#[test]
fn a_sandbox_that_was_used_by_name_is_no_killed_creates_any_more() {
    let stage = Stage::new();
    let sandbox = stage.adopt(stage.name());
    let args = create_args(&sandbox.name, &[]);
    killed_at_start(&stage, &sandbox, &args, Moment::Answered);
    done(&amika(&stage, &["sandbox", "stop", &sandbox.name]));
    let again = amika(&stage, &args);
    assert_eq!(again.code, 4, "{again:?}");
    // What `--replace` makes is its own.
    done(&amika(&stage, &create_args(&sandbox.name, &["--replace"])));
}

#[test]
fn the_same_create_tells_how_setup_ended_that_a_killed_one_had_started() {
    let stage = Stage::new();
    let script = stage.script("setup.sh", "#!/bin/sh\necho broken\nexit 3\n");
    let sandbox = stage.adopt(stage.name());
    let args = create_args(&sandbox.name, &["--setup-script", &script]);
    killed_at_start(&stage, &sandbox, &args, Moment::Answered);
    let same = amika(&stage, &args);
    assert_eq!(same.code, 20, "{same:?}");
    assert!(same.json()["error"].to_string().contains("broken"));
    // It was told: from now on it is there.
    let again = amika(&stage, &args);
    assert_eq!(again.code, 4, "{again:?}");
}

#[test]
fn the_first_create_of_all_survives_its_end_at_any_request() {
    let stage = Stage::new();
    // A certificate makes the volume that amikad comes from another one, which is not there yet.
    let bundle = stage.home().join("bundle.pem");
    std::fs::write(&bundle, format!("# {}\n", stage.label())).unwrap();
    let sandbox = stage.adopt(stage.name());
    let args = [
        "sandbox",
        "create",
        "--name",
        &sandbox.name,
        "--image",
        DEBIAN,
    ];
    let create = |line: Option<&Line>| {
        let mut create = stage
            .amika(&args)
            .env("SSL_CERT_FILE", bundle.to_str().unwrap());
        if let Some(line) = line {
            create = create.env("DOCKER_HOST", &line.address());
        }
        create.output()
    };
    let forget = || {
        done(&amika(
            &stage,
            &["sandbox", "delete", "--force", &sandbox.name],
        ));
        injected()
    };
    // On a new engine another test would make the usual ones meanwhile.
    drop(stage.sandbox(DEBIAN, &[]));
    let before = injected();
    let rehearsal = Line::new(stage.home(), None);
    done(&create(Some(&rehearsal)));
    let after = forget();
    let own: Vec<String> = after
        .into_iter()
        .filter(|name| !before.contains(name))
        .collect();
    assert_eq!(own.len(), 2, "{own:?}");
    for (at, _) in places(&rehearsal.requests()) {
        for volume in &own {
            docker(&["volume", "rm", volume]);
        }
        let line = Line::new(stage.home(), Some(at));
        // Shown when the test fails.
        println!("{at:?}");
        let output = create(Some(&line));
        println!("{:?}", line.requests());
        assert!(line.is_broken() || output.code == 0, "{at:?} {output:?}");
        truth(&sandbox);
        let again = create(None);
        assert_eq!(again.code, 0, "{at:?} {again:?}");
        // Filled whole, or the program would not run.
        let text = sandbox.exec(&["echo", "alive"]).output();
        assert_eq!(text.stdout_text(), "alive\n", "{at:?} {text:?}");
        forget();
        eventually("nothing is being filled", || {
            done(&amika(&stage, &["doctor", "--fix"]));
            stage.containers().is_empty()
        });
    }
    for volume in &own {
        docker(&["volume", "rm", volume]);
    }
    assert_eq!(stage.volumes(), Vec::<String>::new());
}

/// Volumes that amikad comes from.
fn injected() -> Vec<String> {
    let kind = "label=dev.amika.kind=amikad";
    let list = docker(&["volume", "ls", "-q", "--filter", kind]).stdout_text();
    list.lines().map(str::to_owned).collect()
}

#[test]
fn start_and_stop_survive_their_end_at_any_request() {
    let stage = Stage::new();
    let bystanders = Bystanders::new(&stage);
    let script = stage.script("setup.sh", "#!/bin/sh\nexit 0\n");
    let sandbox = stage.sandbox(DEBIAN, &["--setup-script", &script]);
    let start = ["sandbox", "start", &sandbox.name];
    let stop = ["sandbox", "stop", &sandbox.name];
    let (stopping, starting) = (Line::new(stage.home(), None), Line::new(stage.home(), None));
    done(&run(&stage, &stop, &stopping));
    done(&run(&stage, &start, &starting));

    for (at, _) in places(&stopping.requests()) {
        broken(&stage, &stop, at);
        truth(&sandbox);
        done(&amika(&stage, &stop));
        assert_eq!(sandbox.engine_state(), "exited", "{at:?}");
        done(&amika(&stage, &start));
    }
    for (at, _) in places(&starting.requests()) {
        done(&amika(&stage, &stop));
        broken(&stage, &start, at);
        truth(&sandbox);
        done(&amika(&stage, &start));
        assert_eq!(truth(&sandbox).as_deref(), Some("running"), "{at:?}");
    }
    done(&amika(&stage, &["doctor", "--fix"]));
    assert_eq!(sandbox.engine_state(), "running");
    bystanders.are_untouched();
}

#[test]
fn a_delete_survives_its_end_at_any_request_and_the_work_too() {
    let stage = Stage::new();
    let bystanders = Bystanders::new(&stage);
    let repository = repository(&stage);
    let sandbox = stage.adopt(stage.name());
    let delete = ["sandbox", "delete", "--force", &sandbox.name];
    let make = || {
        done(&sandbox.create(DEBIAN, &["--git", &repository]));
        done(&sandbox.exec(&["sh", "-c", "echo mine > work"]).output());
        volumes(&stage, "git").pop().unwrap()
    };
    let forget = |volume: &str| {
        assert_eq!(read_work(volume), "mine\n");
        done(&docker(&["volume", "rm", volume]));
    };
    let volume = make();
    let rehearsal = Line::new(stage.home(), None);
    done(&run(&stage, &delete, &rehearsal));
    forget(&volume);

    for (at, mend) in places(&rehearsal.requests()) {
        let volume = make();
        broken(&stage, &delete, at);
        let listed = truth(&sandbox);
        if mend == Mend::Again || listed.as_deref() == Some("running") {
            let again = amika(&stage, &delete);
            let fine = if listed.is_some() { [0, 0] } else { [0, 3] };
            assert!(fine.contains(&again.code), "{at:?} {listed:?} {again:?}");
            assert_eq!(truth(&sandbox), None, "{at:?}");
        }
        doctor_cleans(&sandbox, at);
        assert_eq!(stage.volumes(), [volume.as_str()], "{at:?}");
        forget(&volume);
        bystanders.are_untouched();
    }
}

#[test]
fn a_container_removed_behind_amikas_back_is_lost_and_told() {
    let stage = Stage::new();
    let repository = repository(&stage);
    let sandbox = stage.sandbox(DEBIAN, &["--git", &repository]);
    done(&sandbox.exec(&["sh", "-c", "echo mine > work"]).output());
    let git = volumes(&stage, "git").pop().unwrap();
    let lose = || done(&docker(&["rm", "-f", &sandbox.name]));
    lose();

    assert_eq!(truth(&sandbox).as_deref(), Some("lost"));
    let exec = sandbox.exec(&["true"]).output();
    assert_eq!(exec.code, 125, "{exec:?}");
    assert!(exec.stderr_text().contains("is lost"), "{exec:?}");
    let inspect = amika(&stage, &["sandbox", "inspect", &sandbox.name]);
    assert_eq!(inspect.code, 3, "{inspect:?}");
    let hint = inspect.json()["error"]["hint"].to_string();
    assert!(
        hint.contains(&format!("amika sandbox delete {}", sandbox.name)),
        "{hint}"
    );
    // What the hint says works, and leaves the work.
    done(&amika(&stage, &["sandbox", "delete", &sandbox.name]));
    assert_eq!(truth(&sandbox), None);
    assert_eq!(stage.volumes(), [git.as_str()]);

    // The name is free again, and doctor finds what the second one leaves.
    done(&sandbox.create(DEBIAN, &[]));
    lose();
    done(&sandbox.create(DEBIAN, &[]));
    assert_eq!(truth(&sandbox).as_deref(), Some("running"));
    let found = amika(&stage, &["doctor"]);
    assert_eq!(
        found.json()["leftovers"].as_array().unwrap().len(),
        2,
        "{found:?}"
    );
    done(&amika(&stage, &["doctor", "--fix"]));
    done(&sandbox.exec(&["true"]).output());
    done(&amika(
        &stage,
        &["sandbox", "delete", "--force", &sandbox.name],
    ));
    assert_eq!(stage.volumes(), [git.as_str()]);
    assert_eq!(read_work(&git), "mine\n");
    done(&docker(&["volume", "rm", &git]));
}

#[test]
fn a_sandbox_that_is_killed_is_stopped_and_starts_again() {
    let stage = Stage::new();
    let sandbox = stage.sandbox(DEBIAN, &[]);
    done(&sandbox.exec(&["sh", "-c", "echo mine > ~/work"]).output());
    done(&docker(&["kill", &sandbox.name]));
    assert_eq!(truth(&sandbox).as_deref(), Some("stopped"));
    done(&amika(&stage, &["doctor", "--fix"]));
    done(&amika(&stage, &["sandbox", "start", &sandbox.name]));
    let work = sandbox.exec(&["sh", "-c", "cat ~/work"]).output();
    assert_eq!(work.stdout_text(), "mine\n");
}

/// A repository with one commit.
fn repository(stage: &Stage) -> String {
    let dir = stage.home().join("repo");
    let made = stage
        .shell(
            "git init -q -b main \"$1\" && cd \"$1\" && echo hello > file && git add . && \
             git -c user.name=T -c user.email=t@example.org commit -q -m first",
            &[dir.to_str().unwrap()],
        )
        .output();
    done(&made);
    Path::to_str(&dir).unwrap().to_owned()
}

/// What the agent left in a repository's volume.
fn read_work(volume: &str) -> String {
    let mount = format!("{volume}:/git:ro");
    let read = docker(&[
        "run",
        "--rm",
        "--network",
        "none",
        "-v",
        &mount,
        DEBIAN,
        "sh",
        "-c",
        "cat $(find /git -name work)",
    ]);
    done(&read);
    read.stdout_text()
}
