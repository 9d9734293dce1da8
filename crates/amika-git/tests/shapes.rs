//! Repositories of every shape: bare, linked, shallow, partial, borrowed, empty, detached, SHA-256.

use amika_git::{Copy, GitError, Request};
use pretty_assertions::assert_eq;

use crate::support::*;

fn both(path: &std::path::Path) {
    for mode in [Copy::Clean, DIRTY] {
        let copied = copy(request(path, mode));
        assert_eq!(status(&copied.path()), status(path), "{mode:?}");
        assert_eq!(tree(&copied.path()), tree(path), "{mode:?}");
    }
}

#[test]
fn a_bare_repository_gets_a_work_tree() {
    let host = Host::new();
    let path = host.simple("repo");
    git(
        &host.path(""),
        &["clone", "-q", "--bare", "repo", "bare.git"],
    );
    let copied = copy(request(&host.path("bare.git"), Copy::Clean));
    assert_eq!(tree(&copied.path()), tree(&path));
    assert_eq!(copied.git(&["status", "--porcelain"]), "");
    assert_eq!(copied.repository.facts().name, "bare");
}

#[test]
fn a_linked_work_tree_is_copied_with_its_own_branch_and_index() {
    let host = Host::new();
    let path = host.simple("repo");
    git(
        &path,
        &["worktree", "add", "-q", "../linked", "-b", "linked"],
    );
    let linked = host.path("linked");
    write(&linked, "a.txt", "linked\n");
    git(&linked, &["add", "a.txt"]);
    let copied = copy(request(&linked, DIRTY));
    assert_eq!(status(&copied.path()), status(&linked));
    assert_eq!(copied.git(&["branch", "--show-current"]), "linked");
    assert_eq!(copied.repository.facts().name, "repo");
    assert!(copied.path().join(".git").is_dir());
    commit_all(&linked, "linked");
    both(&linked);
}

#[test]
fn a_shallow_repository_stays_shallow() {
    let host = Host::new();
    let path = host.simple("repo");
    write(&path, "a.txt", "more\n");
    commit_all(&path, "second");
    let url = format!("file://{}", path.display());
    git(
        &host.path(""),
        &["clone", "-q", "--depth", "1", &url, "shallow"],
    );
    let shallow = host.path("shallow");
    both(&shallow);
    let copied = copy(request(&shallow, Copy::Clean));
    assert_eq!(
        copied.git(&["rev-parse", "--is-shallow-repository"]),
        "true"
    );
    assert_eq!(copied.git(&["rev-list", "--count", "HEAD"]), "1");
}

#[test]
fn a_partial_clone_is_copied_or_says_what_is_missing() {
    let host = Host::new();
    let path = host.simple("repo");
    git(&path, &["config", "uploadpack.allowFilter", "true"]);
    write(&path, "a.txt", "more\n");
    commit_all(&path, "second");
    let url = format!("file://{}", path.display());
    git(
        &host.path(""),
        &["clone", "-q", "--filter=blob:none", &url, "partial"],
    );
    let partial = host.path("partial");
    both(&partial);
    let copied = copy(request(&partial, Copy::Clean));
    assert_eq!(copied.git(&["config", "remote.origin.promisor"]), "true");
    let old = Request {
        branch: Some(git(&partial, &["rev-parse", "HEAD~1"])),
        ..request(&partial, Copy::Clean)
    };
    let before = fingerprint(&partial);
    let error = archive(&open(old).unwrap()).expect_err("an object is not there");
    let error = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<GitError>());
    assert!(
        matches!(error, Some(GitError::MissingObject { path, .. }) if path == "a.txt"),
        "{error:?}"
    );
    assert_eq!(fingerprint(&partial), before, "nothing was fetched");
}

#[test]
fn borrowed_objects_are_copied() {
    let host = Host::new();
    let path = host.simple("repo");
    git(&path, &["repack", "-q", "-a", "-d"]);
    write(&path, "loose", "loose\n");
    commit_all(&path, "loose");
    git(
        &host.path(""),
        &["clone", "-q", "--shared", "repo", "middle"],
    );
    git(
        &host.path(""),
        &["clone", "-q", "--shared", "middle", "borrower"],
    );
    let borrower = host.path("borrower");
    write(&borrower, "own", "own\n");
    commit_all(&borrower, "own");
    both(&borrower);
    let copied = copy(request(&borrower, Copy::Clean));
    assert!(!copied.has(".git/objects/info/alternates"));
    assert_eq!(copied.git(&["rev-list", "--count", "HEAD"]), "3");
}

#[test]
fn an_empty_repository_is_an_empty_repository() {
    let host = Host::new();
    let path = host.empty("repo", &[]);
    both(&path);
    let copied = copy(Request {
        new_branch: Some("first".into()),
        ..request(&path, Copy::Clean)
    });
    assert_eq!(copied.git(&["branch", "--show-current"]), "first");
    assert_eq!(copied.repository.facts().commit, None);
    copied.git(&["commit", "-q", "--allow-empty", "-m", "works"]);
}

#[test]
fn a_detached_head_stays_detached() {
    let host = Host::new();
    let path = host.simple("repo");
    git(&path, &["checkout", "-q", "--detach"]);
    write(&path, "only-here", "on no branch\n");
    commit_all(&path, "detached");
    both(&path);
}

#[test]
fn other_object_names_and_ref_stores_are_understood() {
    for options in [
        &["--object-format=sha256"][..],
        &["--ref-format=reftable"],
        &["--object-format=sha256", "--ref-format=reftable"],
    ] {
        let host = Host::new();
        let path = host.empty("repo", options);
        write(&path, "a.txt", "one\n");
        commit_all(&path, "first");
        git(&path, &["tag", "v1"]);
        both(&path);
    }
}

#[test]
fn packs_and_cruft_and_replaced_objects_are_copied() {
    let host = Host::new();
    let path = host.simple("repo");
    write(&path, "a.txt", "two\n");
    let second = commit_all(&path, "second");
    git(&path, &["replace", "--graft", &second]);
    git(&path, &["gc", "-q"]);
    write(&path, "a.txt", "three\n");
    commit_all(&path, "third");
    both(&path);
    let copied = copy(request(&path, Copy::Clean));
    assert_eq!(copied.git(&["rev-list", "--count", "HEAD"]), "2");
    assert_eq!(
        copied.git(&["--no-replace-objects", "rev-list", "--count", "HEAD"]),
        "3"
    );
}
