//! What the git programs do that amika starts, as the kernel sees it: none opens anything in a repository's own git
//! directory by its path, and none runs a program that is not git's own.

use std::path::{Path, PathBuf};

use amika_git::{Copy, Request};

use crate::forge::Forge;
use crate::support::*;
use crate::traces::{as_git, calls, is_blind, traces};
use crate::urls::{Server, url_request};

/// What a repository's own configuration may name to have it run.
const EVIL: [&str; 12] = [
    "filter.evil.clean",
    "filter.evil.smudge",
    "filter.evil.process",
    "core.fsmonitor",
    "core.sshCommand",
    "core.gitProxy",
    "core.pager",
    "core.alternateRefsCommand",
    "credential.helper",
    "diff.external",
    "uploadpack.packObjectsHook",
    "gpg.program",
];

fn poisoned(path: &Path) {
    for key in EVIL {
        git(path, &["config", key, "touch /nonexistent/x"]);
    }
    let hooks = PathBuf::from(git(path, &["rev-parse", "--absolute-git-dir"])).join("hooks");
    for hook in [
        "post-checkout",
        "post-index-change",
        "reference-transaction",
        "fsmonitor-watchman",
    ] {
        write(&hooks, hook, "#!/bin/sh\ntouch /nonexistent/x\n");
        make_executable(&hooks.join(hook));
    }
}

/// A repository with some of all that git looks at.
fn full(host: &Host, name: &str, options: &[&str]) -> PathBuf {
    let path = host.empty(name, options);
    write(&path, "a.txt", "one\n");
    write(&path, ".gitattributes", "*.bat eol=crlf\n*.x filter=evil\n");
    write(&path, "run.bat", "x\r\n");
    write(&path, "run.x", "x\n");
    commit_all(&path, "first");
    git(&path, &["gc", "-q"]);
    write(&path, "a.txt", "stashed\n");
    git(&path, &["stash", "-q"]);
    path
}

/// It is other than what is committed, and its configuration is hostile.
fn changed(path: &Path) {
    write(path, "a.txt", "changed\n");
    write(path, "run.x", "changed\n");
    write(path, "new", "x\n");
    poisoned(path);
}

fn with_lfs(host: &Host, name: &str) -> PathBuf {
    let path = host.empty(name, &[]);
    git(&path, &["lfs", "install", "--local", "--skip-repo"]);
    git(&path, &["lfs", "track", "--", "*.bin"]);
    write(&path, "a.bin", vec![7; 20_000]);
    commit_all(&path, "lfs");
    path
}

/// Repositories of this machine, by what is odd about each; and what of each is copied.
fn local(host: &Host) -> Vec<(&'static str, PathBuf)> {
    let plain = full(host, "plain", &[]);
    git(&plain, &["worktree", "add", "-q", "--detach", "../linked"]);
    changed(&plain);
    let linked = host.path("linked");
    write(&linked, "a.txt", "changed\n");

    let table = full(host, "table", &["--ref-format=reftable"]);
    changed(&table);
    let sha256 = full(host, "sha256", &["--object-format=sha256"]);
    changed(&sha256);

    let lender = full(host, "lender", &[]);
    let borrower = host.path("borrower");
    git(
        &host.path(""),
        &["clone", "-q", "--shared", "lender", "borrower"],
    );
    changed(&borrower);

    let module = full(host, "module", &[]);
    let parent = full(host, "parent", &[]);
    let url = module.to_str().unwrap();
    git(&parent, &["submodule", "--quiet", "add", url, "sub"]);
    commit_all(&parent, "submodule");
    changed(&parent.join("sub"));
    changed(&parent);

    let around = full(host, "around", &[]);
    changed(&full(host, "around/inside", &[]));
    changed(&around);

    git(
        &host.path(""),
        &["clone", "-q", "--bare", "lender", "bare.git"],
    );
    poisoned(&host.path("bare.git"));
    let shallow = format!("file://{}", lender.display());
    git(
        &host.path(""),
        &["clone", "-q", "--depth=1", &shallow, "shallow"],
    );
    changed(&host.path("shallow"));
    poisoned(&lender);
    let lfs = with_lfs(host, "lfs");
    poisoned(&lfs);
    write(&lfs, "a.bin", "changed\n");

    vec![
        ("plain", plain),
        ("linked work tree", linked),
        ("table of refs", table),
        ("SHA-256", sha256),
        ("borrowed objects", borrower),
        ("submodule", parent),
        ("repository inside", around),
        ("bare", host.path("bare.git")),
        ("shallow", host.path("shallow")),
        ("LFS", lfs),
    ]
}

/// All that `create` does with one.
fn all_of(asked: Request) {
    let repository = open(asked).unwrap();
    block_on(repository.snapshot()).unwrap();
    block_on(repository.config_toml()).unwrap();
    archive(&repository).unwrap();
}

#[test]
fn git_opens_nothing_of_a_repositorys_own_git_directory_and_runs_nothing_but_itself() {
    let this =
        "traced::git_opens_nothing_of_a_repositorys_own_git_directory_and_runs_nothing_but_itself";
    let Some(logs) = traces(this) else { return };
    let host = Host::new();
    let all = local(&host);
    assert_eq!(calls(&logs), [], "only what amika starts is traced");
    for (what, path) in all {
        let is_bare = path.ends_with("bare.git");
        for mode in [Copy::Clean, DIRTY, ALL] {
            if is_bare && mode != Copy::Clean {
                continue;
            }
            all_of(request(&path, mode));
            let calls = calls(&logs);
            assert!(calls.len() > 30, "{what} {mode:?}: {}", calls.len());
            // Whether a directory of the work tree is a repository git sees for itself, by what decides
            // nothing more. LFS is a filter, which is run by amika's own line and not by the repository's.
            let (programs, opens): (&[&str], &[&str]) = match what {
                "repository inside" => (&[], &["inside/.git/HEAD", "inside/.git/commondir"]),
                "LFS" => (&["sh"], &[]),
                _ => (&[], &[]),
            };
            let shown = format!("{what} {mode:?}");
            is_blind(&shown, &calls, &host.path(""), programs, opens);
        }
    }
}

#[test]
fn a_git_that_fetches_opens_nothing_of_a_repository_here_and_runs_nothing_but_itself() {
    let this =
        "traced::a_git_that_fetches_opens_nothing_of_a_repository_here_and_runs_nothing_but_itself";
    let Some(logs) = traces(this) else { return };
    let host = Host::new();
    // Where the call comes from is a repository too, and so is what is around the temporary directory.
    poisoned(&host.simple("caller"));
    std::env::set_current_dir(host.path("caller")).unwrap();
    with_lfs(&host, "served");
    let forge = Forge::start(host.path(""));
    let plain = host.simple("plain");
    git(
        &host.path(""),
        &["clone", "-q", "--bare", "plain", "dumb.git"],
    );
    git(&host.path("dumb.git"), &["update-server-info"]);
    let dumb = Server::start(host.path("dumb.git"));
    let local = format!("file://{}", plain.display());
    poisoned(&plain);
    assert_eq!(calls(&logs), []);
    for (what, url, fetches) in [
        (
            "git's protocol, LFS",
            forge.url("served/.git"),
            &["git-remote-http", "git-lfs"][..],
        ),
        (
            "files of a server",
            format!("http://me:s3cretTOKEN@127.0.0.1:{}/served.git", dumb.port),
            &["git-remote-http"],
        ),
        ("this machine", local, &[]),
    ] {
        all_of(url_request(&url, None, None));
        let calls = calls(&logs);
        let runs = |program: &str| {
            let ends = |call: &&crate::traces::Call| call.is_exec && call.path.ends_with(program);
            calls.iter().any(|call| ends(&call))
        };
        for program in fetches {
            assert!(runs(program), "{what}: {program} did not run");
        }
        // The helper that has the URL's password is a line of amika's own.
        is_blind(what, &calls, &host.path(""), &["sh"], &[]);
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
