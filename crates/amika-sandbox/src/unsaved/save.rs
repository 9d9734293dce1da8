//! Copying what is work in a place out of it, into a tar archive of this machine.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufWriter, Read, Write as _};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tar::{Builder, EntryType};

use super::look::{Look, Times};
use crate::bridge;
use crate::error::{Error, Kind, Result};
use crate::sandboxes::Sandboxes;

/// How long one place may take.
const LONGEST: Duration = Duration::from_hours(1);

/// An archive that work is copied into.
#[derive(Clone)]
pub(crate) struct Saved(Arc<Mutex<Builder<BufWriter<File>>>>);

impl Saved {
    /// Into this file.
    pub(crate) fn into(file: File) -> Self {
        Self(Arc::new(Mutex::new(Builder::new(BufWriter::new(file)))))
    }

    /// Ends the archive.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn end(&self) -> io::Result<()> {
        let mut builder = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        builder.finish()?;
        builder.get_mut().flush()?;
        builder.get_ref().get_ref().sync_all()
    }

    /// Copies the entries of an archive whose paths in the place these are; how many.
    fn take(&self, look: &Look, archive: impl Read, wanted: &HashSet<PathBuf>) -> io::Result<u64> {
        let mut builder = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut count = 0;
        for entry in tar::Archive::new(archive).entries()? {
            let mut entry = entry?;
            let inner: PathBuf = entry.path()?.components().skip(1).collect();
            if !wanted.contains(&inner) {
                continue;
            }
            let path = |inner: &PathBuf| -> PathBuf {
                look.place.join(inner).components().skip(1).collect()
            };
            let mut header = entry.header().clone();
            let link = entry.link_name()?.map(std::borrow::Cow::into_owned);
            match (header.entry_type(), link) {
                (EntryType::Symlink, Some(target)) => {
                    builder.append_link(&mut header, path(&inner), target)?;
                }
                (EntryType::Link, Some(first)) => {
                    let first = first.components().skip(1).collect();
                    builder.append_link(&mut header, path(&inner), path(&first))?;
                }
                _ => builder.append_data(&mut header, path(&inner), &mut entry)?,
            }
            count += 1;
        }
        Ok(count)
    }
}

/// Copies what is work in a place; how many files.
///
/// # Errors
/// [`Kind::Failure`] where it cannot be read to its end, or written; those of the engine.
pub(super) async fn save_in(
    engine: &Sandboxes,
    container: &str,
    look: &Look,
    times: Times,
    saved: &Saved,
) -> Result<u64> {
    let shown = look.place.display().to_string();
    let unsaved = |error: &io::Error| {
        Error::new(
            Kind::Failure,
            format!("what is in {shown} cannot be stored"),
        )
        .caused_by(error)
    };
    let wanted = {
        let look = look.clone();
        read(engine, container, &shown, move |archive| {
            look.all(archive, times)
        })
        .await?
    };
    let wanted = wanted.map_err(|error| unsaved(&error))?;
    if wanted.is_empty() {
        return Ok(0);
    }
    let (look, saved) = (look.clone(), saved.clone());
    let count = read(engine, container, &shown, move |archive| {
        saved.take(&look, archive, &wanted)
    });
    count.await?.map_err(|error| unsaved(&error))
}

/// Reads the archive of a place.
async fn read<T: Default + Send + 'static>(
    engine: &Sandboxes,
    container: &str,
    place: &str,
    reads: impl FnOnce(bridge::Reader) -> io::Result<T> + Send + 'static,
) -> Result<io::Result<T>> {
    let (reader, pump) = bridge::consume(engine.get_archive(container, place));
    let thread = tokio::task::spawn_blocking(move || reads(reader));
    let pumped = tokio::time::timeout(LONGEST, pump).await;
    let done = bridge::joined(thread.await);
    match pumped {
        Ok(Err(error)) if error.is_not_found() => Ok(Ok(T::default())),
        Ok(Err(error)) => Err(error.into()),
        Ok(Ok(())) | Err(_) => Ok(done),
    }
}
