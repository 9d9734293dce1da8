//! The copy with `--no-clean`: the same `git status` as on the host, whatever state it is in.

use pretty_assertions::assert_eq;

use crate::support::*;

fn same(path: &std::path::Path) -> Copied {
    let copied = copy(request(path, DIRTY));
    assert_eq!(status(&copied.path()), status(path));
    assert_eq!(copied.git(&["diff", "HEAD"]), git(path, &["diff", "HEAD"]));
    assert_eq!(
        copied.git(&["ls-files", "-s", "-t", "-v"]),
        git(path, &["ls-files", "-s", "-t", "-v"])
    );
    is_recorded(path);
    copied
}

/// The tree that is recorded is what `git add -A && git write-tree` says on the host.
fn is_recorded(path: &std::path::Path) {
    let repository = open(request(path, DIRTY)).unwrap();
    let snapshot = block_on(repository.snapshot()).unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let index = scratch.path().join("index");
    let git_dir = git(path, &["rev-parse", "--absolute-git-dir"]);
    std::fs::copy(std::path::Path::new(&git_dir).join("index"), &index).unwrap();
    let with_index = |arguments: &[&str]| {
        let mut command = git_command(path, arguments);
        let output = command.env("GIT_INDEX_FILE", &index).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    with_index(&["-c", "index.sparse=false", "add", "-A"]);
    let tree = with_index(&["write-tree"]);
    assert_eq!(snapshot.tree.as_deref(), Some(tree.trim()));
}

/// One of everything that `git status` can show of files.
fn changed(host: &Host) -> std::path::PathBuf {
    let path = host.empty("repo", &[]);
    for name in [
        "staged", "unstaged", "both", "deleted", "removed", "renamed", "mode", "kind", "dir/file",
        "same",
    ] {
        write(
            &path,
            name,
            format!("{name} with a few lines\nto be found again\n"),
        );
    }
    write(&path, ".gitignore", "ignored\nbuild/\n");
    commit_all(&path, "first");
    write(&path, "staged", "changed\n");
    write(&path, "both", "staged\n");
    git(&path, &["add", "staged", "both"]);
    write(&path, "both", "and changed\n");
    write(&path, "unstaged", "changed\n");
    std::fs::remove_file(path.join("deleted")).unwrap();
    git(&path, &["rm", "-q", "removed"]);
    git(&path, &["mv", "renamed", "new-name"]);
    make_executable(&path.join("mode"));
    std::fs::remove_file(path.join("kind")).unwrap();
    std::os::unix::fs::symlink("same", path.join("kind")).unwrap();
    write(&path, "untracked", "untracked\n");
    write(&path, "new/deep/file", "untracked\n");
    write(&path, "intent", "to add\n");
    git(&path, &["add", "-N", "intent"]);
    write(&path, "ignored", "ignored\n");
    write(&path, "build/output", "ignored\n");
    path
}

#[test]
fn every_kind_of_change_shows_as_on_the_host() {
    let host = Host::new();
    let path = changed(&host);
    let copied = same(&path);
    assert!(!copied.has("ignored") && !copied.has("build"));
    let mut expected = tree(&path);
    expected.retain(|path, _| path != "ignored" && !path.starts_with("build/"));
    assert_eq!(tree(&copied.path()), expected);
}

#[test]
fn ignored_files_come_when_asked_for_and_stay_ignored() {
    let host = Host::new();
    let path = changed(&host);
    write(
        &path,
        "by-exclude",
        "ignored by the repository's own rule\n",
    );
    write(&path, ".git/info/exclude", "by-exclude");
    assert!(!copy(request(&path, DIRTY)).has("by-exclude"));
    let copied = copy(request(&path, ALL));
    assert_eq!(tree(&copied.path()), tree(&path));
    assert_eq!(status(&copied.path()), status(&path));
}

#[test]
fn an_unfinished_merge_goes_on_in_the_copy() {
    let host = Host::new();
    let path = host.simple("repo");
    git(&path, &["switch", "-q", "-c", "other"]);
    write(&path, "a.txt", "theirs\n");
    commit_all(&path, "theirs");
    git(&path, &["switch", "-q", "main"]);
    write(&path, "a.txt", "ours\n");
    commit_all(&path, "ours");
    git_fails(&path, &["merge", "-q", "other"]);
    let copied = same(&path);
    assert!(status(&copied.path()).contains("u UU"));
    write(&copied.path(), "a.txt", "both\n");
    copied.git(&["add", "a.txt"]);
    copied.git(&["commit", "-q", "--no-edit"]);
    assert_eq!(
        copied
            .git(&["rev-list", "--parents", "-1", "HEAD"])
            .split(' ')
            .count(),
        3
    );
}

#[test]
fn an_unfinished_rebase_goes_on_in_the_copy() {
    let host = Host::new();
    let path = host.simple("repo");
    git(&path, &["switch", "-q", "-c", "topic"]);
    write(&path, "a.txt", "topic\n");
    commit_all(&path, "topic");
    git(&path, &["switch", "-q", "main"]);
    write(&path, "a.txt", "main\n");
    commit_all(&path, "main");
    git(&path, &["switch", "-q", "topic"]);
    git_fails(&path, &["rebase", "-q", "main"]);
    let copied = same(&path);
    write(&copied.path(), "a.txt", "both\n");
    copied.git(&["add", "a.txt"]);
    copied.git(&["-c", "core.editor=true", "rebase", "--continue"]);
    assert_eq!(copied.git(&["branch", "--show-current"]), "topic");
}

#[test]
fn every_form_of_index_is_understood() {
    let forms: [&[&str]; 5] = [
        &["update-index", "--index-version", "4"],
        &["update-index", "--split-index"],
        &["update-index", "--force-untracked-cache"],
        &["update-index", "--skip-worktree", "same"],
        &["update-index", "--assume-unchanged", "same"],
    ];
    for form in forms {
        let host = Host::new();
        let path = changed(&host);
        git(&path, form);
        let hidden = form.contains(&"same");
        if hidden {
            write(&path, "same", "hidden change\n");
        }
        let copied = same(&path);
        let output = git_command(&copied.path(), &["status"]).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{form:?}");
        if hidden {
            assert_eq!(copied.read("same"), "hidden change\n");
        }
    }
}

#[test]
fn a_sparse_checkout_stays_sparse() {
    let host = Host::new();
    let path = host.simple("repo");
    write(&path, "other/c.txt", "three\n");
    commit_all(&path, "second");
    git(
        &path,
        &["sparse-checkout", "set", "--cone", "--sparse-index", "src"],
    );
    assert!(!path.join("other").exists());
    let copied = copy(request(&path, DIRTY));
    assert_eq!(copied.git(&["status", "--porcelain"]), "");
    assert!(!copied.has("other") && copied.has("src/b.txt"));
    write(&path, "src/b.txt", "changed\n");
    write(&path, "src/new/x", "new\n");
    is_recorded(&path);
    let whole = copy(request(&path, amika_git::Copy::Clean));
    assert!(whole.has("other/c.txt"));
    assert_eq!(whole.git(&["status", "--porcelain"]), "");
}

#[test]
fn a_directory_replaced_by_a_link_is_not_read_through() {
    let host = Host::new();
    let path = host.simple("repo");
    write(&host.path("outside"), "b.txt", "of the host\n");
    std::fs::remove_dir_all(path.join("src")).unwrap();
    std::os::unix::fs::symlink("../outside", path.join("src")).unwrap();
    let copied = same(&path);
    assert_eq!(
        copied.path().join("src").read_link().unwrap(),
        std::path::Path::new("../outside")
    );
}

#[test]
fn the_stash_comes_along() {
    let host = Host::new();
    for (name, format) in [("files", "files"), ("table", "reftable")] {
        let path = host.empty(name, &[&format!("--ref-format={format}")]);
        write(&path, "a.txt", "one\n");
        commit_all(&path, "first");
        for text in ["first stash\n", "second stash\n", "third stash\n"] {
            write(&path, "a.txt", text);
            git(&path, &["stash", "-q"]);
        }
        let copied = same(&path);
        let list = ["stash", "list", "--format=%H %gn %ge %gd %gs"];
        for date in ["--date=default", "--date=raw"] {
            let list = [&list[..], &[date]].concat();
            assert_eq!(copied.git(&list), git(&path, &list), "{name}");
        }
        copied.git(&["stash", "pop", "-q", "stash@{2}"]);
        assert_eq!(copied.read("a.txt"), "first stash\n");
        copied.git(&["reset", "-q", "--hard"]);
        copied.git(&["stash", "drop", "-q", "stash@{0}"]);
        copied.git(&["stash", "pop", "-q"]);
        assert_eq!(copied.read("a.txt"), "second stash\n");
    }
}

#[test]
fn a_bisection_goes_on_in_the_copy() {
    let host = Host::new();
    for (name, format) in [("files", "files"), ("table", "reftable")] {
        let path = host.empty(name, &[&format!("--ref-format={format}")]);
        let commits: Vec<String> = (0..8)
            .map(|number| {
                write(&path, "a.txt", format!("{number}\n"));
                commit_all(&path, &number.to_string())
            })
            .collect();
        git(&path, &["bisect", "start", "HEAD", &commits[0]]);
        git(&path, &["bisect", "good"]);
        let copied = same(&path);
        let now = |path: &std::path::Path| {
            [
                git(path, &["bisect", "log"]),
                git(path, &["rev-parse", "HEAD"]),
                git(path, &["for-each-ref", "refs/bisect"]),
            ]
        };
        assert_eq!(now(&copied.path()), now(&path), "{name}");
        for path in [&path, &copied.path()] {
            git(path, &["bisect", "bad"]);
        }
        assert_eq!(now(&copied.path()), now(&path), "{name}");
        copied.git(&["bisect", "reset"]);
        assert_eq!(copied.git(&["for-each-ref", "refs/bisect"]), "");
        assert_eq!(copied.git(&["branch", "--show-current"]), "main");
    }
}

#[test]
fn a_cherry_pick_goes_on_in_the_copy() {
    let host = Host::new();
    for (name, format) in [("files", "files"), ("table", "reftable")] {
        let path = host.empty(name, &[&format!("--ref-format={format}")]);
        write(&path, "a.txt", "one\n");
        commit_all(&path, "first");
        git(&path, &["switch", "-q", "-c", "other"]);
        write(&path, "a.txt", "other\n");
        commit_all(&path, "other");
        git(&path, &["switch", "-q", "main"]);
        write(&path, "a.txt", "main\n");
        commit_all(&path, "main");
        git_fails(&path, &["cherry-pick", "other"]);
        let copied = same(&path);
        write(&copied.path(), "a.txt", "both\n");
        copied.git(&["add", "a.txt"]);
        copied.git(&["-c", "core.editor=true", "cherry-pick", "--continue"]);
        assert_eq!(copied.git(&["log", "-1", "--format=%s"]), "other", "{name}");
    }
}

#[test]
fn permissions_of_a_file_system_without_them_come_from_the_index() {
    let host = Host::new();
    let path = host.simple("repo");
    make_executable(&path.join("a.txt"));
    commit_all(&path, "executable");
    git(&path, &["config", "core.fileMode", "false"]);
    std::fs::set_permissions(
        path.join("a.txt"),
        std::os::unix::fs::PermissionsExt::from_mode(0o644),
    )
    .unwrap();
    let copied = copy(request(&path, DIRTY));
    assert_eq!(copied.git(&["status", "--porcelain"]), "");
    assert_eq!(copied.git(&["config", "core.fileMode"]), "true");
}

#[test]
fn nobody_may_more_than_on_the_host() {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    let host = Host::new();
    let path = host.simple("repo");
    write(&path, ".gitignore", ".env\nprivate/\n");
    write(&path, "run", "#!/bin/sh\n");
    write(&path, "kept/secret", "tracked\n");
    make_executable(&path.join("run"));
    commit_all(&path, "second");
    let inner = host.simple("repo/own/inner");
    for (name, mode) in [
        ("run", 0o700),
        ("kept/secret", 0o600),
        ("kept", 0o750),
        ("a.txt", 0o664),
        ("src/b.txt", 0o400),
        (".env", 0o600),
        ("private/key", 0o400),
        ("private/deep/script", 0o711),
        ("private/deep", 0o500),
        ("private", 0o700),
        ("shared", 0o666),
        ("setuid", 0o4755),
        ("own/inner/a.txt", 0o640),
        ("own/inner", 0o711),
        ("own", 0o700),
    ] {
        if !path.join(name).exists() {
            write(&path, name, name);
        }
        std::fs::set_permissions(path.join(name), std::fs::Permissions::from_mode(mode)).unwrap();
    }
    let copied = copy(request(&path, ALL));
    let mode = |name: &str| {
        let meta = copied.path().join(name).symlink_metadata().expect(name);
        meta.mode() & 0o7777
    };
    for (name, expected) in [
        ("run", 0o700),
        ("kept/secret", 0o600),
        ("kept", 0o750),
        // As git has it.
        ("a.txt", 0o644),
        ("src/b.txt", 0o400),
        ("src", 0o755),
        (".env", 0o600),
        ("private/key", 0o400),
        ("private/deep/script", 0o711),
        ("private/deep", 0o500),
        ("private", 0o700),
        ("shared", 0o666),
        ("setuid", 0o755),
        ("own/inner/a.txt", 0o640),
        ("own/inner", 0o711),
        ("own", 0o700),
        (".git", 0o755),
    ] {
        assert_eq!(mode(name), expected, "{name}: {:o}", mode(name));
    }
    assert_eq!(status(&copied.path()), status(&path));
    assert_eq!(status(&copied.path().join("own/inner")), status(&inner));
    // So that the temporary directories can be removed by whoever runs this.
    for root in [&path, &copied.path()] {
        let deep = root.join("private/deep");
        std::fs::set_permissions(deep, std::fs::Permissions::from_mode(0o700)).unwrap();
    }
}

#[test]
fn the_snapshot_holds_the_tree_of_the_dirty_state() {
    let host = Host::new();
    let path = changed(&host);
    let repository = open(request(&path, DIRTY)).unwrap();
    let snapshot = block_on(repository.snapshot()).unwrap();
    assert!(snapshot.dirty);
    assert_eq!(snapshot.commit, Some(git(&path, &["rev-parse", "HEAD"])));
    let copied = copy(request(&path, DIRTY));
    copied.git(&["add", "-A"]);
    assert_eq!(snapshot.tree, Some(copied.git(&["write-tree"])));
    let clean = open(request(&path, amika_git::Copy::Clean)).unwrap();
    let snapshot = block_on(clean.snapshot()).unwrap();
    assert!(!snapshot.dirty);
    assert_eq!(
        snapshot.tree,
        Some(git(&path, &["rev-parse", "HEAD^{tree}"]))
    );
    assert_eq!(
        snapshot.refs["refs/heads/main"],
        git(&path, &["rev-parse", "main"])
    );
}

#[test]
fn without_any_commit_the_files_are_copied() {
    let host = Host::new();
    let path = host.empty("repo", &[]);
    write(&path, "untracked", "x\n");
    same_unborn(&path);
    write(&path, "staged", "x\n");
    git(&path, &["add", "staged"]);
    same_unborn(&path);
}

fn same_unborn(path: &std::path::Path) {
    let copied = copy(request(path, DIRTY));
    assert_eq!(status(&copied.path()), status(path));
    assert_eq!(tree(&copied.path()), tree(path));
}

#[test]
fn what_stands_at_a_path_and_is_not_copied_is_told_apart() {
    use amika_git::{Copy, LeftOut};
    const PATH: &str = ".amika/config.toml";
    let host = Host::new();
    let left_out = |path: &std::path::Path, mode| {
        let repository = open(request(path, mode)).unwrap();
        assert_eq!(block_on(repository.config_toml()).unwrap(), None);
        block_on(repository.left_out(PATH)).unwrap()
    };
    for is_committed in [false, true] {
        let path = host.simple(if is_committed { "committed" } else { "new" });
        if is_committed {
            write(&path, PATH, "# what was\n");
            commit_all(&path, "config");
            std::fs::remove_file(path.join(PATH)).unwrap();
        }
        assert_eq!(left_out(&path, DIRTY), None);
        std::fs::create_dir_all(path.join(".amika")).unwrap();
        let made = std::process::Command::new("mkfifo")
            .arg(path.join(PATH))
            .status();
        assert!(made.unwrap().success());
        for mode in [DIRTY, ALL] {
            assert_eq!(left_out(&path, mode), Some(LeftOut::Special("a FIFO")));
        }
        // Of what is committed nothing on the disk takes the place.
        if !is_committed {
            assert_eq!(left_out(&path, Copy::Clean), None);
        }
        std::fs::rename(path.join(PATH), path.join("pipe")).unwrap();
        std::os::unix::fs::symlink("../pipe", path.join(PATH)).unwrap();
        assert_eq!(left_out(&path, DIRTY), Some(LeftOut::Special("a FIFO")));
        std::fs::remove_file(path.join(PATH)).unwrap();
        let _listener = std::os::unix::net::UnixListener::bind(path.join(PATH)).unwrap();
        assert_eq!(left_out(&path, DIRTY), Some(LeftOut::Special("a socket")));
    }
    let path = host.simple("ignored");
    write(&path, ".gitignore", ".amika\n");
    write(&path, PATH, "# not copied\n");
    assert_eq!(left_out(&path, DIRTY), Some(LeftOut::Ignored));
    let repository = open(request(&path, ALL)).unwrap();
    assert!(block_on(repository.config_toml()).unwrap().is_some());
    assert_eq!(block_on(repository.left_out(PATH)).unwrap(), None);
}
