//! Mounts over a writable mount of the host: what in it stays read-only.
//!
//! The kernel refuses to rename or remove what something is mounted at, but not a directory above it: a
//! protected entry deep in a mount could be moved away together with its directory, and another one put
//! in its place. So each directory between the two becomes a mount of its own, writable as before.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use amika_core::mount::HostMount;
use amika_core::untrusted::Untrusted;

use crate::error::{self, Error, Result};
use amika_engine::{MountFacts, MountSpec};

/// What is mounted over writable mounts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overlays {
    /// Sources of mounts that are read-only as a whole: they are, or lie in, what is protected.
    pub whole: BTreeSet<String>,
    /// Mounts over them, an outer one before those in it.
    pub nested: Vec<MountSpec>,
}

/// Lays protected host paths over the writable mounts that show them.
pub fn overlays<'m>(
    mounts: impl Iterator<Item = &'m HostMount>,
    protected: &BTreeSet<PathBuf>,
) -> Overlays {
    let mut overlays = Overlays::default();
    for mount in mounts {
        let source = Path::new(&mount.source);
        if protected.iter().any(|path| source.starts_with(path)) {
            overlays.whole.insert(mount.source.clone());
            continue;
        }
        // By source, whether it is read-only: in the order of their paths, an outer one comes first.
        let mut places: BTreeMap<&Path, bool> = BTreeMap::new();
        for path in protected.iter().filter(|path| path.starts_with(source)) {
            let is_covered = |above: &Path| above != path && protected.contains(above);
            if path.ancestors().any(is_covered) {
                continue;
            }
            places.insert(path, true);
            for above in path
                .ancestors()
                .skip(1)
                .take_while(|above| *above != source)
            {
                places.insert(above, false);
            }
        }
        overlays
            .nested
            .extend(places.into_iter().filter_map(|(path, read_only)| {
                let beneath = path.strip_prefix(source).ok()?.to_str()?;
                Some(MountSpec::Bind {
                    source: path.to_str()?.to_owned(),
                    target: format!("{}/{beneath}", mount.target.as_str().trim_end_matches('/')),
                    read_only,
                })
            }));
    }
    overlays
}

/// What a mount of a container is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// It keeps what is in a writable mount read-only.
    Protects,
    /// It keeps a directory of a writable mount, with something protected in it, where it is.
    HoldsInPlace,
}

/// What a mount is for, if it is an overlay: it shows a part of a writable mount at that part's own
/// place. No mount of the user's does, since nothing may be mounted in a writable one.
pub fn role(mount: &MountFacts, all: &[MountFacts]) -> Option<Role> {
    outer(mount, all)?;
    Some(if mount.writable {
        Role::HoldsInPlace
    } else {
        Role::Protects
    })
}

/// The writable mount that an overlay lies over, and the overlay's path in it.
fn outer<'m>(mount: &'m MountFacts, all: &'m [MountFacts]) -> Option<(&'m MountFacts, &'m Path)> {
    let beneath = |outer: &'m MountFacts| {
        let target = Path::new(&mount.target).strip_prefix(&outer.target).ok()?;
        let source = Path::new(&mount.source).strip_prefix(&outer.source).ok()?;
        let is_outer = outer.writable && outer.kind == "bind" && mount.kind == "bind";
        (is_outer && target == source && !target.as_os_str().is_empty()).then_some((outer, source))
    };
    all.iter()
        .filter_map(beneath)
        .min_by_key(|(outer, _)| outer.target.len())
}

/// Why a container's overlays cannot be mounted as they were meant, if so. `kind` looks at a path of this
/// machine and follows no link.
pub fn obstacle(mounts: &[MountFacts], kind: impl Fn(&Path) -> Kind) -> Option<Obstacle> {
    for mount in mounts {
        let Some((outer, beneath)) = outer(mount, mounts) else {
            continue;
        };
        let mut path = PathBuf::from(&outer.source);
        for name in beneath {
            path.push(name);
            match kind(&path) {
                Kind::Other => {}
                Kind::Missing => return Some(Obstacle::Missing(path)),
                Kind::Link => return Some(Obstacle::Link(path)),
            }
        }
    }
    None
}

/// Refuses to start a container whose overlays cannot be mounted as they were meant.
///
/// # Errors
/// [`error::Kind::Conflict`].
pub fn refuse(name: &str, mounts: &[MountFacts]) -> Result<()> {
    let (path, why) = match obstacle(mounts, Kind::of) {
        None => return Ok(()),
        Some(Obstacle::Missing(path)) => (path, "is gone"),
        Some(Obstacle::Link(path)) => (path, "is a link now, which is not followed"),
    };
    let path = Untrusted::new(&path.to_string_lossy())
        .within(4096)
        .to_string();
    Err(Error::new(
        error::Kind::Conflict,
        format!("sandbox \"{name}\" is not started: {path} {why}"),
    )
    .cause("it was there when the sandbox was made, to be read-only in it")
    .hint(format!(
        "put {path} back, or make the sandbox anew: `amika sandbox create --replace --name {name} …`"
    )))
}

/// As [`refuse`], for a container that is not asked for its mounts yet.
///
/// # Errors
/// [`error::Kind::Conflict`].
pub fn refuse_planned(name: &str, mounts: &[MountSpec]) -> Result<()> {
    let binds = mounts.iter().filter_map(|mount| match mount {
        MountSpec::Bind {
            source,
            target,
            read_only,
        } => Some(MountFacts {
            kind: "bind".to_owned(),
            source: source.clone(),
            target: target.clone(),
            writable: !read_only,
        }),
        MountSpec::Volume { .. } => None,
    });
    refuse(name, &binds.collect::<Vec<_>>())
}

/// What stands at a path of this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nothing.
    Missing,
    /// A symbolic link.
    Link,
    /// Anything else.
    Other,
}

impl Kind {
    /// Looks at a path; what cannot be looked at is for the engine to tell of.
    pub fn of(path: &Path) -> Self {
        match path.symlink_metadata() {
            Ok(meta) if meta.is_symlink() => Self::Link,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Self::Missing,
            Ok(_) | Err(_) => Self::Other,
        }
    }
}

/// What keeps an overlay from being mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// The entry is gone.
    Missing(PathBuf),
    /// A link stands there now: the engine would follow it, to anywhere on this machine.
    Link(PathBuf),
}

#[cfg(test)]
mod tests;
