//! Pulling from repositories of the real git, and from gits that say anything.

use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::Command;

use amika_core::label::Repository;
use amika_host::machine::Machine;
use futures_util::StreamExt as _;

use super::*;

mod hostile;
mod traced;
#[path = "../../../amika-git/tests/traces.rs"]
#[allow(dead_code, reason = "its other users take the rest")]
#[allow(
    clippy::disallowed_methods,
    reason = "a test calls: what it looks for and marks is its own process's"
)]
mod traces;

const MAX: u64 = 64 << 20;

/// Git, as a user calls it.
fn git(at: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .args(arguments)
        .current_dir(at)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .envs([("GIT_AUTHOR_NAME", "a"), ("GIT_AUTHOR_EMAIL", "a@b")])
        .envs([("GIT_COMMITTER_NAME", "a"), ("GIT_COMMITTER_EMAIL", "a@b")])
        .output()
        .unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A repository here, and a clone of it that plays the sandbox's.
struct Stage {
    directory: tempfile::TempDir,
}

impl Stage {
    fn new(format: &[&str]) -> Self {
        let stage = Self {
            directory: tempfile::tempdir().unwrap(),
        };
        let init: Vec<&str> = ["init", "-q", "-b", "main"]
            .into_iter()
            .chain(format.iter().copied())
            .chain(["host"])
            .collect();
        git(stage.directory.path(), &init);
        stage.commit("host", "first");
        git(
            stage.directory.path(),
            &["clone", "-q", "--no-local", "host", "box"],
        );
        stage
    }

    fn at(&self, name: &str) -> PathBuf {
        self.directory.path().canonicalize().unwrap().join(name)
    }

    fn commit(&self, name: &str, text: &str) -> String {
        let at = self.at(name);
        std::fs::write(at.join("file"), text).unwrap();
        git(&at, &["add", "file"]);
        git(&at, &["commit", "-q", "-m", text]);
        git(&at, &["rev-parse", "HEAD"])
    }

    fn host(&self) -> Host {
        Host::find(&Machine::of_process(), &self.at("host")).unwrap()
    }

    fn agent(&self) -> Agent {
        Agent {
            repository: self.at("box"),
            list: None,
            pack: None,
            pace: None,
        }
    }

    fn pull(&self, agent: &Agent) -> Result<Vec<Pulled>> {
        pull_into(&self.host(), agent, &[], MAX)
    }

    fn host_ref(&self, name: &str) -> String {
        git(&self.at("host"), &["rev-parse", "--verify", name])
    }

    /// Nothing of a pull that failed is left.
    fn is_untouched(&self) {
        let common = self.at("host/.git");
        assert!(!common.join("refs/remotes/amika-box/main").exists());
        let packs = std::fs::read_dir(common.join("objects/pack")).unwrap();
        assert_eq!(packs.count(), 0);
        self.is_tidy();
    }

    fn is_tidy(&self) {
        let objects = std::fs::read_dir(self.at("host/.git/objects")).unwrap();
        for entry in objects {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(!name.starts_with("tmp_"), "{name}");
        }
    }
}

fn pull_into(host: &Host, agent: &Agent, wanted: &[BranchName], max: u64) -> Result<Vec<Pulled>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let request = Request {
        sandbox: "box",
        branches: Some(wanted),
        local: None,
        keep: None,
        apply: None,
        bounds: agent.bounds(max),
    };
    let taken = runtime.block_on(pull(host, agent, request))?;
    Ok(taken.branches)
}

/// An agent's git: honest where nothing is put in its mouth.
struct Agent {
    repository: PathBuf,
    list: Option<String>,
    pack: Option<Vec<u8>>,
    /// It sends that, and then nothing, or a byte now and then.
    pace: Option<Pace>,
}

#[derive(Clone, Copy, Debug)]
enum Pace {
    Holds,
    Drips,
}

impl Agent {
    fn says(mut self, list: impl Into<String>) -> Self {
        self.list = Some(list.into());
        self
    }

    fn sends(mut self, pack: impl Into<Vec<u8>>) -> Self {
        self.pack = Some(pack.into());
        self
    }

    fn bounds(&self, max_size: u64) -> Bounds {
        let bounds = Bounds::of(max_size);
        match self.pace {
            None => bounds,
            Some(_) => Bounds {
                silent: std::time::Duration::from_millis(700),
                total: std::time::Duration::from_secs(3),
                ..bounds
            },
        }
    }

    fn run(&self, arguments: &[&str], input: &[u8]) -> Told {
        use std::io::Write as _;
        let mut child = Command::new("git")
            .args(arguments)
            .current_dir(&self.repository)
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        let output = child.wait_with_output().unwrap();
        Told {
            code: output.status.code().unwrap_or(1).into(),
            stdout: output.stdout,
            stderr: output.stderr,
        }
    }
}

impl Source for Agent {
    async fn git(&self, arguments: &[&str], input: Vec<u8>, _: usize) -> Result<Told> {
        let mut told = self.run(arguments, &input);
        if let Some(list) = self
            .list
            .as_ref()
            .filter(|_| arguments[0] == "for-each-ref")
        {
            told.stdout = list.clone().into_bytes();
        }
        Ok(told)
    }

    async fn stream(
        &self,
        arguments: &[&str],
        input: Vec<u8>,
    ) -> Result<Pin<Box<dyn Stream<Item = Result<Piece>> + Send>>> {
        let told = match &self.pack {
            Some(pack) => Told {
                stdout: pack.clone(),
                ..Told::default()
            },
            None => self.run(arguments, &input),
        };
        let data = Piece::Data(told.stdout.clone().into());
        match self.pace {
            None => {}
            Some(Pace::Holds) => {
                let first = futures_util::stream::iter([Ok(data)]);
                return Ok(first.chain(futures_util::stream::pending()).boxed());
            }
            Some(Pace::Drips) => {
                let drops = futures_util::stream::repeat_with(|| Piece::Data("x".into()));
                let drops = drops.then(|piece| async {
                    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                    Ok(piece)
                });
                let first = futures_util::stream::iter([Ok(data)]);
                return Ok(first.chain(drops).boxed());
            }
        }
        Ok(futures_util::stream::iter([Ok(data), Ok(Piece::End(told))]).boxed())
    }
}

#[test]
fn an_agent_s_git_that_holds_the_pack_back_is_not_waited_for() {
    for (pace, expected) in [
        (Pace::Holds, "sent nothing for 0 minutes"),
        (Pace::Drips, "took longer than 0 minutes"),
    ] {
        let stage = Stage::new(&[]);
        stage.commit("box", "second");
        let agent = Agent {
            pace: Some(pace),
            // The beginning of a pack with a blob of 65,535 bytes, as zlib stores it.
            pack: Some(b"PACK\0\0\0\x02\0\0\0\x01\xbf\xff\x1f\x78\x01\x01\xff\xff\0\0".to_vec()),
            ..stage.agent()
        };
        let begun = std::time::Instant::now();
        let refused = stage.pull(&agent).unwrap_err();
        assert_eq!(refused.kind, Kind::Repository);
        assert!(refused.message.contains(expected), "{pace:?}: {refused:?}");
        assert!(begun.elapsed() < std::time::Duration::from_mins(2));
        stage.is_untouched();
    }
}

fn states(pulled: &[Pulled]) -> Vec<(String, Change)> {
    pulled
        .iter()
        .map(|one| (one.branch.to_string(), one.change))
        .collect()
}

#[test]
fn commits_come_and_git_runs_in_neither_repository() {
    let stage = Stage::new(&[]);
    for name in ["host", "box"] {
        let evil = format!("touch {}; false", stage.at("PWNED").display());
        let at = stage.at(name);
        for key in [
            "core.fsmonitor",
            "core.sshCommand",
            "uploadpack.packObjectsHook",
            "core.pager",
            "gpg.program",
        ] {
            git(&at, &["config", key, &evil]);
        }
        // Its agent may run what it names; this one is only not to be reached by the other side's git.
        if name == "box" {
            git(&at, &["config", "--unset", "core.fsmonitor"]);
        }
    }
    let hook = stage.at("host/.git/hooks/reference-transaction");
    std::fs::create_dir_all(hook.parent().unwrap()).unwrap();
    std::fs::write(
        &hook,
        format!("#!/bin/sh\ntouch {}\n", stage.at("PWNED").display()),
    )
    .unwrap();
    std::fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();

    let main = stage.commit("box", "second");
    git(&stage.at("box"), &["branch", "feature/x"]);
    let before = stage.host();
    let pulled = stage.pull(&stage.agent()).unwrap();
    assert!(!stage.at("PWNED").exists());
    std::fs::remove_file(&hook).unwrap();
    git(&stage.at("host"), &["config", "--unset", "core.fsmonitor"]);
    let both = ["feature/x", "main"].map(|name| (name.to_owned(), Change::New));
    assert_eq!(states(&pulled), both);
    assert_eq!(stage.host_ref("refs/remotes/amika-box/main"), main);
    assert_eq!(stage.host_ref("amika-box/feature/x"), main);
    assert_eq!(git(&stage.at("host"), &["status", "--porcelain"]), "");
    assert_ne!(stage.host_ref("HEAD"), main);
    git(&stage.at("host"), &["fsck", "--strict"]);
    stage.is_tidy();

    // The second time nothing is written, and nothing is asked for.
    let silent = stage.agent().sends("nonsense");
    let again = pull_into(&before, &silent, &[], MAX).unwrap();
    assert!(again.iter().all(|one| one.change == Change::Unchanged));

    // Packed refs are read, and written over by loose ones.
    git(&stage.at("host"), &["pack-refs", "--all"]);
    let third = stage.commit("box", "third");
    let pulled = stage.pull(&stage.agent()).unwrap();
    assert_eq!(pulled[1].change, Change::Updated);
    assert_eq!(pulled[1].old.as_ref().unwrap().as_str(), main);
    assert_eq!(stage.host_ref("amika-box/main"), third);

    // A branch that was rewritten is one all the same.
    git(&stage.at("box"), &["reset", "-q", "--hard", "HEAD~2"]);
    let other = stage.commit("box", "other");
    let pulled = stage.pull(&stage.agent()).unwrap();
    assert_eq!(pulled[1].change, Change::Forced);
    assert_eq!(stage.host_ref("amika-box/main"), other);
    git(&stage.at("host"), &["fsck", "--strict"]);
}

#[test]
fn the_branches_that_are_named_come() {
    let stage = Stage::new(&[]);
    stage.commit("box", "second");
    git(&stage.at("box"), &["branch", "other"]);
    let wanted = ["other".parse().unwrap()];
    let pulled = pull_into(&stage.host(), &stage.agent(), &wanted, MAX).unwrap();
    assert_eq!(states(&pulled), [("other".to_owned(), Change::New)]);
    let wanted = ["othre".parse().unwrap()];
    let error = pull_into(&stage.host(), &stage.agent(), &wanted, MAX).unwrap_err();
    assert_eq!(error.kind, Kind::Repository);
    assert_eq!(error.hints, ["did you mean \"other\"?"]);
}

#[test]
fn every_kind_of_repository_is_pulled_into() {
    let stage = Stage::new(&["--object-format=sha256"]);
    let tip = stage.commit("box", "second");
    stage.pull(&stage.agent()).unwrap();
    assert_eq!(stage.host_ref("amika-box/main"), tip);
    // Names of the other length are none.
    let stage = Stage::new(&[]);
    let error = stage.pull(&stage.agent().says(format!("{tip} refs/heads/main\n")));
    assert_eq!(error.unwrap_err().kind, Kind::Repository);

    let tip = stage.commit("box", "second");
    let host = stage.at("host");
    git(
        &host,
        &["worktree", "add", "-q", "../linked", "-b", "linked"],
    );
    let linked = Host::find(&Machine::of_process(), &stage.at("linked")).unwrap();
    pull_into(&linked, &stage.agent(), &[], MAX).unwrap();
    assert_eq!(stage.host_ref("amika-box/main"), tip);

    git(&stage.at("."), &["clone", "-q", "--bare", "host", "bare"]);
    pull_into(
        &Host::find(&Machine::of_process(), &stage.at("bare/objects")).unwrap(),
        &stage.agent(),
        &[],
        MAX,
    )
    .unwrap();
    assert_eq!(
        git(&stage.at("bare"), &["rev-parse", "amika-box/main"]),
        tip
    );

    // Shallow on both sides.
    stage.commit("host", "more");
    let url = format!("file://{}", host.display());
    git(
        &stage.at("."),
        &["clone", "-q", "--depth=1", &url, "shallow"],
    );
    let shallow = format!("file://{}", stage.at("shallow").display());
    git(
        &stage.at("."),
        &["clone", "-q", "--depth=1", &shallow, "inside"],
    );
    let tip = stage.commit("inside", "on top");
    let agent = Agent {
        repository: stage.at("inside"),
        ..stage.agent()
    };
    pull_into(
        &Host::find(&Machine::of_process(), &stage.at("shallow")).unwrap(),
        &agent,
        &[],
        MAX,
    )
    .unwrap();
    assert_eq!(
        git(&stage.at("shallow"), &["rev-parse", "amika-box/main"]),
        tip
    );
}

#[test]
fn a_list_that_lies_is_refused() {
    let stage = Stage::new(&[]);
    let tip = stage.commit("box", "second");
    for line in [
        format!("{tip} refs/heads/../../config\n"),
        format!("{tip} refs/heads/../../../hooks/post-checkout\n"),
        format!("{tip} config\n"),
        format!("{tip} refs/heads/a\u{1b}[2Jb\n"),
        format!("{tip} refs/heads/a b\n"),
        format!("{tip} refs/heads/main.lock\n"),
        format!("{tip} refs/heads/-x\n"),
        format!("{tip} refs/heads/main\n{tip} refs/heads/main\n"),
        format!("{tip} refs/heads/a\n{tip} refs/heads/a/b\n"),
        "x".repeat(100_000),
        "--all refs/heads/main\n".to_owned(),
        format!("{tip} refs/heads/main\n").repeat(MAX_BRANCHES + 1),
    ] {
        let error = stage.pull(&stage.agent().says(line.as_str())).unwrap_err();
        assert_eq!(error.kind, Kind::Repository, "{error:?}");
        let text = format!("{error:?}");
        assert!(!text.contains('\u{1b}') && text.len() < 2000, "{text}");
        stage.is_untouched();
    }
    // One that was never sent, one that is not a commit.
    let nowhere = "1".repeat(40);
    let blob = git(&stage.at("box"), &["rev-parse", "HEAD:file"]);
    for oid in [nowhere, blob] {
        let error = stage.pull(&stage.agent().says(format!("{oid} refs/heads/main\n")));
        assert_eq!(error.unwrap_err().kind, Kind::Repository);
        stage.is_untouched();
    }
}

#[test]
fn a_pack_that_is_not_whole_is_refused() {
    let stage = Stage::new(&[]);
    let tip = stage.commit("box", "second");
    let agent = stage.agent();
    let pack = |objects: &str| {
        agent
            .run(&["pack-objects", "--stdout", "-q"], objects.as_bytes())
            .stdout
    };
    let whole = pack(&format!("{tip}\n{tip}^{{tree}}\n").replace(
        &format!("{tip}^{{tree}}"),
        &git(&stage.at("box"), &["rev-parse", "HEAD^{tree}"]),
    ));
    let mut flipped = pack(&tip);
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0xff;
    let bomb = {
        // Ten thousand objects are told, and none comes.
        let mut head = b"PACK\0\0\0\x02".to_vec();
        head.extend(10_000_u32.to_be_bytes());
        head
    };
    for sent in [
        b"garbage".to_vec(),
        Vec::new(),
        pack(""),
        // The commit without its tree, and without its file.
        pack(&tip),
        whole.clone(),
        whole[..whole.len() - 5].to_vec(),
        flipped,
        bomb,
        [whole, b"more".to_vec()].concat(),
    ] {
        let error = stage.pull(&stage.agent().sends(sent)).unwrap_err();
        assert_eq!(error.kind, Kind::Repository, "{error:?}");
        stage.is_untouched();
    }
    // And the honest one comes.
    stage.pull(&stage.agent()).unwrap();
}

#[test]
fn what_git_would_not_check_out_safely_is_refused() {
    let stage = Stage::new(&[]);
    let at = stage.at("box");
    let blob = git(&at, &["rev-parse", "HEAD:file"]);
    for (mode, name) in [
        ("100644", ".git"),
        ("100644", ".GIT"),
        ("100644", "git~1"),
        ("100644", ".g\u{200c}it"),
        ("100644", ".."),
        ("100644", "a/b"),
    ] {
        let mut tree = format!("{mode} {name}\0").into_bytes();
        tree.extend(
            (0..20).map(|byte| u8::from_str_radix(&blob[byte * 2..byte * 2 + 2], 16).unwrap()),
        );
        std::fs::write(stage.at("tree"), &tree).unwrap();
        let file = stage.at("tree");
        let tree = git(
            &at,
            &[
                "hash-object",
                "-w",
                "-t",
                "tree",
                "--literally",
                file.to_str().unwrap(),
            ],
        );
        let commit = git(&at, &["commit-tree", "-m", "evil", "-p", "HEAD", &tree]);
        let error = stage.pull(&stage.agent().says(format!("{commit} refs/heads/main\n")));
        assert_eq!(error.unwrap_err().kind, Kind::Repository, "{name}");
        stage.is_untouched();
    }
    std::fs::write(
        at.join(".gitmodules"),
        "[submodule \"x\"]\n\tpath = x\n\turl = --upload-pack=evil\n",
    )
    .unwrap();
    git(&at, &["add", ".gitmodules"]);
    git(&at, &["commit", "-q", "-m", "evil"]);
    assert!(stage.pull(&stage.agent()).is_err());
    stage.is_untouched();
}

#[test]
fn more_than_was_allowed_is_not_read() {
    let stage = Stage::new(&[]);
    let noise: Vec<u8> = (0..200_000_u32)
        .flat_map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes())
        .collect();
    std::fs::write(stage.at("box/noise"), noise).unwrap();
    git(&stage.at("box"), &["add", "noise"]);
    stage.commit("box", "large");
    let error = pull_into(&stage.host(), &stage.agent(), &[], 100_000).unwrap_err();
    assert!(error.message.contains("larger than 100 kB"), "{error:?}");
    stage.is_untouched();
    // What is sent without an end.
    let error = pull_into(
        &stage.host(),
        &stage.agent().sends(vec![0; 1 << 20]),
        &[],
        100_000,
    );
    assert!(error.is_err());
    stage.is_untouched();
}

#[test]
fn refs_that_are_in_the_way_stay() {
    let stage = Stage::new(&[]);
    let tip = stage.commit("box", "second");
    let at = stage.at("host");
    git(&at, &["update-ref", "refs/remotes/amika-box/a", "HEAD"]);
    for is_packed in [false, true] {
        if is_packed {
            git(&at, &["pack-refs", "--all"]);
        }
        let error = stage.pull(&stage.agent().says(format!("{tip} refs/heads/a/b\n")));
        let error = error.unwrap_err();
        assert_eq!(error.kind, Kind::Conflict);
        assert!(
            error
                .message
                .contains("refs/remotes/amika-box/a is in the way"),
            "{error:?}"
        );
    }
    // Directories without a ref are in nobody's way.
    std::fs::create_dir_all(at.join(".git/refs/remotes/amika-box/main/old/empty")).unwrap();
    stage.pull(&stage.agent()).unwrap();
    assert_eq!(stage.host_ref("amika-box/main"), tip);

    // Another git's lock stays, and no ref is written beside it.
    let third = stage.commit("box", "third");
    git(&stage.at("box"), &["branch", "zzz"]);
    let lock = at.join(".git/refs/remotes/amika-box/zzz.lock");
    std::fs::write(&lock, "").unwrap();
    let error = stage.pull(&stage.agent()).unwrap_err();
    assert_eq!(error.kind, Kind::Conflict);
    assert!(error.causes[0].contains("zzz.lock is there"), "{error:?}");
    assert!(lock.exists() && !at.join(".git/refs/remotes/amika-box/main.lock").exists());
    assert_eq!(stage.host_ref("amika-box/main"), tip);
    std::fs::remove_file(lock).unwrap();
    stage.pull(&stage.agent()).unwrap();
    assert_eq!(stage.host_ref("amika-box/zzz"), third);
    stage.is_tidy();
}

#[test]
fn no_link_is_followed_out_of_the_repository() {
    let stage = Stage::new(&[]);
    stage.commit("box", "second");
    let at = stage.at("host/.git/refs/remotes");
    std::fs::create_dir_all(&at).unwrap();
    std::fs::create_dir(stage.at("elsewhere")).unwrap();
    std::os::unix::fs::symlink(stage.at("elsewhere"), at.join("amika-box")).unwrap();
    let error = stage.pull(&stage.agent()).unwrap_err();
    assert_eq!(error.kind, Kind::Conflict);
    assert_eq!(std::fs::read_dir(stage.at("elsewhere")).unwrap().count(), 0);
}

#[test]
fn two_names_that_are_one_file_are_told_apart() {
    let stage = Stage::new(&[]);
    let tip = stage.commit("box", "second");
    git(&stage.at("host"), &["config", "core.ignorecase", "true"]);
    let both = format!("{tip} refs/heads/Main\n{tip} refs/heads/main\n");
    let error = stage.pull(&stage.agent().says(both)).unwrap_err();
    assert!(error.message.contains("differ in case alone"), "{error:?}");
}

#[test]
fn repositories_that_cannot_take_it_are_refused_with_the_way_round() {
    let stage = Stage::new(&[]);
    assert_eq!(
        Host::find(&Machine::of_process(), &stage.at("."))
            .unwrap_err()
            .kind,
        Kind::Repository
    );
    let config = stage.at("host/.git/config");
    for (text, part) in [
        (
            "[core]\n\trepositoryformatversion = 1\n[extensions]\n\trefStorage = reftable\n",
            "in tables",
        ),
        (
            "[core]\n\trepositoryformatversion = 1\n[extensions]\n\tobjectFormat = md5\n",
            "md5",
        ),
        ("[core\n", "is not understood"),
    ] {
        std::fs::write(&config, text).unwrap();
        let error = Host::find(&Machine::of_process(), &stage.at("host")).unwrap_err();
        assert!(error.message.contains(part), "{error:?}");
    }
    std::fs::remove_file(&config).unwrap();
    let pipe = Command::new("mkfifo").arg(&config).status().unwrap();
    assert!(pipe.success());
    assert_eq!(
        Host::find(&Machine::of_process(), &stage.at("host"))
            .unwrap_err()
            .kind,
        Kind::Repository
    );
}

#[test]
fn the_repository_is_the_one_that_the_sandbox_was_made_from() {
    let stage = Stage::new(&[]);
    git(&stage.at("."), &["clone", "-q", "host", "other"]);
    git(
        &stage.at("host"),
        &["worktree", "add", "-q", "../linked", "-b", "linked"],
    );
    git(
        &stage.at("other"),
        &["remote", "add", "up", "https://t0ken@example.com/a.git"],
    );
    let made_from = |source: &str| Repository {
        name: "host".into(),
        source: Some(source.into()),
        branch: None,
    };
    let here = made_from(stage.at("host").to_str().unwrap());
    for (name, of, is) in [
        ("host", &here, true),
        ("linked", &here, true),
        ("box", &here, false),
        ("other", &made_from("https://example.com/a.git"), true),
        ("host", &made_from("https://example.com/a.git"), false),
        ("host", &made_from("/nowhere"), false),
        ("host", &made_from("."), false),
    ] {
        let checked = Host::find(&Machine::of_process(), &stage.at(name))
            .unwrap()
            .must_be_of("box", of);
        assert_eq!(checked.is_ok(), is, "{name} {of:?}: {checked:?}");
    }
}
