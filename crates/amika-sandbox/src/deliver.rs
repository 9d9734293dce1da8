//! Putting an archive into a container by the engine's API while it is written.

use std::io::{self, Write};

use crate::bridge;
use crate::sandboxes::Sandboxes;
use amika_engine::{EngineError, Existing};

/// Why an archive did not arrive.
#[derive(Debug)]
pub enum Fault {
    /// The archive could not be made.
    Source(io::Error),
    /// The engine or the volume did not take it.
    Volume(EngineError),
}

impl From<EngineError> for Fault {
    fn from(error: EngineError) -> Self {
        Self::Volume(error)
    }
}

/// Puts the archive that `write` writes at a path of a container.
///
/// # Errors
/// [`Fault`]; half of it may be there then.
pub async fn put<T: Send + 'static>(
    engine: &Sandboxes,
    container: &str,
    at: &str,
    existing: Existing,
    write: impl FnOnce(&mut dyn Write) -> io::Result<T> + Send + 'static,
) -> Result<T, Fault> {
    let (archive, thread) = bridge::produce(move |to| write(to));
    let sent = engine
        .put_archive_stream(container, at, existing, archive)
        .await;
    match (bridge::joined(thread.await), sent) {
        (Ok(value), Ok(())) => Ok(value),
        // The engine went away from the archive: its word counts.
        (Ok(_), Err(error)) => Err(error.into()),
        (Err(fault), Err(error)) if fault.kind() == io::ErrorKind::BrokenPipe => Err(error.into()),
        (Err(fault), _) => Err(Fault::Source(fault)),
    }
}
