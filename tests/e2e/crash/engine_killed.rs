//! The engine is killed, while a sandbox runs and at the requests of a command: what is said then and
//! afterwards is true, the same command succeeds, `doctor --fix` cleans up, and work is still there.

use std::path::Path;

use super::line::{Break, Fate, Line, Moment};
use super::{Mend, agrees, places_of, repository, state_in};
use crate::support::{Output, PrivateEngine, SCRATCH, Stage, eventually};

/// A stage with an engine of its own, and one sandbox that comes and goes.
struct World {
    engine: PrivateEngine,
    stage: Stage,
    name: String,
    repository: String,
}

/// Where a command breaks: the engine has a part of the request, or has done what it asks for.
const WAYS: [(Moment, Fate, Mend); 4] = [
    (Moment::Answered, Fate::EngineKilled, Mend::Doctor),
    (Moment::Sent, Fate::EngineKilled, Mend::Again),
    (Moment::Sent, Fate::EngineKilled, Mend::Doctor),
    (Moment::Answered, Fate::EngineKilled, Mend::Again),
];

/// How a command ended on a line that was to break.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// The line held.
    Whole,
    /// The line broke, at a request that the command can do without.
    Succeeded,
    /// The line broke, and the command with it.
    Failed,
}

impl World {
    fn new() -> Self {
        let stage = Stage::new();
        Self {
            engine: PrivateEngine::start(&stage, &[SCRATCH]),
            name: stage.name(),
            repository: repository(&stage),
            stage,
        }
    }

    fn run_at(&self, address: &str, args: &[&str]) -> Output {
        let mut all = vec!["-o", "json"];
        all.extend(args);
        self.stage.amika(&all).env("DOCKER_HOST", address).output()
    }

    fn run(&self, args: &[&str]) -> Output {
        self.run_at(&self.engine.host(), args)
    }

    /// Runs a command that must succeed.
    fn done(&self, args: &[&str]) -> Output {
        let output = self.run(args);
        assert_eq!(output.code, 0, "{args:?} {output:?}");
        output
    }

    /// Runs a command of the sandbox that must succeed.
    fn verb(&self, verb: &str, options: &[&str]) {
        let mut args = vec!["sandbox", verb];
        args.extend(options);
        args.push(&self.name);
        self.done(&args);
    }

    fn create_args(&self) -> [&str; 10] {
        [
            "sandbox",
            "create",
            "--name",
            &self.name,
            "--image",
            SCRATCH,
            "--network",
            "none",
            "--git",
            &self.repository,
        ]
    }

    /// Requests of a command that succeeds.
    fn rehearsed(&self, args: &[&str]) -> Vec<String> {
        let line = Line::new_to(&self.engine, self.stage.home(), None);
        let output = self.run_at(&line.address(), args);
        assert_eq!(output.code, 0, "{output:?}");
        line.requests()
    }

    /// Runs a command whose engine is killed there, and starts the engine again; whether the command
    /// came that far.
    fn broken(&mut self, args: &[&str], at: Break) -> Ending {
        let line = Line::new_to(&self.engine, self.stage.home(), Some(at));
        // Shown when the test fails.
        println!("{at:?}");
        let output = self.run_at(&line.address(), args);
        println!("{:?}\n{output:?}", line.requests());
        let document = output.json();
        let failed = output.code != 0;
        assert_eq!(failed, document.get("error").is_some(), "{at:?} {output:?}");
        if !line.is_broken() {
            assert!(!failed, "{output:?}");
            return Ending::Whole;
        }
        if failed {
            is_engine_down(&output, 5);
        }
        self.engine.revive();
        if failed {
            Ending::Failed
        } else {
            Ending::Succeeded
        }
    }

    fn engine_state(&self) -> String {
        let template = "{{.State.Status}}";
        let state = self.engine.docker(&["inspect", "-f", template, &self.name]);
        state.stdout_text().trim().to_owned()
    }

    /// The state that `list` tells, once that agrees with the engine.
    fn truth(&self) -> Option<String> {
        let mut told = None;
        eventually("list and engine agree", || {
            let before = self.engine_state();
            told = state_in(&self.done(&["sandbox", "list"]).json(), &self.name);
            println!("the engine says {before:?}, the list {told:?}");
            before == self.engine_state() && agrees(&before, told.as_deref())
        });
        told
    }

    /// What there is on the engine but for amikad's own volumes, git volumes last.
    fn left(&self) -> Vec<String> {
        let list = |args: &[&str]| {
            let text = self.engine.docker(args).stdout_text();
            let lines = text.lines().filter(|name| !name.starts_with("amikad-"));
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        let mut all = list(&["ps", "-a", "--format", "{{.Names}}"]);
        let mut volumes = list(&["volume", "ls", "-q"]);
        volumes.sort_by_key(|name| name.starts_with("amika-git-"));
        all.extend(volumes);
        all
    }

    /// Removes what amikad comes from, so that the next create is the first one of the engine.
    fn forget_daemon(&self) {
        let list = self.engine.docker(&["volume", "ls", "-q"]).stdout_text();
        for name in list.lines().filter(|name| name.starts_with("amikad-")) {
            assert_eq!(self.engine.docker(&["volume", "rm", name]).code, 0);
        }
    }

    /// Puts a file into the sandbox's repository.
    fn work(&self) {
        let file = self.stage.file("work", "mine\n");
        let place = format!("{}:/home/amika/workspace/repo/work", self.name);
        self.done(&["sandbox", "cp", &file, &place]);
    }

    /// Asserts that the file is still in the git volume.
    fn work_is_there(&self, volume: &str) {
        let mount = format!("{volume}:/git:ro");
        let reader = ["create", "--network", "none", "-v", &mount, SCRATCH];
        let reader = self.engine.docker(&reader);
        assert_eq!(reader.code, 0, "{reader:?}");
        let reader = reader.stdout_text().trim().to_owned();
        let read = self.stage.home().join("read");
        let from = format!("{reader}:/git/work");
        let copied = self.engine.docker(&["cp", &from, read.to_str().unwrap()]);
        assert_eq!(copied.code, 0, "{copied:?}");
        assert_eq!(std::fs::read_to_string(read).unwrap(), "mine\n");
        assert_eq!(self.engine.docker(&["rm", &reader]).code, 0);
    }

    fn git_volume(&self) -> String {
        let volume = self.left().pop().unwrap();
        assert!(volume.starts_with("amika-git-"), "{volume}");
        volume
    }
}

impl Line {
    /// A line to an engine that is killed where it breaks.
    fn new_to(engine: &PrivateEngine, dir: &Path, at: Option<Break>) -> Self {
        let socket = engine.socket().to_str().unwrap().to_owned();
        Self::to(socket, Some(Box::new(engine.killer())), dir, at)
    }
}

/// Asserts that a command failed for want of an engine, and says what to do.
fn is_engine_down(output: &Output, code: i32) {
    assert_eq!(output.code, code, "{output:?}");
    let error = &output.json()["error"];
    assert_eq!(error["code"], "engine_unreachable", "{output:?}");
    assert!(
        error["hint"].as_str().unwrap().contains("amika doctor"),
        "{output:?}"
    );
}

#[test]
fn a_sandbox_outlives_its_engine() {
    let mut world = World::new();
    world.done(&world.create_args());
    world.work();
    let volume = world.git_volume();
    world.engine.kill();

    let name = world.name.clone();
    for args in [
        &["sandbox", "list"][..],
        &["sandbox", "inspect", &name],
        &["sandbox", "stop", &name],
        &["sandbox", "start", &name],
        &["sandbox", "delete", "--force", &name],
        &["service", "list"],
        &["volume", "list"],
    ] {
        is_engine_down(&world.run(args), 5);
    }
    is_engine_down(
        &world.run(&["sandbox", "exec", &name, "--", "/probe", "env"]),
        125,
    );

    world.engine.revive();
    // An engine that is told to keep containers running over its own end finds it running.
    let state = world.truth();
    assert!(
        matches!(state.as_deref(), Some("stopped" | "running")),
        "{state:?}"
    );
    world.verb("start", &[]);
    assert_eq!(world.truth().as_deref(), Some("running"));
    let copy = world.stage.home().join("copy");
    let place = format!("{name}:/home/amika/workspace/repo/work");
    world.done(&["sandbox", "cp", &place, copy.to_str().unwrap()]);
    assert_eq!(std::fs::read_to_string(copy).unwrap(), "mine\n");
    world.verb("delete", &["--force"]);
    assert_eq!(world.left(), [volume.as_str()]);
    world.work_is_there(&volume);
}

#[test]
fn a_create_survives_the_end_of_its_engine() {
    let mut world = World::new();
    let data = world.stage.file("data/file", "content");
    let mount = format!("{}:/data", Path::new(&data).parent().unwrap().display());
    let owned: Vec<String> = world.create_args().map(str::to_owned).to_vec();
    let mut create: Vec<&str> = owned.iter().map(String::as_str).collect();
    create.extend(["--mount", &mount]);
    let requests = world.rehearsed(&create);
    world.verb("delete", &["--force", "--volumes"]);
    assert_eq!(world.left(), Vec::<String>::new());

    for (at, mend) in places_of(&requests, &WAYS) {
        world.forget_daemon();
        let ending = world.broken(&create, at);
        let listed = world.truth();
        if ending != Ending::Whole && mend == Mend::Again {
            let again = world.run(&create);
            // Also where it was started: the engine's end ended it. Unless somebody was told of it.
            let told = ending == Ending::Succeeded;
            let expected = if told { 4 } else { 0 };
            assert_eq!(again.code, expected, "{at:?} {listed:?} {again:?}");
            if told {
                world.verb("start", &[]);
            }
            assert_eq!(world.truth().as_deref(), Some("running"), "{at:?}");
        }
        world.done(&["doctor", "--fix"]);
        let there = !world.engine_state().is_empty();
        assert_ne!(world.engine_state(), "created", "{at:?}");
        if there {
            world.verb("delete", &["--force", "--volumes"]);
        }
        // A repository that was being copied in held no work yet: nothing tells that afterwards.
        for volume in world.left() {
            assert!(
                volume.starts_with("amika-git-") && !there,
                "{at:?} {volume}"
            );
            assert_eq!(world.engine.docker(&["volume", "rm", &volume]).code, 0);
        }
    }
}

#[test]
fn start_and_stop_survive_the_end_of_their_engine() {
    let mut world = World::new();
    world.done(&world.create_args());
    let name = world.name.clone();
    let (start, stop) = (["sandbox", "start", &name], ["sandbox", "stop", &name]);
    let stopping = world.rehearsed(&stop);
    let starting = world.rehearsed(&start);
    for (at, _) in places_of(&stopping, &WAYS[..2]) {
        world.broken(&stop, at);
        world.truth();
        world.done(&stop);
        assert_eq!(world.truth().as_deref(), Some("stopped"), "{at:?}");
        world.done(&start);
    }
    for (at, _) in places_of(&starting, &WAYS[..2]) {
        world.done(&stop);
        world.broken(&start, at);
        world.truth();
        world.done(&["doctor", "--fix"]);
        world.done(&start);
        assert_eq!(world.truth().as_deref(), Some("running"), "{at:?}");
    }
}

#[test]
fn a_delete_survives_the_end_of_its_engine_and_the_work_too() {
    let mut world = World::new();
    let name = world.name.clone();
    let delete = ["sandbox", "delete", "--force", &name];
    world.done(&world.create_args());
    let requests = world.rehearsed(&delete);
    let volume = world.git_volume();
    assert_eq!(world.engine.docker(&["volume", "rm", &volume]).code, 0);

    for (at, mend) in places_of(&requests, &WAYS) {
        world.done(&world.create_args());
        world.work();
        let volume = world.git_volume();
        let broke = world.broken(&delete, at) != Ending::Whole;
        let listed = world.truth();
        if broke && (mend == Mend::Again || !world.engine_state().is_empty()) {
            let again = world.run(&delete);
            let expected = if listed.is_some() { 0 } else { 3 };
            assert_eq!(again.code, expected, "{at:?} {listed:?} {again:?}");
            assert_eq!(world.truth(), None, "{at:?}");
        }
        world.done(&["doctor", "--fix"]);
        assert_eq!(world.left(), [volume.as_str()], "{at:?}");
        world.work_is_there(&volume);
        assert_eq!(world.engine.docker(&["volume", "rm", &volume]).code, 0);
    }
}
