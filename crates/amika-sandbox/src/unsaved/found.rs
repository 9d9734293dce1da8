//! What is in the places of a sandbox that go with it, its clone aside.

use std::path::PathBuf;
use std::sync::Arc;

use amika_core::label::{Kind, key};
use amika_engine::{ContainerFacts, EngineError, VolumeFacts};

use super::look::{Look, Rule, Seen, Times};
use super::places::choose;
use super::reading::{list_of, manifests, seen_in, times_of};
use super::save::{Saved, save_in};
use crate::error::{self, Error, Result};
use crate::helpers::Helpers;
use crate::sandbox::Sandbox;
use crate::sandboxes::Sandboxes;

/// What the places of a sandbox hold that go with it, its clone aside.
pub(super) async fn found_in(
    engine: &Sandboxes,
    sandbox: &Sandbox,
    going: &[(Kind, VolumeFacts)],
) -> Result<Vec<(PathBuf, Seen)>> {
    let mut found = Each::See(Vec::new());
    in_each(engine, sandbox, going, &mut found).await?;
    match found {
        Each::See(found) => Ok(found),
        Each::Save { .. } => Ok(Vec::new()),
    }
}

/// Copies what is work in the places of a sandbox that go with it, its clone aside, into an archive; how many files.
///
/// # Errors
/// [`error::Kind::Conflict`] where it cannot be told what is work; as [`save_in`].
pub(crate) async fn save_files(
    engine: &Sandboxes,
    sandbox: &Sandbox,
    going: &[(Kind, VolumeFacts)],
    saved: Saved,
) -> Result<u64> {
    let mut saving = Each::Save {
        times: times_of(engine).await?,
        saved,
        count: 0,
    };
    in_each(engine, sandbox, going, &mut saving).await?;
    match saving {
        Each::Save { count, .. } => Ok(count),
        Each::See(_) => Ok(0),
    }
}

/// What is done with each place.
enum Each {
    /// It is looked at.
    See(Vec<(PathBuf, Seen)>),
    /// What is work in it is copied.
    Save {
        times: Times,
        saved: Saved,
        count: u64,
    },
}

impl Each {
    /// Does it in a container: how the place is looked at, or, where nobody can tell what in it is work, its path.
    async fn at(
        &mut self,
        engine: &Sandboxes,
        container: &str,
        look: Result<Look, PathBuf>,
    ) -> Result<()> {
        match (self, look) {
            (Self::See(found), Ok(look)) => {
                let place = look.place.clone();
                found.push((place, seen_in(engine, container, look).await?));
            }
            (Self::See(found), Err(place)) => found.push((place, Seen::default())),
            (
                Self::Save {
                    times,
                    saved,
                    count,
                },
                Ok(look),
            ) => *count += save_in(engine, container, &look, *times, saved).await?,
            (Self::Save { .. }, Err(place)) => {
                return Err(Error::new(
                    error::Kind::Conflict,
                    format!("what is work in {} cannot be told", place.display()),
                ));
            }
        }
        Ok(())
    }
}

/// Does something with each place of a sandbox that goes with it, its clone aside, in the container where that is looked
/// at.
async fn in_each(
    engine: &Sandboxes,
    sandbox: &Sandbox,
    going: &[(Kind, VolumeFacts)],
    each: &mut Each,
) -> Result<()> {
    let (container, record) = (&sandbox.container, &sandbox.record);
    let mut helpers = Helpers::new(engine, sandbox.name.clone(), record.id.as_str());
    let looked = async {
        let mut of_image = Vec::new();
        for (place, rule) in image_volumes(engine, container, going, &mut helpers).await? {
            match rule {
                Some(rule) => of_image.push((place, rule)),
                None => each.at(engine, &container.id, Err(place)).await?,
            }
        }
        let manifests = manifests(engine, &container.id).await?;
        for (look, holder) in choose(&container.mounts, going, of_image, manifests) {
            let at = match holder {
                Some(holder) => helpers.alone(&container.image, holder).await?,
                None => None,
            };
            each.at(engine, at.as_deref().unwrap_or(&container.id), Ok(look))
                .await?;
        }
        Ok(())
    };
    let looked: Result<_> = looked.await;
    helpers.remove().await?;
    looked
}

/// When the sandbox was made, in seconds since the Unix epoch, as its volumes tell; 0 where none does.
fn made(going: &[(Kind, VolumeFacts)]) -> u64 {
    let created = going
        .iter()
        .filter_map(|(_, volume)| volume.labels.get(key::CREATED_AT)?.parse::<u64>().ok());
    created.min().unwrap_or(0) / 1000
}

/// The volumes that nobody asked for but the image, which go with the container: where each is, and what in it is work,
/// which is what the image does not have there. None where that cannot be told.
async fn image_volumes(
    engine: &Sandboxes,
    container: &ContainerFacts,
    going: &[(Kind, VolumeFacts)],
    helpers: &mut Helpers<'_>,
) -> Result<Vec<(PathBuf, Option<Rule>)>> {
    let anonymous = &container.anonymous_volumes;
    let mounts = container.mounts.iter();
    let mounts = mounts.filter(|mount| mount.writable && anonymous.contains(&mount.source));
    let places: Vec<&str> = mounts.map(|mount| mount.target.as_str()).collect();
    if places.is_empty() {
        return Ok(Vec::new());
    }
    let since = made(going);
    // The engine fills one of a new container as it filled the sandbox's.
    let like_new = match helpers.with(&container.image_id, &[]).await {
        Ok(helper) => Some(helper),
        Err(EngineError::NotFound(_)) => None,
        Err(error) => return Err(error.into()),
    };
    if let Some(helper) = &like_new
        && engine.is_podman().await?
    {
        // Podman does so when it is started, before it finds that there is no such program.
        let refused = engine.start_container(helper).await;
        tracing::debug!(?refused, "a container that runs nothing");
    }
    let mut rules = Vec::new();
    for place in places {
        let rule = match &like_new {
            None => Some(Rule::WrittenSince(since)),
            Some(helper) => list_of(engine, helper, place, since)
                .await?
                .map(|list| Rule::NotBegun(Arc::new(list), PathBuf::new())),
        };
        rules.push((PathBuf::from(place), rule));
    }
    Ok(rules)
}
