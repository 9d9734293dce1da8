//! The clean copy: what `git checkout` of the branch gives, and nothing that is not committed.

use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use amika_git::{Copy, Kind};
use pretty_assertions::assert_eq;

use crate::support::*;

#[test]
fn a_clean_copy_is_what_a_clone_checks_out() {
    let host = Host::new();
    let path = host.simple("repo");
    make_executable(&path.join("a.txt"));
    commit_all(&path, "executable");
    let copied = copy(request(&path, Copy::Clean));
    assert_eq!(tree(&copied.path()), tree(&path));
    assert_eq!(status(&copied.path()), status(&path));
    assert_eq!(copied.git(&["status", "--porcelain"]), "");
    assert_eq!(
        copied.git(&["log", "--format=%H %s"]),
        git(&path, &["log", "--format=%H %s"])
    );
    let facts = copied.repository.facts();
    assert_eq!(facts.name, "repo");
    assert_eq!(facts.branch.as_deref(), Some("main"));
    assert!(!facts.is_dirty);
    assert_eq!(facts.warnings, Vec::<String>::new());
}

#[test]
fn nothing_uncommitted_comes_along_not_even_as_an_object() {
    let host = Host::new();
    let path = host.simple("repo");
    write(&path, "a.txt", "changed\n");
    write(&path, "untracked", "untracked\n");
    write(&path, "staged", "a secret that was staged\n");
    git(&path, &["add", "staged"]);
    let staged = git(&path, &["rev-parse", ":staged"]);
    git(&path, &["stash", "-q"]);
    let stash = git(&path, &["rev-parse", "refs/stash"]);
    write(&path, "a.txt", "changed again\n");
    std::fs::remove_file(path.join("src/b.txt")).unwrap();
    let copied = copy(request(&path, Copy::Clean));
    assert_eq!(copied.git(&["status", "--porcelain"]), "");
    assert_eq!(copied.read("a.txt"), "one\n");
    assert!(!copied.has("untracked") && copied.has("src/b.txt"));
    for object in [staged, stash] {
        git_fails(&copied.path(), &["cat-file", "-e", &object]);
    }
    assert!(copied.repository.facts().is_dirty);
    assert!(copied.repository.facts().warnings[0].contains("--no-clean"));
}

#[test]
fn odd_names_links_and_long_paths_survive() {
    let host = Host::new();
    let path = host.empty("repo", &[]);
    let long = format!(
        "{}/{}",
        ["directory-with-a-name"; 14].join("/"),
        "x".repeat(200)
    );
    for name in [
        "-dash",
        "line\nend",
        "tab\tname",
        "quote\"'",
        "ünïcode",
        " space ",
        ":colon",
        "a*b",
        "back\\slash",
    ] {
        write(&path, name, name);
    }
    write(&path, &long, "long\n");
    write(
        &path,
        Path::new(std::ffi::OsStr::from_bytes(b"latin-\xff")),
        "bytes\n",
    );
    write(&path, "empty", "");
    write(&path, "binary", [0, 255, 10, 13, 0]);
    let hundred = "h".repeat(100);
    write(&path, &hundred, "exactly as long as the field\n");
    for (name, target) in [
        ("link", "empty"),
        ("dangling", "nowhere"),
        ("absolute", "/etc/hostname"),
        ("dir/up", "../a//./b"),
        ("long-target", &"t".repeat(300)),
    ] {
        std::fs::create_dir_all(path.join("dir")).unwrap();
        std::os::unix::fs::symlink(target, path.join(name)).unwrap();
    }
    commit_all(&path, "odd");
    for mode in [Copy::Clean, DIRTY] {
        let copied = copy(request(&path, mode));
        assert_eq!(tree(&copied.path()), tree(&path), "{mode:?}");
        assert_eq!(copied.git(&["status", "--porcelain"]), "", "{mode:?}");
    }
}

#[test]
fn line_ends_encodings_and_filters_are_as_checkout_makes_them() {
    let users = "[filter \"up\"]\n\tsmudge = tr a-z A-Z\n\tclean = tr A-Z a-z\n";
    let this = "clean::line_ends_encodings_and_filters_are_as_checkout_makes_them";
    if !is_user_with(this, &[(".gitconfig", users)]) {
        return;
    }
    let host = Host::new();
    let path = host.empty("repo", &[]);
    write(
        &path,
        ".gitattributes",
        "*.bat eol=crlf\n*.id ident\n*.u16 working-tree-encoding=UTF-16LE\n*.up filter=up\nsub/.gitattributes -text\n",
    );
    write(&path, "sub/.gitattributes", "*.txt eol=crlf\n");
    // The same for the host's own git, which here has no user.
    git(&path, &["config", "filter.up.smudge", "tr a-z A-Z"]);
    git(&path, &["config", "filter.up.clean", "tr A-Z a-z"]);
    write(&path, "run.bat", "one\r\ntwo\r\n");
    write(&path, "x.id", "$Id$\n");
    write(&path, "x.u16", [b'h', 0, b'i', 0, b'\n', 0]);
    write(&path, "x.up", "SHOUT\n");
    write(&path, "sub/x.txt", "crlf\r\n");
    write(&path, "plain.txt", "plain\r\n");
    // More than are converted at once.
    for number in 0..300 {
        write(&path, format!("many/{number}.bat"), format!("{number}\r\n"));
    }
    commit_all(&path, "attributes");
    git(&path, &["rm", "-q", "--cached", "-r", "."]);
    git(&path, &["reset", "-q", "--hard"]);
    assert_eq!(
        std::fs::read_to_string(path.join("x.up")).unwrap(),
        "SHOUT\n"
    );
    // The host's work tree says something else; the commit's attributes count.
    let expected = tree(&path);
    write(&path, ".gitattributes", "* -text\n");
    let copied = copy(request(&path, Copy::Clean));
    let mut found = tree(&copied.path());
    assert_eq!(copied.read("x.up"), "SHOUT\n");
    assert!(copied.read("x.id").starts_with("$Id: "));
    assert_eq!(
        found.remove(".gitattributes"),
        expected.get(".gitattributes").cloned()
    );
    found.insert(".gitattributes".into(), expected[".gitattributes"].clone());
    assert_eq!(found, expected);
    assert_eq!(copied.git(&["status", "--porcelain"]), "");
}

#[test]
fn autocrlf_of_the_host_holds_in_the_copy() {
    let host = Host::new();
    let path = host.simple("repo");
    git(&path, &["config", "core.autocrlf", "true"]);
    let copied = copy(request(&path, Copy::Clean));
    assert_eq!(copied.read("a.txt"), "one\r\n");
    assert_eq!(copied.git(&["status", "--porcelain"]), "");
}

#[test]
fn export_attributes_do_not_change_a_copy() {
    let host = Host::new();
    let path = host.empty("repo", &[]);
    write(
        &path,
        ".gitattributes",
        "hidden export-ignore\nversion export-subst\n",
    );
    write(&path, "hidden", "here\n");
    write(&path, "version", "$Format:%H$\n");
    commit_all(&path, "export");
    let copied = copy(request(&path, Copy::Clean));
    assert_eq!(tree(&copied.path()), tree(&path));
}

#[test]
fn the_configuration_keeps_remotes_and_the_user_and_leaves_secrets() {
    let host = Host::new();
    let path = host.simple("repo");
    for (key, value) in [
        ("remote.origin.url", "https://me:TOKEN1@example.com/a.git"),
        ("remote.origin.pushurl", "https://TOKEN2@example.com/a.git"),
        ("remote.origin.fetch", "+refs/heads/*:refs/remotes/origin/*"),
        ("remote.fork.url", "git@example.com:me/a.git"),
        ("branch.main.remote", "origin"),
        ("branch.main.merge", "refs/heads/main"),
        ("url.https://TOKEN3@example.com/.insteadOf", "gh:"),
        (
            "http.https://example.com/.extraHeader",
            "Authorization: TOKEN4",
        ),
        ("credential.helper", "store TOKEN5"),
    ] {
        git(&path, &["config", key, value]);
    }
    git(&path, &["update-ref", "refs/remotes/origin/main", "HEAD"]);
    git(
        &path,
        &[
            "symbolic-ref",
            "refs/remotes/origin/HEAD",
            "refs/remotes/origin/main",
        ],
    );
    git(&path, &["tag", "-a", "v1", "-m", "v1"]);
    let copied = copy(request(&path, Copy::Clean));
    let config = copied.read(".git/config");
    assert!(!config.contains("TOKEN"), "{config}");
    assert_eq!(
        copied.git(&["remote", "get-url", "origin"]),
        "https://example.com/a.git"
    );
    assert_eq!(
        copied.git(&["remote", "get-url", "fork"]),
        "git@example.com:me/a.git"
    );
    assert_eq!(
        copied.git(&["rev-parse", "--symbolic-full-name", "@{u}"]),
        "refs/remotes/origin/main"
    );
    assert_eq!(
        copied.git(&["symbolic-ref", "refs/remotes/origin/HEAD"]),
        "refs/remotes/origin/main"
    );
    assert_eq!(copied.git(&["for-each-ref"]), git(&path, &["for-each-ref"]));
    assert_eq!(copied.git(&["config", "--local", "user.name"]), "Host User");
    assert_eq!(
        copied.git(&["config", "--local", "user.email"]),
        "host@example.com"
    );
    assert_eq!(
        copied.repository.facts().remotes["origin"],
        "https://example.com/a.git"
    );
    copied.git(&["commit", "-q", "--allow-empty", "-m", "works"]);
    assert!(!copied.has(".git/hooks"));
}

#[test]
fn config_and_entries_are_those_of_the_chosen_branch() {
    let host = Host::new();
    let path = host.simple("repo");
    write(&path, ".amika/config.toml", "# main\n");
    write(&path, "setup.sh", "#!/bin/sh\n");
    make_executable(&path.join("setup.sh"));
    std::os::unix::fs::symlink("/etc/passwd", path.join("out")).unwrap();
    commit_all(&path, "config");
    write(&path, ".amika/config.toml", "# changed\n");
    let clean = open(request(&path, Copy::Clean)).unwrap();
    let dirty = open(request(&path, DIRTY)).unwrap();
    let text =
        |repository: &amika_git::Repository| block_on(repository.config_toml()).unwrap().unwrap();
    assert_eq!(text(&clean), b"# main\n");
    assert_eq!(text(&dirty), b"# changed\n");
    for repository in [clean, dirty] {
        let entry = |path| block_on(repository.entry(path));
        let kind = |path| entry(path).unwrap().map(|entry| entry.kind);
        assert_eq!(kind("setup.sh"), Some(Kind::File { executable: true }));
        assert_eq!(kind("src/b.txt"), Some(Kind::File { executable: false }));
        assert_eq!(kind("src"), Some(Kind::Directory));
        assert_eq!(kind("none"), None);
        assert!(entry("out").is_err() && entry("../x").is_err());
    }
}
