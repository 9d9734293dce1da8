//! `--branch` and `--new-branch`.

use amika_git::{Copy, GitError, Request};
use pretty_assertions::assert_eq;

use crate::support::*;

/// `main`, a local `topic`, `origin/remote-only`, a tag `v1`.
fn branched(host: &Host) -> std::path::PathBuf {
    let path = host.simple("repo");
    git(&path, &["tag", "-a", "v1", "-m", "v1"]);
    git(&path, &["switch", "-q", "-c", "topic"]);
    write(&path, "topic", "topic\n");
    let topic = commit_all(&path, "topic");
    git(&path, &["switch", "-q", "main"]);
    git(
        &path,
        &["remote", "add", "origin", "https://example.com/a.git"],
    );
    git(
        &path,
        &["update-ref", "refs/remotes/origin/remote-only", &topic],
    );
    path
}

fn on(path: &std::path::Path, branch: Option<&str>, new: Option<&str>) -> Request {
    Request {
        branch: branch.map(str::to_owned),
        new_branch: new.map(str::to_owned),
        ..request(path, Copy::Clean)
    }
}

#[test]
fn a_local_branch_is_checked_out() {
    let host = Host::new();
    let path = branched(&host);
    let copied = copy(on(&path, Some("topic"), None));
    assert_eq!(copied.git(&["branch", "--show-current"]), "topic");
    assert_eq!(copied.read("topic"), "topic\n");
    assert_eq!(copied.git(&["status", "--porcelain"]), "");
}

#[test]
fn a_remote_branch_becomes_a_local_one_that_follows_it() {
    let host = Host::new();
    let path = branched(&host);
    let copied = copy(on(&path, Some("remote-only"), None));
    assert_eq!(copied.git(&["branch", "--show-current"]), "remote-only");
    assert_eq!(
        copied.git(&["rev-parse", "--symbolic-full-name", "@{u}"]),
        "refs/remotes/origin/remote-only"
    );
    assert_eq!(copied.git(&["status", "--porcelain"]), "");
}

#[test]
fn a_tag_and_a_commit_detach_the_head() {
    let host = Host::new();
    let path = branched(&host);
    let first = git(&path, &["rev-parse", "main"]);
    for name in ["v1", &first, &first[..10]] {
        let copied = copy(on(&path, Some(name), None));
        assert_eq!(copied.git(&["rev-parse", "HEAD"]), first);
        assert_eq!(copied.git(&["branch", "--show-current"]), "");
        assert_eq!(copied.repository.facts().branch, None);
    }
}

#[test]
fn a_new_branch_starts_where_it_is_told() {
    let host = Host::new();
    let path = branched(&host);
    let copied = copy(on(&path, None, Some("agent/one")));
    assert_eq!(copied.git(&["branch", "--show-current"]), "agent/one");
    assert_eq!(
        copied.git(&["rev-parse", "HEAD"]),
        git(&path, &["rev-parse", "main"])
    );
    let copied = copy(on(&path, Some("remote-only"), Some("agent/two")));
    assert_eq!(
        copied.git(&["rev-parse", "HEAD"]),
        git(&path, &["rev-parse", "topic"])
    );
    assert_eq!(copied.git(&["status", "--porcelain"]), "");
    git_fails(&path, &["rev-parse", "--verify", "-q", "agent/one"]);
}

#[test]
fn a_new_branch_takes_uncommitted_work_along() {
    let host = Host::new();
    let path = branched(&host);
    write(&path, "a.txt", "changed\n");
    let copied = copy(Request {
        new_branch: Some("agent".into()),
        copy: DIRTY,
        ..request(&path, DIRTY)
    });
    assert_eq!(copied.git(&["branch", "--show-current"]), "agent");
    assert_eq!(copied.git(&["status", "--porcelain"]), " M a.txt");
}

#[test]
fn wrong_names_are_refused_and_near_ones_listed() {
    let host = Host::new();
    let path = branched(&host);
    let fails = |branch, new| open(on(&path, branch, new)).err().expect("refused");
    assert!(
        matches!(fails(Some("topci"), None), GitError::NoSuchBranch { near, .. } if near == ["topic"])
    );
    assert!(matches!(
        fails(Some("--upload-pack=x"), None),
        GitError::BadBranchName { .. }
    ));
    assert!(matches!(
        fails(Some("a..b"), None),
        GitError::BadBranchName { .. }
    ));
    assert!(matches!(
        fails(None, Some("sp ace")),
        GitError::BadBranchName { .. }
    ));
    assert!(matches!(
        fails(None, Some("topic")),
        GitError::BranchExists { .. }
    ));
    assert!(matches!(
        fails(None, Some("remote-only")),
        GitError::BranchExists { .. }
    ));
    let not_clean = Request {
        copy: DIRTY,
        ..on(&path, Some("topic"), None)
    };
    assert!(matches!(
        open(not_clean),
        Err(GitError::NotCheckedOut { .. })
    ));
    let current = Request {
        copy: DIRTY,
        ..on(&path, Some("main"), None)
    };
    assert!(open(current).is_ok());
}

#[test]
fn a_name_that_is_no_text_is_told_of() {
    use std::os::unix::ffi::OsStrExt as _;
    let host = Host::new();
    let path = host.simple("repo");
    let made = git_command(&path, &["branch"])
        .arg(std::ffi::OsStr::from_bytes(b"od\xff"))
        .status()
        .unwrap();
    assert!(made.success());
    let copied = copy(request(&path, Copy::Clean));
    assert_eq!(copied.git(&["branch", "--format=%(refname:short)"]), "main");
    let warnings = &copied.repository.facts().warnings;
    assert!(
        warnings.contains(&"refs/heads/od\\xff stays behind: its name is not UTF-8".to_owned()),
        "{warnings:?}"
    );
}
