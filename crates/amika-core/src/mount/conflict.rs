//! Which mounts cannot live side by side.

use super::target::{behind_link, is_at_or_below};
use super::{Access, HostMount, Mount, RepositoryMount, VolumeMount};

/// A mount that the sandbox has on its own account, such as the volume of its clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnMount {
    /// The place in the container, normalised.
    pub target: String,
    /// What stands there, for messages: "the clone of hello".
    pub what: String,
}

/// Two mounts in each other's way.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MountConflict {
    /// Both have the same place.
    #[error("{first} and {second} have the same target {}", .second.target())]
    SameTarget {
        /// The mount that came first.
        first: Box<Mount>,
        /// The other.
        second: Box<Mount>,
    },
    /// A place that the sandbox needs for itself.
    #[error("{mount} is in the way of {what} at {own}")]
    Own {
        /// The mount.
        mount: Box<Mount>,
        /// The sandbox's own place.
        own: String,
        /// What stands there.
        what: String,
    },
    /// The engine puts files of its own beneath it, which it cannot, or would make on the host.
    #[error(
        "{mount} leaves no room for {}, which the engine puts there", ENGINES.join(", ")
    )]
    Engine {
        /// The mount.
        mount: Box<Mount>,
    },
    /// A file stands where a directory is needed.
    #[error("{file} is a file, where {place} needs a directory")]
    File {
        /// The mount of the file.
        file: Box<Mount>,
        /// What stands at its target or beneath it.
        place: String,
    },
    /// The inner mount's place would have to be made in the outer one, which cannot or must not
    /// change.
    #[error("{inner} stands beneath {outer}, {}", why(.outer))]
    Nested {
        /// The outer mount.
        outer: Box<Mount>,
        /// The inner mount.
        inner: Box<Mount>,
    },
}

/// Files that every engine mounts into every container.
const ENGINES: [&str; 3] = ["/etc/resolv.conf", "/etc/hostname", "/etc/hosts"];

fn why(outer: &Mount) -> &'static str {
    match outer {
        Mount::Host(HostMount {
            access: Access::Rw, ..
        }) => "where the engine would make a directory on the host",
        Mount::Host(_) | Mount::Volume(_) | Mount::Repository(_) => "which is read-only",
    }
}

/// Whether a place for another mount can be made inside.
fn can_hold_another(outer: &Mount) -> bool {
    match outer {
        Mount::Host(HostMount { access, .. }) => *access == Access::RwCopy,
        Mount::Volume(VolumeMount { read_only, .. }) => !read_only,
        Mount::Repository(RepositoryMount { asked, .. }) => !asked.read_only,
    }
}

/// Checks that the mounts can live side by side, and beside the sandbox's own.
pub fn check(mounts: &[Mount], own: &[OwnMount]) -> Result<(), MountConflict> {
    for (index, second) in mounts.iter().enumerate() {
        let boxed = |mount: &Mount| Box::new(mount.clone());
        for first in &mounts[..index] {
            if first.target() == second.target() {
                let (first, second) = (boxed(first), boxed(second));
                return Err(MountConflict::SameTarget { first, second });
            }
            for (outer, inner) in [(first, second), (second, first)] {
                let beneath = is_at_or_below(inner.target().as_str(), outer.target().as_str());
                if beneath && !can_hold_another(outer) {
                    let (outer, inner) = (boxed(outer), boxed(inner));
                    return Err(MountConflict::Nested { outer, inner });
                }
            }
        }
        if is_over_engines_files(second) {
            let mount = boxed(second);
            return Err(MountConflict::Engine { mount });
        }
        let target = &behind_link(second.target().as_str());
        // Beneath an own place there is room; at it or above it there is none.
        if let Some(OwnMount { target: own, what }) = own
            .iter()
            .find(|own| in_the_way(target, &own.target, can_hold_another(second)))
        {
            let (own, what) = (own.clone(), what.clone());
            return Err(MountConflict::Own {
                mount: boxed(second),
                own,
                what,
            });
        }
    }
    Ok(())
}

/// Whether the engine's own files would have to be made in a directory of the host. In a volume it
/// makes them, also in one that the sandbox may only read.
fn is_over_engines_files(mount: &Mount) -> bool {
    let target = mount.target().as_str();
    let is_above = |file: &&str| file != &target && is_at_or_below(file, target);
    matches!(mount, Mount::Host(_)) && !can_hold_another(mount) && ENGINES.iter().any(is_above)
}

/// Checks that a mount whose source is a file has nothing at its target or beneath it that needs a
/// directory: the agent's workspace, another mount, or the engine's files.
pub fn check_file(file: &Mount, mounts: &[Mount]) -> Result<(), MountConflict> {
    let target = &behind_link(file.target().as_str());
    let workspace = crate::contract::path::WORKSPACE;
    let places = mounts.iter().map(|mount| mount.target().as_str());
    let mut beneath = places
        .chain(ENGINES)
        .filter(|place| *place != file.target().as_str())
        .chain([workspace])
        .filter(|place| is_at_or_below(&behind_link(place), target));
    match beneath.next() {
        Some(place) => Err(MountConflict::File {
            file: Box::new(file.clone()),
            place: place.to_owned(),
        }),
        None => Ok(()),
    }
}

/// A mount above the home is no trouble where the home, a mount of its own, can be put into it; one
/// between the home and what stands in it is.
fn in_the_way(target: &str, own: &str, can_hold_home: bool) -> bool {
    let home = crate::contract::path::HOME;
    let above_home = is_at_or_below(home, target) && is_at_or_below(own, home);
    is_at_or_below(own, target) && !(above_home && can_hold_home)
}

/// Returns the mount that decides what stands at a path of the container: the path's own, or one of
/// a directory above it. Credentials give way to it.
pub fn covering<'m>(mounts: &'m [Mount], path: &str) -> Option<&'m Mount> {
    let home = crate::contract::path::HOME;
    mounts
        .iter()
        .filter(|mount| is_at_or_below(path, mount.target().as_str()))
        // The home is a volume of its own, on top of any mount above it.
        .filter(|mount| {
            !(is_at_or_below(path, home) && is_at_or_below(home, mount.target().as_str()))
        })
        .max_by_key(|mount| mount.target().as_str().len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(text: &str) -> Mount {
        Mount::Host(text.parse().unwrap())
    }

    fn volume(text: &str) -> Mount {
        Mount::Volume(text.parse().unwrap())
    }

    #[test]
    fn a_target_is_used_once() {
        let error = check(&[host("a:/x"), volume("vol:/x/:ro")], &[]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "--mount a:/x:rwcopy and --volume vol:/x:ro have the same target /x"
        );
    }

    #[test]
    fn nesting_needs_an_outer_mount_that_may_change() {
        for (outer, reason) in [
            (host("a:/x"), None),
            (volume("vol:/x"), None),
            (host("a:/x:ro"), Some("which is read-only")),
            (volume("vol:/x:ro"), Some("which is read-only")),
            (
                host("a:/x:rw"),
                Some("where the engine would make a directory on the host"),
            ),
        ] {
            let inner = host("b:/x/y:ro");
            let expected = reason.map(|reason| format!("{inner} stands beneath {outer}, {reason}"));
            for mounts in [[outer.clone(), inner.clone()], [inner, outer]] {
                assert_eq!(
                    check(&mounts, &[]).err().map(|error| error.to_string()),
                    expected
                );
            }
        }
        assert_eq!(check(&[host("a:/x:ro"), host("b:/xy:ro")], &[]), Ok(()));
    }

    #[test]
    fn the_sandbox_s_own_places_are_kept_free() {
        let own = [OwnMount {
            target: "/home/amika/workspace/hello".to_owned(),
            what: "the clone of hello".to_owned(),
        }];
        for (mount, clash) in [
            ("a:/home/amika/workspace/hello", true),
            ("a:/home/amika/workspace", true),
            ("a:/home/amika/workspace/hello/data", false),
            ("a:/home/amika/workspace/other", false),
            ("a:/home", false),
            // The home's place would have to be made in the host's directory.
            ("a:/home:rw", true),
            ("a:/home:ro", true),
        ] {
            assert_eq!(check(&[host(mount)], &own).is_err(), clash, "{mount}");
        }
        assert_eq!(
            check(&[host("a:/home/amika/workspace")], &own)
                .unwrap_err()
                .to_string(),
            "--mount a:/home/amika/workspace:rwcopy is in the way of the clone of hello at \
             /home/amika/workspace/hello"
        );
    }

    #[test]
    fn the_name_that_images_have_for_the_runtime_directory_is_that_directory() {
        let own = [OwnMount {
            target: "/run/amikad".to_owned(),
            what: "amikad's runtime files".to_owned(),
        }];
        for (mount, clash) in [
            ("a:/var/run:rw", true),
            ("a:/run", true),
            ("a:/var/run/docker.sock:rw", false),
            ("a:/var/running", false),
        ] {
            assert_eq!(check(&[host(mount)], &own).is_err(), clash, "{mount}");
        }
    }

    #[test]
    fn the_engines_own_files_have_room() {
        for (mount, clash) in [
            (host("a:/etc:ro"), true),
            (host("a:/etc:rw"), true),
            (host("a:/etc"), false),
            (volume("vol:/etc:ro"), false),
            (host("a:/etc/hosts:ro"), false),
            (host("a:/etc/ssl:ro"), false),
            (host("a:/etcetera:ro"), false),
        ] {
            let expected = clash.then(|| {
                format!(
                    "{mount} leaves no room for /etc/resolv.conf, /etc/hostname, /etc/hosts, which the \
                     engine puts there"
                )
            });
            let told = check(std::slice::from_ref(&mount), &[]).map_err(|error| error.to_string());
            assert_eq!(told.err(), expected, "{mount}");
        }
    }

    #[test]
    fn a_file_has_nothing_beneath_it() {
        let other = [host("b:/data/x"), host("f:/data"), host("f:/opt")];
        for (file, place) in [
            ("f:/data", Some("/data/x")),
            ("f:/home", Some("/home/amika/workspace")),
            ("f:/home/amika/workspace:ro", Some("/home/amika/workspace")),
            ("f:/etc", Some("/etc/resolv.conf")),
            ("f:/etc/hosts:ro", None),
            ("f:/opt", None),
            ("f:/home/amika/.npmrc", None),
        ] {
            let told = check_file(&host(file), &other);
            let expected = place
                .map(|place| format!("{} is a file, where {place} needs a directory", host(file)));
            assert_eq!(told.err().map(|error| error.to_string()), expected);
        }
    }

    #[test]
    fn the_nearest_mount_covers_a_path() {
        let mounts = [
            host("a:/home"),
            host("b:/home/amika/.claude"),
            host("c:/home/amika/.claude/.credentials.json"),
        ];
        let covering = |path| covering(&mounts, path).map(|mount| mount.target().to_string());
        assert_eq!(
            covering("/home/amika/.claude/.credentials.json").as_deref(),
            Some("/home/amika/.claude/.credentials.json")
        );
        assert_eq!(
            covering("/home/amika/.claude/x").as_deref(),
            Some("/home/amika/.claude")
        );
        assert_eq!(covering("/home/amika/.claude.json"), None);
        assert_eq!(covering("/home/other/x").as_deref(), Some("/home"));
    }
}
