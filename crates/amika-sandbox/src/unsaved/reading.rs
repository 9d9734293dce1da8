//! Reading what a place in a container has, as an archive, in bounded time.

use std::time::Duration;

use amika_core::contract::path;
use amika_core::manifest::Manifest;

use super::look::{self, Look, Seen, Times};
use crate::bridge;
use crate::error::Result;
use crate::sandboxes::Sandboxes;

/// How long a look at one place may take: an engine reads some gigabytes in that time.
pub(super) const LONGEST: Duration = Duration::from_secs(10);
/// Bytes of manifests that are read: those of sixteen million files.
const MANIFESTS: usize = 256 << 20;

pub(super) async fn seen_in(engine: &Sandboxes, container: &str, look: Look) -> Result<Seen> {
    let place = look.place.to_string_lossy().into_owned();
    let times = times_of(engine).await?;
    let (reader, pump) = bridge::consume(engine.get_archive(container, &place));
    let thread = tokio::task::spawn_blocking(move || look.through(reader, times));
    // Where the time is over, the reader finds the archive broken off.
    let pumped = tokio::time::timeout(LONGEST, pump).await;
    let seen = thread.await.unwrap_or_default();
    match pumped {
        Ok(Err(error)) if error.is_not_found() => Ok(Seen {
            is_whole: true,
            ..Seen::default()
        }),
        Ok(Err(error)) => Err(error.into()),
        Ok(Ok(())) | Err(_) => Ok(seen),
    }
}

/// What the engine makes of times.
pub(super) async fn times_of(engine: &Sandboxes) -> Result<Times> {
    Ok(if engine.is_podman().await? {
        Times::Rounded
    } else {
        Times::Kept
    })
}

/// The list of a place in a container; none where it could not be read in time.
pub(super) async fn list_of(
    engine: &Sandboxes,
    container: &str,
    place: &str,
    since: u64,
) -> Result<Option<Manifest>> {
    let (reader, pump) = bridge::consume(engine.get_archive(container, place));
    let thread = tokio::task::spawn_blocking(move || look::list(reader, since));
    let pumped = tokio::time::timeout(LONGEST, pump).await;
    let listed = bridge::joined(thread.await);
    match pumped {
        Ok(Err(error)) => Err(error.into()),
        Ok(Ok(())) | Err(_) => Ok(listed.ok()),
    }
}

/// The manifests of the copies, by their place; none of a sandbox that was made before there were any.
pub(super) async fn manifests(
    engine: &Sandboxes,
    container: &str,
) -> Result<Vec<(String, Manifest)>> {
    use std::io::Read as _;
    let archive = engine
        .archive_head(container, path::COPIES, MANIFESTS)
        .await?
        .unwrap_or_default();
    let mut manifests = Vec::new();
    let mut archive = tar::Archive::new(archive.as_slice());
    // What was not read to its end is none: then the old rule holds for that copy.
    for mut entry in archive.entries().into_iter().flatten().flatten() {
        let mut file = Vec::new();
        if entry.header().entry_type().is_file() && entry.read_to_end(&mut file).is_ok() {
            manifests.extend(Manifest::from_file(&file));
        }
    }
    Ok(manifests)
}
