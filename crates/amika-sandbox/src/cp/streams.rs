//! Copies into and out of a sandbox as streams of a tar archive.

use std::io;

use amika_host::archive::Report;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt as _};

use super::transfer::{Input, download, put_archive};
use crate::bridge;
use crate::error::Result;
use crate::sandboxes::{Sandboxes, to_its_end};
use amika_engine::EngineError;

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
