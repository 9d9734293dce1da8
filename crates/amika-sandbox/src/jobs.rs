//! Programs that run in a sandbox without anybody who waits for them.

use amika_core::text::shell_quote;
use amika_core::untrusted::Untrusted;
use amika_core::wire::{JOB_BODY, Job, JobRequest};
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use hyper::StatusCode;

use crate::daemon::{Client, ClientError};
use crate::error::{Error, Kind, Result};
use crate::sandbox::Sandbox;
use crate::sandboxes::Sandboxes;

/// The longest id that is asked for; amikad's own are shorter.
const LONGEST_ID: usize = 64;

impl Sandboxes {
    /// Starts a program; it runs whatever becomes of this side, and until the sandbox stops.
    ///
    /// # Errors
    /// [`Kind::NotFound`]; [`Kind::Conflict`] for a sandbox that does not run, or has as many jobs as may be;
    /// [`Kind::Invalid`] for what no program can be started with; [`Kind::Failure`] where its amikad refuses or does not
    /// answer; those of the engine.
    pub async fn start_job(&self, name: &str, mut job: JobRequest) -> Result<Job> {
        (job.clone().program()).map_err(|error| Error::new(Kind::Invalid, error.to_string()))?;
        let sandbox = running(self, name).await?;
        if job.user.is_none() {
            job.user.clone_from(&sandbox.record.user);
        }
        // Texts always serialise.
        if serde_json::to_vec(&job).is_ok_and(|body| body.len() > JOB_BODY) {
            let most = JOB_BODY >> 20;
            let message = format!("a job and all that it reads are more than {most} MiB");
            return Err(Error::new(Kind::Invalid, message));
        }
        let started = sandbox.client(self)?.start_job(&job).await;
        started.map_err(|error| failed(name, &error))
    }

    /// Those that run in a sandbox, and the last that ended, the oldest first.
    ///
    /// # Errors
    /// As [`Sandboxes::start_job`].
    pub async fn jobs(&self, name: &str) -> Result<Vec<Job>> {
        let client = client(self, name).await?;
        let jobs = client.jobs().await;
        jobs.map_err(|error| failed(name, &error))
    }

    /// How one fares that was started by [`Sandboxes::start_job`].
    ///
    /// # Errors
    /// [`Kind::NotFound`] also for a job that is forgotten; as [`Sandboxes::start_job`].
    pub async fn job(&self, name: &str, id: &str) -> Result<Job> {
        let client = client(self, name).await?;
        must_be_an_id(name, id)?;
        let job = client.job(id).await;
        job.map_err(|error| not_told(name, id, &error))
    }

    /// Ends one, unless it has ended: SIGTERM to all its processes, and SIGKILL to what is left after a grace. Returns at
    /// once, with how it fares then.
    ///
    /// # Errors
    /// As [`Sandboxes::job`].
    pub async fn end_job(&self, name: &str, id: &str) -> Result<Job> {
        let client = client(self, name).await?;
        must_be_an_id(name, id)?;
        let job = client.end_job(id).await;
        job.map_err(|error| not_told(name, id, &error))
    }

    /// Sends a signal to all processes of one: a name with or without `SIG`, or a number.
    ///
    /// # Errors
    /// As [`Sandboxes::job`]; [`Kind::Conflict`] for one that has ended, [`Kind::Invalid`] for what is no signal.
    pub async fn signal_job(&self, name: &str, id: &str, signal: &str) -> Result<Job> {
        let client = client(self, name).await?;
        must_be_an_id(name, id)?;
        let job = client.signal_job(id, signal).await;
        job.map_err(|error| match error {
            ClientError::Refused { status, .. } if status == StatusCode::BAD_REQUEST => {
                let message = format!("\"{}\" is no signal", Untrusted::new(signal));
                Error::new(Kind::Invalid, message)
                    .hint("use a name such as `INT`, or a number from 1 to 64")
            }
            ClientError::Refused { status, .. } if status == StatusCode::CONFLICT => {
                let message = format!("job {id} of sandbox \"{name}\" has ended");
                Error::new(Kind::Conflict, message)
            }
            error => not_told(name, id, &error),
        })
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
        let pieces = pieces.map_err(|error| not_told(name, id, &error))?;
        let name = name.to_owned();
        let pieces = pieces.map(move |piece| piece.map_err(|error| failed(&name, &error)));
        Ok(pieces.boxed())
    }
}

/// Refuses what cannot be a job's id, and would be another address of amikad's.
///
/// # Errors
/// [`Kind::NotFound`]
pub(crate) fn must_be_an_id(name: &str, id: &str) -> Result<()> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    if id.is_empty() || id.len() > LONGEST_ID || !id.bytes().all(fits) {
        return Err(unknown(name, id));
    }
    Ok(())
}

/// The error for a job that is not there, or not any more.
pub(crate) fn unknown(name: &str, id: &str) -> Error {
    let message = format!("sandbox \"{name}\" has no job \"{}\"", id.escape_debug());
    Error::new(Kind::NotFound, message).hint(format!(
        "`amika sandbox jobs {}` lists those that run and the last that ended; none outlives a stop",
        shell_quote(name)
    ))
}

async fn running(engine: &Sandboxes, name: &str) -> Result<Sandbox> {
    let sandbox = Sandbox::find_whole(engine, name).await?;
    sandbox.must_run()?;
    Ok(sandbox)
}

async fn client(engine: &Sandboxes, name: &str) -> Result<Client> {
    running(engine, name).await?.client(engine)
}

fn not_told(name: &str, id: &str, error: &ClientError) -> Error {
    match error {
        ClientError::Refused { status, .. } if *status == StatusCode::NOT_FOUND => {
            unknown(name, id)
        }
        error => failed(name, error),
    }
}

fn failed(name: &str, error: &ClientError) -> Error {
    let (kind, message) = match error {
        ClientError::Refused { status, .. } if matches!(status.as_u16(), 409 | 429) => {
            (Kind::Conflict, "does not run it")
        }
        ClientError::Refused { .. } => (Kind::Failure, "does not run it"),
        _ => (Kind::Failure, "does not tell of its jobs"),
    };
    Error::new(kind, format!("sandbox \"{name}\" {message}")).caused_by(error)
}
