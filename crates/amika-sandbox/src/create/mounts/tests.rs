//! Which mounts become what, and which are refused.

use pretty_assertions::assert_eq;

use super::plan::parents;
use super::*;
use crate::preset::Preset;

fn host(text: &str) -> Mount {
    Mount::Host(text.parse().expect("a mount"))
}

fn source(name: &str, uid: u32, gid: u32) -> (String, SourceFacts) {
    let facts = SourceFacts {
        is_directory: true,
        uid,
        gid,
    };
    (name.to_owned(), facts)
}

fn owners_of(sources: &[(&str, u32, u32)], obstacle: Option<&str>) -> (Option<(u32, u32)>, usize) {
    let mounts: Vec<Mount> = sources
        .iter()
        .map(|(name, ..)| host(&format!("{name}:/{name}:rw")))
        .collect();
    let paths = sources
        .iter()
        .map(|(name, uid, gid)| source(name, *uid, *gid))
        .collect();
    let (agent, warnings) = owners(&mounts, &paths, obstacle);
    (agent, warnings.len())
}

#[test]
fn the_agent_becomes_the_owner_of_the_first_writable_mount() {
    assert_eq!(owners_of(&[("a", 1234, 55)], None), (Some((1234, 55)), 0));
    assert_eq!(owners_of(&[("a", 1000, 1000)], None), (None, 0));
    assert_eq!(owners_of(&[("a", 0, 0)], None), (None, 1));
    assert_eq!(
        owners_of(&[("a", 0, 0), ("b", 7, 8)], None),
        (Some((7, 8)), 1)
    );
    assert_eq!(
        owners_of(&[("a", 7, 8), ("b", 9, 9)], None),
        (Some((7, 8)), 1)
    );
    assert_eq!(owners_of(&[("a", 7, 0)], None), (Some((7, 1000)), 0));
    assert_eq!(owners_of(&[("a", 7, 8)], Some("no")), (None, 1));
}

#[test]
fn only_a_preset_on_a_rootful_engine_maps() {
    let preset = Image::Preset(Preset::Coder);
    let other = Image::Other("debian".into());
    let rootful = SystemFacts::default();
    let rootless = SystemFacts {
        rootless: true,
        ..SystemFacts::default()
    };
    let remapped = SystemFacts {
        user_namespaces: true,
        ..SystemFacts::default()
    };
    let desktop = SystemFacts {
        operating_system: "Docker Desktop".into(),
        ..SystemFacts::default()
    };
    assert_eq!(obstacle(&preset, &rootful, false), None);
    for (image, system, podman, whose) in [
        (&other, &rootful, false, "the user that the image runs as"),
        (&preset, &rootful, true, "1000 of a preset's agent"),
        (
            &preset,
            &rootless,
            false,
            "to you if the engine runs as you",
        ),
        (&preset, &rootless, true, "to you if the engine runs as you"),
        (&preset, &remapped, false, "one of its subordinate users"),
        (&preset, &desktop, false, "usually you"),
    ] {
        let told = obstacle(image, system, podman).expect("a warning");
        assert!(told.contains(whose), "{system:?}: {told}");
    }
}

#[test]
fn places_of_the_sandbox_itself_are_conflicts() {
    for (mount, repository, clashes) in [
        ("a:/data", None, false),
        ("a:/home/amika/workspace", None, false),
        ("a:/home/amika/workspace", Some("app"), true),
        ("a:/home/amika/workspace/app", Some("app"), true),
        ("a:/home/amika/workspace/app/data", Some("app"), false),
        ("a:/var/lib", None, true),
        ("a:/run", None, true),
        ("a:/var/log", None, true),
        ("a:/home:rw", None, true),
    ] {
        let refused = refuse_conflicts(&[host(mount)], repository);
        assert_eq!(refused.is_err(), clashes, "{mount}");
        if let Err(error) = refused {
            assert_eq!(error.kind, crate::error::Kind::Conflict);
        }
    }
}

#[test]
fn an_engine_elsewhere_binds_nothing_of_this_machine() {
    for (mount, local, refused) in [
        ("/a:/b:rw", true, false),
        ("/a:/b:rw", false, true),
        ("/a:/b:ro", false, true),
        ("/a:/b", false, false),
    ] {
        assert_eq!(
            refuse_remote_binds(&[host(mount)], local).is_err(),
            refused,
            "{mount}"
        );
    }
}

#[test]
fn a_mount_in_a_hint_can_be_pasted_whatever_its_names() {
    let mount = host("/a b'$(x):/c;d:rw");
    let error = refuse_remote_binds(&[mount], false).unwrap_err();
    let pasted = r"`--mount '/a b'\''$(x):/c;d:rwcopy'`";
    assert!(error.hints[0].contains(pasted), "{:?}", error.hints);
}

#[test]
fn what_lies_between_the_home_and_a_mount_is_the_agent_s() {
    let mounts = [
        host("a:/home/amika/.config/tool/x"),
        host("b:/home/amika/.cache"),
        host("c:/home/amika/.cache/deep/er"),
        host("d:/home/amika/workspace/a/b"),
        host("e:/data/x"),
    ];
    let paths: Vec<String> = parents(&mounts).into_iter().map(|file| file.path).collect();
    assert_eq!(paths, [".config", ".config/tool"]);
}

#[test]
fn a_mount_that_holds_the_key_is_told() {
    let key = Path::new("/home/ada/.local/share/amika");
    assert_eq!(key_in(&[host("/home/ada:/x")], key).len(), 1);
    assert_eq!(key_in(&[host("/home/ada/src:/x")], key).len(), 0);
}
