//! LFS content of a repository at a URL: where it is fetched from, and not before somebody said so.

use std::path::Path;

use amika_git::{Repository, Request};
use amika_host::machine::Machine;

use crate::forge::Forge;
use crate::support::*;
use crate::urls::url_request;

/// What this user signs in with everywhere, as a helper tells.
const CONFIG: &str = "[user]\n\tname = Me\n\temail = me@example.com\n\
    [credential]\n\thelper = \"!printf 'username=me\\\\npassword=mine\\\\n'; :\"\n";

/// A repository with LFS content, which `.lfsconfig` says where to have, beneath the directory of a forge.
fn with_content(host: &Host, name: &str, server: Option<&str>) {
    let path = host.empty(name, &[]);
    git(&path, &["lfs", "install", "--local", "--skip-repo"]);
    git(&path, &["lfs", "track", "--", "*.bin"]);
    write(&path, "a.bin", vec![7; 50_000]);
    if let Some(server) = server {
        write(&path, ".lfsconfig", format!("[lfs]\n\turl = {server}\n"));
    }
    commit_all(&path, "lfs");
}

/// As a command opens it, before anybody was asked anything.
fn opened(request: Request) -> Repository {
    block_on(amika_git::open(
        &Machine::of_process(),
        request,
        Path::new("/"),
        &|_| {},
    ))
    .expect("opens")
}

fn with_lfs(repository: Repository, trusted: bool) -> Copied {
    unpacked(block_on(repository.with_lfs(trusted, &|_| {})).expect("planned"))
}

fn content(copied: &Copied) -> Vec<u8> {
    std::fs::read(copied.path().join("a.bin")).unwrap()
}

fn is_pointer(copied: &Copied) -> bool {
    content(copied).starts_with(b"version https://git-lfs")
}

#[test]
fn a_server_that_only_the_repository_names_is_told_nothing_until_it_is_trusted() {
    let this =
        "lfs_servers::a_server_that_only_the_repository_names_is_told_nothing_until_it_is_trusted";
    if !is_user_with(this, &[(".gitconfig", CONFIG)]) {
        return;
    }
    let host = Host::new();
    let (forge, other) = (Forge::start(host.path("")), Forge::start(host.path("")));
    let server = other.url("named");
    with_content(&host, "repo", Some(&server));
    // The content is there for it alone.
    let repository = opened(url_request(&forge.url("repo/.git"), None, None));
    assert_eq!(repository.lfs_servers(), [server.as_str()]);
    assert!(block_on(repository.config_toml()).unwrap().is_none());
    let warned = |copied: &Copied| {
        let warnings = &copied.repository.facts().warnings;
        warnings
            .iter()
            .filter(|one| one.contains("LFS"))
            .cloned()
            .collect::<Vec<_>>()
    };
    assert!(
        !repository
            .facts()
            .warnings
            .iter()
            .any(|one| one.contains("LFS"))
    );
    assert_eq!(other.seen(), [""; 0], "before anybody was asked");

    let copied = with_lfs(repository.clone(), false);
    assert!(is_pointer(&copied));
    let told = warned(&copied);
    assert!(told.len() == 1 && told[0].contains(&server), "{told:?}");
    assert_eq!(other.seen(), [""; 0], "untrusted");
    assert!(!forge.seen().iter().any(|one| one.contains("lfs")));

    let copied = with_lfs(repository, true);
    assert_eq!(content(&copied), vec![7; 50_000]);
    assert_eq!(warned(&copied), [""; 0]);
    let seen = other.seen();
    let batch = "POST /named/objects/batch signed in".to_owned();
    assert!(
        seen.contains(&batch),
        "the way that was barred is one: {seen:?}"
    );
}

#[test]
fn the_urls_own_server_is_asked_afterwards_whoever_trusts_the_repository() {
    let this = "lfs_servers::the_urls_own_server_is_asked_afterwards_whoever_trusts_the_repository";
    if !is_user_with(this, &[(".gitconfig", CONFIG)]) {
        return;
    }
    let host = Host::new();
    let forge = Forge::start(host.path(""));
    with_content(&host, "plain", None);
    with_content(&host, "names", Some(&forge.url("names/lfs")));
    for name in ["plain", "names"] {
        let before = forge.seen().len();
        let repository = opened(url_request(&forge.url(&format!("{name}/.git")), None, None));
        assert!(repository.awaits_lfs());
        assert_eq!(repository.lfs_servers(), [""; 0]);
        let is_lfs = |one: &String| one.contains("/objects/batch");
        assert!(
            !forge.seen()[before..].iter().any(is_lfs),
            "before anybody was asked"
        );
        let copied = with_lfs(repository, false);
        assert_eq!(content(&copied), vec![7; 50_000]);
        assert!(forge.seen()[before..].iter().any(is_lfs));
        assert_eq!(copied.git(&["status", "--porcelain"]), "");
    }
}

#[test]
fn content_that_was_fetched_is_kept_for_the_next_copy_of_a_url() {
    let this = "lfs_servers::content_that_was_fetched_is_kept_for_the_next_copy_of_a_url";
    if !is_user_with(this, &[(".gitconfig", CONFIG)]) {
        return;
    }
    let host = Host::new();
    let forge = Forge::start(host.path(""));
    with_content(&host, "repo", None);
    let request = || Request {
        cache: Some(host.path("cache")),
        ..url_request(&forge.url("repo/.git"), None, None)
    };
    let fetched = || {
        let seen = forge.seen();
        seen.iter()
            .filter(|line| line.contains("/lfs-object/"))
            .count()
    };
    for _ in 0..2 {
        assert_eq!(content(&copy(request())), vec![7; 50_000]);
        assert_eq!(fetched(), 1);
    }
    // What is new comes beside it.
    write(&host.path("repo"), "b.bin", vec![8; 50_000]);
    commit_all(&host.path("repo"), "more");
    let copied = copy(request());
    assert_eq!((content(&copied), fetched()), (vec![7; 50_000], 2));
    assert_eq!(
        std::fs::read(copied.path().join("b.bin")).unwrap(),
        vec![8; 50_000]
    );
}
