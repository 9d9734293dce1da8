//! Programs that run in a sandbox without anybody who waits for them.

use amika_core::wire::{Job, JobRequest};
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;

use crate::daemon::{Client, ClientError};
use crate::error::{Error, Kind, Result};
use crate::sandbox::Sandbox;
use crate::sandboxes::Sandboxes;

impl Sandboxes {
    /// Starts a program; it runs whatever becomes of this side, and until the sandbox stops.
    ///
    /// # Errors
    /// [`Kind::NotFound`]; [`Kind::Conflict`] for a sandbox that does not run; [`Kind::Invalid`] for what no program can be
    /// started with; [`Kind::Failure`] where its amikad refuses or does not answer; those of the engine.
    pub async fn start_job(&self, name: &str, job: JobRequest) -> Result<Job> {
        (job.clone().program()).map_err(|error| Error::new(Kind::Invalid, error.to_string()))?;
        let client = client(self, name).await?;
        client
            .start_job(&job)
            .await
            .map_err(|error| failed(name, &error))
    }

    /// How one fares that was started by [`Sandboxes::start_job`].
    ///
    /// # Errors
    /// [`Kind::NotFound`] also for a job that is forgotten; as [`Sandboxes::start_job`].
    pub async fn job(&self, name: &str, id: &str) -> Result<Job> {
        let client = client(self, name).await?;
        client.job(id).await.map_err(|error| failed(name, &error))
    }

    /// What one wrote, its output and errors, from the first byte that is kept on until it ends.
    ///
    /// # Errors
    /// As [`Sandboxes::job`].
    pub async fn follow_job(
        &self,
        name: &str,
        id: &str,
    ) -> Result<BoxStream<'static, Result<Bytes>>> {
        let client = client(self, name).await?;
        let pieces = client.follow_job(id).await;
        let pieces = pieces.map_err(|error| failed(name, &error))?;
        let name = name.to_owned();
        let pieces = pieces.map(move |piece| piece.map_err(|error| failed(&name, &error)));
        Ok(pieces.boxed())
    }
}

async fn client(engine: &Sandboxes, name: &str) -> Result<Client> {
    let sandbox = Sandbox::find_whole(engine, name).await?;
    sandbox.must_run()?;
    sandbox.client(engine)
}

fn failed(name: &str, error: &ClientError) -> Error {
    let kind = match error {
        ClientError::Refused { status, .. } if status.as_u16() == 404 => Kind::NotFound,
        ClientError::Refused { status, .. } if matches!(status.as_u16(), 409 | 429) => {
            Kind::Conflict
        }
        _ => Kind::Failure,
    };
    Error::new(kind, format!("sandbox \"{name}\" does not run it")).caused_by(error)
}
