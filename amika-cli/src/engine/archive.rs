//! Files in and out of containers as tar streams, whether the container runs or not.

use bollard::query_parameters::{
    DownloadFromContainerOptionsBuilder, UploadToContainerOptionsBuilder,
};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};

use super::{Engine, EngineError};

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
        tar: impl Stream<Item = std::io::Result<Bytes>> + Send + 'static,
    ) -> Result<(), EngineError> {
        let options = UploadToContainerOptionsBuilder::new().path(path).build();
        self.docker
            .upload_to_container(container, Some(options), bollard::body_try_stream(tar))
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
        self.docker
            .download_from_container(container, Some(options))
            .map(|chunk| chunk.map_err(EngineError::from_bollard))
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
        let mut archive = Vec::new();
        let mut chunks = std::pin::pin!(self.get_archive(container, path));
        while let Some(chunk) = chunks.next().await {
            match chunk {
                Ok(chunk) if archive.len() + chunk.len() > limit + 64 * 1024 => {
                    return Err(EngineError::Broken(format!(
                        "{path} is larger than {limit} bytes"
                    )));
                }
                Ok(chunk) => archive.extend_from_slice(&chunk),
                Err(error) if error.is_not_found() => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        first_file(&archive).map_err(|error| EngineError::Broken(format!("{path}: {error}")))
    }
}

fn first_file(archive: &[u8]) -> std::io::Result<Option<Vec<u8>>> {
    use std::io::Read as _;
    for entry in tar::Archive::new(archive).entries()? {
        let mut entry = entry?;
        if entry.header().entry_type().is_file() {
            let mut content = Vec::new();
            entry.read_to_end(&mut content)?;
            return Ok(Some(content));
        }
    }
    Ok(None)
}
