//! What the user's mounts become (binds, volumes, copies), and who owns what is made in them.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use amika_core::contract::path;
use amika_core::label::{Kind, Labels, ResourceRecord, key};
use amika_core::mount::{Access, HostMount, Mount, OwnMount, VolumeMount, check, covering};
use amika_core::name::SandboxName;
use amika_core::volume;

use super::copy::{Copy, What};
use super::facts::Facts;
use super::request::Image;
use super::settings::Settings;
use super::upload::{Content, File, Owner, Upload};
use crate::engine::{Engine, MountSpec, SystemFacts};
use crate::error::{CommandError, ExitCode, Result};

/// The presets' own agent.
const PRESET_AGENT: u32 = 1000;

/// What was found at the mounts' sources.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// Host paths.
    pub paths: BTreeMap<String, SourceFacts>,
    /// Volumes of `--volume` that do not exist yet.
    pub new_volumes: BTreeSet<String>,
    /// User and group that the agent takes on, where it is not the image's own.
    pub agent: Option<(u32, u32)>,
    /// What the user should hear about owners.
    pub warnings: Vec<String>,
}

/// What stands at a host path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceFacts {
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
/// [`ExitCode::Conflict`].
pub fn refuse_conflicts(mounts: &[Mount], repository: Option<&str>) -> Result<()> {
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
    check(mounts, &places).map_err(|conflict| {
        CommandError::new(ExitCode::Conflict, conflict.to_string())
            .hint("give one of them another target, or leave it out")
    })
}

/// Refuses binds on an engine that has other paths than this machine.
///
/// # Errors
/// [`ExitCode::Usage`].
pub fn refuse_remote_binds(mounts: &[Mount], engine_is_local: bool) -> Result<()> {
    let bind = mounts
        .iter()
        .find(|mount| matches!(mount, Mount::Host(host) if host.access != Access::RwCopy));
    match bind {
        Some(Mount::Host(mount)) if !engine_is_local => Err(CommandError::new(
            ExitCode::Usage,
            format!("--mount {mount}: the engine is on another machine, which has other files"),
        )
        .hint(format!(
            "`--mount {}:{}:rwcopy` copies them there",
            mount.source, mount.target
        ))),
        _ => Ok(()),
    }
}

/// Looks at the mounts' sources.
///
/// # Errors
/// [`ExitCode::Usage`] when a source went away; those of the engine.
pub async fn look(engine: &Engine, settings: &Settings, system: &SystemFacts) -> Result<Sources> {
    let mut sources = Sources::default();
    for mount in &settings.mounts {
        match mount {
            Mount::Host(mount) => {
                let meta = Path::new(&mount.source).metadata().map_err(|error| {
                    CommandError::new(
                        ExitCode::Usage,
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
                    return Err(CommandError::new(
                        ExitCode::Usage,
                        format!("--mount {mount}: only a file or a directory can be copied"),
                    )
                    .hint(format!(
                        "`--mount {}:{}:rw` mounts it as it is",
                        mount.source, mount.target
                    )));
                }
                sources.paths.insert(mount.source.clone(), found);
            }
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
    }
    let key_dir = crate::host::data_dir();
    sources.warnings.extend(key_in(&settings.mounts, &key_dir));
    Ok(sources)
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
    if is_podman || system.rootless {
        return Some(
            "the engine maps users its own way: what root in the sandbox makes there belongs to you if the engine runs as you, what the agent makes to one of your subordinate users (/etc/subuid)",
        );
    }
    if system.user_namespaces {
        return Some(
            "the engine maps users: what the sandbox makes there belongs to one of its subordinate users (/etc/subuid)",
        );
    }
    match image {
        Image::Preset(_) => None,
        Image::Other(_) => Some(
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
        Mount::Volume(_) => None,
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

/// What the mounts add to a plan.
#[derive(Clone, Debug, Default)]
pub struct Planned {
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
pub fn plan(name: &SandboxName, mounts: &[Mount], facts: &Facts) -> Planned {
    let mut planned = Planned::default();
    for mount in mounts {
        match mount {
            Mount::Host(mount) => plan_host(name, mount, facts, &mut planned),
            Mount::Volume(mount) => plan_volume(mount, facts, &mut planned),
        }
    }
    let parents = parents(mounts);
    if !parents.is_empty() {
        planned.uploads.push(Upload {
            at: path::HOME,
            files: parents,
        });
    }
    planned
}

fn plan_host(name: &SandboxName, mount: &HostMount, facts: &Facts, planned: &mut Planned) {
    let target = mount.target.to_string();
    if mount.access != Access::RwCopy {
        planned.specs.push(MountSpec::Bind {
            source: mount.source.clone(),
            target,
            read_only: mount.access == Access::Ro,
        });
        return;
    }
    let source = PathBuf::from(&mount.source);
    let found = facts.sources.paths.get(&mount.source);
    let what = if found.is_some_and(|found| !found.is_directory) {
        What::File(source)
    } else {
        let volume = volume::rwcopy(name, planned.volumes.len(), facts.stamp);
        let labels = ResourceRecord {
            id: Some(facts.id.clone()),
            sandbox: Some(name.clone()),
            source: Some(mount.source.clone()),
            created_at: Some(facts.now),
            test: facts.test.clone(),
            ..ResourceRecord::new(Kind::RwCopy)
        };
        planned.specs.push(MountSpec::Volume {
            name: volume.clone(),
            target: target.clone(),
            read_only: false,
            labels: labels.to_labels(),
            no_copy: true,
        });
        planned.volumes.push(volume);
        What::Directory(source)
    };
    planned.copies.push(Copy {
        flag: format!("--mount {mount}"),
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
fn parents(mounts: &[Mount]) -> Vec<File> {
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

#[cfg(test)]
mod tests {
    use pretty_assertions::assert_eq;

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

    fn owners_of(
        sources: &[(&str, u32, u32)],
        obstacle: Option<&str>,
    ) -> (Option<(u32, u32)>, usize) {
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
        for (image, system, podman) in [
            (&other, &rootful, false),
            (&preset, &rootful, true),
            (&preset, &rootless, false),
            (&preset, &remapped, false),
            (&preset, &desktop, false),
        ] {
            assert!(obstacle(image, system, podman).is_some(), "{system:?}");
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
                assert_eq!(error.code, ExitCode::Conflict);
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
}
