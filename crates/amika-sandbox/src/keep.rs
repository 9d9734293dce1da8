//! Deleting a sandbox whatever it holds: the volumes that hold work stay.

use std::sync::Arc;

use amika_core::label::Kind;
use amika_core::service::has_sidecars;

use crate::belongings::{Belongings, belongings};
use crate::broken_off::{engine_goes_on, nothing_done};
use crate::cancel::Cancel;
use crate::delete::{Clones, remove_rest};
use crate::error::{self, Result};
use crate::lost::{self, Lost};
use crate::progress::Progress;
use crate::sandbox::{Sandbox, State};
use crate::sandboxes::{Sandboxes, to_its_end};
use crate::unsaved::{held, held_left};
use amika_engine::{EngineError, VolumeFacts};

/// A volume that stays, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Its name on the engine.
    pub name: String,
    /// Why it stays.
    pub reason: String,
}

impl Kept {
    /// A volume of a service beside the sandbox.
    pub fn of_service(name: String) -> Self {
        let reason = "it has the data of a service".to_owned();
        Self { name, reason }
    }
}

impl Sandboxes {
    /// Deletes a sandbox, running or not, or what is left of one. What holds work stays, or what may: the git volume
    /// always, and each other volume in which there is some, with amikad's state that tells what in them is work.
    ///
    /// # Errors
    /// [`error::Kind::NotFound`]; [`error::Kind::Canceled`], and those of the engine.
    pub async fn delete_but_work(
        &self,
        name: &str,
        progress: Arc<dyn Progress>,
        cancel: &Cancel,
    ) -> Result<Vec<Kept>> {
        let (engine, name, cancel) = (self.clone(), name.to_owned(), cancel.clone());
        to_its_end(async move { Box::pin(one(&engine, &name, &*progress, &cancel)).await }).await
    }
}

/// What of a sandbox goes whose container is gone already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Going {
    /// All of it.
    Everything,
    /// What holds no work, as for [`Sandboxes::delete_but_work`].
    NoWork,
}

impl Sandboxes {
    /// Removes what is left of the one sandbox without a container that `is_it` knows by its labels: others may have
    /// had its name.
    ///
    /// # Errors
    /// Those of the engine.
    pub async fn delete_left(
        &self,
        is_it: impl Fn(&Lost) -> bool,
        going: Going,
    ) -> Result<Vec<Kept>> {
        // All that is left, also what another would still be at: nobody else is.
        let mut lost = lost::all(self).await?;
        lost.retain(is_it);
        match going {
            Going::NoWork => left(self, &lost).await,
            Going::Everything => {
                let removing = crate::delete::remove_lost(self, lost, true);
                removing.await.map(|_| Vec::new())
            }
        }
    }
}

async fn one(
    engine: &Sandboxes,
    name: &str,
    out: &dyn Progress,
    cancel: &Cancel,
) -> Result<Vec<Kept>> {
    let untouched = format!("sandbox \"{name}\" was not deleted");
    // Others are told by it that this sandbox is on its way out.
    let lock = engine.locks().take_name(name);
    let sandbox = match nothing_done(cancel, Sandbox::find_any(engine, name), &untouched).await {
        Ok(sandbox) => sandbox,
        Err(error) if error.kind == error::Kind::NotFound => {
            let lost = lost::of(engine, name).await?;
            return if lost.is_empty() {
                Err(error)
            } else {
                left(engine, &lost).await
            };
        }
        Err(error) => return Err(error),
    };
    let container = &sandbox.container.id;
    let looked = async {
        let found = belongings(engine, container, &sandbox.record).await?;
        let held = Box::pin(held(engine, &sandbox, &found.volumes)).await?;
        Ok((found, held))
    };
    let (found, mut held) = nothing_done(cancel, looked, &untouched).await?;
    let is_interrupted = sandbox.state_of_making() == Some(State::Interrupted);
    let Belongings { volumes, is_alone } = found;
    let unmade = is_interrupted.then_some(Clones::Unmade);
    let is_kept = |volume: &str| unmade.is_none_or(|clones| !clones.go(volume, &sandbox.record));
    keep_git_and_state(&volumes, &mut held, is_kept);
    let mut of_services = Vec::new();
    if is_alone && has_sidecars(&sandbox.record.services) {
        of_services = crate::sidecars::volumes(engine, sandbox.record.id.as_str()).await?;
    }
    if !is_interrupted {
        for volume in of_services.drain(..) {
            let Kept { name, reason } = Kept::of_service(volume);
            held.insert(name, reason);
        }
    }
    let removing = async {
        let keeps_nameless = sandbox
            .container
            .anonymous_volumes
            .iter()
            .any(|it| held.contains_key(it));
        let removed = if keeps_nameless {
            engine.remove_container_alone(container).await
        } else {
            engine.remove_container(container).await
        };
        match removed {
            Ok(()) | Err(EngineError::NotFound(_)) => {}
            Err(error) => return Err(error.into()),
        }
        if keeps_nameless {
            for volume in &sandbox.container.anonymous_volumes {
                if !held.contains_key(volume) {
                    engine.remove_freed_volume(volume).await?;
                }
            }
        }
        if is_alone {
            if !is_interrupted {
                crate::sidecars::stop(engine, &sandbox.record).await?;
            }
            remove_rest(engine, &sandbox.record, Some(&sandbox.name)).await?;
        }
        for volume in &of_services {
            engine.remove_freed_volume(volume).await?;
        }
        remove_volumes(engine, &volumes, &held).await
    };
    let what = format!("sandbox \"{name}\" was being removed");
    let next = format!("`amika sandbox delete {name}` again removes what is left then");
    engine_goes_on(cancel, Box::pin(removing), &what, &next).await?;
    crate::setid::warn_of(&sandbox, engine.is_local(), out).await;
    if let Ok(lock) = &lock {
        crate::unreported::clear(lock);
    }
    Ok(kept(held))
}

/// What is left of sandboxes without a container.
async fn left(engine: &Sandboxes, lost: &[Lost]) -> Result<Vec<Kept>> {
    let mut all = Vec::new();
    for lost in lost {
        let Lost {
            name, id, volumes, ..
        } = lost;
        let mut held = held_left(engine, name, id, volumes).await?;
        keep_git_and_state(volumes, &mut held, |_| true);
        for volume in crate::sidecars::volumes(engine, id).await? {
            let Kept { name, reason } = Kept::of_service(volume);
            held.insert(name, reason);
        }
        crate::others::remove(engine, id).await?;
        crate::networks::remove_own(engine, id).await?;
        remove_volumes(engine, volumes, &held).await?;
        all.extend(kept(held));
    }
    Ok(all)
}

type Held = std::collections::BTreeMap<String, String>;

/// Git volumes stay of which `is_kept` says so; amikad's state where others stay.
fn keep_git_and_state(
    volumes: &[(Kind, VolumeFacts)],
    held: &mut Held,
    is_kept: impl Fn(&str) -> bool,
) {
    let others_stay = !held.is_empty();
    for (kind, volume) in volumes {
        let reason = match kind {
            Kind::Git if is_kept(&volume.name) => {
                "it has the repository: what is in it may be nowhere else"
            }
            Kind::State if others_stay => "it tells what in the others is work",
            _ => continue,
        };
        let reason = || reason.to_owned();
        held.entry(volume.name.clone()).or_insert_with(reason);
    }
}

async fn remove_volumes(
    engine: &Sandboxes,
    volumes: &[(Kind, VolumeFacts)],
    held: &Held,
) -> Result<()> {
    let goes = |kind: Kind| kind.goes_with_sandbox() || kind == Kind::Git;
    let going = volumes.iter().filter(|(kind, _)| goes(*kind));
    let mut going: Vec<_> = going
        .filter(|(_, volume)| !held.contains_key(&volume.name))
        .collect();
    // The state tells what in the others is work: whoever is broken off here must still find that out.
    going.sort_by_key(|(kind, _)| *kind == Kind::State);
    for (_, volume) in going {
        engine.remove_freed_volume(&volume.name).await?;
    }
    Ok(())
}

fn kept(held: Held) -> Vec<Kept> {
    let kept = held.into_iter();
    kept.map(|(name, reason)| Kept { name, reason }).collect()
}
