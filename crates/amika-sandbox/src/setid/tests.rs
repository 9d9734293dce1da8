//! What a look finds.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

use pretty_assertions::assert_eq;

use super::*;

fn set_user(path: &Path) -> u64 {
    fs::write(path, "x").expect("a file");
    fs::set_permissions(path, fs::Permissions::from_mode(0o4755)).expect("its mode");
    let meta = path.metadata().expect("it is there");
    assert_eq!(meta.mode() & 0o4000, 0o4000);
    u64::try_from(meta.ctime()).expect("a time")
}

#[test]
fn programs_of_the_sandbox_are_found_and_no_link_is_followed() {
    let directory = tempfile::tempdir().expect("a directory");
    let root = directory.path().join("mount");
    fs::create_dir_all(root.join("a/b")).expect("directories");
    let elsewhere = directory.path().join("elsewhere");
    fs::create_dir(&elsewhere).expect("a directory");
    set_user(&elsewhere.join("program"));
    symlink(&elsewhere, root.join("link")).expect("a link");
    symlink(elsewhere.join("program"), root.join("a/program")).expect("a link");
    fs::write(root.join("a/plain"), "x").expect("a file");
    let program = root.join("a/b/rootsh");
    let made = set_user(&program);
    let owner = program.metadata().expect("it is there").uid();
    let file = File {
        path: program.clone(),
        kind: Kind::SetUser(owner),
    };
    let expected = Found {
        files: vec![file],
        is_whole: true,
    };
    assert_eq!(look(&root, made), expected);
    assert_eq!(look(&program, made), expected);
    // What was there before is not the sandbox's.
    assert_eq!(look(&root, made + 1).files, []);
    assert_eq!(look(&root.join("missing"), 0).files, []);
}

#[test]
fn a_mount_of_a_container_is_looked_through_once() {
    let directory = tempfile::tempdir().expect("a directory");
    let source = directory.path().display().to_string();
    set_user(&directory.path().join("x"));
    let mount = |source: &str, target: &str, writable| MountFacts {
        kind: "bind".into(),
        source: source.into(),
        target: target.into(),
        writable,
    };
    let inner = format!("{source}/a");
    let mounts = [
        mount(&source, "/data", true),
        mount(&inner, "/data/a", true),
        mount("/usr", "/usr2", false),
    ];
    let found = in_mounts(&mounts, 0);
    assert_eq!(found.keys().collect::<Vec<_>>(), [&source]);
    assert_eq!(found[&source].files.len(), 1);
}

#[test]
fn too_many_are_not_all_told_and_that_is_known() {
    let directory = tempfile::tempdir().expect("a directory");
    for n in 0..=MOST {
        set_user(&directory.path().join(n.to_string()));
    }
    let found = look(directory.path(), 0);
    assert_eq!((found.files.len(), found.is_whole), (MOST, false));
}

#[test]
fn what_ends_it_can_be_pasted_whatever_the_name_is() {
    for (path, remedy) in [
        ("/src/a-b.c", "chmod u-s /src/a-b.c"),
        ("/src/a b;id", "chmod u-s $'/src/a b;id'"),
        ("/src/it's\\", "chmod u-s $'/src/it\\'s\\\\'"),
        ("/src/\u{1b}]0;x\u{7}", "chmod u-s $'/src/\\x1b]0;x\\x07'"),
    ] {
        let file = File {
            path: path.into(),
            kind: Kind::SetUser(0),
        };
        assert_eq!(file.remedy(), remedy);
        assert!(!file.told().contains('\u{1b}'));
    }
    let device = File {
        path: "/src/sda".into(),
        kind: Kind::Device,
    };
    assert_eq!(device.remedy(), "rm /src/sda");
}
