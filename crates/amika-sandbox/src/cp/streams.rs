//! Copies into and out of a sandbox as streams of a tar archive.

use std::io;
use std::path::Path;

use amika_core::archive_name::Names;
use amika_host::archive::Report;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt as _};

use super::landing::Source;
use super::transfer::{Input, download, put_archive};
use super::unpack::{Git, unpack_at_most};
use super::{one_file, sandbox_side};
use crate::bridge::{self, joined};
use crate::error::{Error, Kind, Result};
use crate::sandbox::Sandbox;
use crate::sandboxes::{Sandboxes, to_its_end};
use amika_engine::EngineError;

/// What stands at a path in a sandbox. A stream that ends with an error is not whole.
pub enum Found {
    /// A file: its bytes.
    File(BoxStream<'static, io::Result<Bytes>>),
    /// A directory: an archive of it, that begins with its name.
    Directory(BoxStream<'static, io::Result<Bytes>>),
}

impl Sandboxes {
    /// The archive of what stands at a path in a sandbox, which may be relative to the agent's directory.
    ///
    /// # Errors
    /// [`crate::error::Kind::NotFound`], and those of the engine; a stream that ends with an error is no whole archive.
    pub async fn copy_out(
        &self,
        name: &str,
        path: &str,
    ) -> Result<BoxStream<'static, Result<Bytes>>> {
        let pieces = download(self, name, path).await?;
        Ok(pieces.map(|piece| Ok(piece?)).boxed())
    }

    /// What stands at a path in a sandbox, which may be relative to the agent's directory; `as_archive`: a file, too, comes
    /// as an archive.
    ///
    /// # Errors
    /// As [`Sandboxes::copy_out`].
    pub async fn read_path(&self, name: &str, path: &str, as_archive: bool) -> Result<Found> {
        let sandbox = Sandbox::find_made(self, name).await?;
        let source = sandbox_side::source(self, &sandbox, path).await?;
        let archive = self.get_archive(&source.container, &source.named_path);
        if source.kind == Source::File && !as_archive {
            return Ok(Found::File(one_file::bytes(archive).boxed()));
        }
        let archive =
            archive.map(|piece| piece.map_err(|error| io::Error::other(error.to_string())));
        Ok(match source.kind {
            Source::File => Found::File(archive.boxed()),
            Source::Directory | Source::Contents => Found::Directory(archive.boxed()),
        })
    }

    /// Writes a file of a sandbox, for its agent; one that is there is replaced. `size` is how many bytes come.
    ///
    /// # Errors
    /// As [`Sandboxes::copy_in`]; [`Kind::Invalid`] for a path that names no file.
    pub async fn write_file(
        &self,
        name: &str,
        path: &str,
        (mode, size): (u32, u64),
        bytes: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
    ) -> Result<Report> {
        let (directory, file) = one_file::split(path)
            .ok_or_else(|| Error::new(Kind::Invalid, "the path names no file"))?;
        let archive = one_file::archive(&file, (mode, size), bytes).map_err(|error| {
            Error::new(Kind::Invalid, "the path names no file").caused_by(&error)
        })?;
        self.copy_in(name, &directory, archive).await
    }

    /// Unpacks an archive into a directory of a sandbox, for its agent. What came before an error of the stream stays.
    ///
    /// # Errors
    /// [`crate::error::Kind::NotFound`]; [`crate::error::Kind::Conflict`] where a file and a directory are in each other's
    /// place; [`crate::error::Kind::Failure`] for what is no archive, or breaks off; those of the engine.
    pub async fn copy_in(
        &self,
        name: &str,
        path: &str,
        archive: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
    ) -> Result<Report> {
        let (engine, name, path) = (self.clone(), name.to_owned(), path.to_owned());
        to_its_end(async move {
            let broken = |error: io::Error| EngineError::Broken(error.to_string());
            let archive = archive.map(|piece| piece.map_err(broken));
            let (reader, pump) = bridge::consume(archive);
            let input: Input = Box::new(move || Box::new(reader));
            let put = put_archive(&engine, &name, &path, input);
            // Where it breaks off, the reader was told, and tells.
            let (_, put) = futures_util::join!(pump, put);
            put
        })
        .await
    }
}

/// Unpacks an archive beneath a directory of this machine, and nowhere else: nothing in it leads out, and it has no device,
/// pipe or borrowed right. Git directories are made inert: git runs nothing that they name, and they lead nowhere else. At most
/// so many bytes come out of it, holes counted.
///
/// # Errors
/// With what could not be unpacked; what came before it stays.
pub async fn unpack_here(
    directory: &Path,
    most: u64,
    archive: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
) -> io::Result<Report> {
    use rustix::fs::{Mode, OFlags};
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::open(directory, flags, Mode::empty())?;
    let broken = |error: io::Error| EngineError::Broken(error.to_string());
    let (reader, pump) = bridge::consume(archive.map(move |piece| piece.map_err(broken)));
    let thread = tokio::task::spawn_blocking(move || {
        unpack_at_most(reader, Names::kept(), root, Git::Inert, Some(most))
    });
    let (_, unpacked) = tokio::join!(pump, thread);
    joined(unpacked)
}
