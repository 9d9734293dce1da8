//! Removing a sandbox's container and the volumes that go with it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use amika_core::contract::path;
use amika_core::label::{Kind, SandboxRecord, key};

use crate::engine::{ContainerFacts, ContainerState, Engine, EngineError, VolumeFacts};
use crate::error::{CommandError, ExitCode, Result};
use crate::sandbox::Sandbox;

/// The volumes of a sandbox, with what each is.
///
/// # Errors
/// Those of the engine.
pub async fn volumes(engine: &Engine, record: &SandboxRecord) -> Result<Vec<(Kind, VolumeFacts)>> {
    let list = engine
        .list_volumes(&format!("{}={}", key::ID, record.id))
        .await?;
    Ok(list
        .into_iter()
        .filter_map(|volume| Some((volume.labels.get(key::KIND)?.parse().ok()?, volume)))
        .collect())
}

/// What a removal left and took.
#[derive(Debug, Default)]
pub struct Removed {
    /// Volumes that went.
    pub removed: Vec<String>,
    /// Git volumes that stay.
    pub kept: Vec<String>,
}

/// Removes a container, running or not, and the volumes that go with the sandbox; git volumes only
/// when asked to. A container that is gone already is no error: what is left of it goes.
///
/// # Errors
/// Those of the engine.
pub async fn remove(
    engine: &Engine,
    container: &str,
    record: &SandboxRecord,
    git_too: bool,
) -> Result<Removed> {
    let volumes = volumes(engine, record).await?;
    match engine.remove_container(container).await {
        Ok(()) | Err(EngineError::NotFound(_)) => {}
        Err(error) => return Err(error.into()),
    }
    // A create that is under way, or was killed, may have one at a volume.
    remove_fillers(engine, record).await?;
    crate::reassign::remove_containers(engine, &record.id).await?;
    crate::reassign::drop_unused_images(engine, &record.id).await;
    let mut result = Removed::default();
    for (kind, volume) in volumes {
        if kind.goes_with_sandbox() || (git_too && kind == Kind::Git) {
            engine.remove_freed_volume(&volume.name).await?;
            result.removed.push(volume.name);
        } else if kind == Kind::Git {
            result.kept.push(volume.name);
        }
    }
    Ok(result)
}

/// How much of a directory is looked at, in bytes of its archive: a look must not take long.
const LOOK: usize = 16 << 20;
/// How many things in it are named.
const NAMED: usize = 5;

/// Refuses to go on when work would be lost: a sandbox without a repository keeps what is in its
/// workspace in the home volume, and every sandbox keeps what was written into its copies of host
/// directories; both go with it.
///
/// # Errors
/// [`ExitCode::Conflict`], naming what is there; those of the engine.
pub async fn refuse_unsaved_work(engine: &Engine, sandbox: &Sandbox) -> Result<()> {
    // Nothing was written in the one, and the other is removed half-way: the engine shows no file of it.
    if matches!(
        sandbox.container.state,
        ContainerState::Created | ContainerState::Dead
    ) {
        return Ok(());
    }
    let found = work(engine, sandbox).await?;
    let Some((first, _)) = found.first() else {
        return Ok(());
    };
    let name = &sandbox.name;
    let mut error = CommandError::new(
        ExitCode::Conflict,
        format!("sandbox \"{name}\" holds work that would be lost with it"),
    );
    let mut all = Vec::new();
    for (place, names) in &found {
        let mut shown: Vec<&str> = names.iter().take(NAMED).map(String::as_str).collect();
        if names.len() > NAMED {
            shown.push("…");
        }
        error = error.cause(format!("in {}: {}", place.display(), shown.join(", ")));
        all.extend(
            names
                .iter()
                .map(|name| place.join(name).display().to_string()),
        );
    }
    Err(error
        .hint(format!(
            "`amika sandbox cp {name}:{} .` copies it out",
            first.display()
        ))
        .hint(format!(
            "`amika sandbox delete --force {name}` deletes it all the same"
        ))
        .detail("work", all))
}

/// Places whose volumes go with the sandbox, each with names of what is in it and in no other mount. In a
/// copy of a host directory, only what was written since the sandbox was made counts: the rest is still
/// on the host.
async fn work(engine: &Engine, sandbox: &Sandbox) -> Result<Vec<(PathBuf, Vec<String>)>> {
    let copies: BTreeSet<String> = volumes(engine, &sandbox.record)
        .await?
        .into_iter()
        .filter(|(kind, _)| *kind == Kind::RwCopy)
        .map(|(_, volume)| volume.name)
        .collect();
    let mounts: Vec<(&Path, bool)> = sandbox
        .container
        .mounts
        .iter()
        .map(|mount| {
            (
                Path::new(mount.target.as_str()),
                copies.contains(&mount.source),
            )
        })
        .collect();
    let workspace = Path::new(path::WORKSPACE);
    let looks_at_workspace = sandbox.record.repository.is_none();
    let places = looks_at_workspace.then_some(workspace).into_iter().chain(
        mounts
            .iter()
            .filter(|(target, is_copy)| {
                *is_copy && !(looks_at_workspace && target.starts_with(workspace))
            })
            .map(|(target, _)| *target),
    );
    let made = sandbox.record.created_at.unwrap_or_default() / 1000;
    let mut found = Vec::new();
    for place in places {
        let archive = engine
            .archive_head(&sandbox.container.id, &place.to_string_lossy(), LOOK)
            .await?
            .unwrap_or_default();
        let names = names_of_work(&archive, place, &mounts, made);
        if !names.is_empty() {
            found.push((place.to_owned(), names));
        }
    }
    Ok(found)
}

/// The first names in a directory that hold work, read off the (perhaps cut) archive of it.
fn names_of_work(
    archive: &[u8],
    directory: &Path,
    mounts: &[(&Path, bool)],
    made: u64,
) -> Vec<String> {
    let above = directory.parent().unwrap_or(directory);
    let mut found = BTreeSet::new();
    let mut archive = tar::Archive::new(archive);
    let Ok(entries) = archive.entries() else {
        return Vec::new();
    };
    // A broken entry is where the look ended.
    for entry in entries.map_while(std::result::Result::ok) {
        let Ok(relative) = entry.path() else { continue };
        let place = above.join(&relative);
        let Ok(inner) = place.strip_prefix(directory) else {
            continue;
        };
        let is_directory = entry.header().entry_type().is_dir();
        let mount = mounts
            .iter()
            .filter(|(point, _)| place.starts_with(point) && point.starts_with(directory))
            .max_by_key(|(point, _)| point.as_os_str().len());
        let counts = match mount {
            None => !(is_directory && mounts.iter().any(|(point, _)| point.starts_with(&place))),
            // Archives count in seconds: what was written in the very second of the making may be new.
            Some((_, true)) => {
                !is_directory && entry.header().mtime().is_ok_and(|written| written >= made)
            }
            Some((_, false)) => false,
        };
        if let Some(first) = inner.components().next().filter(|_| counts) {
            found.insert(first.as_os_str().to_string_lossy().into_owned());
        }
        if found.len() > NAMED {
            break;
        }
    }
    found.into_iter().collect()
}

/// Removes the containers through which volumes of a sandbox are filled.
///
/// # Errors
/// Those of the engine.
pub async fn remove_fillers(engine: &Engine, record: &SandboxRecord) -> Result<()> {
    let filler = Kind::Amikad.as_str();
    let ours = engine
        .list_containers(&format!("{}={}", key::ID, record.id))
        .await?;
    for container in ours {
        if container.labels.get(key::KIND).map(String::as_str) == Some(filler) {
            match engine.remove_container(&container.id).await {
                Ok(()) | Err(EngineError::NotFound(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(())
}

/// Removes what an interrupted create left: the container was never started, so no work is in it,
/// and its clone is of this create's making too.
///
/// # Errors
/// Those of the engine.
pub async fn remove_unfinished(
    engine: &Engine,
    container: &ContainerFacts,
    record: &SandboxRecord,
) -> Result<()> {
    remove(engine, &container.id, record, true).await.map(drop)
}

#[cfg(test)]
mod tests {
    use pretty_assertions::assert_eq;

    use super::*;

    fn archive(entries: &[(&str, u64)]) -> Vec<u8> {
        let mut archive = tar::Builder::new(Vec::new());
        for (path, written) in entries {
            let mut header = tar::Header::new_gnu();
            header.set_mode(0o644);
            header.set_mtime(*written);
            header.set_size(0);
            if path.ends_with('/') {
                header.set_entry_type(tar::EntryType::Directory);
            }
            archive
                .append_data(&mut header, path, std::io::empty())
                .expect("an entry");
        }
        archive.into_inner().expect("an archive")
    }

    fn names(entries: &[(&str, u64)], mounts: &[(&str, bool)]) -> Vec<String> {
        let mounts: Vec<(&Path, bool)> = mounts
            .iter()
            .map(|(target, copy)| (Path::new(*target), *copy))
            .collect();
        names_of_work(&archive(entries), Path::new(path::WORKSPACE), &mounts, 100)
    }

    #[test]
    fn an_empty_workspace_holds_no_work() {
        assert!(names(&[("workspace/", 200)], &[]).is_empty());
        assert!(names_of_work(b"garbage", Path::new("/x"), &[], 0).is_empty());
    }

    #[test]
    fn files_and_directories_of_the_workspace_are_work() {
        let entries = [
            ("workspace/", 1),
            ("workspace/a/", 1),
            ("workspace/a/x", 1),
            ("workspace/b", 1),
        ];
        assert_eq!(names(&entries, &[]), ["a", "b"]);
        let mut cut = archive(&entries);
        cut.truncate(2 * 512 + 100);
        assert_eq!(
            names_of_work(&cut, Path::new(path::WORKSPACE), &[], 100),
            ["a"]
        );
    }

    #[test]
    fn what_is_in_a_mount_is_not_lost() {
        let entries = [
            ("workspace/", 1),
            ("workspace/deep/", 200),
            ("workspace/deep/src/", 200),
            ("workspace/deep/src/x", 200),
        ];
        let mount = "/home/amika/workspace/deep/src";
        assert!(names(&entries, &[(mount, false), ("/home/amika", false)]).is_empty());
        assert_eq!(names(&entries, &[("/home/amika", false)]), ["deep"]);
    }

    #[test]
    fn in_a_copy_only_what_was_written_since_is_work() {
        let copy = [("/home/amika/workspace/data", true)];
        let old = [
            ("workspace/", 1),
            ("workspace/data/", 200),
            ("workspace/data/x", 99),
        ];
        assert!(names(&old, &copy).is_empty());
        let new = [
            ("workspace/", 1),
            ("workspace/data/", 1),
            ("workspace/data/x", 101),
        ];
        assert_eq!(names(&new, &copy), ["data"]);
    }

    #[test]
    fn a_long_list_is_cut() {
        let entries: Vec<(String, u64)> = (0..100).map(|n| (format!("workspace/{n}"), 1)).collect();
        let entries: Vec<(&str, u64)> = entries
            .iter()
            .map(|(path, at)| (path.as_str(), *at))
            .collect();
        assert_eq!(names(&entries, &[]).len(), NAMED + 1);
    }
}
