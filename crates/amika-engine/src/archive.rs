//! Files in and out of containers as tar streams, whether the container runs or not.

use bollard::query_parameters::{
    DownloadFromContainerOptionsBuilder, UploadToContainerOptionsBuilder,
};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};

use super::{Engine, EngineError};

/// What becomes of what stands in the way of an archive's entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// It is replaced, whatever it is.
    Replaced,
    /// A directory is never replaced by something else, nor something else by a directory.
    KeptInKind,
}

impl Engine {
    /// Unpacks a tar archive at `path` in the container; uids, gids and modes are the archive's.
    ///
    /// Every directory needs an entry of its own: missing parents are made as root, 0755.
    pub async fn put_archive(
        &self,
        container: &str,
        path: &str,
        tar: Vec<u8>,
    ) -> Result<(), EngineError> {
        let options = UploadToContainerOptionsBuilder::new().path(path).build();
        self.docker
            .upload_to_container(
                container,
                Some(options),
                bollard::body_full(Bytes::from(tar)),
            )
            .await
            .map_err(EngineError::from_bollard)
    }

    /// As [`Engine::put_archive`], with an archive that is made while it is sent. A stream that
    /// ends with an error breaks the call off.
    pub async fn put_archive_stream(
        &self,
        container: &str,
        path: &str,
        existing: Existing,
        tar: impl Stream<Item = std::io::Result<Bytes>> + Send + 'static,
    ) -> Result<(), EngineError> {
        let options = UploadToContainerOptionsBuilder::new().path(path);
        let options = match existing {
            Existing::Replaced => options,
            Existing::KeptInKind => options.no_overwrite_dir_non_dir("true"),
        };
        let body = bollard::body_try_stream(tar);
        self.docker
            .upload_to_container(container, Some(options.build()), body)
            .await
            .map_err(EngineError::from_bollard)
    }

    /// The tar archive of a file or directory in the container.
    pub fn get_archive(
        &self,
        container: &str,
        path: &str,
    ) -> impl Stream<Item = Result<Bytes, EngineError>> + use<> {
        let options = DownloadFromContainerOptionsBuilder::new()
            .path(path)
            .build();
        let chunks = self
            .docker
            .download_from_container(container, Some(options));
        self.keeping_open(chunks)
            .map(|chunk| chunk.map_err(EngineError::from_bollard))
    }

    /// The beginning of the archive of a file or directory in the container: `enough` bytes at least,
    /// or all of it; `None` when there is none.
    ///
    /// # Errors
    /// Those of the engine.
    pub async fn archive_head(
        &self,
        container: &str,
        path: &str,
        enough: usize,
    ) -> Result<Option<Vec<u8>>, EngineError> {
        let mut archive = Vec::new();
        let mut chunks = std::pin::pin!(self.get_archive(container, path));
        while archive.len() < enough {
            match chunks.next().await {
                None => break,
                Some(Ok(chunk)) => archive.extend_from_slice(&chunk),
                Some(Err(error)) if error.is_not_found() => return Ok(None),
                Some(Err(error)) => return Err(error),
            }
        }
        Ok(Some(archive))
    }

    /// The content of one regular file of at most `limit` bytes; `None` when there is none.
    ///
    /// # Errors
    /// When the engine refuses, or the file is larger.
    pub async fn read_file(
        &self,
        container: &str,
        path: &str,
        limit: usize,
    ) -> Result<Option<Vec<u8>>, EngineError> {
        // The file, and what an archive has around it.
        let most = limit + 64 * 1024;
        let Some(archive) = self.archive_head(container, path, most + 1).await? else {
            return Ok(None);
        };
        if archive.len() > most {
            return Err(EngineError::Broken(format!(
                "{path} is larger than {limit} bytes"
            )));
        }
        first_file(archive).map_err(|error| EngineError::Broken(format!("{path}: {error}")))
    }
}

/// Where an archive is put so that its entries arrive in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base {
    /// The path to put it at.
    pub at: String,
    /// What its entries' names begin with; no slash at either end.
    pub prefix: String,
}

impl Engine {
    /// Where to put an archive for a directory in a container.
    ///
    /// Docker refuses a symbolic link that leads out of where the archive is put, as relative ones of a
    /// repository may: so it is put at the root. Podman refuses none, and from the root its archives do
    /// not reach into volumes.
    ///
    /// # Errors
    /// Those of the engine.
    pub async fn base(&self, directory: &str) -> Result<Base, EngineError> {
        Ok(if self.is_podman().await? {
            Base {
                at: directory.to_owned(),
                prefix: String::new(),
            }
        } else {
            Base {
                at: "/".to_owned(),
                prefix: directory.trim_matches('/').to_owned(),
            }
        })
    }
}

/// A regular file as an archive has it.
pub struct ArchivedFile {
    /// Its content.
    pub content: Vec<u8>,
    /// When it was last written, in seconds since the Unix epoch.
    pub modified: u64,
    /// Whether anybody may execute it.
    pub executable: bool,
}

impl Engine {
    /// As [`Engine::read_file`], for a path that somebody else has power over: what is no regular file
    /// there, also a link or a directory, is [`EngineError::Broken`], and no more than `limit` bytes
    /// are ever taken.
    ///
    /// # Errors
    /// When the engine refuses, or for what is no such file.
    pub async fn read_regular_file(
        &self,
        container: &str,
        path: &str,
        limit: usize,
    ) -> Result<Option<ArchivedFile>, EngineError> {
        // A header, and one more with its content where the name or time needs it.
        const HEADERS: usize = 8 * 1024;
        let enough = limit + HEADERS + 1;
        let Some(archive) = self.archive_head(container, path, enough).await? else {
            return Ok(None);
        };
        only_file(&archive, limit)
            .map(Some)
            .map_err(|error| EngineError::Broken(error.to_string()))
    }
}

/// The file that an archive begins with.
fn only_file(archive: &[u8], limit: usize) -> std::io::Result<ArchivedFile> {
    use std::io::Read as _;
    let mut archive = tar::Archive::new(archive);
    let Some(entry) = archive.entries()?.next() else {
        return Err(std::io::Error::other("the archive is empty"));
    };
    let mut entry = entry?;
    if !entry.header().entry_type().is_file() {
        return Err(std::io::Error::other("it is no regular file"));
    }
    if entry.size() > limit as u64 {
        return Err(std::io::Error::other(format!(
            "it has {} bytes, at most {limit} are read",
            entry.size()
        )));
    }
    let mut content = Vec::new();
    entry.read_to_end(&mut content)?;
    if content.len() as u64 != entry.size() {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    Ok(ArchivedFile {
        content,
        modified: entry.header().mtime()?,
        executable: entry.header().mode()? & 0o111 != 0,
    })
}

/// The content of the first file, where the archive has it: a log would not fit into memory twice.
fn first_file(mut archive: Vec<u8>) -> std::io::Result<Option<Vec<u8>>> {
    let mut place = None;
    for entry in tar::Archive::new(archive.as_slice()).entries()? {
        let entry = entry?;
        if entry.header().entry_type().is_file() {
            let from = usize::try_from(entry.raw_file_position());
            let size = usize::try_from(entry.size());
            place = from.ok().zip(size.ok());
            break;
        }
    }
    let Some((from, size)) = place else {
        return Ok(None);
    };
    let end = from.checked_add(size).filter(|end| *end <= archive.len());
    archive.truncate(end.ok_or(std::io::ErrorKind::UnexpectedEof)?);
    archive.drain(..from);
    Ok(Some(archive))
}
