//! What a URL leads to is kept for the next time.

use std::fs;
use std::path::Path;

use amika_git::{GitError, Request};
use pretty_assertions::assert_eq;

use crate::forge::Forge;
use crate::support::*;
use crate::urls::url_request;

fn cached(url: &str, cache: &Path) -> Request {
    Request {
        cache: Some(cache.to_owned()),
        ..url_request(url, None, None)
    }
}

/// Packs that were asked for so far.
fn packs(forge: &Forge) -> usize {
    let seen = forge.seen();
    seen.iter()
        .filter(|line| line.contains("POST") && line.contains("git-upload-pack"))
        .count()
}

#[test]
fn a_second_clone_is_the_same_and_fetches_what_is_new_alone() {
    let host = Host::new();
    let path = host.simple("app");
    git(&path, &["tag", "v1"]);
    git(&path, &["branch", "topic"]);
    let forge = Forge::start(host.path(""));
    let url = forge.url("app/.git");
    let cache = host.path("cache/app");
    let refs = |copied: &Copied| copied.git(&["for-each-ref"]);
    let plain = refs(&copy(url_request(&url, None, None)));
    let first = copy(cached(&url, &cache));
    assert_eq!(refs(&first), plain);
    let second = copy(cached(&url, &cache));
    assert_eq!(refs(&second), plain);
    assert_eq!(status(&second.path()), status(&first.path()));
    let config = fs::read_to_string(cache.join("repository.git/config")).unwrap();
    assert!(config.contains("bare = true"), "{config}");

    // A commit, a branch that went, another HEAD, history that was written anew.
    write(&path, "new", "new");
    commit_all(&path, "new");
    git(&path, &["branch", "-D", "topic"]);
    git(&path, &["checkout", "-q", "-b", "next"]);
    git(&path, &["commit", "-q", "--amend", "-m", "other words"]);
    let third = copy(cached(&url, &cache));
    assert_eq!(third.git(&["branch", "--show-current"]), "next");
    assert_eq!(third.read("new"), "new");
    assert_eq!(refs(&third), refs(&copy(url_request(&url, None, None))));

    // What is broken, as by a kill, is made anew.
    for damage in ["repository.git/HEAD", "repository.git/objects"] {
        let place = cache.join(damage);
        if place.is_dir() {
            fs::remove_dir_all(&place).unwrap();
        } else {
            fs::write(&place, "").unwrap();
        }
        write(&path, "more", damage);
        commit_all(&path, damage);
        assert_eq!(copy(cached(&url, &cache)).read("more"), damage);
    }
    fs::create_dir_all(cache.join("new/repository.git")).unwrap();
    fs::remove_dir_all(cache.join("repository.git")).unwrap();
    assert_eq!(copy(cached(&url, &cache)).read("new"), "new");
    // Nothing there is another's: the cache may go while a copy is used.
    let used = copy(cached(&url, &cache));
    fs::remove_dir_all(&cache).unwrap();
    assert_eq!(used.git(&["fsck", "--connectivity-only"]), "");

    let gone = cached(&forge.url("none/.git"), &host.path("cache/none"));
    assert!(matches!(open(gone), Err(GitError::Clone { .. })));
}

#[test]
fn two_at_once_have_the_same_and_what_is_there_is_not_fetched_again() {
    let host = Host::new();
    host.simple("app");
    let forge = Forge::start(host.path(""));
    let url = forge.url("app/.git");
    let cache = host.path("cache");
    let both: Vec<String> = std::thread::scope(|scope| {
        let each = [(); 2]
            .map(|()| scope.spawn(|| copy(cached(&url, &cache)).git(&["rev-parse", "HEAD"])));
        each.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert_eq!(both[0], both[1]);
    let before = packs(&forge);
    drop(copy(cached(&url, &cache)));
    // One asks what is there; a clone asks for a pack as well.
    assert_eq!(packs(&forge) - before, 1);
}
