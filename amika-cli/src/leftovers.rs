//! What interrupted commands left on the engine and on this machine, and removing it.
//!
//! Only what bears our labels is looked at. A git volume is never a leftover by itself: it may hold
//! work, and outlives its sandbox by design.

use std::collections::BTreeSet;
use std::path::PathBuf;

use amika_core::label::{Kind, SandboxRecord, key};
use schemars::JsonSchema;
use serde::Serialize;

use crate::engine::{Engine, EngineError, Network, VolumeFacts};
use crate::error::{ExitCode, Result};
use crate::lock::FileLock;
use crate::reassign;
use crate::sandbox::{self, State};

/// A leftover.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Leftover {
    /// `container`, `image`, `network` or `volume`; `directory` on this machine.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Why it is one.
    pub reason: String,
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
    Volume(String),
    Directory(PathBuf),
}

/// Finds leftovers. What a live `amika` is working on is none.
///
/// # Errors
/// Those of the engine.
pub async fn find(engine: &Engine) -> Result<Vec<Leftover>> {
    // Volumes and networks first: one whose container is made between the lists is then not in the first.
    let networks = engine.networks().await?;
    let mut volumes = engine.list_volumes(key::KIND).await?;
    volumes.retain(|volume| crate::may_tidy(&volume.labels));
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
        if !crate::may_tidy(&container.labels) {
            continue;
        }
        if let Some(sandbox) = reassign::passing(&container.name) {
            if FileLock::is_free(&format!("sandbox-{sandbox}")) {
                found.push(Leftover {
                    kind: "container".into(),
                    reason: format!("`start --reassign-ports {sandbox}` was interrupted"),
                    removal: Removal::Reassign(sandbox.to_owned()),
                    name: container.name,
                });
            }
            continue;
        }
        let reason = match State::tell(container.state, &record, None, None) {
            State::Interrupted => "its create was interrupted",
            State::Dead => "the engine removed it half-way and failed",
            _ => continue,
        };
        if FileLock::take_name(&container.name).is_ok() {
            found.push(Leftover {
                kind: "container".into(),
                name: container.name,
                reason: reason.into(),
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
        if !crate::may_tidy(&filler.labels) {
            continue;
        }
        let volume = filler
            .name
            .split("-fill-")
            .next()
            .unwrap_or_default()
            .to_owned();
        if FileLock::is_free(&volume) {
            found.push(Leftover {
                kind: "container".into(),
                name: filler.name,
                reason: "it filled a volume and was interrupted".into(),
                removal: Removal::Container(filler.id),
            });
        }
    }
    for image in reassign::unused_images(engine, &containers).await? {
        found.push(Leftover {
            kind: "image".into(),
            reason: "no sandbox uses it".into(),
            removal: Removal::Image(image.clone()),
            name: image,
        });
    }
    for directory in crate::scratch::left() {
        found.push(Leftover {
            kind: "directory".into(),
            name: directory.display().to_string(),
            reason: "its create was interrupted".into(),
            removal: Removal::Directory(directory),
        });
    }
    found.extend(
        networks
            .iter()
            .filter_map(|network| orphaned_network(network, &ids)),
    );
    found.extend(volumes.iter().filter_map(|volume| orphan(volume, &ids)));
    Ok(found)
}

/// Git volumes whose sandbox is gone: kept, and told of.
///
/// # Errors
/// Those of the engine.
pub async fn git_volumes_without_sandbox(engine: &Engine) -> Result<Vec<String>> {
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
pub async fn remove(engine: &Engine, leftover: &Leftover) -> Result<Removed> {
    let kept = |why: &str| Ok(Removed::Kept(why.to_owned()));
    match &leftover.removal {
        Removal::Sandbox { container, record } => {
            // Held until it is gone: nobody starts it meanwhile.
            let _lock = match FileLock::take_name(&leftover.name) {
                Ok(lock) => lock,
                Err(error) if error.code == ExitCode::Conflict => return kept(&error.message),
                Err(error) => return Err(error),
            };
            let container = match engine.inspect_container(container).await {
                Ok(container) => container,
                Err(error) if error.is_not_found() => return Ok(Removed::Gone),
                Err(error) => return Err(error.into()),
            };
            match State::tell(container.state, record, None, None) {
                State::Interrupted => {
                    crate::delete::remove_unfinished(engine, &container, record).await?;
                }
                State::Dead => {
                    crate::delete::remove(engine, &container.id, record, false).await?;
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
        Removal::Reassign(sandbox) => match reassign::recover(engine, sandbox).await {
            Ok(_) => {}
            Err(error) if error.code == ExitCode::Conflict => return kept(&error.message),
            Err(error) => return Err(error),
        },
        Removal::Image(image) => match engine.remove_image(image).await {
            Ok(()) | Err(EngineError::NotFound(_)) => {}
            Err(EngineError::Conflict(why)) => return Ok(Removed::Kept(why)),
            Err(error) => return Err(error.into()),
        },
        Removal::Directory(path) => {
            if !crate::scratch::remove(path) && path.exists() {
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
        Removal::Volume(name) => match engine.remove_volume(name).await {
            Ok(()) => {}
            Err(EngineError::Conflict(why)) => return Ok(Removed::Kept(why)),
            Err(error) => return Err(error.into()),
        },
    }
    Ok(Removed::Gone)
}

/// A network of one sandbox that is not there; a shared one is nobody's.
fn orphaned_network(network: &Network, ids: &BTreeSet<String>) -> Option<Leftover> {
    let is_ours = network.labels.get(key::KIND).map(String::as_str) == Some(Kind::Network.as_str());
    let id = network.labels.get(key::ID)?;
    let lock_is_free = network
        .labels
        .get(key::SANDBOX)
        .is_none_or(|name| FileLock::is_free(&format!("sandbox-{name}")));
    (is_ours && !ids.contains(id) && lock_is_free && crate::may_tidy(&network.labels)).then(|| {
        Leftover {
            kind: "network".into(),
            name: network.name.clone(),
            reason: "its sandbox is gone".into(),
            removal: Removal::Network(network.id.clone()),
        }
    })
}

fn orphan(volume: &VolumeFacts, ids: &BTreeSet<String>) -> Option<Leftover> {
    let kind: Kind = volume.labels.get(key::KIND)?.parse().ok()?;
    let id = volume.labels.get(key::ID)?;
    let lock_is_free = volume
        .labels
        .get(key::SANDBOX)
        .is_none_or(|name| FileLock::is_free(&format!("sandbox-{name}")));
    (kind.goes_with_sandbox() && !ids.contains(id) && lock_is_free).then(|| Leftover {
        kind: "volume".into(),
        name: volume.name.clone(),
        reason: "its sandbox is gone".into(),
        removal: Removal::Volume(volume.name.clone()),
    })
}
