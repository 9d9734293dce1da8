//! Git directories of hostile sandboxes, in every order, under every name, beside what is there already.

use std::process::Command;

use super::*;

/// What git runs where it acts on this configuration.
const CONFIG: &str = "[core]\n\tfsmonitor = \"touch PWNED; false\"\n\tbare = false\n\
    [alias]\n\tst = !touch PWNED\n[include]\n\tpath = more\n[remote \"origin\"]\n\turl = https://example.com/a\n";

/// The parts of a git directory, each as it would be in an archive.
pub(super) fn parts(directory: &str) -> Vec<(EntryType, String, &'static str, &'static str)> {
    let file = |name: &str, content| {
        (
            EntryType::Regular,
            format!("{directory}/{name}"),
            "",
            content,
        )
    };
    let made = |name: &str| (EntryType::Directory, format!("{directory}/{name}"), "", "");
    vec![
        file("HEAD", "ref: refs/heads/main\n"),
        file("config", CONFIG),
        file("more", "[alias]\n\tst = !touch PWNED\n"),
        file("config.worktree", CONFIG),
        made("hooks"),
        file("hooks/post-checkout", "#!/bin/sh\ntouch PWNED\n"),
        file("info/attributes", "* filter=evil\n"),
        file("objects/info/alternates", "/etc\n"),
        made("refs"),
        file("rebase-merge/git-rebase-todo", "exec touch PWNED\n"),
        file("remotes/evil", "URL: ext::touch PWNED\n"),
    ]
}

pub(super) fn archive(
    parts: impl IntoIterator<Item = (EntryType, String, &'static str, &'static str)>,
) -> Hostile {
    parts.into_iter().fold(Hostile::new(), |archive, part| {
        let (kind, name, link, content) = part;
        archive.entry(kind, &name, link, 0o755, content.as_bytes())
    })
}

/// Calls git in a directory as a user would, and tells whether something of the sandbox ran.
fn git_runs_nothing(at: &Path) {
    for arguments in [
        &["status"][..],
        &["st"],
        &["config", "--list"],
        &["checkout", "-q", "main"],
    ] {
        // Whether it succeeds is no matter.
        let _ = Command::new("git")
            .args(arguments)
            .current_dir(at)
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .output()
            .unwrap();
    }
    for place in at.ancestors().take(3) {
        assert!(!place.join("PWNED").exists(), "{}", place.display());
    }
}

pub(super) fn is_inert(git_directory: &Path) {
    let config = std::fs::read_to_string(git_directory.join("config")).unwrap_or_default();
    assert!(
        !config.contains("PWNED") && !config.contains("more"),
        "{config}"
    );
    for name in [
        "config.worktree",
        "hooks",
        "info/attributes",
        "objects/info/alternates",
        "rebase-merge",
        "remotes",
    ] {
        let gone = git_directory.join(name).symlink_metadata().is_err();
        assert!(gone, "{name} in {}", git_directory.display());
    }
    let left = std::fs::read_dir(git_directory).unwrap().flatten();
    for entry in left {
        let name = entry.file_name().into_string().unwrap();
        assert!(!name.starts_with(".amika"), "{name}");
    }
}

#[test]
fn a_git_directory_is_inert_in_whatever_order_it_comes() {
    let count = parts("x").len();
    for first in 0..count {
        for is_reversed in [false, true] {
            for name in [
                "proj/.git",
                "proj/bare.git",
                "proj/a/.git/modules/b",
                "proj/odd",
            ] {
                let (_stage, beneath) = stage();
                let mut parts = parts(name);
                parts.rotate_left(first);
                if is_reversed {
                    parts.reverse();
                }
                let report = archive(parts).unpack(Names::kept(), &beneath).unwrap();
                assert_eq!(report.inert_count, 1, "{name} {first}: {report:?}");
                assert_eq!(report.inert[0].path, name);
                is_inert(&beneath.join(name));
                let head = std::fs::read_to_string(beneath.join(name).join("HEAD")).unwrap();
                assert_eq!(head, "ref: refs/heads/main\n");
                if first == 0 {
                    git_runs_nothing(&beneath.join("proj"));
                    git_runs_nothing(&beneath.join(name));
                }
            }
        }
    }
}

#[test]
fn parts_that_come_twice_or_as_links_are_as_inert() {
    let link = |name: &str, target: &'static str| {
        (EntryType::Symlink, format!("proj/.git/{name}"), target, "")
    };
    let hard = |name: &str, target: &'static str| {
        (EntryType::Link, format!("proj/.git/{name}"), target, "")
    };
    let file = |name: &str, content| (EntryType::Regular, format!("proj/{name}"), "", content);
    let directory = |name: &str| (EntryType::Directory, format!("proj/{name}"), "", "");
    let evil = || file("evil", CONFIG);
    for further in [
        vec![
            file(".git/HEAD", "ref: refs/heads/main\n"),
            file(".git/config", CONFIG),
        ],
        vec![evil(), link("config", "../evil")],
        vec![evil(), hard("config", "proj/evil")],
        vec![evil(), hard("config.worktree", "proj/evil")],
        vec![
            directory("h"),
            file("h/post-checkout", "#!/bin/sh\ntouch PWNED\n"),
            link("moved", "../h"),
        ],
        vec![
            directory(".git/config.d"),
            file(".git/refs/heads/main", "x"),
        ],
    ] {
        let (_stage, beneath) = stage();
        let all = parts("proj/.git").into_iter().chain(further);
        archive(all).unpack(Names::kept(), &beneath).unwrap();
        is_inert(&beneath.join("proj/.git"));
        git_runs_nothing(&beneath.join("proj"));
    }
    // Directories that are links into the copy, where the same files stand.
    let (_stage, beneath) = stage();
    archive(vec![
        directory("store"),
        file("store/info/alternates", "/etc\n"),
        file("h/post-checkout", "#!/bin/sh\ntouch PWNED\n"),
        file("i/attributes", "* filter=evil\n"),
        link("objects", "../store"),
        link("hooks", "../h"),
        link("info", "../i"),
        link("config", "../evil"),
        evil(),
        (EntryType::Directory, "proj/.git/refs".into(), "", ""),
        link("HEAD", "refs/heads/main"),
    ])
    .unpack(Names::kept(), &beneath)
    .unwrap();
    for name in ["objects", "hooks", "info"] {
        assert!(!beneath.join("proj/.git").join(name).is_symlink(), "{name}");
    }
    is_inert(&beneath.join("proj/.git"));
}

#[test]
fn a_configuration_elsewhere_is_not_reached_through_a_pointer() {
    // A common directory that has no HEAD of its own.
    for common in ["../evil", "../../evil", "/tmp/evil", "../..", "..", "."] {
        let (_stage, beneath) = stage();
        Hostile::new()
            .file("proj/evil/config", CONFIG)
            .directory("proj/evil/objects")
            .directory("proj/evil/refs")
            .file("proj/config", CONFIG)
            .directory("proj/objects")
            .directory("proj/refs")
            .file("proj/a/.git/commondir", common)
            .file("proj/a/.git/HEAD", "ref: refs/heads/main\n")
            .unpack(Names::kept(), &beneath)
            .unwrap();
        assert!(!beneath.join("proj/a/.git/commondir").exists(), "{common}");
        git_runs_nothing(&beneath.join("proj/a"));
        git_runs_nothing(&beneath.join("proj/a/.git"));
        // What is no git directory stays as it is.
        let config = std::fs::read_to_string(beneath.join("proj/evil/config")).unwrap();
        assert_eq!(config, CONFIG);
    }
    // That of an honest linked work tree stays.
    let (_stage, beneath) = stage();
    archive(parts("proj/.git"))
        .file("proj/.git/worktrees/w/HEAD", "ref: refs/heads/w\n")
        .file("proj/.git/worktrees/w/commondir", "../..\n")
        .file("proj/.git/worktrees/w/gitdir", "/home/amika/w/.git\n")
        .file("proj/.git/worktrees/w/config.worktree", CONFIG)
        .unpack(Names::kept(), &beneath)
        .unwrap();
    let linked = beneath.join("proj/.git/worktrees/w");
    assert!(linked.join("commondir").exists());
    assert!(!linked.join("gitdir").exists() && !linked.join("config.worktree").exists());
}

#[test]
fn files_that_lead_to_a_git_directory_lead_into_the_copy() {
    for (text, stays) in [
        ("gitdir: ../.git/modules/sub\n", true),
        ("gitdir: evil\n", true),
        ("nothing of git's\n", true),
        ("gitdir: /tmp/evil\n", false),
        ("gitdir: ../../evil\n", false),
        ("gitdir: evil/../../../x\n", false),
        ("gitdir:/tmp/evil\n", false),
        ("gitdir: \n", false),
    ] {
        for name in [
            "proj/sub/.git",
            "proj/sub/.GIT",
            "proj/sub/.git ",
            "proj/sub/git~1",
        ] {
            let (_stage, beneath) = stage();
            let report = Hostile::new()
                .directory("proj")
                .file(name, text)
                .unpack(Names::rooted(Some("proj".into())), &beneath)
                .unwrap();
            assert_eq!(beneath.join(name).exists(), stays, "{name}: {text}");
            assert_eq!(report.skipped_count, u64::from(!stays), "{name}: {text}");
        }
    }
    // Another name of a file that was written as something else.
    let (_stage, beneath) = stage();
    let report = Hostile::new()
        .file("proj/plain", "gitdir: /tmp/evil\n")
        .entry(EntryType::Link, "proj/.git", "proj/plain", 0o644, b"")
        .unpack(Names::kept(), &beneath)
        .unwrap();
    assert_eq!(report.skipped_count, 1);
    assert!(!beneath.join("proj/.git").exists());
}

#[test]
fn a_git_directory_of_this_machine_stays_and_the_rest_comes() {
    for git in ["proj/.git", "proj/bare"] {
        let (_stage, beneath) = stage();
        let host = beneath.join(git);
        for name in ["objects", "refs", "hooks"] {
            std::fs::create_dir_all(host.join(name)).unwrap();
        }
        std::fs::write(host.join("HEAD"), "ref: refs/heads/mine\n").unwrap();
        std::fs::write(host.join("config"), "mine").unwrap();
        let report = archive(parts(git))
            .file("proj/src", "new")
            .file(&format!("{git}/config"), CONFIG)
            .unpack(Names::kept(), &beneath)
            .unwrap();
        assert_eq!(std::fs::read(host.join("config")).unwrap(), b"mine");
        assert_eq!(
            std::fs::read(host.join("HEAD")).unwrap(),
            b"ref: refs/heads/mine\n"
        );
        assert_eq!(std::fs::read_dir(host.join("hooks")).unwrap().count(), 0);
        assert_eq!(std::fs::read(beneath.join("proj/src")).unwrap(), b"new");
        assert_eq!(report.skipped.len(), 1, "{report:?}");
        assert_eq!(report.skipped[0].path, git);
    }
    // Half of one, or a file that leads to one, is as much this machine's.
    for is_file in [false, true] {
        let (_stage, beneath) = stage();
        std::fs::create_dir(beneath.join("proj")).unwrap();
        if is_file {
            std::fs::write(beneath.join("proj/.git"), "gitdir: mine").unwrap();
        } else {
            std::fs::create_dir(beneath.join("proj/.git")).unwrap();
        }
        let report = archive(parts("proj/.git"))
            .file("proj/.GIT", "gitdir: evil")
            .unpack(Names::kept(), &beneath)
            .unwrap();
        assert_eq!(report.skipped.len(), 1, "{report:?}");
        assert!(!beneath.join("proj/.git/config").exists());
    }
}

#[test]
fn no_directory_of_this_machine_becomes_a_git_directory() {
    // Its own files would be taken for git's, and cleaned away.
    let (_stage, beneath) = stage();
    std::fs::create_dir_all(beneath.join("work/hooks")).unwrap();
    std::fs::write(beneath.join("work/hooks/useEffect"), "mine").unwrap();
    std::fs::write(beneath.join("work/config"), "mine").unwrap();
    Hostile::new()
        .file("work/HEAD", "ref: refs/heads/main\n")
        .directory("work/objects")
        .directory("work/refs")
        .file("work/a/b/HEAD", "ref: refs/heads/main\n")
        .file("work/a/b/commondir", "../..\n")
        .unpack(Names::kept(), &beneath)
        .unwrap();
    assert!(!beneath.join("work/HEAD").exists());
    assert!(!beneath.join("work/a/b/commondir").exists());
    assert!(beneath.join("work/hooks/useEffect").exists());
    assert_eq!(std::fs::read(beneath.join("work/config")).unwrap(), b"mine");

    // In two copies, the first of which is harmless.
    for first in ["HEAD", "config", "objects/x"] {
        let (_stage, beneath) = stage();
        Hostile::new()
            .file(&format!("work/{first}"), "ref: refs/heads/main\n")
            .unpack(Names::kept(), &beneath)
            .unwrap();
        archive(parts("work"))
            .unpack(Names::kept(), &beneath)
            .unwrap();
        git_runs_nothing(&beneath.join("work"));
    }
}

#[test]
fn half_a_git_directory_is_inert_before_git_init_completes_it() {
    for missing in ["HEAD", "refs", "objects/info/alternates"] {
        for name in ["proj/.git", "proj/.GIT"] {
            let (_stage, beneath) = stage();
            let parts = parts(name)
                .into_iter()
                .filter(|(_, path, ..)| !path.ends_with(missing));
            let report = archive(parts).unpack(Names::kept(), &beneath).unwrap();
            assert_eq!(report.inert_count, 1, "{report:?}");
            is_inert(&beneath.join(name));
            let init = Command::new("git")
                .args(["init", "-q"])
                .current_dir(beneath.join("proj"))
                .status();
            assert!(init.unwrap().success());
            git_runs_nothing(&beneath.join("proj"));
        }
    }
}

#[test]
fn a_link_in_the_place_of_a_git_directory_leads_to_one_that_is_inert() {
    for (target, missing, stays) in [
        ("../store", "", true),
        ("../store", "HEAD", false),
        ("../store", "objects", true),
        ("../store", "refs", true),
        ("../second", "", false),
        ("../nothing", "", false),
        (".", "", false),
    ] {
        let (_stage, beneath) = stage();
        let parts = parts("copy/store").into_iter().filter(|(_, path, ..)| {
            missing.is_empty() || !path.split('/').any(|part| part == missing)
        });
        archive(parts)
            .link("copy/second", "store")
            .link("copy/proj/.git", target)
            .file("copy/proj/file", "x")
            .unpack(Names::kept(), &beneath)
            .unwrap();
        let proj = beneath.join("copy/proj");
        assert_eq!(proj.join(".git").is_symlink(), stays, "{target} {missing}");
        let mut init = Command::new("git");
        let made = init.args(["init", "-q"]).current_dir(&proj).status();
        assert!(made.unwrap().success());
        git_runs_nothing(&proj);
    }
}

#[test]
fn what_is_not_gits_stays_as_it_is() {
    let (_stage, beneath) = stage();
    let report = Hostile::new()
        .file("src/hooks/useState", "x")
        .file("src/config", CONFIG)
        .file("src/HEAD", "a file")
        .file("src/info/attributes", "x")
        .unpack(Names::kept(), &beneath)
        .unwrap();
    assert_eq!(
        (report.inert_count, report.skipped_count),
        (0, 0),
        "{report:?}"
    );
    for name in ["hooks/useState", "config", "HEAD", "info/attributes"] {
        assert!(beneath.join("src").join(name).exists(), "{name}");
    }
}

#[test]
fn a_copy_that_breaks_off_is_inert_as_well() {
    let (_stage, beneath) = stage();
    let error = archive(parts("proj/.git"))
        .file("../out", "x")
        .unpack(Names::kept(), &beneath);
    assert!(error.is_err());
    is_inert(&beneath.join("proj/.git"));
}

#[test]
fn directories_that_forbid_their_owner_everything_are_inert_too() {
    let (_stage, beneath) = stage();
    let locked =
        |archive: Hostile, name: &str| archive.entry(EntryType::Directory, name, "", 0o000, b"");
    let mut hostile = locked(Hostile::new(), "proj/.git");
    hostile = locked(hostile, "proj/.git/hooks");
    hostile = locked(hostile, "proj/.git/hooks/deep");
    for (kind, name, link, content) in parts("proj/.git") {
        hostile = hostile.entry(kind, &name, link, 0o000, content.as_bytes());
    }
    hostile.unpack(Names::kept(), &beneath).unwrap();
    let git = beneath.join("proj/.git");
    std::fs::set_permissions(&git, std::fs::Permissions::from_mode(0o755)).unwrap();
    for inner in ["objects", "info", "refs"] {
        let mode = std::fs::Permissions::from_mode(0o755);
        let _ = std::fs::set_permissions(git.join(inner), mode);
    }
    is_inert(&git);
}

/// By a link, by a pointer, through a directory that is there, and in every place in which a system looks.
#[test]
fn nothing_that_another_system_acts_on_comes_by_a_way_round() {
    let (_stage, beneath) = stage();
    std::fs::create_dir_all(beneath.join("own/.hg")).unwrap();
    let hook = "[hooks]\nupdate = touch PWNED\n";
    let report = Hostile::new()
        .file("evil/hgrc", hook)
        .file("evil/repo/config.toml", hook)
        .entry(EntryType::Symlink, "link/.hg", "../evil", 0o777, b"")
        .entry(EntryType::Symlink, "link/.jj", "../evil", 0o777, b"")
        .entry(EntryType::Link, "hard/.hg/hgrc", "evil/hgrc", 0o644, b"")
        .file("shared/.hg/sharedpath", "../evil")
        .entry(
            EntryType::Symlink,
            "inner/.hg/store",
            "../../evil",
            0o777,
            b"",
        )
        .file("pointer/.jj/repo", "../evil/repo")
        .file("file/.hg", "x")
        .file("own/.hg/requires", "x")
        .file("a/_darcs/prefs/defaults", "ALL posthook touch PWNED")
        .file("a/.bzr/branch/branch.conf", "x")
        .file("a/.pijul/config", "[hooks]")
        .file("a/.svn/wc.db", "x")
        .file("a/.fslckout", "x")
        .file("a/CVS/Root", ":fork:/tmp")
        .file("a/.repo/repo/main.py", "x")
        .file("a/.sl/config", hook)
        .file("a/kept", "x")
        .unpack(Names::kept(), &beneath)
        .unwrap();
    let mut left: Vec<PathBuf> = Vec::new();
    let mut queue = vec![beneath.clone()];
    while let Some(directory) = queue.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                queue.push(entry.path());
            } else {
                left.push(entry.path().strip_prefix(&beneath).unwrap().to_owned());
            }
        }
    }
    left.sort();
    let kept = ["a/kept", "evil/hgrc", "evil/repo/config.toml"];
    assert_eq!(left, kept.map(PathBuf::from), "{report:?}");
    assert_eq!(report.skipped_count, 16, "{report:?}");
}

#[test]
fn what_programs_of_this_machine_act_on_is_told_of() {
    let (_stage, beneath) = stage();
    let report = Hostile::new()
        .file("proj/.envrc", "touch PWNED")
        .file("proj/.vscode/tasks.json", "{}")
        .file("proj/main.c", "")
        .unpack(Names::kept(), &beneath)
        .unwrap();
    assert_eq!(report.acted_on, ["proj/.envrc", "proj/.vscode/tasks.json"]);
    let told = report.told_acted_on().unwrap();
    assert!(
        told.contains("proj/.envrc, proj/.vscode/tasks.json"),
        "{told}"
    );
    assert!(beneath.join("proj/.envrc").exists());
}

#[test]
fn other_systems_configurations_do_not_come() {
    let (_stage, beneath) = stage();
    let report = Hostile::new()
        .file("proj/.hg/hgrc", "[hooks]\nupdate = touch PWNED\n")
        .file("proj/.hg/requires", "x")
        .file("proj/.jj/repo/config.toml", "x")
        .file("proj/config.toml", "x")
        .unpack(Names::kept(), &beneath)
        .unwrap();
    assert_eq!(report.skipped_count, 2, "{report:?}");
    assert!(beneath.join("proj/config.toml").exists());
    assert!(beneath.join("proj/.hg/requires").exists());
}

#[test]
fn as_it_is_it_comes_as_it_is() {
    let (_stage, beneath) = stage();
    let report = archive(parts("proj/.git"))
        .unpack_as_is(Names::kept(), &beneath)
        .unwrap();
    assert_eq!((report.inert_count, report.skipped_count), (0, 0));
    let config = std::fs::read_to_string(beneath.join("proj/.git/config")).unwrap();
    assert_eq!(config, CONFIG);
    assert!(beneath.join("proj/.git/hooks/post-checkout").exists());
    // That it runs like this is what makes the other tests say something.
    let proj = beneath.join("proj");
    std::fs::remove_file(proj.join(".git/objects/info/alternates")).unwrap();
    let ran = std::panic::catch_unwind(|| git_runs_nothing(&proj));
    assert!(ran.is_err(), "git acts on the configuration as it is");
}
