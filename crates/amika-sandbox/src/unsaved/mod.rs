//! Work in a sandbox that would be lost with it, and refusing to lose it.
//!
//! One rule: whatever is in a volume that goes is work, less what was copied in, less what the image and setup put
//! there, and less caches ([`amika_core::work`]). It holds for the volumes of a sandbox whose container is gone, too.
//! Of a clone it is told in git's words.

mod found;
mod git;
mod held;
mod left;
mod look;
mod places;
mod reading;
mod refusal;
mod save;
#[cfg(test)]
mod tests;

use amika_core::label::Kind;
pub use amika_core::manifest::Manifest;
use amika_engine::{ContainerState, VolumeFacts};

use crate::error::Result;
use crate::sandbox::Sandbox;
use crate::sandboxes::Sandboxes;
use found::found_in;
pub(crate) use found::save_files;
pub(crate) use held::{held, held_left};
use left::left;
pub(crate) use left::save_left;
use refusal::told;
pub(crate) use save::Saved;

/// Refuses to go on when work would be lost, or when that cannot be told. With `git_too` the clone goes as well.
///
/// # Errors
/// [`crate::error::Kind::Conflict`], naming what is there; those of the engine.
pub async fn refuse(engine: &Sandboxes, sandbox: &Sandbox, git_too: bool) -> Result<()> {
    let (container, record) = (&sandbox.container, &sandbox.record);
    match container.state {
        // Nothing was ever written in it.
        ContainerState::Created => return Ok(()),
        // Removed half-way: the engine shows no file of it, and its volumes are all that is left.
        ContainerState::Dead => {
            let going = crate::belongings::volumes(engine, &container.id, record).await?;
            return refuse_left(engine, &sandbox.name, record.id.as_str(), &going, git_too).await;
        }
        _ => {}
    }
    let going = crate::belongings::volumes(engine, &container.id, record).await?;
    let found = found_in(engine, sandbox, &going).await?;
    let clones = if git_too {
        git::of_sandbox(engine, sandbox, &going).await?
    } else {
        Vec::new()
    };
    let has_commits = record.repository.is_some();
    told(&sandbox.name, found, clones, has_commits, git_too)
}

/// As [`refuse`], of a sandbox of which only these volumes are left.
///
/// # Errors
/// As [`refuse`].
pub async fn refuse_left(
    engine: &Sandboxes,
    name: &str,
    id: &str,
    volumes: &[(Kind, VolumeFacts)],
    git_too: bool,
) -> Result<()> {
    let (found, clones) = left(engine, name, id, volumes, git_too).await?;
    told(name, found, clones, false, git_too).map_err(|mut error| {
        // There is no container to copy it out of.
        error.hints.retain(|hint| !hint.contains("sandbox cp"));
        // One that stays can be looked into at any time.
        let goes = |kind: Kind| kind.goes_with_sandbox() || (git_too && kind == Kind::Git);
        let volumes = volumes.iter().filter(|(kind, _)| goes(*kind));
        let volumes: Vec<&str> = volumes.map(|(_, volume)| volume.name.as_str()).collect();
        error.hint(format!(
            "its container is gone; `docker run --rm -it -v VOLUME:/mnt IMAGE` shows what is in a volume of {}",
            volumes.join(", ")
        ))
    })
}
