//! What the git programs do that amika starts, as the kernel sees it: none opens anything in the repository's
//! own git directory by its path, and none runs a program that is not git's own.

use std::path::{Path, PathBuf};
use std::process::Command;

use amika_cli::git::Copy;

use crate::support::*;

const LOGS: &str = "AMIKA_TEST_TRACES";

/// Runs this test once more in a process for which `git` is one that is traced when amika calls it, which
/// always names a git directory; where the traces are, in that process.
fn traces(test: &str) -> Option<PathBuf> {
    if let Some(logs) = std::env::var_os(LOGS) {
        return Some(logs.into());
    }
    let directory = tempfile::tempdir().expect("temporary directory");
    let real = Command::new("sh").args(["-c", "command -v git"]).output();
    let real = String::from_utf8(real.expect("runs").stdout).expect("text");
    let script = format!(
        "#!/bin/sh\nfor word; do\n  if [ \"$word\" = --git-dir ]; then\n    \
         exec strace -f -qq -s 4096 -e trace=open,openat,openat2,execve,execveat \
         -o \"${LOGS}/$$\" {0} \"$@\"\n  fi\ndone\nexec {0} \"$@\"\n",
        real.trim()
    );
    write(directory.path(), "bin/git", script);
    make_executable(&directory.path().join("bin/git"));
    std::fs::create_dir(directory.path().join("logs")).expect("directory");
    let path = std::env::var("PATH").expect("a path");
    let ended = Command::new(std::env::current_exe().expect("a test"))
        .args(["--exact", test, "--nocapture"])
        .env(LOGS, directory.path().join("logs"))
        .env(
            "PATH",
            format!("{}:{path}", directory.path().join("bin").display()),
        )
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

/// Calls of a trace with the first path of each, and the command that it is of.
fn calls(logs: &Path) -> Vec<(String, String)> {
    let mut calls = Vec::new();
    for log in std::fs::read_dir(logs).unwrap() {
        let text = std::fs::read(log.unwrap().path()).unwrap();
        let mut command = String::new();
        for line in String::from_utf8_lossy(&text).lines() {
            let Some((before, rest)) = line.split_once('"') else {
                continue;
            };
            let path = rest.split('"').next().unwrap_or_default();
            if before.contains("execve") && command.is_empty() {
                command = rest.to_owned();
            }
            calls.push((format!("{command}: {before}"), path.to_owned()));
        }
    }
    calls
}

#[test]
fn git_opens_nothing_of_a_repositorys_own_git_directory_and_runs_nothing_but_itself() {
    let Some(logs) = traces(
        "traced::git_opens_nothing_of_a_repositorys_own_git_directory_and_runs_nothing_but_itself",
    ) else {
        return;
    };
    let host = Host::new();
    let module = host.simple("module");
    let path = host.simple("repo");
    git(
        &path,
        &[
            "submodule",
            "--quiet",
            "add",
            module.to_str().unwrap(),
            "sub",
        ],
    );
    write(&path, ".gitattributes", "*.bat eol=crlf\n*.x filter=evil\n");
    write(&path, "run.bat", "x\r\n");
    write(&path, "run.x", "x\n");
    commit_all(&path, "second");
    git(&path, &["gc", "-q"]);
    write(&path, "a.txt", "stashed\n");
    git(&path, &["stash", "-q"]);
    git(&path, &["worktree", "add", "-q", "--detach", "../linked"]);
    for key in [
        "filter.evil.clean",
        "filter.evil.smudge",
        "core.fsmonitor",
        "core.sshCommand",
        "diff.external",
    ] {
        git(&path, &["config", key, "touch /nonexistent/x"]);
        git(&path.join("sub"), &["config", key, "touch /nonexistent/x"]);
    }
    write(&path, "a.txt", "changed\n");
    write(&path, "run.x", "changed\n");
    write(&path, "sub/a.txt", "changed\n");
    assert_eq!(calls(&logs), [], "only what amika starts is traced");
    let linked = host.path("linked");
    for place in [&path, &linked] {
        for mode in [Copy::Clean, DIRTY, ALL] {
            let repository = open(request(place, mode)).unwrap();
            block_on(repository.snapshot()).unwrap();
            block_on(repository.config_toml()).unwrap();
            archive(&repository).unwrap();
        }
    }
    let calls = calls(&logs);
    assert!(calls.len() > 100, "{}", calls.len());
    let own = path.join(".git");
    let own = own.to_str().unwrap();
    for (call, name) in &calls {
        if call
            .rsplit(": ")
            .next()
            .is_some_and(|call| call.contains("exec"))
        {
            let program = Path::new(name).file_name().unwrap().to_str().unwrap();
            assert!(program == "git" || program.starts_with("git-"), "{name}");
            continue;
        }
        let is_own = name.starts_with(own)
            || name
                .split('/')
                .any(|part| part == ".git" || part == "modules");
        assert!(!is_own, "{call}{name}");
    }
}
