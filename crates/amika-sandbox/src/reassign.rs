//! Starting a stopped sandbox on other host ports.
//!
//! An engine cannot change a container's bindings, so a second container is made: of an image that
//! holds the first one's own files, with the same volumes and settings, under the name
//! `<sandbox>.reassign`. Its start is the commit point. Until then the first container is the
//! sandbox, untouched, and undoing removes the second; from then on the second is, and finishing
//! gives it the name and removes the first. Names with a dot are no sandbox names, so whoever finds
//! one knows what was going on: [`recover`] undoes or finishes what a killed process left.

use std::collections::BTreeSet;

use amika_core::label::{
    self, Kind, Labels, ResourceRecord, SandboxId, SandboxRecord, is_under_prefix, key,
};
use amika_core::service::{HostPort, MAX_ROUNDS};
use schemars::JsonSchema;
use serde::Serialize;

use crate::cancel::Cancel;
use crate::error::{self, Error, Result};
use crate::passing::{NEXT, OLD, passing};
use crate::ports;
use crate::sandbox::Sandbox;
use crate::sandboxes::Sandboxes;
use crate::view::{self, PortView};
use amika_engine::{ContainerFacts, ContainerState, ContainerSummary, EngineError};

/// Name of the images that hold a container's own files.
const IMAGE: &str = "amika/sandbox";

/// A port that is published elsewhere now.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Moved {
    /// Where it was.
    pub from: PortView,
    /// Where it is.
    pub to: PortView,
}

/// Starts a stopped sandbox with other numbers for those host ports that are taken. `taken` is
/// known to be so. The caller holds the lock of the name.
///
/// # Errors
/// Those of the engine; [`error::Kind::Conflict`] when there are no ports. The sandbox is then as it
/// was.
pub async fn start(
    engine: &Sandboxes,
    sandbox: &Sandbox,
    taken: HostPort,
    cancel: &Cancel,
) -> Result<Vec<Moved>> {
    let name = &sandbox.name;
    let image = format!(
        "{IMAGE}:{}-{:08x}",
        sandbox.record.id,
        rand::random::<u32>()
    );
    let made = tokio::select! {
        made = make(engine, sandbox, &image, taken) => made,
        () = cancel.requested() => Err(Error::new(
            error::Kind::Canceled,
            format!("interrupted; sandbox \"{name}\" is as it was"),
        )),
    };
    let swapped = match made {
        Ok(()) => swap(engine, name, &sandbox.container).await,
        Err(error) => Err(error),
    };
    if let Err(error) = swapped {
        let undone = undo(engine, name, &sandbox.record.id).await;
        return Err(match undone {
            Ok(()) => error,
            Err(left) => error
                .cause(format!(
                    "what was made could not be removed: {}",
                    left.message
                ))
                .hint("`amika doctor --fix` removes what is left"),
        });
    }
    drop_unused_images(engine, &sandbox.record.id).await;
    let now = engine.inspect_container(name).await?;
    Ok(moved(sandbox, &now))
}

/// Makes the second container and starts it, with other ports until the engine takes them.
async fn make(engine: &Sandboxes, sandbox: &Sandbox, image: &str, taken: HostPort) -> Result<()> {
    let old = &sandbox.container;
    let record = SandboxRecord {
        creator: Some(crate::creator::this_process()),
        ..sandbox.record.clone()
    };
    // What other programs wrote on the container stays on it. A record that is not this user's stays
    // so: it is signed anew only where it is trusted.
    let mut labels = old.labels.clone();
    labels.retain(|label, _| !is_under_prefix(label));
    let stamp = label::stamp(&old.labels);
    labels.extend(record.to_labels());
    labels.extend(stamp);
    let key = engine.record_key()?;
    if key.trust(old).follows_host_paths() {
        key.sign(&mut labels);
    }
    let (committing, committed, as_image) = (engine.clone(), old.id.clone(), image.to_owned());
    let image_labels = image_labels(sandbox);
    // Broken off, it would leave an image that nobody has a name for.
    let made = engine
        .unbroken(async move {
            committing
                .commit_container(&committed, &as_image, &image_labels)
                .await
        })
        .await;
    if let Err(error) = made {
        let is_podman = engine.is_podman().await?;
        let error = Error::from(error);
        return Err(if is_podman {
            Error::new(
                error.kind,
                format!(
                    "sandbox \"{}\" stays as it is: Podman makes no image of its files without the values of its environment",
                    sandbox.name
                ),
            )
            .cause(error.message)
            .hint("end the program that has the port, then start the sandbox; `amika sandbox create --replace` makes it anew")
        } else {
            error
        });
    }
    let next = format!("{}{NEXT}", sandbox.name);
    let mut excluded = BTreeSet::from([taken]);
    for _ in 0..MAX_ROUNDS {
        let ports = ports::choose(&old.port_requests, &excluded, engine.is_local())?;
        let id = engine
            .recreate_container(&old.id, &next, image, &labels, &ports)
            .await?;
        match ports::start_again(engine, &id, &ports).await {
            Ok(()) => return Ok(()),
            Err(EngineError::PortTaken {
                port: Some(port),
                message,
            }) => {
                tracing::debug!(port, message, "host port taken");
                excluded.extend(ports::requested(&ports, Some(port), engine.is_local()));
                engine.remove_container(&id).await?;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Err(Error::new(
        error::Kind::Conflict,
        "other programs take each port before it can be published",
    ))
}

/// The creator is on the image too, so that `doctor` elsewhere leaves it alone while it is in work.
fn image_labels(sandbox: &Sandbox) -> Labels {
    let creator = SandboxRecord {
        creator: Some(crate::creator::this_process()),
        ..SandboxRecord::new(sandbox.record.id.clone())
    };
    let mut labels = creator.to_labels();
    labels.retain(|_, value| !value.is_empty());
    let image = ResourceRecord {
        id: Some(sandbox.record.id.clone()),
        sandbox: sandbox.name.parse().ok(),
        created_at: Some(amika_host::clock::now_millis()),
        test: sandbox.record.test.clone(),
        ..ResourceRecord::new(Kind::Image)
    };
    labels.extend(image.to_labels());
    labels
}

/// Gives the started container the name, and removes the one that had it.
async fn swap(engine: &Sandboxes, name: &str, old: &ContainerFacts) -> Result<()> {
    engine
        .rename_container(&old.id, &format!("{name}{OLD}"))
        .await?;
    if let Err(error) = engine
        .rename_container(&format!("{name}{NEXT}"), name)
        .await
    {
        engine.rename_container(&old.id, name).await?;
        return Err(error.into());
    }
    match engine.remove_container(&old.id).await {
        Err(error) if !error.is_not_found() => {
            // The sandbox runs; what is left of the old container is for `doctor`.
            tracing::debug!(%error, "the old container stays");
        }
        _ => {}
    }
    Ok(())
}

/// Undoes what [`make`] did; no volume is touched: all of them are the sandbox's.
async fn undo(engine: &Sandboxes, name: &str, id: &SandboxId) -> Result<()> {
    // What was broken off between request and answer is there only when the engine is done with it.
    engine.settled().await;
    if let Some(next) = find(engine, &format!("{name}{NEXT}"), Some(id)).await? {
        remove(engine, &next).await?;
    }
    drop_unused_images(engine, id).await;
    Ok(())
}

/// Undoes or finishes what an interrupted [`start`] left of a sandbox. Whether there was anything
/// is returned.
///
/// # Errors
/// [`error::Kind::Conflict`] when another `amika` is at it, or a stranger's container has the name.
pub async fn recover(engine: &Sandboxes, name: &str) -> Result<bool> {
    let (next_name, old_name) = (format!("{name}{NEXT}"), format!("{name}{OLD}"));
    let (next, old) = tokio::join!(
        find(engine, &next_name, None),
        find(engine, &old_name, None)
    );
    if next.as_ref().is_ok_and(Option::is_none) && old.as_ref().is_ok_and(Option::is_none) {
        return Ok(false);
    }
    let _lock = engine.locks().take_name(name)?;
    // Looked at again: whoever had the lock may have finished meanwhile.
    let next = find(engine, &next_name, None).await?;
    let old = find(engine, &old_name, None).await?;
    let Some(id) = next
        .as_ref()
        .or(old.as_ref())
        .map(|it| it.record.id.clone())
    else {
        return Ok(false);
    };
    let current = find(engine, name, Some(&id)).await?;
    if let Some(next) = &next
        && !may_be_settled(next.container.state, next.record.creator.as_ref())
    {
        return Err(Error::new(
            error::Kind::Conflict,
            format!("another amika may be working on sandbox \"{name}\""),
        )
        .hint("wait for it to end; what never started within a day, `amika doctor --fix --others` tells of"));
    }
    let state = next.as_ref().map(|next| next.container.state);
    for step in mending(state, current.is_some(), old.is_some()) {
        let of = |which| match which {
            Which::Next => next.as_ref(),
            Which::Current => current.as_ref(),
            Which::Old => old.as_ref(),
        };
        match step {
            Step::Remove(which) => {
                if let Some(sandbox) = of(which) {
                    remove(engine, sandbox).await?;
                }
            }
            Step::Rename(which, to) => {
                let to = match to {
                    Which::Next => &next_name,
                    Which::Current => name,
                    Which::Old => &old_name,
                };
                if let Some(sandbox) = of(which) {
                    engine.rename_container(&sandbox.container.id, to).await?;
                }
            }
        }
    }
    drop_unused_images(engine, &id).await;
    Ok(true)
}

/// A container of a sandbox whose ports are reassigned, by the name that it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Which {
    /// The one that is to take over.
    Next,
    /// The one with the sandbox's own name.
    Current,
    /// The one that was replaced.
    Old,
}

/// A step of mending what was interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Remove(Which),
    /// Gives the first one the name of the second.
    Rename(Which, Which),
}

/// What is to be done where there is a container that was to take over, in that state, and others or not. In
/// this order: whoever is broken off here leaves what the same rule mends.
fn mending(next: Option<ContainerState>, current: bool, old: bool) -> Vec<Step> {
    use Step::{Remove, Rename};
    use Which::{Current, Next, Old};
    match (next, current, old) {
        // It never ran: the sandbox is the other one.
        (Some(ContainerState::Created), false, true) => vec![Remove(Next), Rename(Old, Current)],
        (Some(ContainerState::Created), true, true) => vec![Remove(Next), Remove(Old)],
        (Some(ContainerState::Created), ..) => vec![Remove(Next)],
        // It ran: it is the sandbox.
        (Some(_), true, true) => vec![
            Remove(Old),
            Rename(Current, Old),
            Rename(Next, Current),
            Remove(Current),
        ],
        (Some(_), true, false) => {
            vec![Rename(Current, Old), Rename(Next, Current), Remove(Current)]
        }
        (Some(_), false, true) => vec![Rename(Next, Current), Remove(Old)],
        (Some(_), false, false) => vec![Rename(Next, Current)],
        (None, true, true) => vec![Remove(Old)],
        (None, false, true) => vec![Rename(Old, Current)],
        (None, _, false) => Vec::new(),
    }
}

/// Whether it can be told what a container is that was to take a sandbox's place, and nobody is at work on it.
fn may_be_settled(state: ContainerState, creator: Option<&amika_core::label::Creator>) -> bool {
    use crate::creator::{Life, life};
    !matches!(
        (state, creator.map(life)),
        (ContainerState::Unknown, _)
            | (_, Some(Life::Unseen))
            | (ContainerState::Created, Some(Life::Alive))
    )
}

/// Removes the containers of a sandbox that reassignments left, or are making just now, which keep its volumes in use:
/// one may have got the sandbox's own name meanwhile.
///
/// # Errors
/// Those of the engine.
pub async fn remove_containers(
    engine: &Sandboxes,
    id: &SandboxId,
    name: Option<&str>,
) -> Result<()> {
    // One that is made between the list and the removal is in the next list.
    for _ in 0..MAX_ROUNDS {
        let mut all = engine.list_containers(&format!("{}={id}", key::ID)).await?;
        all.retain(|container| takes_place(&container.name, name));
        if all.is_empty() {
            break;
        }
        for container in all {
            match engine.remove_container(&container.id).await {
                Err(error) if !error.is_not_found() => return Err(error.into()),
                _ => {}
            }
        }
    }
    Ok(())
}

/// Whether a container of a sandbox's id that was called `sandbox` and is removed is that sandbox still.
fn takes_place(container: &str, sandbox: Option<&str>) -> bool {
    passing(container).is_some() || sandbox == Some(container)
}

/// Removes the images that hold a sandbox's files and that no container uses any more.
pub async fn drop_unused_images(engine: &Sandboxes, id: &SandboxId) {
    let images = match images(engine, &format!("{}={id}", key::ID)).await {
        Ok(images) => images,
        Err(error) => {
            tracing::debug!(?error, "images stay");
            return;
        }
    };
    for (image, _) in images {
        // The engine refuses to remove one that is used.
        if let Err(error) = engine.remove_image(&image).await {
            tracing::debug!(image, %error, "the image stays");
        }
    }
}

/// Images of interrupted reassignments: no container uses them, and nobody is at work on one.
///
/// # Errors
/// Those of the engine.
pub async fn unused_images(
    engine: &Sandboxes,
    containers: &[ContainerSummary],
) -> Result<Vec<String>> {
    let used: BTreeSet<&str> = containers.iter().map(|it| it.image.as_str()).collect();
    let images = images(engine, key::ID).await?;
    Ok(images
        .into_iter()
        .filter(|(_, labels)| engine.may_tidy(labels))
        .filter(|(image, labels)| !used.contains(image.as_str()) && !is_in_work(labels))
        .map(|(image, _)| image)
        .collect())
}

/// Whether the process that makes an image still lives.
fn is_in_work(labels: &Labels) -> bool {
    let sandbox = |key: &str| match key {
        key::KIND => Some(Kind::Sandbox.as_str()),
        _ => labels.get(key).map(String::as_str),
    };
    SandboxRecord::from_labels(sandbox).is_ok_and(|record| {
        record
            .creator
            .as_ref()
            .is_some_and(crate::creator::may_live)
    })
}

/// The images with a label that hold a sandbox's files, by name, or by id without one.
async fn images(engine: &Sandboxes, label: &str) -> Result<Vec<(String, Labels)>> {
    let images = engine.list_images(label).await?;
    Ok(images
        .into_iter()
        .filter(|image| {
            let kind = image.labels.get(key::KIND).map(String::as_str);
            kind == Some(Kind::Image.as_str()) && image.labels.contains_key(key::ID)
        })
        .map(|image| match image.tags.into_iter().next() {
            Some(tag) if tag != "<none>:<none>" => (tag, image.labels),
            _ => (image.id, image.labels),
        })
        .collect())
}

async fn remove(engine: &Sandboxes, sandbox: &Sandbox) -> Result<()> {
    match engine.remove_container(&sandbox.container.id).await {
        Err(error) if !error.is_not_found() => Err(error.into()),
        _ => Ok(()),
    }
}

/// A container of ours by its exact name; where an id is given, only that sandbox's.
async fn find(engine: &Sandboxes, name: &str, id: Option<&SandboxId>) -> Result<Option<Sandbox>> {
    let container = match engine.inspect_container(name).await {
        Ok(container) if container.name == name => container,
        Ok(_) => return Ok(None),
        Err(error) if error.is_not_found() => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let sandbox = Sandbox::of(container);
    if !sandbox.is_identified() || id.is_some_and(|id| *id != sandbox.record.id) {
        return Ok(None);
    }
    Ok(Some(sandbox))
}

fn moved(before: &Sandbox, now: &ContainerFacts) -> Vec<Moved> {
    let from = view::ports(&before.container.port_requests, &before.record);
    let to = view::ports(&now.port_requests, &before.record);
    from.into_iter()
        .zip(to)
        .filter(|(from, to)| from != to)
        .map(|(from, to)| Moved { from, to })
        .collect()
}

#[cfg(test)]
mod tests;
