//! Removing a sandbox's container and the volumes that go with it.

use std::sync::Arc;

use amika_core::label::{Kind, SandboxRecord, key};

use crate::broken_off::{engine_goes_on, nothing_done};
use crate::cancel::Cancel;
use crate::error::{self, Error, Result};
use crate::lost;
use crate::progress::Progress;
use crate::reassign;
use crate::sandbox::{Sandbox, State};
use crate::sandboxes::{Sandboxes, to_its_end};
use amika_engine::{ContainerFacts, ContainerState, ContainerSummary, EngineError, VolumeFacts};

/// How a sandbox is to be deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeleteRequest {
    /// Whether it goes though work would be lost that is nowhere else.
    pub force: bool,
    /// Whether its git volume goes too.
    pub volumes: bool,
}

impl Sandboxes {
    /// Deletes a sandbox, running or not, and the volumes that go with it; of one whose container is gone already
    /// what is left. Returns what went and what stays.
    ///
    /// # Errors
    /// [`error::Kind::NotFound`]; [`error::Kind::Conflict`] where work would be lost, or that cannot be told;
    /// [`error::Kind::Canceled`] (what the engine was asked for then, it goes on with), and those of the engine.
    pub async fn delete(
        &self,
        name: &str,
        request: DeleteRequest,
        progress: Arc<dyn Progress>,
        cancel: &Cancel,
    ) -> Result<Removed> {
        let (engine, name, cancel) = (self.clone(), name.to_owned(), cancel.clone());
        to_its_end(async move { one(&engine, &name, request, &*progress, &cancel).await }).await
    }
}

async fn one(
    engine: &Sandboxes,
    name: &str,
    request: DeleteRequest,
    out: &dyn Progress,
    cancel: &Cancel,
) -> Result<Removed> {
    let untouched = format!("sandbox \"{name}\" was not deleted");
    // Others are told by it that this sandbox is on its way out. A create that still waits for
    // setup holds it too: that sandbox may be deleted all the same. Nor is a start waited for, which may hang: it finds
    // the container gone, and unmakes what it had made.
    let lock = engine.locks().take_name(name);
    let sandbox = match nothing_done(cancel, Sandbox::find_any(engine, name), &untouched).await {
        Ok(sandbox) => sandbox,
        Err(error) => return delete_lost(engine, name, request, without_likeness(error)).await,
    };
    if !request.force {
        let checked = crate::unsaved::refuse(engine, &sandbox, request.volumes);
        nothing_done(cancel, checked, &untouched).await?;
    }
    // The clone of a create that was interrupted is perhaps half there, and nobody worked in it.
    let git_too = request.volumes || sandbox.state_of_making() == Some(State::Interrupted);
    let removing = remove(engine, &sandbox.container.id, &sandbox.record, git_too);
    let what = format!("sandbox \"{name}\" was being removed");
    let next = format!("`amika sandbox delete {name}` again removes what is left then");
    let removed = engine_goes_on(cancel, removing, &what, &next).await?;
    crate::setid::warn_of(&sandbox, engine.is_local(), out).await;
    if let Ok(lock) = &lock {
        crate::unreported::clear(lock);
    }
    Ok(removed)
}

/// Where it is about removing, a name that is alike is not put into anybody's hand.
fn without_likeness(mut error: Error) -> Error {
    let before = error.hints.len();
    error.hints.retain(|hint| !hint.starts_with("did you mean"));
    if error.hints.len() < before {
        return error.hint("`amika sandbox list` shows the sandboxes; nothing was deleted");
    }
    error
}

/// What is left of a sandbox without a container goes like the sandbox; where there is nothing, the
/// error stands.
async fn delete_lost(
    engine: &Sandboxes,
    name: &str,
    request: DeleteRequest,
    error: Error,
) -> Result<Removed> {
    if error.kind != error::Kind::NotFound {
        return Err(error);
    }
    let lost = lost::of(engine, name).await?;
    if lost.is_empty() {
        return Err(error);
    }
    let removing = async {
        if !request.force {
            for lost in &lost {
                lost.refuse(engine, request.volumes).await?;
            }
        }
        lost::remove(engine, lost.clone(), request.volumes).await
    };
    // That its container is not there was so before: what the engine refuses has another cause.
    removing.await.map_err(|mut error| {
        error.is_engines = false;
        error
    })
}

/// The volumes of a sandbox, with what each is: those whose own labels say so. `container` is the
/// engine's id of its container.
///
/// # Errors
/// Those of the engine.
pub async fn volumes(
    engine: &Sandboxes,
    container: &str,
    record: &SandboxRecord,
) -> Result<Vec<(Kind, VolumeFacts)>> {
    Ok(belongings(engine, container, record).await?.volumes)
}

/// What of the engine's belongs to one sandbox.
struct Belongings {
    /// Its volumes, with what each is.
    volumes: Vec<(Kind, VolumeFacts)>,
    /// Whether no other container says that it is this sandbox. A label can be copied: where two bear
    /// the same id, each has the volumes that it alone mounts, and nothing by its id.
    is_alone: bool,
}

async fn belongings(
    engine: &Sandboxes,
    container: &str,
    record: &SandboxRecord,
) -> Result<Belongings> {
    let label = format!("{}={}", key::ID, record.id);
    let (volumes, bearers) =
        tokio::try_join!(engine.list_volumes(&label), engine.list_containers(&label))?;
    let mut volumes: Vec<(Kind, VolumeFacts)> = volumes
        .into_iter()
        .filter_map(|volume| Some((volume.labels.get(key::KIND)?.parse().ok()?, volume)))
        .collect();
    let is_alone = keep_own(&mut volumes, container, &bearers);
    Ok(Belongings { volumes, is_alone })
}

/// Leaves the volumes that are a container's own among those of its sandbox's id, which `bearers` bear:
/// those that it mounts, and no other sandbox of that id. Returns whether there is no other.
fn keep_own(
    volumes: &mut Vec<(Kind, VolumeFacts)>,
    container: &str,
    bearers: &[ContainerSummary],
) -> bool {
    let sandboxes = bearers.iter().filter(|bearer| {
        bearer.labels.get(key::KIND).map(String::as_str) == Some(Kind::Sandbox.as_str())
    });
    let (own, others): (Vec<_>, Vec<_>) = sandboxes.partition(|bearer| bearer.id == container);
    let mounts = |bearers: &[&ContainerSummary], volume: &str| {
        let mut mounted = bearers.iter().flat_map(|bearer| &bearer.volumes);
        mounted.any(|(name, _)| name == volume)
    };
    // One that takes its place is the same sandbox, with the same volumes.
    let is_same = |bearer: &ContainerSummary| {
        reassign::passing(&bearer.name).is_some()
            && (own.is_empty() || bearer.volumes.iter().any(|(name, _)| mounts(&own, name)))
    };
    let others: Vec<&ContainerSummary> = others
        .into_iter()
        .filter(|bearer| !is_same(bearer))
        .collect();
    // Of one that the engine removed half-way nothing is told, nor of one that is gone.
    let is_whole = own
        .iter()
        .any(|own| !matches!(own.state, ContainerState::Dead | ContainerState::Removing));
    if is_whole || !others.is_empty() {
        volumes.retain(|(_, volume)| mounts(&own, &volume.name) && !mounts(&others, &volume.name));
    }
    others.is_empty()
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
    engine: &Sandboxes,
    container: &str,
    record: &SandboxRecord,
    git_too: bool,
) -> Result<Removed> {
    let Belongings { volumes, is_alone } = belongings(engine, container, record).await?;
    let name = match engine.inspect_container(container).await {
        Ok(facts) => Some(facts.name),
        Err(_) => None,
    };
    match engine.remove_container(container).await {
        Ok(()) | Err(EngineError::NotFound(_)) => {}
        Err(error) => return Err(error.into()),
    }
    if is_alone {
        // A create that is under way, or was killed, may have one at a volume.
        remove_fillers(engine, record.id.as_str()).await?;
        reassign::remove_containers(engine, &record.id, name.as_deref()).await?;
        reassign::drop_unused_images(engine, &record.id).await;
        crate::networks::remove_own(engine, record.id.as_str()).await?;
        if let Ok(key) = engine.record_key() {
            key.forget(&record.id);
        }
    }
    let mut result = Removed::default();
    let mut volumes = volumes;
    // The state tells what in the others is work: whoever is broken off here must still find that out.
    volumes.sort_by_key(|(kind, _)| *kind == Kind::State);
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

/// Removes the containers through which volumes of a sandbox are filled.
///
/// # Errors
/// Those of the engine.
pub async fn remove_fillers(engine: &Sandboxes, id: &str) -> Result<()> {
    let filler = Kind::Amikad.as_str();
    let ours = engine.list_containers(&format!("{}={id}", key::ID)).await?;
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
    engine: &Sandboxes,
    container: &ContainerFacts,
    record: &SandboxRecord,
) -> Result<()> {
    remove(engine, &container.id, record, true).await.map(drop)
}

#[cfg(test)]
mod tests {
    use pretty_assertions::assert_eq;

    use super::*;

    fn bearer(id: &str, name: &str, kind: Kind, volumes: &[&str]) -> ContainerSummary {
        ContainerSummary {
            id: id.to_owned(),
            name: name.to_owned(),
            image: String::new(),
            state: ContainerState::Exited,
            created_at: None,
            status: String::new(),
            labels: [(key::KIND.to_owned(), kind.to_string())].into(),
            ports: Vec::new(),
            volumes: volumes
                .iter()
                .map(|volume| ((*volume).to_owned(), "/x".to_owned()))
                .collect(),
            networks: Vec::new(),
        }
    }

    #[test]
    fn a_copied_id_claims_no_volume() {
        let sandbox = bearer("1", "a", Kind::Sandbox, &["home", "shared"]);
        let mut dead = bearer("1", "a", Kind::Sandbox, &[]);
        dead.state = ContainerState::Dead;
        let next = bearer("2", "a.reassign", Kind::Sandbox, &["home", "shared"]);
        let filler = bearer("3", "home-fill-1", Kind::Amikad, &["home"]);
        let copy = bearer("4", "b", Kind::Sandbox, &["shared"]);
        let bare = bearer("5", "c", Kind::Sandbox, &[]);
        let all = ["home", "shared", "other"];
        for (container, bearers, own, is_alone) in [
            ("1", vec![sandbox.clone()], &all[..2], true),
            // The engine tells nothing of it, or it is gone already.
            ("1", vec![dead.clone()], &all, true),
            ("1", vec![], &all, true),
            ("1", vec![next.clone()], &all, true),
            (
                "1",
                vec![sandbox.clone(), next.clone(), filler],
                &all[..2],
                true,
            ),
            ("1", vec![sandbox.clone(), copy.clone()], &["home"], false),
            ("1", vec![sandbox.clone(), bare.clone()], &all[..2], false),
            ("1", vec![dead, bare.clone()], &[], false),
            ("4", vec![sandbox, copy.clone()], &[], false),
            ("1", vec![copy], &[], false),
            // All that is left of that sandbox are its volumes, or what was to take its place.
            ("5", vec![bare.clone()], &[], true),
            ("5", vec![bare, next], &[], false),
        ] {
            let volume = |name: &&str| {
                let facts = VolumeFacts {
                    name: (*name).to_owned(),
                    labels: std::collections::BTreeMap::new(),
                    driver: "local".to_owned(),
                    mountpoint: String::new(),
                };
                (Kind::Home, facts)
            };
            let mut volumes: Vec<(Kind, VolumeFacts)> = all.iter().map(volume).collect();
            assert_eq!(keep_own(&mut volumes, container, &bearers), is_alone);
            let names: Vec<&str> = volumes.iter().map(|(_, it)| it.name.as_str()).collect();
            assert_eq!(names, own);
        }
    }
}
