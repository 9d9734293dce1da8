//! What the mounts become (binds, volumes, copies), and who owns what is made in them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use amika_core::contract::path;
use amika_core::label::SandboxId;
use amika_core::mount::{
    Access, Found, HostMount, Mount, MountConflict, OwnMount, check, check_file,
};

use super::file_mounts;
use super::own_uid;
use super::protect;
use super::request::Image;
use super::setid::{self, Filter};
use super::settings::Settings;
use crate::error::{self, Error, Result};
use crate::overlay::overlays;
use crate::sandboxes::Sandboxes;
use amika_engine::SystemFacts;

mod plan;

pub(super) use plan::plan;

/// The presets' own agent.
const PRESET_AGENT: u32 = 1000;

/// What was found at the mounts' sources.
#[derive(Clone, Debug, Default)]
pub(super) struct Sources {
    /// Host paths.
    pub paths: BTreeMap<String, SourceFacts>,
    /// Volumes of `--volume`, and of the repository's file, that do not exist yet.
    pub new_volumes: BTreeSet<String>,
    /// User and group that the agent takes on, where it is not the image's own.
    pub agent: Option<(u32, u32)>,
    /// What the user should hear about owners.
    pub warnings: Vec<String>,
    /// Host paths that stay read-only in writable mounts.
    pub protected: BTreeSet<PathBuf>,
    /// The seccomp profile that keeps set-user-id programs and devices off writable mounts.
    pub seccomp: Option<String>,
    /// What does not work in writable mounts, and what allows it.
    pub notes: Vec<String>,
}

/// What stands at a host path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SourceFacts {
    /// Whether it is a directory.
    pub is_directory: bool,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
}

/// Refuses mounts that cannot live beside each other, or beside what the sandbox needs itself. A
/// repository's name is its directory in the workspace.
///
/// # Errors
/// [`error::Kind::Conflict`].
pub(super) fn refuse_conflicts(mounts: &[Mount], repository: Option<&str>) -> Result<()> {
    let own = |target: &str, what: &str| OwnMount {
        target: target.to_owned(),
        what: what.to_owned(),
    };
    let mut places = vec![
        own(path::HOME, "the agent's home"),
        own(path::STATE_DIR, "amikad's state"),
        own(path::RUN_DIR, "amikad's runtime files"),
        own(path::LOG_DIR, "the logs"),
    ];
    places.extend(repository.map(|name| {
        own(
            &format!("{}/{name}", path::WORKSPACE),
            &format!("the clone of {name}"),
        )
    }));
    check(mounts, &places).map_err(|found| conflict(&found))
}

fn conflict(conflict: &MountConflict) -> Error {
    let hint = match conflict {
        MountConflict::Engine { .. } => {
            "mount what you need of it by itself, such as `SOURCE/app:/etc/app:ro`, or take a copy (`:rwcopy`)"
        }
        MountConflict::File { .. } => "give it another target",
        _ => "give one of them another target, or leave it out",
    };
    Error::new(error::Kind::Conflict, conflict.to_string()).hint(hint)
}

/// Refuses binds on an engine that has other paths than this machine.
///
/// # Errors
/// [`error::Kind::Invalid`].
pub(super) fn refuse_remote_binds(mounts: &[Mount], engine_is_local: bool) -> Result<()> {
    let bind = mounts
        .iter()
        .find(|mount| matches!(mount, Mount::Host(host) if host.access != Access::RwCopy));
    match bind {
        Some(Mount::Host(mount)) if !engine_is_local => Err(Error::new(
            error::Kind::Invalid,
            format!("--mount {mount}: the engine is on another machine, which has other files"),
        )
        .hint(format!(
            "`{}` copies them there",
            mount.flag(Access::RwCopy)
        ))),
        _ => Ok(()),
    }
}

/// Looks at the mounts' sources.
///
/// # Errors
/// [`error::Kind::Invalid`] when a source went away; those of the engine.
pub(super) async fn look(
    engine: &Sandboxes,
    settings: &Settings,
    system: &SystemFacts,
    id: &SandboxId,
) -> Result<Sources> {
    let mut sources = Sources::default();
    for any in &settings.mounts {
        match any {
            Mount::Host(mount) => {
                let meta = Path::new(&mount.source).metadata().map_err(|error| {
                    Error::new(
                        error::Kind::Invalid,
                        format!("--mount {mount}: the source cannot be read"),
                    )
                    .caused_by(&error)
                })?;
                let found = SourceFacts {
                    is_directory: meta.is_dir(),
                    uid: meta.uid(),
                    gid: meta.gid(),
                };
                if !meta.is_dir() && !meta.is_file() && mount.access == Access::RwCopy {
                    return Err(Error::new(
                        error::Kind::Invalid,
                        format!("--mount {mount}: only a file or a directory can be copied"),
                    )
                    .hint(format!("`{}` mounts it as it is", mount.flag(Access::Rw))));
                }
                if !found.is_directory {
                    check_file(any, &settings.mounts).map_err(|found| conflict(&found))?;
                }
                sources.paths.insert(mount.source.clone(), found);
            }
            Mount::Repository(mount) => match &mount.found {
                Found::Volume(volume) => {
                    let there = engine.inspect_volume(volume).await?;
                    match there {
                        Some(there) => file_mounts::refuse_others(any, &there, settings)?,
                        None => drop(sources.new_volumes.insert(volume.clone())),
                    }
                }
                Found::File { .. } => {
                    check_file(any, &settings.mounts).map_err(|found| conflict(&found))?;
                }
                Found::Directory(_) => {}
            },
            Mount::Volume(mount) => {
                if engine.inspect_volume(&mount.name).await?.is_none() {
                    sources.new_volumes.insert(mount.name.clone());
                }
            }
        }
    }
    if writable(&settings.mounts).next().is_some() {
        let is_podman = engine.is_podman().await?;
        let obstacle = obstacle(&settings.image, system, is_podman);
        (sources.agent, sources.warnings) = owners(&settings.mounts, &sources.paths, obstacle);
        let is_nested = settings.has_nested_engine();
        if !settings.rights.writable_git {
            protect_all(&settings.mounts, &mut sources).await?;
            let can_mount = settings.capabilities().can_mount();
            let unmountable = protect::unmountable(can_mount, &sources.protected);
            sources.warnings.extend(unmountable);
        }
        if !settings.rights.allow_setid {
            match setid::filter(system, is_podman, is_nested) {
                Filter::NotNeeded => {}
                Filter::Profile(profile) => {
                    sources.seccomp = Some(profile);
                    sources.notes.push(setid::FILTERED.to_owned());
                }
                Filter::Impossible(why) => sources.warnings.push(setid::unfiltered(&why)),
            }
        }
    }
    if settings.rights.writable_git || writable(&settings.mounts).next().is_none() {
        // Otherwise the look has told of it.
        let git_files = HashMap::new();
        sources
            .notes
            .extend(without_git(&settings.mounts, &git_files));
    }
    if settings.own_uid {
        let has_writable = writable(&settings.mounts).next().is_some();
        own_uid::refuse(&settings.image, has_writable, system)?;
        let number = own_uid::of(id);
        sources.agent = Some((number, number));
    }
    let key_dir = engine.machine().data_dir();
    sources.warnings.extend(key_in(&settings.mounts, &key_dir));
    Ok(sources)
}

/// Finds what stays read-only, before anything is made.
async fn protect_all(mounts: &[Mount], sources: &mut Sources) -> Result<()> {
    let writable: Vec<HostMount> = writable(mounts).cloned().collect();
    // A file system may be slow, and the user impatient.
    let looked = tokio::task::spawn_blocking(move || {
        let found = writable
            .iter()
            .map(protect::look)
            .collect::<Result<Vec<_>>>();
        (writable, found)
    })
    .await;
    let (writable, found) = looked.map_err(|stopped| {
        Error::new(error::Kind::Failure, "the mounts cannot be looked through").caused_by(&stopped)
    })?;
    let mut git_files = HashMap::new();
    for (found, mount) in found?.into_iter().zip(&writable) {
        sources.protected.extend(found.paths);
        sources.warnings.extend(found.warnings);
        git_files.insert(mount.source.clone(), found.git_files);
    }
    let overlays = overlays(writable.iter(), &sources.protected);
    sources.notes.extend(without_git(mounts, &git_files));
    for mount in &writable {
        let is_whole = overlays.whole.contains(&mount.source);
        let is_directory = sources
            .paths
            .get(&mount.source)
            .is_some_and(|found| found.is_directory);
        if is_directory || is_whole {
            let told = protect::told(mount, &sources.protected, is_whole);
            sources.notes.push(told);
        }
    }
    Ok(())
}

/// In which mounts git does not work; of one that was not looked through its own directory counts.
fn without_git(mounts: &[Mount], found: &HashMap<String, Vec<PathBuf>>) -> Vec<String> {
    let hosts = mounts.iter().filter_map(|mount| match mount {
        Mount::Host(mount) => Some(mount),
        Mount::Volume(_) | Mount::Repository(_) => None,
    });
    hosts
        .filter_map(|mount| {
            let own = [Path::new(&mount.source).join(".git")];
            let git_files = found.get(&mount.source).map_or(&own[..], Vec::as_slice);
            protect::elsewhere::told(mount, git_files, mounts)
        })
        .collect()
}

fn writable(mounts: &[Mount]) -> impl Iterator<Item = &HostMount> {
    mounts.iter().filter_map(|mount| match mount {
        Mount::Host(mount) if mount.access == Access::Rw => Some(mount),
        _ => None,
    })
}

/// Why the agent cannot take on the owner of a mount's source, and who owns what it makes then.
fn obstacle(image: &Image, system: &SystemFacts, is_podman: bool) -> Option<&'static str> {
    if system.operating_system.contains("Docker Desktop") || !cfg!(target_os = "linux") {
        return Some(
            "the engine runs in a virtual machine, whose file sharing decides who owns what the sandbox makes there: usually you",
        );
    }
    if system.rootless {
        return Some(
            "the engine maps users its own way: what root in the sandbox makes there belongs to you if the engine runs as you, what the agent makes to one of your subordinate users (/etc/subuid)",
        );
    }
    if is_podman {
        return Some(
            "the engine is Podman: what is made there belongs to the number that its maker has in the sandbox, 0 of root, 1000 of a preset's agent",
        );
    }
    if system.user_namespaces {
        return Some(
            "the engine maps users: what the sandbox makes there belongs to one of its subordinate users (/etc/subuid)",
        );
    }
    match image {
        Image::Preset(_) => None,
        Image::Other(_) | Image::Dockerfile(_) => Some(
            "the image is no preset: what is made there belongs to the user that the image runs as",
        ),
    }
}

/// Decides whom the agent becomes, so that what it makes in writable mounts belongs to their owner.
fn owners(
    mounts: &[Mount],
    paths: &BTreeMap<String, SourceFacts>,
    obstacle: Option<&str>,
) -> (Option<(u32, u32)>, Vec<String>) {
    let mut agent: Option<(u32, u32)> = None;
    let mut warnings = Vec::new();
    for mount in writable(mounts) {
        let Some(found) = paths.get(&mount.source) else {
            continue;
        };
        if let Some(obstacle) = obstacle {
            warnings.push(format!("--mount {mount}: {obstacle}"));
            continue;
        }
        if found.uid == 0 {
            warnings.push(format!(
                "--mount {mount}: the source belongs to root, which the agent is not: it may not be able to \
                 write there, and what it makes belongs to uid {}",
                agent.map_or(PRESET_AGENT, |(uid, _)| uid)
            ));
            continue;
        }
        // Group 0 would open root's files to the agent.
        let gid = if found.gid == 0 {
            PRESET_AGENT
        } else {
            found.gid
        };
        match agent {
            None => agent = Some((found.uid, gid)),
            Some((uid, _)) if uid != found.uid => warnings.push(format!(
                "--mount {mount}: the source belongs to uid {}, but the agent takes on uid {uid}, the owner \
                 of an earlier mount",
                found.uid
            )),
            Some(_) => {}
        }
    }
    (
        agent.filter(|agent| *agent != (PRESET_AGENT, PRESET_AGENT)),
        warnings,
    )
}

/// Warns of mounts that hand the user's key to the sandbox: who has it may command all sandboxes.
fn key_in(mounts: &[Mount], key_dir: &Path) -> Vec<String> {
    let holds_key = |mount: &&HostMount| key_dir.starts_with(&mount.source);
    let hosts = mounts.iter().filter_map(|mount| match mount {
        Mount::Host(mount) => Some(mount),
        Mount::Volume(_) | Mount::Repository(_) => None,
    });
    hosts
        .filter(holds_key)
        .map(|mount| {
            format!(
                "--mount {mount}: {} is in it: the sandbox gets your key to all sandboxes",
                key_dir.display()
            )
        })
        .collect()
}

#[cfg(test)]
mod tests;
