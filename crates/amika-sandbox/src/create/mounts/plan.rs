//! What the mounts add to the plan of a sandbox.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use amika_core::contract::path;
use amika_core::label::{Kind, Labels, ResourceRecord, key};
use amika_core::mount::{Access, Found, HostMount, Mount, RepositoryMount, VolumeMount, covering};
use amika_core::name::SandboxName;
use amika_core::volume;

use super::super::copy::{Copy, What};
use super::super::facts::Facts;
use super::super::file_mounts;
use super::super::upload::{Content, File, Owner, Upload};
use super::writable;
use crate::overlay::overlays;
use amika_engine::MountSpec;

/// What the mounts add to a plan.
#[derive(Clone, Debug, Default)]
pub(in crate::create) struct Planned {
    /// What the container mounts.
    pub specs: Vec<MountSpec>,
    /// What is copied before the first start.
    pub copies: Vec<Copy>,
    /// Volumes that are made and go with the sandbox.
    pub volumes: Vec<String>,
    /// Directories that must be the agent's.
    pub uploads: Vec<Upload>,
}

/// Plans the mounts.
pub(in crate::create) fn plan(
    name: &SandboxName,
    mounts: &[Mount],
    repository: Option<&str>,
    stamp: &Labels,
    facts: &Facts,
) -> Planned {
    let mut planned = Planned::default();
    let overlays = overlays(writable(mounts), &facts.sources.protected);
    for mount in mounts {
        match mount {
            Mount::Host(mount) => {
                let is_whole = overlays.whole.contains(&mount.source);
                plan_host(name, mount, is_whole, facts, &mut planned);
            }
            Mount::Volume(mount) => plan_volume(mount, facts, &mut planned),
            Mount::Repository(mount) => {
                let of = Of {
                    name,
                    repository,
                    stamp,
                };
                plan_repository(mount, &of, facts, &mut planned);
            }
        }
    }
    planned.specs.extend(overlays.nested);
    let parents = parents(mounts);
    if !parents.is_empty() {
        planned.uploads.push(Upload {
            at: path::HOME,
            files: parents,
        });
    }
    planned
}

fn plan_host(
    name: &SandboxName,
    mount: &HostMount,
    is_protected: bool,
    facts: &Facts,
    planned: &mut Planned,
) {
    let target = mount.target.to_string();
    if mount.access != Access::RwCopy {
        planned.specs.push(MountSpec::Bind {
            source: mount.source.clone(),
            target,
            read_only: mount.access == Access::Ro || is_protected,
        });
        return;
    }
    let source = PathBuf::from(&mount.source);
    let found = facts.sources.paths.get(&mount.source);
    let what = if found.is_some_and(|found| !found.is_directory) {
        What::File(source)
    } else {
        plan_copy(name, &mount.source, &target, facts, planned);
        What::Directory(source)
    };
    planned.copies.push(Copy {
        flag: format!("--mount {mount}"),
        what,
        target,
    });
}

/// The volume of a copy.
fn plan_copy(name: &SandboxName, source: &str, target: &str, facts: &Facts, planned: &mut Planned) {
    let volume = volume::rwcopy(name, planned.volumes.len(), facts.stamp);
    let labels = ResourceRecord {
        id: Some(facts.id.clone()),
        sandbox: Some(name.clone()),
        source: Some(source.to_owned()),
        created_at: Some(facts.now),
        creator: Some(facts.creator.clone()),
        test: facts.test.clone(),
        ..ResourceRecord::new(Kind::RwCopy)
    };
    planned.specs.push(MountSpec::Volume {
        name: volume.clone(),
        target: target.to_owned(),
        read_only: false,
        labels: labels.to_labels(),
        no_copy: true,
    });
    planned.volumes.push(volume);
}

/// Whose a repository's mount is.
struct Of<'a> {
    /// The sandbox.
    name: &'a SandboxName,
    /// Name of the repository.
    repository: Option<&'a str>,
    /// What a server stamps it with.
    stamp: &'a Labels,
}

fn plan_repository(mount: &RepositoryMount, of: &Of<'_>, facts: &Facts, planned: &mut Planned) {
    let target = mount.asked.target.to_string();
    let what = match &mount.found {
        Found::Volume(volume) => {
            // No sandbox's name: it is the repository's, and stays for the next one.
            let mut labels = ResourceRecord {
                id: Some(facts.id.clone()),
                repository: of.repository.map(str::to_owned),
                created_at: Some(facts.now),
                test: facts.test.clone(),
                ..ResourceRecord::new(Kind::Named)
            }
            .to_labels();
            labels.extend(of.stamp.clone());
            planned.specs.push(MountSpec::Volume {
                name: volume.clone(),
                target: target.clone(),
                read_only: mount.asked.read_only,
                labels,
                no_copy: false,
            });
            // One that the first sandbox could only read is root's until somebody writes to it.
            if mount.asked.read_only {
                return;
            }
            What::EmptyVolume
        }
        Found::Directory(path) => {
            let source = file_mounts::told(path);
            plan_copy(of.name, &source, &target, facts, planned);
            What::RepositoryDirectory(path.clone())
        }
        Found::File { path, executable } => What::RepositoryFile {
            path: path.clone(),
            executable: *executable,
        },
    };
    planned.copies.push(Copy {
        flag: Mount::Repository(mount.clone()).to_string(),
        what,
        target,
    });
}

fn plan_volume(mount: &VolumeMount, facts: &Facts, planned: &mut Planned) {
    let is_new = facts.sources.new_volumes.contains(&mount.name);
    // The id alone: undoing tells by it that this create made the volume. It is the user's
    // afterwards, so nothing else marks it as ours.
    let mut labels = Labels::new();
    labels.insert(key::ID.to_owned(), facts.id.to_string());
    labels.extend(facts.test.clone().map(|test| (key::TEST.to_owned(), test)));
    planned.specs.push(MountSpec::Volume {
        name: mount.name.clone(),
        target: mount.target.to_string(),
        read_only: mount.read_only,
        labels,
        no_copy: false,
    });
    if is_new && !mount.read_only {
        planned.copies.push(Copy {
            flag: format!("--volume {mount}"),
            what: What::EmptyVolume,
            target: mount.target.to_string(),
        });
    }
}

/// The directories between the home and what is mounted in it. The engine would make them as root's,
/// and the agent could put nothing beside the mount.
pub(super) fn parents(mounts: &[Mount]) -> Vec<File> {
    let mut directories = BTreeSet::new();
    for mount in mounts {
        let target = Path::new(mount.target().as_str());
        for parent in target.ancestors().skip(1) {
            let Ok(relative) = parent.strip_prefix(path::HOME) else {
                break;
            };
            // In another mount they are not ours to make; in the workspace the clone may make them.
            let absolute = parent.to_string_lossy();
            let is_ours = covering(mounts, &absolute).is_none()
                && !parent.starts_with(path::WORKSPACE)
                && !relative.as_os_str().is_empty();
            if is_ours {
                directories.insert(relative.to_string_lossy().into_owned());
            }
        }
    }
    // A set is in the order of its paths: a directory comes before what is in it.
    directories
        .into_iter()
        .map(|path| File {
            path,
            content: Content::Directory,
            mode: 0o755,
            owner: Owner::Agent,
        })
        .collect()
}
