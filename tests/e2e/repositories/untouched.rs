//! The host's repository while it is being cloned and the clone is broken off: not a byte, mode or
//! time of it changes, and nothing is left, neither on the engine nor on the host.

use std::ffi::OsString;
use std::path::Path;

use rustix::process::Signal;

use super::World;
use super::host::{fingerprint, is_untouched};
use crate::support::{DEBIAN, EngineProxy, Running, Sandbox, Stage, docker, eventually};

/// Where a clone is held: what comes before it, such as requests, is far less, and the repository far
/// more than this and what buffers take.
const MIDDLE: usize = 1 << 20;

/// A repository of some MiB that do not compress, with changes of all kinds, in the middle of work.
const BUSY: &str = r"
git init -q
for i in {1..12}; do head -c 1000000 /dev/urandom > big-$i; done
echo one > file; echo two > other; git add .; git commit -qm first
git branch topic; git gc -q
echo three > loose; git add loose; git commit -qm second
echo staged > staged; git add staged; echo changed >> file; rm other; echo untracked > untracked
for i in {13..20}; do head -c 1000000 /dev/urandom > new-$i; done
git stash list -q; touch -d '2001-02-03 04:05:06' big-1 .git/config
";

/// A create that stands still in the middle of its clone.
struct Held<'a> {
    sandbox: Sandbox<'a>,
    creating: Running,
    proxy: &'a EngineProxy,
}

fn volumes_of(sandbox: &Sandbox<'_>) -> Vec<String> {
    let mark = format!("-{}-", sandbox.name);
    let volumes = sandbox.stage.volumes().into_iter();
    volumes.filter(|name| name.contains(&mark)).collect()
}

fn hold<'a>(
    stage: &'a Stage,
    proxy: &'a EngineProxy,
    repository: &Path,
    args: &[&str],
) -> Held<'a> {
    let sandbox = stage.adopt(stage.name());
    proxy.hold_after(MIDDLE);
    let creating = sandbox
        .create_run(DEBIAN, &[&["--git"], args].concat())
        .env("DOCKER_HOST", &proxy.host())
        .dir(repository)
        .start();
    proxy.holds();
    // The clone it is: its volume is there, and the sandbox is not started.
    let volumes = volumes_of(&sandbox);
    assert!(
        volumes.iter().any(|name| name.starts_with("amika-git-")),
        "{volumes:?}"
    );
    // An inspect would wait for what is held.
    let filter = format!("name=^/{}$", sandbox.name);
    let listed = docker(&["ps", "-a", "--filter", &filter, "--format", "{{.State}}"]);
    assert_eq!(listed.stdout_text(), "created\n", "{listed:?}");
    Held {
        sandbox,
        creating,
        proxy,
    }
}

impl Held<'_> {
    fn interrupted(self, stage: &Stage) {
        self.creating.signal(Signal::INT);
        self.creating.warns("interrupted: removing what was made");
        self.proxy.let_go();
        self.creating
            .wait()
            .ended(130, &["nothing was left behind"]);
        stage.nothing_was_made();
        assert_eq!(stage.temporary(), Vec::<OsString>::new());
    }

    fn killed(self, stage: &Stage) {
        self.creating.signal(Signal::KILL);
        assert_eq!(self.creating.wait().code, 137);
        self.proxy.let_go();
        let listed = stage.sandbox_verb(&["list", "-o", "json"]).json();
        let all = listed.as_array().unwrap();
        let this = all.iter().find(|one| one["name"] == *self.sandbox.name);
        assert_eq!(this.unwrap()["state"], "interrupted", "{listed}");
        // The engine may still be taking in what it was sent.
        eventually("doctor removed everything", || {
            let fixed = stage.amika(&["doctor", "--fix"]).output();
            assert_eq!(fixed.code, 0, "{fixed:?}");
            stage.left().iter().all(Vec::is_empty) && stage.temporary().is_empty()
        });
    }
}

/// Breaks a create with these options off, in both ways.
fn broken_off(args: &[&str]) {
    let world = World::new();
    let stage = &world.stage;
    let repository = world.make("project", BUSY);
    let before = fingerprint(&repository);
    // What amikad comes from is on the engine by now, and stays there while this one does: it would
    // be what is held.
    let other = Stage::new();
    let _keeper = other.sandbox(DEBIAN, &[]);
    let proxy = stage.engine_proxy();

    hold(stage, &proxy, &repository, args).interrupted(stage);
    is_untouched(&repository, &before);
    hold(stage, &proxy, &repository, args).killed(stage);
    is_untouched(&repository, &before);
    is_left_alone_by_a_whole_create(&world, &repository, args);
}

/// After all that the same create succeeds, and leaves the host alone too.
fn is_left_alone_by_a_whole_create(world: &World, repository: &Path, args: &[&str]) {
    let (sandbox, _) = world.clone_from(repository, repository, args);
    let count = super::inside(&sandbox, "git ls-files 'big-*' | wc -l; cat loose");
    assert_eq!(count, "12\nthree\n");
}

#[test]
fn a_clean_clone_that_is_broken_off_leaves_the_host_as_it_was() {
    broken_off(&[]);
}

#[test]
fn a_dirty_clone_that_is_broken_off_leaves_the_host_as_it_was() {
    broken_off(&["--no-clean"]);
}
