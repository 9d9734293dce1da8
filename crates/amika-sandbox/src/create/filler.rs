//! A container through which a volume of a sandbox is filled: it has the volume and nothing else of it.

use std::fs::File;
use std::io::{self, Write};
use std::time::Duration;

use amika_core::contract::{PIPE_NOT_SHARED, VOLUME_FULL, path};
use amika_core::label::{Kind, ResourceRecord};
use futures_util::StreamExt as _;

use super::pipe::Pipe;
use super::plan::Plan;
use crate::bridge;
use crate::deliver::Fault;
use crate::sandboxes::Sandboxes;
use amika_engine::{ContainerSpec, EngineError, ExecOutput, LogQuery, MountSpec};

/// Between two looks at whether the pipe is opened.
const PAUSE: Duration = Duration::from_millis(2);
/// Bytes of a failed container's words that are shown.
const WORDS: usize = 4096;

/// The container; it must be removed by [`Filler::remove`]. What a killed `amika` leaves is found by its
/// labels and name.
pub(super) struct Filler(String);

impl Filler {
    /// Makes one, which reads from the pipe once it is started.
    ///
    /// # Errors
    /// Those of the engine.
    pub(super) async fn make(
        engine: &Sandboxes,
        plan: &Plan,
        volume: &MountSpec,
        pipe: Option<&Pipe>,
    ) -> Result<Self, EngineError> {
        let labels = ResourceRecord {
            id: Some(plan.record.id.clone()),
            creator: plan.record.creator.clone(),
            test: plan.record.test.clone(),
            ..ResourceRecord::new(Kind::Amikad)
        };
        let cmd = match pipe {
            Some(pipe) => vec![
                "unpack".into(),
                Pipe::mounted(),
                pipe.boot_id.clone(),
                volume.target().to_owned(),
            ],
            None => vec!["--version".into()],
        };
        let program = plan
            .container
            .mounts
            .iter()
            .find(|mount| mount.target() == path::AMIKAD_DIR);
        let mounts = std::iter::once(volume.clone())
            .chain(program.cloned())
            .chain(pipe.map(Pipe::mount));
        let spec = ContainerSpec {
            // Named after the lock that this process holds, so that `doctor` knows when it is left over.
            name: format!("sandbox-{}-fill-{:08x}", plan.name, rand::random::<u32>()),
            image: plan.container.image.clone(),
            entrypoint: Some(vec![path::AMIKAD.into()]),
            cmd: Some(cmd),
            labels: labels.to_labels(),
            user: plan.container.user.clone(),
            network: "none".into(),
            mounts: mounts.collect(),
            // Its words are read when it failed, which not every log driver allows.
            bound_log: true,
            ..ContainerSpec::default()
        };
        engine.create_container(&spec).await.map(Self)
    }

    /// The engine's id of it.
    pub(super) fn id(&self) -> &str {
        &self.0
    }

    /// Removes it; the volume stays.
    ///
    /// # Errors
    /// Those of the engine.
    pub(super) async fn remove(self, engine: &Sandboxes) -> Result<(), EngineError> {
        engine.remove_container(&self.0).await
    }

    /// Waits until it ended, and removes it; its words if it failed.
    async fn end(self, engine: &Sandboxes) -> Result<Result<(), Failure>, EngineError> {
        let code = engine.wait_container(&self.0).await?;
        let end = if code == 0 {
            Ok(())
        } else {
            let words = self.words(engine).await;
            tracing::debug!(code, words, "filling a volume");
            Err(Failure { code, words })
        };
        self.remove(engine).await?;
        Ok(end)
    }

    /// What it said, in one line.
    async fn words(&self, engine: &Sandboxes) -> String {
        let mut said = Vec::new();
        let mut pieces = std::pin::pin!(engine.container_logs(&self.0, &LogQuery::default()));
        while let Some(Ok(ExecOutput::Stdout(piece) | ExecOutput::Stderr(piece))) =
            pieces.next().await
        {
            said.extend_from_slice(&piece);
            if said.len() > WORDS {
                said.truncate(WORDS);
                break;
            }
        }
        let said = String::from_utf8_lossy(&said);
        let said = said.trim().trim_start_matches("amikad: ");
        said.replace('\n', "; ")
    }
}

/// How a filler failed.
struct Failure {
    code: i64,
    words: String,
}

impl From<Failure> for Fault {
    fn from(Failure { code, words }: Failure) -> Self {
        let message = match words.as_str() {
            "" if code == i64::from(VOLUME_FULL) => "no space left on device".to_owned(),
            "" => format!("the container that unpacks it ended with {code}"),
            _ => words,
        };
        Self::Volume(EngineError::Refused {
            status: 500,
            message,
        })
    }
}

/// A running filler that reads from a pipe.
pub(super) struct Piped {
    filler: Filler,
    to: File,
    /// Its directory must last as long as the container that mounts it.
    _pipe: Pipe,
}

impl Piped {
    /// Starts one; `None` where engine and `amika` cannot share a pipe.
    ///
    /// # Errors
    /// Those of the engine.
    pub(super) async fn open(
        engine: &Sandboxes,
        plan: &Plan,
        volume: &MountSpec,
    ) -> Result<Option<Self>, Fault> {
        let Some(pipe) = Pipe::make(engine.machine()) else {
            return Ok(None);
        };
        let filler = match Filler::make(engine, plan, volume, Some(&pipe)).await {
            Ok(filler) => filler,
            // The engine sees another file system, where the pipe's directory is not.
            Err(EngineError::Refused { message, .. }) => {
                tracing::debug!(message, "no pipe");
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        };
        engine.start_container(filler.id()).await?;
        let opened = tokio::select! {
            opened = opened(&pipe) => Some(opened.map_err(Fault::Source)?),
            ended = engine.wait_container(filler.id()) => {
                ended?;
                None
            }
        };
        match opened {
            Some(to) => Ok(Some(Self {
                filler,
                to,
                _pipe: pipe,
            })),
            None => match filler.end(engine).await? {
                Err(failure) if failure.code == i64::from(PIPE_NOT_SHARED) => Ok(None),
                Err(failure) => Err(failure.into()),
                Ok(()) => Err(Failure {
                    code: 0,
                    words: String::new(),
                }
                .into()),
            },
        }
    }

    /// Writes an archive into the pipe and waits until all of it is in place.
    ///
    /// # Errors
    /// As [`super::fill::fill`].
    pub(super) async fn write<T: Send + 'static>(
        self,
        engine: &Sandboxes,
        write: impl FnOnce(&mut dyn Write) -> io::Result<T> + Send + 'static,
    ) -> Result<T, Fault> {
        let mut to = self.to;
        let thread = tokio::task::spawn_blocking(move || write(&mut to));
        let written = bridge::joined(thread.await);
        let ended = self.filler.end(engine).await?;
        match (written, ended) {
            (Ok(value), Ok(())) => Ok(value),
            (Err(fault), _) if fault.kind() != io::ErrorKind::BrokenPipe => {
                Err(Fault::Source(fault))
            }
            (_, Err(failure)) => Err(failure.into()),
            (Err(fault), Ok(())) => Err(Fault::Source(fault)),
        }
    }
}

/// The writing end, once the container has opened the other.
async fn opened(pipe: &Pipe) -> io::Result<File> {
    loop {
        if let Some(to) = pipe.writer()? {
            return Ok(to);
        }
        tokio::time::sleep(PAUSE).await;
    }
}
