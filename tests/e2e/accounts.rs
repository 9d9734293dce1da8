//! Two accounts that use one engine, each with a home and a key of its own.

use std::path::PathBuf;

use crate::support::{DEBIAN, Output, Sandbox, Stage, eventually};

/// A script that runs for as long as it is left to.
const SLOW: &str =
    "#!/bin/sh\necho step one\nwhile [ ! -e /tmp/go ]; do sleep 0.1; done\necho step two\n";

/// Another account, which has no key of the first one's.
struct Other<'a> {
    sandbox: &'a Sandbox<'a>,
    home: PathBuf,
}

impl Other<'_> {
    fn runs(&self, args: &[&str]) -> Output {
        let run = self.sandbox.stage.amika(args);
        run.env("HOME", self.home.to_str().unwrap()).output()
    }

    fn verb(&self, verb: &str, args: &[&str]) -> Output {
        self.runs(&[&["sandbox", verb, self.sandbox.name.as_str()], args].concat())
    }
}

fn state(list: &Output, name: &str) -> String {
    let list = list.json();
    let mut rows = list.as_array().unwrap().iter();
    let row = rows.find(|row| row["name"] == name).unwrap();
    row["state"].as_str().unwrap().to_owned()
}

/// Whoever may use the engine may do anything to its containers: a missing key protects nothing, and must not make a
/// state up.
#[test]
fn another_account_of_the_engine_sees_setup_run_and_does_what_the_first_can() {
    let stage = Stage::new();
    let sandbox = stage.adopt(stage.name());
    let name = sandbox.name.as_str();
    let script = stage.script("slow.sh", SLOW);
    let args = ["--no-wait", "--setup-script", &script, "--", "sleep", "600"];
    sandbox.create(DEBIAN, &args).ended(0, &[]);
    let other = Other {
        sandbox: &sandbox,
        home: stage.home().join("other"),
    };
    std::fs::create_dir(&other.home).unwrap();
    let key = |home: &std::path::Path| home.join(".local/share/amika/key").exists();

    eventually("setup runs", || {
        state(&stage.amika(&["ls", "-o", "json"]).output(), name) == "setup"
    });
    assert_eq!(state(&other.runs(&["ls", "-o", "json"]), name), "setup");
    let inspected = other.verb("inspect", &["-o", "json"]).json();
    assert_eq!(inspected["state"], "setup");
    assert_eq!(inspected["status"]["phase"], "setup", "{inspected}");
    let log = other.verb("logs", &["--setup"]);
    assert_eq!((log.code, log.stdout_text().as_str()), (0, "step one\n"));

    other
        .verb("exec", &["--", "touch", "/tmp/go"])
        .ended(0, &[]);
    other.verb("wait", &["--for", "ready"]).ended(0, &[]);
    assert_eq!(state(&other.runs(&["ls", "-o", "json"]), name), "running");
    other.verb("stop", &[]).ended(0, &[]);
    let starting = ["-o", "json", "start", "--no-wait"];
    let started = other.runs(&[&["sandbox"], &starting[2..], &[name]].concat());
    started.ended(0, &[]);
    other
        .verb("exec", &["--", "touch", "/tmp/go"])
        .ended(0, &[]);
    other.verb("wait", &[]).ended(0, &[]);
    other
        .verb("delete", &["--force", "--volumes"])
        .ended(0, &[]);
    stage.nothing_was_made();
    assert!(key(stage.home()), "the first account has a key of its own");
}
