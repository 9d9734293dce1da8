//! Every spelling of a path that leads elsewhere, as the name of an entry of every kind.

use super::git::{archive, is_inert, parts};
use super::table::{CONTROLS, DOT_GIT, OUTSIDE, SHAPELESS, steers};
use super::*;

const KINDS: [EntryType; 4] = [
    EntryType::Regular,
    EntryType::Directory,
    EntryType::Symlink,
    EntryType::Link,
];

/// What is in the directory around, and may not change.
fn around(stage: &tempfile::TempDir) -> Vec<String> {
    let entries = std::fs::read_dir(stage.path()).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn one(kind: EntryType, name: &str) -> Hostile {
    let target = match kind {
        EntryType::Symlink | EntryType::Link => "src/file",
        _ => "",
    };
    let content: &[u8] = if kind == EntryType::Regular {
        b"x"
    } else {
        b""
    };
    let archive = Hostile::new().directory("src").file("src/file", "x");
    archive.entry(kind, name, target, 0o755, content)
}

#[test]
fn no_name_leads_out_as_whatever_entry() {
    for spelling in OUTSIDE {
        for kind in KINDS {
            let (stage, beneath) = stage();
            let name = spelling.replace("DIR", stage.path().to_str().unwrap());
            let refused = one(kind, &name)
                .unpack(Names::kept(), &beneath)
                .unwrap_err();
            let refused = refused.to_string();
            assert!(
                refused.contains("leads out of it"),
                "{kind:?} {name:?}: {refused}"
            );
            assert!(!steers(&refused), "{kind:?} {name:?}: {refused:?}");
            assert_eq!(around(&stage), ["in", "outside"], "{kind:?} {name:?}");
            assert_eq!(outside(&stage), "safe");
        }
    }
    // With a name that steers behind it as well.
    for name in CONTROLS {
        let (_stage, beneath) = stage();
        let out = format!("../{name}");
        let refused = one(EntryType::Regular, &out).unpack(Names::kept(), &beneath);
        let refused = refused.unwrap_err().to_string();
        assert!(!steers(&refused), "{refused:?}");
    }
}

#[test]
fn what_is_no_path_is_nothing_or_a_name_of_the_copy() {
    for spelling in SHAPELESS {
        for kind in KINDS {
            let (stage, beneath) = stage();
            // Whether it is refused is no matter.
            let _ = one(kind, spelling).unpack(Names::kept(), &beneath);
            assert_eq!(around(&stage), ["in", "outside"], "{kind:?} {spelling:?}");
            assert_eq!(outside(&stage), "safe");
            assert!(
                beneath.symlink_metadata().unwrap().is_dir(),
                "{kind:?} {spelling:?}"
            );
        }
    }
}

#[test]
fn a_git_directory_is_inert_by_whatever_file_system_it_is_one() {
    for name in DOT_GIT {
        for place in ["proj", "proj/a/b"] {
            let (_stage, beneath) = stage();
            let path = format!("{place}/{name}");
            let report = archive(parts(&path))
                .unpack(Names::kept(), &beneath)
                .unwrap();
            assert_eq!(report.inert_count, 1, "{path:?}: {report:?}");
            is_inert(&beneath.join(&path));
        }
        // And one that leads to another.
        for text in ["gitdir: /tmp/evil\n", "gitdir: ../../../evil\n"] {
            let (_stage, beneath) = stage();
            let path = format!("proj/{name}");
            let report = Hostile::new().file(&path, text);
            let report = report.unpack(Names::kept(), &beneath).unwrap();
            assert_eq!(report.skipped_count, 1, "{path:?}: {report:?}");
            assert!(beneath.join(&path).symlink_metadata().is_err(), "{path:?}");
        }
    }
}

#[test]
fn a_name_that_steers_is_a_name_like_any_other() {
    for name in CONTROLS {
        let (stage, beneath) = stage();
        let archive = Hostile::new()
            .file(name, "x")
            .directory(&format!("d{name}"));
        let archive = archive.link(&format!("l{name}"), name);
        let report = archive.unpack(Names::kept(), &beneath).unwrap();
        assert_eq!(report.skipped_count, 0, "{report:?}");
        assert_eq!(std::fs::read(beneath.join(name)).unwrap(), b"x");
        assert!(beneath.join(format!("l{name}")).is_symlink());
        assert_eq!(around(&stage), ["in", "outside"]);
    }
}
