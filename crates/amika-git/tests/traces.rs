//! What git programs do, as the kernel sees it: a test is run once more in a process for which `git` is a script
//! that has the real one traced wherever amika calls it.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

const LOGS: &str = "AMIKA_TEST_TRACES";

/// How amika calls git, and nobody else: on a git directory that it names, or to fetch, or to receive.
const IS_AMIKAS: &str = "amikas=$AMIKA_GIT_FETCH$GIT_OBJECT_DIRECTORY\n\
    for word; do [ \"$word\" = --git-dir ] && amikas=yes; done\n";

/// Runs this test once more with every git of amika's traced; where the traces are, in that process.
pub(crate) fn traces(test: &str) -> Option<PathBuf> {
    as_git(
        test,
        &format!(
            "{IS_AMIKAS}[ -z \"$amikas\" ] && exec REAL \"$@\"\n\
             exec strace -f -qq -s 4096 -e trace=open,openat,openat2,execve,execveat \
             -o \"$AMIKA_TEST_TRACES/$$\" REAL \"$@\"\n"
        ),
    )
}

/// Runs this test once more in a process for which `git` is a script, in which `REAL` is the real one; where
/// it puts what it notes, in that process.
pub(crate) fn as_git(test: &str, script: &str) -> Option<PathBuf> {
    if let Some(logs) = std::env::var_os(LOGS) {
        return Some(logs.into());
    }
    let directory = tempfile::tempdir().expect("temporary directory");
    let real = Command::new("sh").args(["-c", "command -v git"]).output();
    let real = String::from_utf8(real.expect("runs").stdout).expect("text");
    let (bin, logs) = (directory.path().join("bin"), directory.path().join("logs"));
    // Not by the environment: a git may have none of this process's.
    let script = script.replace("REAL", real.trim());
    let script = script.replace(&format!("${LOGS}"), logs.to_str().expect("text"));
    let script = format!("#!/bin/sh\n{script}");
    std::fs::create_dir(&bin).expect("directory");
    std::fs::create_dir(&logs).expect("directory");
    std::fs::write(bin.join("git"), script).expect("file");
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(bin.join("git"), mode).expect("chmod");
    let path = std::env::var("PATH").expect("a path");
    let ended = Command::new(std::env::current_exe().expect("a test"))
        .args(["--exact", test, "--nocapture"])
        .env(LOGS, logs)
        .env("PATH", format!("{}:{path}", bin.display()))
        .output()
        .expect("runs");
    let said = String::from_utf8_lossy(&ended.stdout);
    assert!(
        ended.status.success() && said.contains("1 passed"),
        "{said}{}",
        String::from_utf8_lossy(&ended.stderr)
    );
    None
}

/// One call of a traced program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    /// The arguments of the git that it belongs to.
    pub(crate) of: String,
    /// `execve`, or one that opens.
    pub(crate) is_exec: bool,
    /// Its path.
    pub(crate) path: String,
}

/// The calls since the last time this was asked.
pub(crate) fn calls(logs: &Path) -> Vec<Call> {
    let mut calls = Vec::new();
    for log in std::fs::read_dir(logs).unwrap() {
        let log = log.unwrap().path();
        let text = std::fs::read(&log).unwrap();
        let mut of = String::new();
        for line in String::from_utf8_lossy(&text).lines() {
            let Some((before, rest)) = line.split_once('"') else {
                continue;
            };
            let is_exec = before.contains("execve");
            if is_exec && of.is_empty() {
                rest.clone_into(&mut of);
            }
            let path = rest.split('"').next().unwrap_or_default().to_owned();
            calls.push(Call {
                of: of.clone(),
                is_exec,
                path,
            });
        }
        std::fs::remove_file(log).unwrap();
    }
    calls
}

/// Asserts that nothing was opened by its path in the git directory of any repository beneath `own`, and that no
/// program ran but git's own and those that are named. Objects that amika gives to git are open: they are reached
/// by their number, and so have another path.
pub(crate) fn is_blind(what: &str, calls: &[Call], own: &Path, programs: &[&str], opens: &[&str]) {
    let own = own.to_str().unwrap();
    for Call { of, is_exec, path } in calls {
        if *is_exec {
            let program = path.rsplit('/').next().unwrap();
            let is_gits = program == "git" || program.starts_with("git-");
            assert!(
                is_gits || programs.contains(&program),
                "{what}: runs {path}: {of}"
            );
            continue;
        }
        let is_of_a_repository = path.starts_with(own) || !path.starts_with('/');
        let mut parts = path.split('/').rev().skip(1);
        let is_in_a_git_directory = is_git_directory(path) || parts.any(is_git_directory);
        let is_told = opens.iter().any(|end| path.ends_with(end));
        assert!(
            !(is_of_a_repository && is_in_a_git_directory) || is_told,
            "{what}: opens {path}: {of}"
        );
    }
}

/// Whether a path is one by its name: git looks at it byte by byte.
fn is_git_directory(path: &str) -> bool {
    path.as_bytes().ends_with(b".git")
}
