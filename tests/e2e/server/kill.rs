//! The server is killed at every call of the engine, and at every commit of its database, while something is done:
//! when it starts again, each operation is finished or unmade, and its record says which.
//!
//! All points are tried where `AMIKA_CRASH=all` (`make soak`); else every seventh.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use super::client::Server;
use crate::crash::line::{Line, Moment};
use crate::support::{DEBIAN, Stage, docker};

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Create,
    Start,
    Stop,
    Delete,
    /// A timer deletes a sandbox that is stopped.
    Timer,
    /// Its name and a timer are changed.
    Change,
}

/// More than is ever counted.
const MANY: usize = 1_000_000;

/// How long something may take to be done, or to be known as done.
const PATIENCE: Duration = Duration::from_mins(2);

/// Tests of an act: what becomes of it where the server is killed at one of its calls of the engine, at an answer to one,
/// or at a commit.
macro_rules! killed {
    ($($name:ident: $act:expr,)*) => {$(
        mod $name {
            use super::{Act, Moment, Place, each};

            #[test]
            fn at_a_call() {
                each($act, Place::Engine(Moment::Sent));
            }

            #[test]
            fn at_an_answer() {
                each($act, Place::Engine(Moment::Answered));
            }

            #[test]
            fn at_a_commit() {
                each($act, Place::Store);
            }
        }
    )*};
}

killed! {
    a_create_that_is_killed_is_finished_or_unmade_and_told: Act::Create,
    a_start_that_is_killed_is_finished_or_failed_and_told: Act::Start,
    a_stop_that_is_killed_is_finished_or_failed_and_told: Act::Stop,
    a_delete_that_is_killed_is_finished_and_told: Act::Delete,
    a_timer_that_is_killed_does_its_work_all_the_same: Act::Timer,
    a_change_that_is_killed_leaves_one_name_with_the_engine_and_the_server: Act::Change,
}

/// A server whose calls of the engine, or whose commits, are counted, and which is killed at one of them.
struct Ground<'a> {
    stage: &'a Stage,
    server: Server<'a>,
    library: PathBuf,
    counter: PathBuf,
    line: Line,
}

/// Which of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Engine(Moment),
    Store,
}

fn each(act: Act, place: Place) {
    let stage = Stage::new();
    let library = library(stage.home());
    let mut ground = Ground {
        stage: &stage,
        server: Server::start(&stage, &[]),
        library,
        counter: stage.home().join("commits"),
        line: Line::new(stage.home(), None),
    };
    let all = std::env::var("AMIKA_CRASH").is_ok_and(|which| which == "all");
    let step = if all { 1 } else { 7 };
    let (calls, commits) = ground.counted(act);
    assert!(
        calls > 0 && commits > 0,
        "{act:?}: {calls} calls, {commits} commits"
    );
    let count = match place {
        Place::Engine(_) => calls,
        Place::Store => commits,
    };
    let (mut tried, mut killed) = (0, 0);
    for number in (1..=count).step_by(step) {
        tried += 1;
        killed += usize::from(ground.killed(act, place, number));
    }
    println!("{act:?} {place:?}: killed at {killed} of {tried} points, of {count} in all");
    // What the server does for itself between may come at another time.
    assert!(
        killed * 2 >= tried,
        "{act:?} {place:?}: {killed} of {tried}"
    );
    stage.nothing_was_made();
}

/// The library that counts commits.
fn library(home: &Path) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/test-kill-at-commit.c");
    let library = home.join("kill-at-commit.so");
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", "-O", "-o"])
        .args([&library, &source])
        .arg("-ldl")
        .status();
    assert!(built.unwrap().success());
    library
}

impl Ground<'_> {
    /// Starts the server on a new line to the engine, with its commits counted.
    fn begin(&mut self) {
        self.server.signal(Signal::TERM);
        self.line = Line::new(self.stage.home(), None);
        let _ = std::fs::remove_file(&self.counter);
        let (library, counter) = (
            self.library.to_str().unwrap(),
            self.counter.to_str().unwrap(),
        );
        let env = [
            ("DOCKER_HOST", self.line.address()),
            ("LD_PRELOAD", library.to_owned()),
            ("KILL_AT_COMMIT", counter.to_owned()),
        ];
        let env: Vec<(&str, &str)> = env
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        self.server.again_with(&env);
    }

    /// Makes what the act needs; the sandbox's id, where there is one by then.
    fn prepare(&self, act: Act, name: &str) -> Option<String> {
        if act == Act::Create {
            return None;
        }
        let body = json!({ "name": name, "auto_stop_interval": 0 });
        let made = self.server.create(DEBIAN, body);
        assert_eq!(made["state"], "started", "{made}");
        let id = made["id"].as_str().unwrap().to_owned();
        if matches!(act, Act::Start | Act::Timer) {
            let path = format!("/sandboxes/{id}/stop");
            self.server.post(&path, &json!({})).expect(202);
            self.server.until(&id, "stopped");
            self.quiet();
        }
        Some(id)
    }

    /// Waits until nothing is done.
    fn quiet(&self) {
        let begun = Instant::now();
        loop {
            let running = self.server.get("/operations?state=running").expect(200);
            if running["items"] == json!([]) {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "{running}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Asks for it. The server may be killed at any time; none where there is no answer.
    fn act(&self, act: Act, name: &str, id: Option<&str>) {
        let path = |rest: &str| format!("/sandboxes/{}{rest}", id.unwrap_or(name));
        let ask = |method: &str, path: &str, body: &Value| self.server.try_ask(method, path, body);
        let create = json!({ "image": DEBIAN, "name": name, "auto_stop_interval": 0 });
        let answer = match act {
            Act::Create => ask("POST", "/sandboxes?wait=60", &create),
            Act::Start => ask("POST", &path("/start"), &json!({})),
            Act::Stop => ask("POST", &path("/stop"), &json!({})),
            Act::Delete => ask("DELETE", &path(""), &json!({})),
            Act::Timer => ask("PATCH", &path(""), &json!({ "auto_delete_interval": 0 })),
            Act::Change => {
                let change = json!({ "name": format!("{name}-b"), "auto_stop_interval": 9 });
                ask("PATCH", &path(""), &change)
            }
        };
        if let Some(answer) = answer {
            assert!(answer.status < 300, "{act:?}: {answer:?}");
        }
    }

    /// Whether it is done, as far as the server can be asked.
    fn is_done(&self, act: Act, name: &str, id: Option<&str>) -> bool {
        let at = format!("/sandboxes/{}", id.unwrap_or(name));
        let found = self.server.try_ask("GET", &at, &json!({}));
        let running = self
            .server
            .try_ask("GET", "/operations?state=running", &json!({}));
        let (Some(found), Some(running)) = (found, running) else {
            return false;
        };
        if running.json()["items"] != json!([]) {
            return false;
        }
        match act {
            Act::Create | Act::Start => found.json()["state"] == "started",
            Act::Stop => found.json()["state"] == "stopped",
            Act::Delete | Act::Timer => found.status == 404,
            Act::Change => found.json()["auto_stop_interval"] == 9,
        }
    }

    /// How many calls and commits it takes.
    fn counted(&mut self, act: Act) -> (usize, usize) {
        self.begin();
        let name = self.stage.name();
        let id = self.prepare(act, &name);
        std::fs::write(&self.counter, format!("{MANY}\n")).unwrap();
        let before = self.line.requests().len();
        self.act(act, &name, id.as_deref());
        let begun = Instant::now();
        while !self.is_done(act, &name, id.as_deref()) {
            assert!(begun.elapsed() < PATIENCE, "{act:?} was not done");
            std::thread::sleep(Duration::from_millis(20));
        }
        let calls = self.line.requests().len() - before;
        let left = std::fs::read_to_string(&self.counter).unwrap();
        std::fs::remove_file(&self.counter).unwrap();
        self.clean(&name, id.as_deref());
        (calls, MANY - left.trim().parse::<usize>().unwrap())
    }

    /// Kills it at that point, starts it again, and looks what came of it; whether it was killed.
    fn killed(&mut self, act: Act, place: Place, number: usize) -> bool {
        println!("{act:?} {place:?} {number}");
        self.begin();
        let name = self.stage.name();
        let id = self.prepare(act, &name);
        match place {
            Place::Engine(moment) => self.line.arm(number, moment),
            Place::Store => std::fs::write(&self.counter, format!("{number}\n")).unwrap(),
        }
        self.act(act, &name, id.as_deref());
        let begun = Instant::now();
        let is_killed = loop {
            let is_alive = self.server.try_ask("GET", "/me", &json!({})).is_some();
            if !is_alive {
                break true;
            }
            if self.is_done(act, &name, id.as_deref()) {
                break false;
            }
            assert!(
                begun.elapsed() < PATIENCE,
                "{act:?} {place:?} {number}: nothing came of it"
            );
            std::thread::sleep(Duration::from_millis(20));
        };
        if is_killed {
            assert_eq!(self.server.ended().code, 137);
            self.server.again_with(&[]);
            self.quiet();
        } else {
            // It was done in fewer: what is armed must not go off any more.
            let _ = std::fs::remove_file(&self.counter);
            self.server.signal(Signal::KILL);
            self.server.again_with(&[]);
            self.quiet();
        }
        self.check(act, &name, id.as_deref());
        self.clean(&name, id.as_deref());
        is_killed
    }

    /// The state of a container in the engine's word; empty where there is none.
    fn engine_state(name: &str) -> String {
        let format = "{{.State.Status}}";
        let found = docker(&["inspect", "--type", "container", "--format", format, name]);
        if found.code == 0 {
            found.stdout_text().trim().to_owned()
        } else {
            String::new()
        }
    }

    /// What the record of the act says, where there is one.
    fn record(&self, act: Act, name: &str) -> Option<String> {
        let kind = match act {
            Act::Create => "create",
            Act::Start => "start",
            Act::Stop => "stop",
            Act::Delete | Act::Timer => "delete",
            Act::Change => return None,
        };
        let operations = self.server.get("/operations").expect(200);
        let mut operations = operations["items"].as_array().unwrap().iter();
        let found = operations.find(|it| it["kind"] == kind && it["sandbox_name"] == *name)?;
        assert!(found["ended_at"].is_string(), "{found}");
        assert_eq!(
            found["error"].is_null(),
            found["state"] == "succeeded",
            "{found}"
        );
        Some(found["state"].as_str().unwrap().to_owned())
    }

    fn check(&self, act: Act, name: &str, id: Option<&str>) {
        if act == Act::Timer {
            let begun = Instant::now();
            let path = format!("/sandboxes/{}", id.unwrap());
            let found = self.server.get(&path);
            // It may have been killed by a look of its own, before it took the word.
            if found.status == 200 && found.json()["auto_delete_interval"] != 0 {
                self.act(act, name, id);
            }
            loop {
                let shown = self.server.get(&path);
                if shown.status == 404 {
                    break;
                }
                let waited = begun.elapsed();
                let engine = Self::engine_state(name);
                assert!(
                    waited < PATIENCE,
                    "the timer did not act: {shown:?} {engine:?}, {:?}",
                    self.server.get("/operations")
                );
                std::thread::sleep(Duration::from_millis(100));
            }
            self.quiet();
        }
        let record = self.record(act, name);
        let engine = Self::engine_state(name);
        let shown = self
            .server
            .get(&format!("/sandboxes/{}", id.unwrap_or(name)));
        let told = format!("{act:?}: record {record:?}, engine {engine:?}, shown {shown:?}");
        let state = || {
            shown.json()["state"]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        };
        match (act, record.as_deref()) {
            (Act::Create | Act::Start, Some("succeeded")) => {
                assert_eq!(engine, "running", "{told}");
                assert_eq!(state(), "started", "{told}");
            }
            (Act::Create, Some(_)) => {
                assert_eq!(engine, "", "{told}");
                assert_eq!(state(), "failed", "{told}");
                self.stage.nothing_was_made();
            }
            // It was never begun.
            (Act::Create, None) => {
                crate::support::eventually("nothing is left of it", || {
                    self.server.get(&format!("/sandboxes/{name}")).status == 404
                });
                assert_eq!(engine, "", "{told}");
                self.stage.nothing_was_made();
            }
            (Act::Start, Some(_)) => assert_ne!(engine, "running", "{told}"),
            (Act::Start, None) | (Act::Stop, Some("succeeded")) => assert_eq!(
                (engine.as_str(), state().as_str()),
                ("exited", "stopped"),
                "{told}"
            ),
            (Act::Stop, _) | (Act::Delete, None) => assert_eq!(
                (engine.as_str(), state().as_str()),
                ("running", "started"),
                "{told}"
            ),
            (Act::Delete | Act::Timer, Some("succeeded")) => {
                assert_eq!((engine.as_str(), shown.status), ("", 404), "{told}");
                self.stage.nothing_was_made();
            }
            (Act::Delete | Act::Timer, _) => panic!("{told}"),
            (Act::Change, _) => {
                let path = format!("/sandboxes/{}", id.unwrap());
                let names = [name.to_owned(), format!("{name}-b")];
                let on_engine: Vec<&String> = names
                    .iter()
                    .filter(|name| !Self::engine_state(name).is_empty())
                    .collect();
                assert_eq!(on_engine.len(), 1, "{told}");
                let found = self.server.get(&path).expect(200);
                assert_eq!(found["name"], **on_engine[0], "{told}");
                assert!(
                    found["auto_stop_interval"] != 9 || *on_engine[0] == names[1],
                    "{told}"
                );
            }
        }
    }

    fn clean(&self, name: &str, id: Option<&str>) {
        let path = format!("/sandboxes/{}", id.unwrap_or(name));
        let deleted = self
            .server
            .try_ask("DELETE", &format!("{path}?force=true"), &json!({}));
        let status = deleted.unwrap().status;
        assert!(matches!(status, 200 | 404), "{status}");
        self.stage.nothing_was_made();
    }
}
