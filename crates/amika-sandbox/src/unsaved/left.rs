//! What is in the volumes of a sandbox whose container is gone.

use std::path::{Path, PathBuf};

use amika_core::contract::path;
use amika_core::label::{Kind, key};
use amika_core::manifest::Manifest;
use amika_engine::{MountFacts, VolumeFacts};

use super::git;
use super::look::{Look, Rule, Seen};
use super::places::choose;
use super::reading::{manifests, seen_in, times_of};
use super::save::{Saved, save_in};
use crate::error::{self, Error, Result};
use crate::helpers::Helpers;
use crate::sandboxes::Sandboxes;

/// Where volumes of copies are put to look at them, each by its number.
const COPY: &str = "/amika-copy-";

/// What volumes without a container hold.
pub(super) async fn left(
    engine: &Sandboxes,
    name: &str,
    id: &str,
    volumes: &[(Kind, VolumeFacts)],
    git_too: bool,
) -> Result<(Vec<(PathBuf, Seen)>, Vec<git::Clone>)> {
    let mut found = Vec::new();
    // What an engine inside keeps is made by commands, as a cache is: nobody is asked about it.
    let going =
        |(kind, _): &&(Kind, VolumeFacts)| kind.goes_with_sandbox() && *kind != Kind::Docker;
    if volumes.iter().any(|it| going(&it)) {
        // Each at a place of its own, so that none hides another; the home and the state where they were.
        let mounts = volumes.iter().filter(going).enumerate();
        let mounts: Vec<MountFacts> = mounts
            .map(|(number, (kind, volume))| MountFacts {
                kind: "volume".into(),
                source: volume.name.clone(),
                target: match kind {
                    Kind::Home => path::HOME.into(),
                    Kind::State => path::STATE_DIR.into(),
                    _ => format!("{COPY}{number}"),
                },
                writable: false,
            })
            .collect();
        let mut helpers = Helpers::new(engine, name.to_owned(), id);
        let looked = async {
            let Some(helper) = helpers.of_any_image(&mounts).await? else {
                let unknown = Seen::default();
                return Ok(vec![(PathBuf::from(path::HOME), unknown)]);
            };
            looked_left(engine, &helper, &mounts, volumes).await
        };
        let looked: Result<_> = looked.await;
        helpers.remove().await?;
        found = looked?;
    }
    let git = volumes
        .iter()
        .filter(|(kind, _)| git_too && *kind == Kind::Git);
    let git =
        git.map(|(_, volume)| git::unknown(&volume.name, "the sandbox that it belongs to is gone"));
    Ok((found, git.collect()))
}

/// Copies what is in volumes without a container into an archive, but what in the home is no work; how many files.
///
/// # Errors
/// As [`save_in`]; those of the engine.
pub(crate) async fn save_left(
    engine: &Sandboxes,
    name: &str,
    id: &str,
    volumes: &[(Kind, VolumeFacts)],
    saved: Saved,
) -> Result<u64> {
    let is_wanted = |kind: Kind| {
        !matches!(
            kind,
            Kind::Git | Kind::Named | Kind::Docker | Kind::State | Kind::Amikad
        )
    };
    let mounts: Vec<MountFacts> = (volumes.iter().filter(|(kind, _)| is_wanted(*kind)))
        .enumerate()
        .map(|(number, (kind, volume))| MountFacts {
            kind: "volume".into(),
            source: volume.name.clone(),
            target: match kind {
                Kind::Home => path::HOME.into(),
                _ => format!("{COPY}{number}"),
            },
            writable: false,
        })
        .collect();
    if mounts.is_empty() {
        return Ok(0);
    }
    let times = times_of(engine).await?;
    let mut helpers = Helpers::new(engine, name.to_owned(), id);
    let saving = async {
        let Some(helper) = helpers.of_any_image(&mounts).await? else {
            return Err(Error::new(
                error::Kind::Conflict,
                "there is no image to look at the volumes in",
            )
            .hint("`amika image build coder` makes one"));
        };
        let mut count = 0;
        for mount in &mounts {
            // The time before all others: everything, but what in the home is a cache.
            let look = Look {
                place: PathBuf::from(&mount.target),
                beneath: Vec::new(),
                rule: Rule::WrittenSince(0),
                is_copy: mount.target != path::HOME,
            };
            count += save_in(engine, &helper, &look, times, &saved).await?;
        }
        Ok(count)
    };
    let count: Result<u64> = saving.await;
    helpers.remove().await?;
    count
}

/// Looks at volumes in a container that has nothing else.
async fn looked_left(
    engine: &Sandboxes,
    helper: &str,
    mounts: &[MountFacts],
    volumes: &[(Kind, VolumeFacts)],
) -> Result<Vec<(PathBuf, Seen)>> {
    let manifests = manifests(engine, helper).await?;
    let (in_home, elsewhere): (Vec<_>, Vec<_>) = manifests
        .into_iter()
        .partition(|(target, _)| Path::new(target).starts_with(path::HOME));
    // Where a copy was, its volume does not tell: one that a list has all of is that list's.
    let (copies, others): (Vec<_>, Vec<_>) = mounts
        .iter()
        .cloned()
        .partition(|mount| mount.target.starts_with(COPY));
    let all: Vec<Manifest> = in_home
        .iter()
        .chain(&elsewhere)
        .filter(|(target, _)| target != path::HOME)
        .map(|(_, manifest)| manifest.clone())
        .collect();
    let mut found = Vec::new();
    // Without its volume there would be that of some image at its place.
    let has_home = others.iter().any(|mount| mount.target == path::HOME);
    let places = if has_home {
        choose(&others, volumes, Vec::new(), in_home)
    } else {
        Vec::new()
    };
    for (look, _) in places {
        // What was mounted in the home is not there now, and its place is empty.
        found.push((look.place.clone(), seen_in(engine, helper, look).await?));
    }
    for copy in copies {
        let mut seen = None;
        for manifest in &all {
            let look = Look {
                place: PathBuf::from(&copy.target),
                beneath: Vec::new(),
                rule: Rule::NotCopied(manifest.clone()),
                is_copy: true,
            };
            let now = seen_in(engine, helper, look).await?;
            let is_clean = now.is_whole && !now.is_work();
            if seen.is_none() || is_clean {
                seen = Some(now);
            }
            if is_clean {
                break;
            }
        }
        let source = volumes
            .iter()
            .find(|(_, volume)| volume.name == copy.source);
        let made = source.and_then(|(_, volume)| volume.labels.get(key::CREATED_AT)?.parse().ok());
        let seen = if let Some(seen) = seen {
            seen
        } else {
            let look = Look {
                place: PathBuf::from(&copy.target),
                beneath: Vec::new(),
                rule: Rule::WrittenSince(made.unwrap_or(0_u64) / 1000),
                is_copy: true,
            };
            seen_in(engine, helper, look).await?
        };
        // The volume's name says more than a place that was made up.
        found.push((PathBuf::from(copy.source), seen));
    }
    Ok(found)
}
