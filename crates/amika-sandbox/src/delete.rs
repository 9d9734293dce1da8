//! Removing a sandbox's container and the volumes that go with it.

use std::sync::Arc;

use amika_core::label::{Kind, SandboxRecord};
use amika_core::service::has_sidecars;

use crate::belongings::{Belongings, belongings};
use crate::broken_off::{engine_goes_on, nothing_done};
use crate::cancel::Cancel;
use crate::error::{self, Error, Result};
use crate::lost::{self, Lost};
use crate::progress::Progress;
use crate::reassign;
use crate::rescue::{Rescue, Rescued};
use crate::sandbox::{Sandbox, State};
use crate::sandboxes::{Sandboxes, to_its_end};
use amika_engine::{ContainerFacts, EngineError};

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
        to_its_end(async move { one(&engine, &name, request, None, &*progress, &cancel).await })
            .await
    }

    /// As [`Sandboxes::delete`], but all work of it is stored first, on this machine: nothing goes where not all of it
    /// could be.
    ///
    /// # Errors
    /// As [`Sandboxes::delete`]; [`error::Kind::Repository`], [`error::Kind::Conflict`] and [`error::Kind::Failure`]
    /// where work cannot be stored.
    pub async fn delete_rescued(
        &self,
        name: &str,
        volumes: bool,
        rescue: Rescue,
        progress: Arc<dyn Progress>,
        cancel: &Cancel,
    ) -> Result<Removed> {
        let (engine, name, cancel) = (self.clone(), name.to_owned(), cancel.clone());
        let request = DeleteRequest {
            force: false,
            volumes,
        };
        let deleting = async move {
            let rescue = Some(&rescue);
            one(&engine, &name, request, rescue, &*progress, &cancel).await
        };
        to_its_end(deleting).await
    }
}

async fn one(
    engine: &Sandboxes,
    name: &str,
    request: DeleteRequest,
    rescue: Option<&Rescue>,
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
        Err(error) => {
            let error = without_likeness(error);
            let mut removed = delete_lost(engine, name, request, rescue, error).await?;
            removed.tell_or_take_data(engine, request, out).await?;
            return Ok(removed);
        }
    };
    let mut rescued = Rescued::default();
    if let Some(rescue) = rescue {
        let storing = Box::pin(stored(engine, &sandbox, rescue));
        rescued = nothing_done(cancel, storing, &untouched).await?;
    } else if !request.force {
        let checked = Box::pin(crate::unsaved::refuse(engine, &sandbox, request.volumes));
        nothing_done(cancel, checked, &untouched).await?;
    }
    let clones = match sandbox.state_of_making() {
        Some(State::Interrupted) => Clones::Unmade,
        // It was not looked at for work: that of an earlier sandbox may be in what it was given.
        Some(_) if request.volumes => Clones::Unmade,
        _ if request.volumes => Clones::Go,
        _ => Clones::Stay,
    };
    let removing = Box::pin(remove(
        engine,
        &sandbox.container.id,
        &sandbox.record,
        clones,
    ));
    let what = format!("sandbox \"{name}\" was being removed");
    let next = format!("`amika sandbox delete {name}` again removes what is left then");
    let mut removed = engine_goes_on(cancel, removing, &what, &next).await?;
    removed.rescued = rescued;
    removed.tell_or_take_data(engine, request, out).await?;
    crate::setid::warn_of(&sandbox, engine.is_local(), out).await;
    if let Ok(lock) = &lock {
        crate::unreported::clear(lock);
    }
    Ok(removed)
}

/// Stores all work of a sandbox.
async fn stored(engine: &Sandboxes, sandbox: &Sandbox, rescue: &Rescue) -> Result<Rescued> {
    let going = crate::belongings::volumes(engine, &sandbox.container.id, &sandbox.record).await?;
    crate::rescue::of_sandbox(engine, sandbox, &going, rescue).await
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
    rescue: Option<&Rescue>,
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
        if let Some(rescue) = rescue {
            let mut rescued = Rescued::default();
            for lost in &lost {
                let Lost {
                    name, id, volumes, ..
                } = lost;
                rescued.add(crate::rescue::of_left(engine, name, id, volumes, rescue).await?);
            }
            let mut removed = remove_lost(engine, lost.clone(), request.volumes).await?;
            removed.rescued = rescued;
            return Ok(removed);
        }
        if !request.force {
            for lost in &lost {
                let Lost {
                    name, id, volumes, ..
                } = lost;
                crate::unsaved::refuse_left(engine, name, id, volumes, request.volumes).await?;
            }
        }
        remove_lost(engine, lost.clone(), request.volumes).await
    };
    // That its container is not there was so before: what the engine refuses has another cause.
    removing.await.map_err(|mut error| {
        error.is_engines = false;
        error
    })
}

/// What a removal left and took.
#[derive(Debug, Default)]
pub struct Removed {
    /// Volumes that went.
    pub removed: Vec<String>,
    /// Git volumes that stay.
    pub kept: Vec<String>,
    /// Volumes of its services, which stay.
    pub kept_data: Vec<String>,
    /// What was stored before.
    pub rescued: Rescued,
}

impl Removed {
    /// Removes the volumes of services where all is to go, unasked; else says that they stay.
    async fn tell_or_take_data(
        &mut self,
        engine: &Sandboxes,
        request: DeleteRequest,
        out: &dyn Progress,
    ) -> Result<()> {
        if request.force && request.volumes {
            return self.take_services_too(engine).await;
        }
        self.tell_of_data(out);
        Ok(())
    }

    /// Says which volumes of services stay.
    pub(crate) fn tell_of_data(&self, out: &dyn Progress) {
        for volume in &self.kept_data {
            out.note(&format!(
                "the data of its services stays in volume {volume}; `amika volume delete {volume}` removes it"
            ));
        }
    }

    /// Removes the volumes of services that were to stay.
    async fn take_services_too(&mut self, engine: &Sandboxes) -> Result<()> {
        for volume in std::mem::take(&mut self.kept_data) {
            engine.remove_freed_volume(&volume).await?;
            self.removed.push(volume);
        }
        Ok(())
    }
}

/// What becomes of git volumes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clones {
    /// They stay.
    Stay,
    /// They go.
    Go,
    /// What a create cloned goes that did not come to its end: it is perhaps half there, and nobody worked in it. What it
    /// was given stays.
    Unmade,
}

impl Clones {
    /// Whether this one goes.
    pub(crate) fn go(self, volume: &str, record: &SandboxRecord) -> bool {
        match self {
            Self::Stay => false,
            Self::Go => true,
            Self::Unmade => record.from_volume.as_deref() != Some(volume),
        }
    }
}

/// Removes a container, running or not, and the volumes that go with the sandbox; git volumes as is said. A container that is gone already is no error: what is left of it goes.
///
/// # Errors
/// Those of the engine.
pub async fn remove(
    engine: &Sandboxes,
    container: &str,
    record: &SandboxRecord,
    clones: Clones,
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
        if clones != Clones::Unmade {
            // What stays in their volumes is to be whole: they end by themselves.
            crate::sidecars::stop(engine, record).await?;
        }
        remove_rest(engine, record, name.as_deref()).await?;
    }
    let mut result = Removed::default();
    if is_alone && has_sidecars(&record.services) {
        result.kept_data = crate::sidecars::volumes(engine, record.id.as_str()).await?;
    }
    if clones == Clones::Unmade {
        result.take_services_too(engine).await?;
    }
    let mut volumes = volumes;
    // The state tells what in the others is work: whoever is broken off here must still find that out.
    volumes.sort_by_key(|(kind, _)| *kind == Kind::State);
    for (kind, volume) in volumes {
        if kind.goes_with_sandbox() || (kind == Kind::Git && clones.go(&volume.name, record)) {
            engine.remove_freed_volume(&volume.name).await?;
            result.removed.push(volume.name);
        } else if kind == Kind::Git {
            result.kept.push(volume.name);
        }
    }
    Ok(result)
}

/// Removes what else there is of a sandbox beside its container and its volumes, where no other bears its id.
///
/// # Errors
/// Those of the engine.
pub(crate) async fn remove_rest(
    engine: &Sandboxes,
    record: &SandboxRecord,
    name: Option<&str>,
) -> Result<()> {
    // A create that is under way, or was killed, may have one at a volume.
    crate::others::remove(engine, record.id.as_str()).await?;
    reassign::remove_containers(engine, &record.id, name).await?;
    reassign::drop_unused_images(engine, &record.id).await;
    crate::networks::remove_own(engine, record.id.as_str()).await?;
    if let Ok(key) = engine.record_key() {
        key.forget(&record.id);
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
    remove(engine, &container.id, record, Clones::Unmade)
        .await
        .map(drop)
}

/// Removes what went with the sandbox; git volumes only when asked to.
pub(crate) async fn remove_lost(
    engine: &Sandboxes,
    lost: Vec<Lost>,
    git_too: bool,
) -> Result<Removed> {
    let mut result = Removed::default();
    for lost in &lost {
        crate::others::remove(engine, &lost.id).await?;
        crate::networks::remove_own(engine, &lost.id).await?;
    }
    for lost in &lost {
        let data = crate::sidecars::volumes(engine, &lost.id).await?;
        result.kept_data.extend(data);
    }
    let mut volumes: Vec<_> = lost.into_iter().flat_map(|lost| lost.volumes).collect();
    // The state tells what in the others is work.
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
