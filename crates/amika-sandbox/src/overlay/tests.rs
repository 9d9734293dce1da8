//! What lies over which mount.

use amika_core::mount::Access;
use pretty_assertions::assert_eq;

use super::*;

fn told(mounts: &[&str], protected: &[&str]) -> (Vec<String>, Vec<String>) {
    let mounts: Vec<HostMount> = mounts
        .iter()
        .map(|text| text.parse().expect("a mount"))
        .collect();
    let writable = mounts.iter().filter(|mount| mount.access == Access::Rw);
    let overlays = overlays(writable, &protected.iter().map(PathBuf::from).collect());
    let nested = overlays.nested.iter().map(|spec| match spec {
        MountSpec::Bind {
            source,
            target,
            read_only,
        } => {
            format!("{source} {target} {}", if *read_only { "ro" } else { "rw" })
        }
        MountSpec::Volume { .. } => panic!("a volume"),
    });
    (overlays.whole.into_iter().collect(), nested.collect())
}

#[test]
fn a_protected_entry_lies_over_each_writable_mount_that_shows_it() {
    let (whole, nested) = told(
        &["/src:/a:rw", "/src:/ro:ro", "/src:/copy", "/:/host:rw"],
        &["/src/.git", "/src/.git/hooks", "/other/.git"],
    );
    assert_eq!(whole, Vec::<String>::new());
    assert_eq!(
        nested,
        [
            "/src/.git /a/.git ro",
            "/other /host/other rw",
            "/other/.git /host/other/.git ro",
            "/src /host/src rw",
            "/src/.git /host/src/.git ro",
        ]
    );
}

#[test]
fn directories_above_a_protected_entry_cannot_be_moved_away() {
    let (_, nested) = told(
        &["/src:/a:rw"],
        &["/src/x/y/.git", "/src/x/.git", "/src/xy"],
    );
    assert_eq!(
        nested,
        [
            "/src/x /a/x rw",
            "/src/x/.git /a/x/.git ro",
            "/src/x/y /a/x/y rw",
            "/src/x/y/.git /a/x/y/.git ro",
            "/src/xy /a/xy ro",
        ]
    );
}

#[test]
fn a_mount_of_or_in_what_is_protected_is_read_only_as_a_whole() {
    let (whole, nested) = told(
        &[
            "/src/.git:/a:rw",
            "/src/.git/hooks:/b:rw",
            "/src/.github:/c:rw",
        ],
        &["/src/.git"],
    );
    assert_eq!(whole, ["/src/.git", "/src/.git/hooks"]);
    assert_eq!(nested, Vec::<String>::new());
}

fn bind(source: &str, target: &str, writable: bool) -> MountFacts {
    MountFacts {
        kind: "bind".into(),
        source: source.into(),
        target: target.into(),
        writable,
    }
}

#[test]
fn overlays_are_told_from_other_mounts() {
    let all = [
        bind("/src", "/a", true),
        bind("/src/.git", "/a/.git", false),
        bind("/src/x", "/a/x", true),
        bind("/src/x/.git", "/a/x/.git", false),
        bind("/else", "/a/else", false),
        bind("/ro", "/b", false),
        bind("/ro/x", "/b/x", false),
        bind("/src", "/c", true),
        MountFacts {
            kind: "volume".into(),
            ..bind("/src/v", "/a/v", true)
        },
    ];
    let roles: Vec<_> = all.iter().map(|mount| role(mount, &all)).collect();
    let (protects, holds) = (Some(Role::Protects), Some(Role::HoldsInPlace));
    assert_eq!(
        roles,
        [
            None, protects, holds, protects, None, None, None, None, None
        ]
    );
}

#[test]
fn a_link_or_nothing_in_the_place_of_an_overlay_is_found_at_each_step() {
    let all = [
        bind("/src", "/a", true),
        bind("/src/x", "/a/x", true),
        bind("/src/x/.git", "/a/x/.git", false),
    ];
    let found = |odd: &str, kind: Kind| {
        let odd = odd.to_owned();
        obstacle(&all, move |path| {
            if path == Path::new(&odd) {
                kind
            } else {
                Kind::Other
            }
        })
    };
    assert_eq!(found("/src", Kind::Link), None);
    assert_eq!(
        found("/src/x", Kind::Link),
        Some(Obstacle::Link("/src/x".into()))
    );
    assert_eq!(
        found("/src/x/.git", Kind::Missing),
        Some(Obstacle::Missing("/src/x/.git".into()))
    );
}
