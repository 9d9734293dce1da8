//! What the git programs do that amika starts, as the kernel sees it: none opens anything in the repository's
//! own git directory by its path, and none runs a program that is not git's own.

use std::path::{Path, PathBuf};
use std::process::Command;

use amika_git::Copy;

use crate::support::*;
use crate::urls::{Server, url_request};

const LOGS: &str = "AMIKA_TEST_TRACES";

/// Runs this test once more in a process for which `git` is one that is traced when amika calls it, which
/// always names a git directory; where the traces are, in that process.
fn traces(test: &str) -> Option<PathBuf> {
    as_git(
        test,
        "for word; do\n  if [ \"$word\" = --git-dir ]; then\n    \
         exec strace -f -qq -s 4096 -e trace=open,openat,openat2,execve,execveat \
         -o \"$AMIKA_TEST_TRACES/$$\" REAL \"$@\"\n  fi\ndone\nexec REAL \"$@\"\n",
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
    let script = format!("#!/bin/sh\n{}", script.replace("REAL", real.trim()));
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
                rest.clone_into(&mut command);
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

#[test]
fn every_git_is_told_to_find_no_bare_repository() {
    let this = "traced::every_git_is_told_to_find_no_bare_repository";
    // The words of each call, and whether its settings have it.
    let script = "case \" $* \" in\n  *' safe.bareRepository=explicit '*) ;;\n  *) \
        echo \"$*\" >>\"$AMIKA_TEST_TRACES/without\" ;;\nesac\n\
        echo \"$*\" >>\"$AMIKA_TEST_TRACES/all\"\nexec REAL \"$@\"\n";
    let Some(logs) = as_git(this, script) else {
        return;
    };
    let host = Host::new();
    let path = host.simple("repo");
    git(
        &host.path(""),
        &["clone", "-q", "--bare", "repo", "served.git"],
    );
    git(&host.path("served.git"), &["update-server-info"]);
    let _ = std::fs::remove_file(logs.join("all"));
    let _ = std::fs::remove_file(logs.join("without"));
    for mode in [Copy::Clean, ALL] {
        let repository = open(request(&path, mode)).unwrap();
        block_on(repository.snapshot()).unwrap();
        archive(&repository).unwrap();
    }
    let server = Server::start(host.path("served.git"));
    for url in [
        format!("file://{}", path.display()),
        format!("http://me:s3cretTOKEN@127.0.0.1:{}/served.git", server.port),
    ] {
        archive(&open(url_request(&url, None, None)).unwrap()).unwrap();
    }
    let all = std::fs::read_to_string(logs.join("all")).unwrap();
    for kind in [" status ", " cat-file ", " clone "] {
        assert!(all.contains(kind), "{kind}: {all}");
    }
    assert!(
        !logs.join("without").exists(),
        "{}",
        std::fs::read_to_string(logs.join("without")).unwrap()
    );
}
