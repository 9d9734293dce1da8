//! URLs that lead to a repository of this machine: read as a path is, with nothing of it but what its refs
//! reach, and no git runs in it.

use std::path::{Path, PathBuf};

use amika_git::{Copy, GitError, Request};
use pretty_assertions::assert_eq;

use crate::support::*;
use crate::traces::as_git;
use crate::urls::{Server, url_request};

const SECRET: &str = "this is nobody else's business";

fn file_url(path: &Path) -> Request {
    url_request(&format!("file://{}", path.display()), None, None)
}

/// Every file of a copy, and every object, is without the secret.
fn is_without_secret(copied: &Copied) {
    let found = std::process::Command::new("grep")
        .args(["-r", SECRET])
        .arg(copied.path())
        .output()
        .expect("grep runs");
    assert_eq!(found.status.code(), Some(1), "{found:?}");
    let all = copied.git(&[
        "cat-file",
        "--batch-all-objects",
        "--batch-check=%(objectname)",
    ]);
    for oid in all.lines() {
        assert!(!copied.git(&["cat-file", "-p", oid]).contains(SECRET));
    }
}

fn mkfifo(path: &Path) {
    let _ = std::fs::remove_file(path);
    let made = std::process::Command::new("mkfifo").arg(path).status();
    assert!(made.unwrap().success());
}

#[test]
fn no_git_of_this_machine_runs_in_what_a_url_leads_to() {
    let this = "local_urls::no_git_of_this_machine_runs_in_what_a_url_leads_to";
    let script = "echo \"$PWD $*\" >>\"$AMIKA_TEST_TRACES/all\"\n\
        exec strace -f -qq -s 4096 -e trace=open,openat,openat2,execve,execveat,chdir \
        -o \"$AMIKA_TEST_TRACES/$$\" REAL \"$@\"\n";
    let Some(logs) = as_git(this, script) else {
        return;
    };
    let host = Host::new();
    let path = host.simple("repo");
    git(&path, &["gc", "-q"]);
    git(&path, &["clone", "-q", "--bare", ".", "../bare.git"]);
    git(&path, &["config", "include.path", "/nonexistent/included"]);
    git(&path, &["config", "uploadpack.packObjectsHook", "evil"]);
    for log in std::fs::read_dir(&logs).unwrap() {
        std::fs::remove_file(log.unwrap().path()).unwrap();
    }
    for place in ["repo", "repo/.git", "bare.git", "bare"] {
        let asked = file_url(&host.path(place));
        archive(&open(asked).expect(place)).expect(place);
    }
    let root = host.path("");
    let root = root.to_str().unwrap();
    let mut calls = 0;
    for log in std::fs::read_dir(&logs).unwrap() {
        let text = std::fs::read(log.unwrap().path()).unwrap();
        for line in String::from_utf8_lossy(&text).lines() {
            calls += 1;
            assert!(!line.contains(root), "{line}");
            assert!(!line.contains("upload-pack"), "{line}");
        }
    }
    assert!(calls > 100, "{calls}");
}

#[test]
fn what_a_clone_would_not_bring_stays_behind() {
    let host = Host::new();
    let path = host.simple("repo");
    // In a pack with what is reached, in a stash, a hidden ref, the index, and files of the git directory.
    write(&path, "lost", SECRET);
    commit_all(&path, SECRET);
    git(&path, &["gc", "-q"]);
    git(&path, &["reset", "-q", "--hard", "HEAD~1"]);
    write(&path, "a.txt", SECRET);
    git(&path, &["stash", "-q"]);
    write(&path, "a.txt", SECRET);
    git(&path, &["add", "a.txt"]);
    git(&path, &["update-ref", "refs/hidden/x", "stash@{0}"]);
    git(&path, &["update-ref", "refs/remotes/o/x", "stash@{0}"]);
    write(&path, "untracked", SECRET);
    for name in ["info/exclude", "info/attributes"] {
        write(&path, Path::new(".git").join(name), format!("# {SECRET}\n"));
    }
    git(&path, &["config", "user.name", SECRET]);
    git(&path, &["config", "core.autocrlf", "true"]);
    git(&path, &["config", "filter.up.smudge", SECRET]);
    git(&path, &["config", "remote.o.url", SECRET]);
    let copied = copy(file_url(&path));
    is_without_secret(&copied);
    assert_eq!(copied.read("a.txt"), "one\n");
    assert_eq!(copied.git(&["status", "--porcelain"]), "");
    git(
        &host.path(""),
        &[
            "clone",
            "-q",
            &format!("file://{}", path.display()),
            "reference",
        ],
    );
    let objects = |path: &Path| {
        let all = [
            "cat-file",
            "--batch-all-objects",
            "--batch-check=%(objectname)",
        ];
        git(path, &all)
    };
    assert_eq!(objects(&copied.path()), objects(&host.path("reference")));
}

#[test]
fn it_is_found_as_git_finds_it() {
    let host = Host::new();
    let path = host.simple("a b%é");
    git(
        &path,
        &["worktree", "add", "-q", "-b", "other", "../linked"],
    );
    git(&path, &["clone", "-q", "--bare", ".", "../bare.git"]);
    let root = host.path("");
    let root = root.to_str().unwrap().trim_end_matches('/');
    for (url, branch) in [
        (format!("file://{root}/a b%25é"), "main"),
        (format!("file://{root}/a%20b%25%c3%A9/.git/"), "main"),
        (format!("file://{root}/linked"), "other"),
        (format!("file://{root}/linked/.git"), "other"),
        (format!("file://{root}/bare"), "main"),
    ] {
        let copied = copy(url_request(&url, None, None));
        assert_eq!(copied.read("a.txt"), "one\n", "{url}");
        assert_eq!(copied.git(&["branch", "--show-current"]), branch, "{url}");
        assert_eq!(copied.git(&["remote", "get-url", "origin"]), url);
        let facts = copied.repository.facts();
        assert_eq!((&facts.root, &facts.source), (&None, &url));
    }
    // Not one around it, not what is elsewhere for git as well.
    for url in [
        format!("file://{root}/a%20b%25%c3%A9/src"),
        format!("file://localhost{root}/bare"),
        format!("file://{root}/missing"),
    ] {
        let refused = open(url_request(&url, None, None)).err().expect(&url);
        assert!(
            matches!(refused, GitError::Clone { .. }),
            "{url}: {refused}"
        );
    }
}

#[test]
fn what_it_borrows_is_named_and_what_is_not_its_own_is_refused() {
    let host = Host::new();
    let private = host.simple("private");
    write(&private, "committed", SECRET);
    commit_all(&private, "private");
    let path = host.simple("repo");
    let alternates = ".git/objects/info/alternates";
    write(&path, alternates, "../../../private/.git/objects\n");
    let copied = copy(file_url(&path));
    is_without_secret(&copied);
    let warnings = &copied.repository.facts().warnings;
    let place = private.join(".git/objects");
    let is_named = |said: &String| said.contains(place.to_str().unwrap());
    assert!(warnings.iter().any(is_named), "{warnings:?}");
    for target in ["private/.git", "private"] {
        let claimer = host.path("claimer");
        let _ = std::fs::remove_dir_all(&claimer);
        write(&claimer, ".git", format!("gitdir: ../{target}\n"));
        let refused = open(file_url(&claimer)).err().expect(target);
        assert!(
            matches!(
                refused,
                GitError::Foreign { .. } | GitError::NotARepository { .. } | GitError::Clone { .. }
            ),
            "{refused}"
        );
    }
}

#[test]
fn nothing_in_it_is_waited_for() {
    for place in [
        ".git/index",
        ".git/info/exclude",
        ".git/HEAD",
        ".git/config",
        ".git/refs/heads/pipe",
        ".git/shallow",
        ".git/objects/info/alternates",
        ".gitignore",
        ".gitattributes",
        "src/.gitignore",
    ] {
        let host = Host::new();
        let path = host.simple("repo");
        mkfifo(&path.join(place));
        let opened = open(file_url(&path));
        if let Ok(repository) = &opened {
            archive(repository).expect("whole");
        }
        let opened = opened.map(drop);
        // Held is what was waited for.
        assert!(!matches!(opened, Err(GitError::Held { .. })), "{place}");
        let is_needed = [
            ".git/HEAD",
            ".git/config",
            ".git/shallow",
            ".git/objects/info/alternates",
        ];
        assert_eq!(
            opened.is_err(),
            is_needed.contains(&place),
            "{place}: {opened:?}"
        );
    }
}

#[test]
fn what_the_users_configuration_makes_of_a_url_decides() {
    let host = Host::new();
    let path = host.simple("mirror/repo");
    let root = host.path("mirror");
    let config = format!(
        "[user]\n\tname = Me\n\temail = me@example.com\n\
         [url \"file://{0}/\"]\n\tinsteadOf = https://files.invalid/\n\
         [url \"{0}/\"]\n\tinsteadOf = https://paths.invalid/\n\
         [url \"http://127.0.0.1:1/\"]\n\tinsteadOf = file:///elsewhere/\n",
        root.display()
    );
    let this = "local_urls::what_the_users_configuration_makes_of_a_url_decides";
    if std::env::var_os("AMIKA_TEST_MIRROR").is_none() {
        // The configuration names a place of this process.
        let home = tempfile::tempdir().unwrap();
        write(home.path(), ".gitconfig", config);
        let ended = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", this, "--nocapture"])
            .env("HOME", home.path())
            .env_remove("GIT_CONFIG_GLOBAL")
            .env_remove("XDG_CONFIG_HOME")
            .env("GIT_ALLOW_PROTOCOL", "http:https:file")
            .env("AMIKA_TEST_MIRROR", &path)
            .output()
            .unwrap();
        assert!(ended.status.success(), "{ended:?}");
        return;
    }
    let path = PathBuf::from(std::env::var_os("AMIKA_TEST_MIRROR").unwrap());
    git(&path, &["config", "uploadpack.packObjectsHook", "evil"]);
    for url in ["https://files.invalid/repo", "https://paths.invalid/repo"] {
        let copied = copy(url_request(url, None, None));
        assert_eq!(copied.read("a.txt"), "one\n", "{url}");
        assert_eq!(copied.repository.facts().source, url);
    }
    let refused = open(url_request("file:///elsewhere/repo", None, None));
    let refused = refused.err().expect("nobody listens").to_string();
    assert!(refused.contains("127.0.0.1"), "{refused}");
}

#[test]
fn gits_own_transport_is_asked_for_no_file_of_this_machine() {
    let host = Host::new();
    let path = host.simple("repo");
    let place = path.display();
    for url in [
        format!("ext::git-upload-pack {place}"),
        format!("ext::sh -c% git-upload-pack% {place}"),
        format!("fd::0/{place}"),
        format!("file::{place}"),
        format!("http::file://{place}"),
        format!("FILE://{place}"),
        format!("git+file://{place}"),
    ] {
        let refused = open(url_request(&url, None, None)).err().expect(&url);
        assert!(
            matches!(refused, GitError::Clone { .. }),
            "{url}: {refused}"
        );
    }
}

#[test]
fn submodules_and_lfs_of_it_are_read_by_nobody_else() {
    let host = Host::new();
    let module = host.simple("module");
    let path = host.simple("repo");
    let url = format!("file://{}", module.display());
    git(&path, &["submodule", "--quiet", "add", &url, "sub"]);
    commit_all(&path, "submodule");
    let copied = copy(file_url(&path));
    assert!(!copied.has("sub/a.txt"));
    assert!(!copied.has(".git/modules"));
    // A path: what this machine has of it, and nothing is fetched.
    assert!(copy(request(&path, Copy::Clean)).has("sub/a.txt"));
    std::fs::remove_dir_all(path.join(".git/modules")).unwrap();
    std::fs::remove_dir_all(path.join("sub")).unwrap();
    assert!(!copy(request(&path, Copy::Clean)).has("sub/a.txt"));
}

#[test]
fn no_repository_names_another_of_this_machine_as_its_lfs_server() {
    let this = "local_urls::no_repository_names_another_of_this_machine_as_its_lfs_server";
    if let Some(path) = std::env::var_os("AMIKA_TEST_HOSTILE") {
        let path = PathBuf::from(path);
        let server = Server::start(path.join("served.git"));
        for url in [
            format!("http://me:s3cretTOKEN@127.0.0.1:{}/served.git", server.port),
            format!("file://{}", path.join("repo").display()),
        ] {
            let copied = copy(url_request(&url, None, None));
            assert!(copied.read("a.bin").starts_with("version https://git-lfs"));
            is_without_secret(&copied);
        }
        return;
    }
    let host = Host::new();
    let private = host.empty("private", &[]);
    git(&private, &["lfs", "install", "--local", "--skip-repo"]);
    git(&private, &["lfs", "track", "--", "*.bin"]);
    write(&private, "secret.bin", SECRET);
    commit_all(&private, "private");
    let pointer = git(&private, &["cat-file", "blob", "HEAD:secret.bin"]);
    // What is no URL of this machine may become one by the user's own configuration.
    let root = host.path("");
    let root = root.to_str().unwrap().trim_end_matches('/');
    let home = tempfile::tempdir().unwrap();
    let config = format!(
        "[user]\n\tname = Me\n\temail = me@example.com\n\
         [url \"file://{root}/\"]\n\tinsteadOf = https://corp.invalid/\n\tinsteadOf = git@corp.invalid:\n\
         [url \"{root}/\"]\n\tinsteadOf = https://paths.invalid/\n\
         [url \"https://corp.invalid/\"]\n\tinsteadOf = corp:\n"
    );
    write(home.path(), ".gitconfig", config);
    for (number, named) in [
        format!("[lfs]\n\turl = file://{root}/private\n"),
        "[lfs]\n\turl = https://corp.invalid/private\n".into(),
        "[lfs]\n\turl = git@corp.invalid:private\n".into(),
        "[lfs]\n\turl = https://paths.invalid/private\n".into(),
        "[lfs]\n\turl = corp:private\n".into(),
        "[remote \"origin\"]\n\tlfsurl = https://corp.invalid/private\n".into(),
    ]
    .into_iter()
    .enumerate()
    {
        let parts = format!("hostile-{number}");
        let path = host.empty(&format!("{parts}/repo"), &[]);
        write(&path, ".gitattributes", "*.bin filter=lfs\n");
        write(&path, "a.bin", format!("{pointer}\n"));
        write(&path, ".lfsconfig", &named);
        commit_all(&path, "first");
        let served = host.path(&format!("{parts}/served.git"));
        let served = served.to_str().unwrap();
        git(&path, &["clone", "-q", "--bare", ".", served]);
        git(Path::new(served), &["update-server-info"]);
        let ended = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", this, "--nocapture"])
            .env("HOME", home.path())
            .env_remove("GIT_CONFIG_GLOBAL")
            .env_remove("XDG_CONFIG_HOME")
            .env("AMIKA_TEST_HOSTILE", host.path(&parts))
            .output()
            .unwrap();
        assert!(ended.status.success(), "{named}: {ended:?}");
    }
}
