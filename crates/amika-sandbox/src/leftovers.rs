//! What interrupted commands left on the engine and on this machine, and removing it.
//!
//! Only what bears our labels is looked at. A git volume is never a leftover by itself: it may hold
//! work, and outlives its sandbox by design.

mod whose;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use amika_core::label::{Creator, Kind, Labels, SandboxRecord, key};
use amika_core::text::shell_quote;
use schemars::JsonSchema;
use serde::Serialize;
use tokio::sync::OnceCell;

use crate::creator;
use crate::delete::Clones;
use crate::error::{self, Result};
use crate::inject::{self, Injection};
use crate::reassign;
use crate::sandbox::{self, Answer, State};
use crate::sandboxes::Sandboxes;
use amika_engine::{ContainerSummary, EngineError, Network, VolumeFacts};
use whose::{Whose, whose, whose_labels};

/// A leftover.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Leftover {
    /// `container`, `image`, `network` or `volume`; `directory` on this machine.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Why it is one.
    pub reason: String,
    /// Whether somebody else may still be at work on it, whom this user cannot see: `--fix` leaves it alone without
    /// `--others`.
    pub others: bool,
    #[serde(skip)]
    removal: Removal,
}

#[derive(Clone, Debug)]
enum Removal {
    Sandbox {
        container: String,
        record: Box<SandboxRecord>,
    },
    Container(String),
    /// Of a sandbox whose ports were being reassigned: undone or finished.
    Reassign(String),
    Image(String),
    Network(String),
    Volume(String, Arc<Left>),
    /// One with a program, and its mark.
    Program(String),
    Directory(PathBuf),
}

/// Volumes of one sandbox that is gone, which are looked through together, once.
#[derive(Debug)]
struct Left {
    name: String,
    id: String,
    volumes: Vec<(Kind, VolumeFacts)>,
    /// Why they are kept, if they are.
    verdict: OnceCell<Option<String>>,
}

impl Leftover {
    /// Whether no command was interrupted: it was of use, and is not any more.
    pub fn had_its_time(&self) -> bool {
        matches!(self.removal, Removal::Program(_))
    }
}

impl Left {
    /// Why these volumes are kept: there is work in them, or nobody can tell.
    async fn kept(&self, engine: &Sandboxes) -> Result<Option<String>> {
        let look = async {
            let volumes = &self.volumes;
            match crate::unsaved::refuse_left(engine, &self.name, &self.id, volumes, false).await {
                Ok(()) => Ok(None),
                Err(error) if error.kind == error::Kind::Conflict => {
                    Ok(Some(why(&error, &self.name)))
                }
                Err(error) => Err(error),
            }
        };
        self.verdict
            .get_or_try_init(|| Box::pin(look))
            .await
            .cloned()
    }
}

/// A refusal in one line, with what removes it all the same.
fn why(refusal: &crate::error::Error, name: &str) -> String {
    let parts = std::iter::once(&refusal.message).chain(&refusal.causes);
    let parts: Vec<&str> = parts.map(String::as_str).collect();
    format!(
        "{}; `amika sandbox delete --force {}` removes it all the same",
        parts.join(": "),
        // Without a container the name is a volume's label, which anybody may have written.
        shell_quote(name)
    )
}

/// Finds leftovers. What a live `amika` is working on is none.
///
/// # Errors
/// Those of the engine.
pub async fn find(engine: &Sandboxes) -> Result<Vec<Leftover>> {
    let locks = engine.locks();
    // Volumes, networks and services first: one whose container is made between the lists is then not in the first.
    let networks = engine.networks().await?;
    let mut volumes = engine.list_volumes(key::KIND).await?;
    volumes.retain(|volume| engine.may_tidy(&volume.labels));
    let services = engine
        .list_containers(&format!("{}={}", key::KIND, Kind::Service))
        .await?;
    let mut found = Vec::new();
    let mut ids = BTreeSet::new();
    let mut containers = Vec::new();
    for (container, reading) in sandbox::list_all(engine).await? {
        ids.extend(container.labels.get(key::ID).cloned());
        containers.push(container.clone());
        // What does not tell which sandbox it is may be anybody's.
        if !reading.is_identified() {
            continue;
        }
        let record = reading.record;
        if !engine.may_tidy(&container.labels) {
            continue;
        }
        if let Some(sandbox) = crate::passing::passing(&container.name) {
            if locks.is_free(&format!("sandbox-{sandbox}")) {
                found.push(Leftover {
                    kind: "container".into(),
                    reason: format!("`start --reassign-ports {sandbox}` was interrupted"),
                    others: false,
                    removal: Removal::Reassign(sandbox.to_owned()),
                    name: container.name,
                });
            }
            continue;
        }
        let now = amika_host::clock::now_millis() / 1000;
        let (reason, others) = match State::tell(container.state, &record, Answer::NotAsked, None) {
            State::Interrupted => ("its create was interrupted".to_owned(), false),
            State::Creating => {
                let creator = record.creator.as_ref();
                match whose(creator, container.created_at, now, creator::life) {
                    Whose::Others(whom) => (format!("it never started: begun by {whom}"), true),
                    _ => continue,
                }
            }
            State::Dead => (
                "the engine removed it half-way and failed".to_owned(),
                false,
            ),
            _ => continue,
        };
        if locks.take_name(&container.name).is_ok() {
            found.push(Leftover {
                kind: "container".into(),
                name: container.name,
                reason,
                others,
                removal: Removal::Sandbox {
                    container: container.id,
                    record: Box::new(record),
                },
            });
        }
    }
    let fillers = engine
        .list_containers(&format!("{}={}", key::KIND, Kind::Amikad))
        .await?;
    for filler in fillers {
        if !engine.may_tidy(&filler.labels) {
            continue;
        }
        let volume = filler
            .name
            .split("-fill-")
            .next()
            .unwrap_or_default()
            .to_owned();
        // It has no life of its own: who made it removes it.
        let creator = Creator::from_labels(|key| filler.labels.get(key).map(String::as_str));
        let now = amika_host::clock::now_millis() / 1000;
        let of = whose(creator.as_ref(), filler.created_at, now, creator::life);
        if locks.is_free(&volume) && of != Whose::InWork {
            found.push(Leftover {
                kind: "container".into(),
                name: filler.name,
                reason: "it filled a volume and was interrupted".into(),
                others: false,
                removal: Removal::Container(filler.id),
            });
        }
    }
    found.extend(lone_services(engine, services, &ids));
    for image in reassign::unused_images(engine, &containers).await? {
        found.push(Leftover {
            kind: "image".into(),
            reason: "no sandbox uses it".into(),
            others: false,
            removal: Removal::Image(image.clone()),
            name: image,
        });
    }
    for directory in amika_host::scratch::left(engine.machine().temporary()) {
        found.push(Leftover {
            kind: "directory".into(),
            name: directory.display().to_string(),
            reason: "its create was interrupted".into(),
            others: false,
            removal: Removal::Directory(directory),
        });
    }
    found.extend(
        networks
            .iter()
            .filter_map(|network| orphaned_network(engine, network, &ids)),
    );
    found.extend(orphans(&volumes, &ids, |name| {
        locks.is_free(&format!("sandbox-{name}"))
    }));
    found.extend(programs(engine, &volumes).await?);
    Ok(found)
}

/// Containers of services whose sandbox is gone: it was removed by other means, and they are left with their network.
fn lone_services(
    engine: &Sandboxes,
    services: Vec<ContainerSummary>,
    ids: &BTreeSet<String>,
) -> Vec<Leftover> {
    let lone = services.into_iter().filter_map(|it| {
        let (reason, others) = is_lone(engine, &it.labels, ids)?;
        Some(Leftover {
            kind: "container".into(),
            name: it.name,
            reason,
            others,
            removal: Removal::Container(it.id),
        })
    });
    lone.collect()
}

/// Why a thing with these labels is a leftover, if the sandbox that it belongs to is none of these, and whether it is somebody
/// else's.
fn is_lone(engine: &Sandboxes, labels: &Labels, ids: &BTreeSet<String>) -> Option<(String, bool)> {
    let id = labels.get(key::ID)?;
    let locks = engine.locks();
    let lock_is_free = labels
        .get(key::SANDBOX)
        .is_none_or(|name| locks.is_free(&format!("sandbox-{name}")));
    if ids.contains(id) || !lock_is_free || !engine.may_tidy(labels) {
        return None;
    }
    gone(whose_labels(labels))
}

/// The volumes with a program of another version, or with other certificates, that no container has.
async fn programs(engine: &Sandboxes, volumes: &[VolumeFacts]) -> Result<Vec<Leftover>> {
    let locks = engine.locks();
    let label = format!("{}={}", key::KIND, Kind::Amikad);
    let mut unused = engine.unused_volumes(&label).await?;
    // Whoever makes one has no container of it for a moment.
    unused.retain(|volume| {
        engine.may_tidy(&volume.labels)
            && whose_labels(&volume.labels) != Whose::InWork
            && locks.is_free(&volume.name)
    });
    // Without a program for this engine none of them is the next create's.
    let current = Injection::current(engine).await.ok();
    let there: BTreeSet<&str> = volumes.iter().map(|it| it.name.as_str()).collect();
    let found = inject::unneeded(&unused, &there, current.as_ref().map(Injection::name));
    Ok(found
        .into_iter()
        .map(|volume| Leftover {
            kind: "volume".into(),
            name: volume.name.clone(),
            reason: "it holds an amikad that no sandbox uses".into(),
            others: false,
            removal: Removal::Program(volume.name.clone()),
        })
        .collect())
}

/// Git volumes whose sandbox is gone: kept, and told of.
///
/// # Errors
/// Those of the engine.
pub async fn git_volumes_without_sandbox(engine: &Sandboxes) -> Result<Vec<String>> {
    let volumes = engine
        .list_volumes(&format!("{}={}", key::KIND, Kind::Git))
        .await?;
    let ids: BTreeSet<String> = sandbox::list_all(engine)
        .await?
        .into_iter()
        .filter_map(|(container, _)| container.labels.get(key::ID).cloned())
        .collect();
    Ok(volumes
        .into_iter()
        .filter(|volume| {
            volume
                .labels
                .get(key::ID)
                .is_none_or(|id| !ids.contains(id))
        })
        .map(|volume| volume.name)
        .collect())
}

/// What came of the removal of a leftover.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Removed {
    /// It is gone.
    Gone,
    /// It is still there, and why.
    Kept(String),
}

/// Removes a leftover; one that is gone meanwhile counts as removed.
///
/// # Errors
/// Those of the engine.
pub async fn remove(engine: &Sandboxes, leftover: &Leftover) -> Result<Removed> {
    let kept = |why: &str| Ok(Removed::Kept(why.to_owned()));
    match &leftover.removal {
        Removal::Sandbox { container, record } => {
            // Held until it is gone: nobody starts it meanwhile.
            let _lock = match engine.locks().take_name(&leftover.name) {
                Ok(lock) => lock,
                Err(error) if error.kind == error::Kind::Conflict => return kept(&error.message),
                Err(error) => return Err(error),
            };
            let container = match engine.inspect_container(container).await {
                Ok(container) => container,
                Err(error) if error.is_not_found() => return Ok(Removed::Gone),
                Err(error) => return Err(error.into()),
            };
            match State::tell(container.state, record, Answer::NotAsked, None) {
                State::Interrupted => {
                    crate::delete::remove_unfinished(engine, &container, record).await?;
                }
                State::Creating if leftover.others => {
                    crate::delete::remove_unfinished(engine, &container, record).await?;
                }
                State::Dead => {
                    let sandbox = crate::sandbox::Sandbox::of(container.clone());
                    match crate::unsaved::refuse(engine, &sandbox, false).await {
                        Err(error) if error.kind == error::Kind::Conflict => {
                            return Ok(Removed::Kept(why(&error, &leftover.name)));
                        }
                        other => other?,
                    }
                    crate::delete::remove(engine, &container.id, record, Clones::Stay).await?;
                }
                // The engine carries out a start whose asker was killed.
                _ => {
                    return kept(
                        "its start was carried out meanwhile: it is a sandbox like any other",
                    );
                }
            }
        }
        Removal::Container(id) => match engine.remove_container(id).await {
            Ok(()) | Err(EngineError::NotFound(_)) => {}
            Err(error) => return Err(error.into()),
        },
        Removal::Reassign(sandbox) => match Box::pin(reassign::recover(engine, sandbox)).await {
            Ok(_) => {}
            Err(error) if error.kind == error::Kind::Conflict => return kept(&error.message),
            Err(error) => return Err(error),
        },
        Removal::Image(image) => match engine.remove_image(image).await {
            Ok(()) | Err(EngineError::NotFound(_)) => {}
            Err(EngineError::Conflict(why)) => return Ok(Removed::Kept(why)),
            Err(error) => return Err(error.into()),
        },
        Removal::Directory(path) => {
            if !amika_host::scratch::remove(path) && path.exists() {
                return kept("another process uses it, or it cannot be removed");
            }
        }
        Removal::Network(id) => match engine.remove_network(id).await {
            Ok(()) => {}
            // Somebody put a container of his own on it.
            Err(EngineError::Refused { message, .. } | EngineError::Conflict(message)) => {
                return Ok(Removed::Kept(message));
            }
            Err(error) => return Err(error.into()),
        },
        // In this order: a mark without its volume tells of nothing, whatever is made meanwhile.
        Removal::Program(name) => match engine.remove_volume(name).await {
            Ok(()) => engine.remove_volume(&inject::mark(name)).await?,
            Err(EngineError::Conflict(why)) => return Ok(Removed::Kept(why)),
            Err(error) => return Err(error.into()),
        },
        Removal::Volume(name, left) => {
            if let Some(why) = left.kept(engine).await? {
                return Ok(Removed::Kept(why));
            }
            match engine.remove_volume(name).await {
                Ok(()) => {}
                Err(EngineError::Conflict(why)) => return Ok(Removed::Kept(why)),
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(Removed::Gone)
}

/// A network of one sandbox that is not there; a shared one is nobody's.
fn orphaned_network(
    engine: &Sandboxes,
    network: &Network,
    ids: &BTreeSet<String>,
) -> Option<Leftover> {
    let is_ours = network.labels.get(key::KIND).map(String::as_str) == Some(Kind::Network.as_str());
    if !is_ours {
        return None;
    }
    let (reason, others) = is_lone(engine, &network.labels, ids)?;
    Some(Leftover {
        kind: "network".into(),
        name: network.name.clone(),
        reason,
        others,
        removal: Removal::Network(network.id.clone()),
    })
}

/// Why a thing whose sandbox is gone is a leftover, if it is one, and whether it is somebody else's.
fn gone(of: Whose) -> Option<(String, bool)> {
    match of {
        Whose::Left => Some(("its sandbox is gone".to_owned(), false)),
        Whose::Others(whom) => Some((format!("its sandbox is gone: made by {whom}"), true)),
        Whose::InWork => None,
    }
}

/// The volumes that went with sandboxes of none of these ids.
fn orphans(
    volumes: &[VolumeFacts],
    ids: &BTreeSet<String>,
    is_free: impl Fn(&str) -> bool,
) -> Vec<Leftover> {
    let mut by_id: BTreeMap<&str, Vec<(Kind, &VolumeFacts)>> = BTreeMap::new();
    for volume in volumes {
        let label = |key: &str| volume.labels.get(key).map(String::as_str);
        if let (Some(Ok(kind)), Some(id)) = (label(key::KIND).map(str::parse), label(key::ID))
            && Kind::goes_with_sandbox(kind)
            && !ids.contains(id)
            && label(key::SANDBOX).is_none_or(&is_free)
        {
            by_id.entry(id).or_default().push((kind, volume));
        }
    }
    let mut found = Vec::new();
    for (id, mut volumes) in by_id {
        // The state tells what in the others is work.
        volumes.sort_by_key(|(kind, _)| *kind == Kind::State);
        let mut names = volumes.iter();
        let name = names.find_map(|(_, volume)| volume.labels.get(key::SANDBOX));
        let left = Arc::new(Left {
            name: name.map_or(id, String::as_str).to_owned(),
            id: id.to_owned(),
            volumes: volumes
                .iter()
                .map(|(kind, volume)| (*kind, (*volume).clone()))
                .collect(),
            verdict: OnceCell::new(),
        });
        for (_, volume) in volumes {
            let Some((reason, others)) = gone(whose_labels(&volume.labels)) else {
                continue;
            };
            found.push(Leftover {
                kind: "volume".into(),
                name: volume.name.clone(),
                reason,
                others,
                removal: Removal::Volume(volume.name.clone(), Arc::clone(&left)),
            });
        }
    }
    found
}

#[cfg(test)]
mod tests;
