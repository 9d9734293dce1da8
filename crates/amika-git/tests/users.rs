//! What the user has set for all repositories, or for one, and what of it holds in the copy.

use std::path::Path;

use amika_git::Copy;
use pretty_assertions::assert_eq;

use crate::support::*;

/// What `git status` says by default, every option left to the configuration.
fn plain(path: &Path, git: impl Fn(&Path, &[&str]) -> String) -> [String; 2] {
    ["--porcelain=v2", "--short"].map(|form| git(path, &["status", form]))
}

#[test]
fn the_users_attributes_hold_where_the_tree_has_none() {
    let attributes = "*.txt eol=crlf\n*.up filter=up\n*.bin -text\n";
    let config = "[filter \"up\"]\n\tsmudge = tr a-z A-Z\n\tclean = tr A-Z a-z\n";
    let this = "users::the_users_attributes_hold_where_the_tree_has_none";
    for (test, file) in [(this, ".config/git/attributes"), (this, "elsewhere")] {
        let named = format!("{config}[core]\n\tattributesFile = ~/{file}\n");
        let config = if file == "elsewhere" { &named } else { config };
        if is_user_with(test, &[(".gitconfig", config), (file, attributes)]) {
            return users_attributes_hold();
        }
    }
}

fn users_attributes_hold() {
    let host = Host::new();
    let module = host.simple("module");
    let path = host.simple("repo");
    write(&path, "of-the-tree/.gitattributes", "*.txt eol=lf\n");
    write(&path, "of-the-tree/a.txt", "lf\n");
    write(&path, "x.up", "shout\n");
    git(
        &path,
        &[
            "submodule",
            "--quiet",
            "add",
            module.to_str().unwrap(),
            "deep/sub",
        ],
    );
    commit_all(&path, "second");
    let cloned = host.path("cloned");
    let from = path.to_str().unwrap();
    users_git(
        &host.path(""),
        &["clone", "-q", "--recurse-submodules", from, "cloned"],
    );
    assert_eq!(std::fs::read(cloned.join("a.txt")).unwrap(), b"one\r\n");
    let copied = copy(request(&path, Copy::Clean));
    assert_eq!(tree(&copied.path()), tree(&cloned));
    assert_eq!(copied.read("x.up"), "SHOUT\n");
    assert_eq!(copied.git(&["status", "--porcelain"]), "");
    let inner = copied.path().join("deep/sub");
    assert_eq!(
        git(&inner.join("src"), &["check-attr", "eol", "b.txt"]),
        "b.txt: eol: crlf"
    );

    write(&cloned, "a.txt", "changed\r\n");
    write(&cloned, "src/b.txt", "two\n");
    write(&cloned, "deep/sub/a.txt", "changed\r\n");
    let copied = copy(request(&cloned, DIRTY));
    assert_eq!(plain(&copied.path(), git), plain(&cloned, users_git));
    assert_eq!(tree(&copied.path()), tree(&cloned));
}

#[test]
fn attributes_that_a_repository_names_are_those_of_its_work_tree() {
    let host = Host::new();
    let path = host.simple("repo");
    write(&host.path("private"), "secret", "*.txt eol=crlf\n");
    let secret = host.path("private/secret");
    git(
        &path,
        &["config", "core.attributesFile", secret.to_str().unwrap()],
    );
    let copied = copy(request(&path, Copy::Clean));
    assert_eq!(copied.read("a.txt"), "one\n");
    assert!(!copied.has(".git/info/user-attributes"));
    write(&path, "src/rules", "*.txt eol=crlf\n");
    git(&path, &["config", "core.attributesFile", "src/rules"]);
    let copied = copy(request(&path, Copy::Clean));
    assert_eq!(copied.read("a.txt"), "one\r\n");
    assert_eq!(copied.git(&["status", "--porcelain"]), "");
}

#[test]
fn remotes_mean_the_same_without_the_settings_that_rewrite_them() {
    let config = "[url \"https://me:TOKEN@example.com/\"]\n\tinsteadOf = ex:\n\
        [url \"git@example.com:\"]\n\tpushInsteadOf = https://example.com/\n\
        [url \"/srv/mirror/\"]\n\tinsteadOf = ex:mirrored/\n";
    let this = "users::remotes_mean_the_same_without_the_settings_that_rewrite_them";
    if !is_user_with(this, &[(".gitconfig", config)]) {
        return;
    }
    let host = Host::new();
    let path = host.simple("repo");
    for (name, url) in [
        ("origin", "ex:me/app.git"),
        ("mirror", "ex:mirrored/app.git"),
        ("plain", "https://example.com/me/app.git"),
        ("both", "https://example.com/me/both.git"),
    ] {
        git(&path, &["remote", "add", name, url]);
    }
    git(
        &path,
        &["remote", "set-url", "--push", "both", "ex:me/other.git"],
    );
    git(&path, &["config", "remote.pushDefault", "plain"]);
    let expected = users_git(&path, &["remote", "-v"]);
    assert!(expected.contains("plain\tgit@example.com:me/app.git (push)"));
    let copied = copy(request(&path, Copy::Clean));
    assert_eq!(
        copied.git(&["remote", "-v"]),
        expected.replace("me:TOKEN@", "")
    );
    assert_eq!(copied.git(&["config", "remote.pushDefault"]), "plain");
    assert!(!copied.read(".git/config").contains("TOKEN"));
    assert_eq!(
        copied.repository.facts().remotes["origin"],
        "https://example.com/me/app.git"
    );
}

#[test]
fn what_git_status_shows_is_set_as_on_the_host() {
    let host = Host::new();
    let module = host.simple("module");
    let path = host.simple("repo");
    write(&path, "\u{e4}.txt", "umlaut\n");
    for name in ["one", "two"] {
        let from = module.to_str().unwrap();
        git(&path, &["submodule", "--quiet", "add", from, name]);
    }
    commit_all(&path, "modules");
    write(&path, "one/a.txt", "changed\n");
    write(&path, "two/untracked", "new\n");
    write(&path, "untracked/file", "new\n");
    write(&path, "\u{e4}.txt", "changed\n");
    git(&path, &["mv", "a.txt", "renamed.txt"]);
    let same = || {
        let copied = copy(request(&path, DIRTY));
        assert_eq!(plain(&copied.path(), git), plain(&path, git));
        plain(&path, git)[1].clone()
    };
    let mut seen = vec![same()];
    for (key, value) in [
        ("submodule.one.ignore", "dirty"),
        ("submodule.two.ignore", "untracked"),
        ("status.showUntrackedFiles", "all"),
        ("core.quotePath", "false"),
        ("status.renames", "false"),
        ("diff.ignoreSubmodules", "none"),
        ("status.showUntrackedFiles", "no"),
    ] {
        git(&path, &["config", key, value]);
        let shown = same();
        assert!(
            key == "diff.ignoreSubmodules" || !seen.contains(&shown),
            "{key}: {shown}"
        );
        seen.push(shown);
    }
    git(&path, &["config", "--remove-section", "submodule.one"]);
    git(&path, &["config", "diff.ignoreSubmodules", "all"]);
    same();
}
