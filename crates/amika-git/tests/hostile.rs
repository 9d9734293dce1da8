//! Repositories whose git directory somebody else made: none may lead a copy to files of the host that are
//! not its own.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use amika_git::{Copy, GitError};

use crate::support::*;

const SECRET: &str = "this is nobody else's business";

/// A repository, and a directory beside it that has a secret in it.
fn beside_a_secret(host: &Host) -> (PathBuf, PathBuf) {
    let path = host.simple("repo");
    write(&path, "untracked", "x");
    let private = host.path("private");
    write(&private, "secret", SECRET);
    (path, private)
}

fn is_without_secret(copied: &Copied) {
    let found = Command::new("grep")
        .args(["-r", SECRET])
        .arg(copied.path())
        .output()
        .expect("grep runs");
    // 1: found nothing, 2: a file could not be read.
    assert_eq!(found.status.code(), Some(1), "{found:?}");
}

#[test]
fn links_in_the_git_directory_are_not_followed() {
    let host = Host::new();
    let (path, private) = beside_a_secret(&host);
    let secret = private.join("secret");
    for name in ["info/exclude", "info/attributes", "MERGE_MSG"] {
        let place = path.join(".git").join(name);
        let _ = std::fs::remove_file(&place);
        symlink(&secret, &place).unwrap();
    }
    symlink(&private, path.join(".git/rebase-merge")).unwrap();
    is_without_secret(&copy(request(&path, Copy::Clean)));
    is_without_secret(&copy(request(&path, DIRTY)));
}

#[test]
fn objects_that_are_links_are_refused() {
    let host = Host::new();
    let (path, private) = beside_a_secret(&host);
    git(&path, &["repack", "-q", "-a", "-d"]);
    let packs = path.join(".git/objects/pack");
    let index = std::fs::read_dir(&packs)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|kind| kind == "idx"))
        .unwrap();
    std::fs::copy(index, packs.join("pack-0.idx")).unwrap();
    symlink(private.join("secret"), packs.join("pack-0.pack")).unwrap();
    assert!(open(request(&path, Copy::Clean)).is_err());
}

#[test]
fn rules_are_taken_from_the_users_file_and_the_work_tree_only() {
    let host = Host::new();
    let (path, private) = beside_a_secret(&host);
    let configure = |file: &Path| {
        git(
            &path,
            &["config", "core.excludesFile", file.to_str().unwrap()],
        );
        copy(request(&path, DIRTY))
    };
    is_without_secret(&configure(&private.join("secret")));
    write(&path, "own-rules", "untracked\n");
    let copied = configure(Path::new("own-rules"));
    assert!(!copied.has("untracked"));
    assert_eq!(
        copied.read(".git/info/exclude").lines().next(),
        Some("untracked")
    );
}

#[test]
fn a_work_tree_that_is_not_the_repositorys_own_is_not_copied() {
    let host = Host::new();
    let (path, private) = beside_a_secret(&host);
    for foreign in [private, host.path(""), PathBuf::from("/")] {
        git(
            &path,
            &["config", "core.worktree", foreign.to_str().unwrap()],
        );
        let refused = open(request(&path, DIRTY)).err().expect("refused");
        assert!(
            matches!(refused, GitError::NoWorkTree { .. }),
            "{foreign:?}: {refused}"
        );
        is_without_secret(&copy(request(&path, Copy::Clean)));
    }
    git(&path, &["config", "core.worktree", ".."]);
    assert!(copy(request(&path, DIRTY)).has("untracked"));
}
