//! What is found to protect, in directories made for it.

use std::fs;
use std::os::unix::fs::symlink;

use pretty_assertions::assert_eq;

use super::*;

type Make<'e> = Box<dyn Fn(&Path) + 'e>;

/// A directory with what `entries` name: `a/` a directory, `a=text` a file, `a>to` a link.
fn tree(entries: &[&str]) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("a directory");
    let root = directory.path().canonicalize().expect("it is there");
    for entry in entries {
        let (path, make): (&str, Make<'_>) = if let Some((path, to)) = entry.split_once('>') {
            (path, Box::new(move |at| symlink(to, at).expect("a link")))
        } else if let Some((path, text)) = entry.split_once('=') {
            (
                path,
                Box::new(move |at| fs::write(at, text).expect("a file")),
            )
        } else {
            (
                entry.trim_end_matches('/'),
                Box::new(|at| fs::create_dir_all(at).expect("a directory")),
            )
        };
        let at = root.join(path);
        fs::create_dir_all(at.parent().expect("a parent")).expect("a directory");
        make(&at);
    }
    (directory, root)
}

fn mount(source: &Path) -> HostMount {
    format!("{}:/data:rw", source.display())
        .parse()
        .expect("a mount")
}

/// What is protected in a mount of `at`, relative to the tree.
fn found(entries: &[&str], at: &str) -> Vec<String> {
    let (_directory, root) = tree(entries);
    let protected =
        look(&mount(&root.join(at).canonicalize().expect("it is there"))).expect("no link");
    let paths = protected.paths.iter();
    paths
        .filter_map(|path| Some(path.strip_prefix(&root).ok()?.display().to_string()))
        .collect()
}

#[test]
fn what_is_there_of_the_names_is_protected_in_the_mount_itself() {
    let entries = [
        ".git/",
        ".amika/",
        ".envrc=",
        ".vscode/",
        ".idea/",
        ".gitignore=",
        "src/.vscode/",
    ];
    assert_eq!(
        found(&entries, "."),
        [".amika", ".envrc", ".git", ".idea", ".vscode"]
    );
    assert_eq!(found(&[".envrc=", "x="], "."), [".envrc"]);
    assert_eq!(found(&[".GIT/", ".Envrc="], "."), [".Envrc", ".GIT"]);
    assert_eq!(found(&["src/"], "."), [""; 0]);
}

#[test]
fn repositories_in_a_mount_are_protected_however_deep_they_are() {
    let entries = [
        "a/.git/",
        "a/.envrc=",
        "b/.envrc=",
        "c/d/.git=gitdir: x\n",
        "1/2/3/4/5/.git/",
        "1/2/3/4/5/6/7/8/9/10/11/12/.git/",
        "1/2/3/4/5/6/7/8/9/10/11/12/.envrc=",
    ];
    assert_eq!(
        found(&entries, "."),
        [
            "1/2/3/4/5/.git",
            "1/2/3/4/5/6/7/8/9/10/11/12/.envrc",
            "1/2/3/4/5/6/7/8/9/10/11/12/.git",
            "a/.envrc",
            "a/.git",
            "c/d/.git"
        ]
    );
}

#[test]
fn git_directories_that_a_file_names_are_protected_too() {
    let separate = [".git=gitdir: store\n", "store/config=", "x/"];
    assert_eq!(found(&separate, "."), [".git", "store"]);
    let worktrees = [
        "p/.bare/config=",
        "p/.bare/worktrees/main/commondir=../..\n",
        "p/.git=gitdir: ./.bare\n",
        "p/main/.git=gitdir: ../.bare/worktrees/main\n",
    ];
    assert_eq!(
        found(&worktrees, "p"),
        ["p/.bare", "p/.bare/worktrees/main", "p/.git", "p/main/.git"]
    );
    assert_eq!(
        found(&[".git/commondir=../store\n", "store/config="], "."),
        [".git", "store"]
    );
    // A file that names itself, or its own directory, ends.
    assert_eq!(
        found(&[".git=gitdir: .\n", "commondir=.\n", "config="], "."),
        [".git", "config"]
    );
}

#[test]
fn a_bare_repository_is_protected_as_a_whole() {
    let bare = [
        "HEAD=",
        "objects/",
        "refs/",
        "config=",
        "hooks/",
        "packed-refs=",
    ];
    assert_eq!(found(&bare, "."), [""]);
    let nested = [
        "r.git/HEAD=",
        "r.git/objects/",
        "r.git/refs/",
        "r.git/config>../c",
        "c=",
    ];
    assert_eq!(found(&nested, "."), ["c", "r.git"]);
    assert_eq!(
        found(
            &[
                "r.git/HEAD=",
                "r.git/objects/",
                "r.git/refs/",
                "r.git/hooks/"
            ],
            "r.git/hooks"
        ),
        ["r.git/hooks"]
    );
}

#[test]
fn a_mount_of_or_in_what_is_protected_is_protected() {
    let entries = [
        "r/.git/hooks/",
        "r/.vscode/snippets/",
        "r/src/",
        "x/.vscode/y/",
    ];
    for (at, expected) in [
        ("r/.git", vec!["r/.git"]),
        ("r/.git/hooks", vec!["r/.git"]),
        ("r/.vscode", vec!["r/.vscode"]),
        ("r/.vscode/snippets", vec!["r/.vscode"]),
        ("x/.vscode", vec!["x/.vscode"]),
        ("x/.vscode/y", vec![]),
        ("r/src", vec![]),
    ] {
        let found = found(&entries, at);
        assert_eq!(found, expected, "{at}");
    }
    assert_eq!(found(&["r/.envrc="], "r/.envrc"), ["r/.envrc"]);
}

#[test]
fn what_links_in_a_protected_directory_lead_to_is_protected() {
    let entries = [
        ".git/config>../store/config",
        "store/config=",
        ".git/up>..",
        ".vscode/tasks.json>../t",
        "t=",
    ];
    assert_eq!(
        found(&entries, "."),
        [".git", ".vscode", "store/config", "t"]
    );
}

#[test]
fn a_link_in_the_place_of_a_protected_entry_is_refused_and_not_followed() {
    for name in NAMES {
        let (_directory, root) = tree(&[&format!("r/{name}>../else"), "else/x="]);
        let refused = look(&mount(&root.join("r"))).expect_err("a link");
        assert_eq!(refused.kind, Kind::Invalid);
        assert!(
            refused
                .message
                .ends_with("is a link, which cannot be made read-only"),
            "{refused:?}"
        );
    }
    let (_directory, root) = tree(&["a/.git/", "a/.envrc>../x", "x="]);
    let protected = look(&mount(&root)).expect("deeper ones are told");
    assert_eq!(protected.paths, BTreeSet::from([root.join("a/.git")]));
    assert!(
        protected.warnings[0].contains("a/.envrc cannot be protected"),
        "{protected:?}"
    );
}

#[test]
fn a_hostile_tree_is_not_looked_through_for_ever() {
    let many: Vec<String> = (0..60).map(|n| format!("r{n}/.git/")).collect();
    let (_directory, root) = tree(&many.iter().map(String::as_str).collect::<Vec<_>>());
    let protected = look(&mount(&root)).expect("no link");
    assert_eq!(protected.paths.len(), REPOSITORIES);
    assert!(
        protected.warnings[0].contains("too many repositories"),
        "{protected:?}"
    );
    // Where the look ends is said, with the place; what is nearer was protected.
    let (_directory, root) = tree(&["a/.git/", "b/c/1", "b/c/.git/", "b/c/d/e/.git/"]);
    let later = Instant::now() + TIME;
    let cut = look_until(&mount(&root), 4, later).expect("no link");
    assert!(cut.paths.contains(&root.join("a/.git")), "{cut:?}");
    assert!(!cut.paths.contains(&root.join("b/c/d/e/.git")), "{cut:?}");
    assert_eq!(cut.warnings.len(), 1, "{cut:?}");
    let warning = &cut.warnings[0];
    assert!(
        warning.contains("too many files to look through"),
        "{warning}"
    );
    let place = format!("from {} on", root.join("b/c").display());
    assert!(warning.contains(&place), "{warning}");
    let late = look_until(&mount(&root), ENTRIES, Instant::now()).expect("no link");
    let warning = &late.warnings[0];
    assert!(
        warning.contains("it takes too long to look through"),
        "{warning}"
    );
    assert!(
        warning.contains(&format!("from {} on", root.display())),
        "{warning}"
    );
    // Depth costs mounts, and their paths have an end.
    let deep = format!("{}r/.git/", "d/".repeat(100));
    let (_directory, root) = tree(&[deep.as_str(), "x/.git/"]);
    let cut = look(&mount(&root)).expect("no link");
    assert_eq!(cut.paths, BTreeSet::from([root.join("x/.git")]));
    assert!(
        cut.warnings[0].contains("deeper than 64 directories"),
        "{cut:?}"
    );
    let many: Vec<String> = (0..30)
        .map(|n| format!("r{n}/{}.git/", "d/".repeat(40)))
        .collect();
    let (_directory, root) = tree(&many.iter().map(String::as_str).collect::<Vec<_>>());
    let cut = look(&mount(&root)).expect("no link");
    assert_eq!(cut.paths.len(), HELD / 41, "{cut:?}");
    assert!(cut.warnings[0].contains("too many repositories"), "{cut:?}");
    // A name of a sandbox's begins no line of its own.
    let (_directory, root) = tree(&["a\nwarning: all is well/.git/", "b/"]);
    let cut = look_until(&mount(&root), 2, later).expect("no link");
    assert!(
        cut.warnings.iter().all(|line| line.lines().count() == 1),
        "{cut:?}"
    );
    let said = told(
        &mount(&root),
        &look(&mount(&root)).expect("no link").paths,
        false,
    );
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains("a\\nwarning"), "{said}");
    // What all is looked through is told of by nobody.
    assert_eq!(look(&mount(&root)).expect("no link").warnings, [""; 0]);
    // A pipe in the place of a file is not waited for.
    let (_directory, root) = tree(&["x/"]);
    let mode = rustix::fs::Mode::RUSR;
    rustix::fs::mknodat(
        rustix::fs::CWD,
        root.join(".git"),
        rustix::fs::FileType::Fifo,
        mode,
        0,
    )
    .expect("a pipe");
    assert_eq!(look(&mount(&root)).expect("no link").paths.len(), 1);
}

#[test]
fn what_is_read_only_is_said_with_the_way_out() {
    let mount: HostMount = "/src:/data:rw".parse().expect("a mount");
    let protected = |names: &[&str]| names.iter().map(PathBuf::from).collect::<BTreeSet<_>>();
    assert_eq!(
        told(
            &mount,
            &protected(&["/src/.git", "/src/x/.git", "/other"]),
            false
        ),
        "--mount /src:/data:rw: read-only in the sandbox: .git, x/.git (`git commit` needs `--writable-git`); not \
         protected, since not there: .amika, .envrc, .vscode, .idea"
    );
    let all = [
        "/src/.git",
        "/src/.amika",
        "/src/.Envrc",
        "/src/.vscode",
        "/src/.idea",
    ];
    let said = told(&mount, &protected(&all), false);
    assert!(
        said.ends_with("(`git commit` needs `--writable-git`)"),
        "{said}"
    );
    assert_eq!(
        told(&mount, &protected(&[]), false),
        "--mount /src:/data:rw: not protected, since not there: .git, .amika, .envrc, .vscode, .idea"
    );
    assert!(told(&mount, &protected(&["/src"]), true).contains("read-only in the sandbox, for"));
}

#[test]
fn who_has_all_rights_is_told_to_be_able_to_unmount_it() {
    let protected = BTreeSet::from([PathBuf::from("/src/.git")]);
    assert!(unmountable(true, &protected).is_some_and(|told| told.contains("may unmount")));
    assert_eq!(unmountable(false, &protected), None);
    assert_eq!(unmountable(true, &BTreeSet::new()), None);
}
