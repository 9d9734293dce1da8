//! The logs of a sandbox: its container's, or one of those that amikad keeps in it.

use std::time::{Duration, Instant};

use amika_core::contract::{path, service};
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;

use crate::daemon::{ClientError, LogPart};
use crate::error::{Error, Kind, Result};
use crate::jobs::{must_be_an_id, unknown};
use crate::sandbox::Sandbox;
use crate::sandboxes::Sandboxes;
use amika_engine::{ExecOutput, LogQuery};

/// More than amikad keeps of any log; a sandbox could put anything in its place.
const FILE_LIMIT: usize = 32 * 1024 * 1024;
/// A sandbox that runs answers by then, however long a try takes, and the pause between two tries.
const ANSWER_WAIT: Duration = Duration::from_secs(5);
const ANSWER_PAUSE: Duration = Duration::from_millis(50);

/// A log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Log {
    /// What CMD writes, and setup's output with it; kept by the engine.
    Container,
    /// The setup script's, of the last boot.
    Setup,
    /// The `OpenCode` web server's.
    OpenCode,
    /// The Docker Engine's inside.
    Dockerd,
    /// The daemon's own.
    Amikad,
}

/// What is wanted of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogRequest {
    /// Which one.
    pub log: Log,
    /// Whether what is yet to come is wanted too.
    pub follow: bool,
    /// How many of its last lines; none for all.
    pub tail: Option<usize>,
    /// From which moment on, in seconds since the Unix epoch; of [`Log::Container`] only.
    pub since: Option<i32>,
}

/// A log as it comes, in pieces of any size.
pub type Pieces = BoxStream<'static, Result<ExecOutput>>;

impl Sandboxes {
    /// A log of a sandbox, whether it runs or not.
    ///
    /// # Errors
    /// [`Kind::NotFound`]; [`Kind::Conflict`] for one that is not made to the end; [`Kind::Failure`] where its amikad does
    /// not answer; those of the engine.
    pub async fn logs(&self, name: &str, request: LogRequest) -> Result<Pieces> {
        let sandbox = Sandbox::find_made(self, name).await?;
        let Some(file) = request.log.file() else {
            return Ok(container_log(self, &sandbox, request));
        };
        let kept = Kept {
            word: request.log.word(),
            file,
        };
        kept_log(self, &sandbox, kept, request.follow, request.tail).await
    }
}

/// A log that amikad keeps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kept<'a> {
    /// Its name in amikad's API.
    pub word: &'a str,
    /// Where it is in the sandbox.
    pub file: &'a str,
}

/// A log that amikad keeps, of a sandbox that runs or not.
pub(crate) async fn kept_log(
    engine: &Sandboxes,
    sandbox: &Sandbox,
    kept: Kept<'_>,
    follow: bool,
    tail: Option<usize>,
) -> Result<Pieces> {
    if sandbox.is_running() {
        live_log(engine, sandbox, kept, follow, tail).await
    } else {
        stored_log(engine, sandbox, kept.file, tail).await
    }
}

impl Sandboxes {
    /// The log of a job that runs or ran in a sandbox which is up.
    ///
    /// # Errors
    /// [`Kind::NotFound`], also for the job; [`Kind::Conflict`] for a sandbox that does not run; [`Kind::Failure`] where
    /// its amikad does not answer; those of the engine.
    pub async fn job_log(
        &self,
        name: &str,
        job: &str,
        follow: bool,
        tail: Option<usize>,
    ) -> Result<Pieces> {
        let sandbox = Sandbox::find_made(self, name).await?;
        sandbox.must_run()?;
        must_be_an_id(name, job)?;
        let part = tail.map_or(LogPart::All, LogPart::Tail);
        let log = sandbox.client(self)?.job_log(job, follow, part).await;
        let log = log.map_err(|error| match &error {
            ClientError::Refused { status, .. } if status.as_u16() == 404 => unknown(name, job),
            error => no_answer(&sandbox, error),
        })?;
        let pieces = log.map(move |piece| match piece {
            Ok(bytes) => Ok(ExecOutput::Stdout(bytes)),
            Err(error) => Err(no_answer(&sandbox, &error)),
        });
        Ok(pieces.boxed())
    }
}

impl Log {
    /// Its name, also in amikad's API.
    pub fn word(self) -> &'static str {
        match self {
            Self::Container => "container",
            Self::Setup => "setup",
            Self::OpenCode => service::OPENCODE,
            Self::Dockerd => service::DOCKERD,
            Self::Amikad => "amikad",
        }
    }

    fn file(self) -> Option<&'static str> {
        match self {
            Self::Container => None,
            Self::Setup => Some(path::SETUP_LOG),
            Self::OpenCode => Some(path::OPENCODE_LOG),
            Self::Dockerd => Some(path::DOCKERD_LOG),
            Self::Amikad => Some(path::AMIKAD_LOG),
        }
    }
}

fn container_log(engine: &Sandboxes, sandbox: &Sandbox, request: LogRequest) -> Pieces {
    let query = LogQuery {
        follow: request.follow,
        tail: request.tail,
        since: request.since,
        timestamps: false,
    };
    queried(engine, &sandbox.container.id, &query)
}

/// What a container wrote, as the engine keeps it.
pub(crate) fn engine_log(
    engine: &Sandboxes,
    container: &str,
    follow: bool,
    tail: Option<usize>,
) -> Pieces {
    let query = LogQuery {
        follow,
        tail,
        since: None,
        timestamps: false,
    };
    queried(engine, container, &query)
}

fn queried(engine: &Sandboxes, container: &str, query: &LogQuery) -> Pieces {
    let log = engine.container_logs(container, query);
    log.map(|piece| Ok(piece?)).boxed()
}

/// A log as the stopped container has it.
async fn stored_log(
    engine: &Sandboxes,
    sandbox: &Sandbox,
    file: &str,
    tail: Option<usize>,
) -> Result<Pieces> {
    let content = engine
        .read_file(&sandbox.container.id, file, FILE_LIMIT)
        .await?
        .unwrap_or_default();
    let start = tail.map_or(0, |lines| tail_start(&content, lines));
    let piece = Bytes::from(content).slice(start..);
    let piece = async { Ok(ExecOutput::Stdout(piece)) };
    Ok(futures_util::stream::once(piece).boxed())
}

/// A log as amikad tells it, with what is yet to come when it is followed.
async fn live_log(
    engine: &Sandboxes,
    sandbox: &Sandbox,
    kept: Kept<'_>,
    follow: bool,
    tail: Option<usize>,
) -> Result<Pieces> {
    let client = sandbox.client(engine)?;
    let begun = Instant::now();
    let log = loop {
        match client
            .log(kept.word, follow, tail.map_or(LogPart::All, LogPart::Tail))
            .await
        {
            Ok(log) => break log,
            Err(ClientError::Unreachable(_)) if begun.elapsed() < ANSWER_WAIT => {
                let now = Sandbox::find_whole(engine, &sandbox.name).await?;
                if !now.is_running() {
                    return stored_log(engine, &now, kept.file, tail).await;
                }
                tokio::time::sleep(ANSWER_PAUSE).await;
            }
            Err(error) => return Err(no_answer(sandbox, &error)),
        }
    };
    let (engine, sandbox) = (engine.clone(), sandbox.clone());
    let log = log.filter_map(move |piece| {
        let (engine, sandbox) = (engine.clone(), sandbox.clone());
        async move {
            match piece {
                Ok(bytes) => Some(Ok(ExecOutput::Stdout(bytes))),
                // A container that ends takes the connection with it: that is the log's end.
                Err(error) => match Sandbox::find_whole(&engine, &sandbox.name).await {
                    Ok(now) if now.is_running() => Some(Err(no_answer(&sandbox, &error))),
                    Ok(_) => None,
                    Err(error) => Some(Err(error)),
                },
            }
        }
    });
    Ok(log.boxed())
}

fn no_answer(sandbox: &Sandbox, error: &ClientError) -> Error {
    let name = &sandbox.name;
    Error::new(
        Kind::Failure,
        format!("the log of sandbox \"{name}\" cannot be read"),
    )
    .caused_by(error)
    .hint(format!(
        "`amika sandbox logs {name}` shows the container's own log"
    ))
}

/// Where the last lines begin; a last line need not be ended.
fn tail_start(text: &[u8], lines: usize) -> usize {
    let body = text.strip_suffix(b"\n").unwrap_or(text);
    if lines == 0 {
        return text.len();
    }
    body.iter()
        .enumerate()
        .rev()
        .filter(|(_, byte)| **byte == b'\n')
        .nth(lines - 1)
        .map_or(0, |(at, _)| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_counts_lines_with_and_without_an_end() {
        let cases: [(&[u8], usize, &[u8]); 7] = [
            (b"a\nb\nc\n", 2, b"b\nc\n"),
            (b"a\nb\nc", 2, b"b\nc"),
            (b"a\nb\n", 5, b"a\nb\n"),
            (b"a\n\n\n", 2, b"\n\n"),
            (b"a\n", 0, b""),
            (b"", 3, b""),
            (b"\n", 1, b"\n"),
        ];
        for (text, count, expected) in cases {
            let found = &text[tail_start(text, count)..];
            assert_eq!(
                found,
                expected,
                "{:?} {count}",
                String::from_utf8_lossy(text)
            );
        }
    }
}
