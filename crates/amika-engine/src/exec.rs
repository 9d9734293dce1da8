//! Processes started in a running container.

use std::pin::Pin;
use std::time::Duration;

use bollard::container::LogOutput;
use bollard::exec::{StartExecOptions, StartExecResults};
use bollard::models::ExecConfig;
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use tokio::io::AsyncWrite;

use super::{Engine, EngineError};

/// The engine listens on a terminal for keys that detach it, Ctrl-P Ctrl-Q when it is not told
/// others, and so holds back each Ctrl-P until the next key: a shell's key for the line before.
/// None at all cannot be said. Ctrl-\ is missed least, and nobody types what follows here.
const NEVER_DETACH: &str = "ctrl-\\,ctrl-@,ctrl-^,ctrl-],ctrl-_,ctrl-@";
/// First pause between two looks at a process; it doubles up to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LAST_PAUSE: Duration = Duration::from_millis(100);

/// A process to start in a container.
#[derive(Clone, Debug, Default)]
pub struct ExecSpec {
    /// Program and arguments.
    pub command: Vec<String>,
    /// User to run as; the container's own when absent.
    pub user: Option<String>,
    /// Further `KEY=VALUE` entries.
    pub env: Vec<String>,
    /// Whether it gets a terminal.
    pub tty: bool,
    /// Rows and columns of that terminal, for engines that set them at the start (from 23 on); the
    /// others are told by [`Engine::resize_exec`] afterwards.
    pub size: Option<(u16, u16)>,
    /// Whether its standard input is connected.
    pub stdin: bool,
}

/// A piece of a process's output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExecOutput {
    /// Standard output, or everything when it has a terminal.
    Stdout(Bytes),
    /// Standard error.
    Stderr(Bytes),
}

/// A process that was started, with its streams.
pub struct ExecSession {
    /// The engine's id of it.
    pub id: String,
    /// What it writes.
    pub output: Pin<Box<dyn Stream<Item = Result<ExecOutput, EngineError>> + Send>>,
    /// What it reads; shutting it down closes the process's standard input.
    pub input: Pin<Box<dyn AsyncWrite + Send>>,
}

impl Engine {
    /// Starts a process and connects to its streams.
    pub async fn exec(&self, container: &str, spec: &ExecSpec) -> Result<ExecSession, EngineError> {
        let config = ExecConfig {
            attach_stdin: Some(spec.stdin),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            tty: Some(spec.tty),
            console_size: spec
                .size
                .map(|(rows, columns)| vec![rows.into(), columns.into()]),
            detach_keys: spec.tty.then(|| NEVER_DETACH.to_owned()),
            env: (!spec.env.is_empty()).then(|| spec.env.clone()),
            cmd: Some(spec.command.clone()),
            user: spec.user.clone(),
            // The image's own may have been removed meanwhile, and then nothing would start at all; amikad goes
            // where the program belongs.
            working_dir: Some("/".to_owned()),
            ..ExecConfig::default()
        };
        let id = self
            .docker
            .create_exec(container, config)
            .await
            .map_err(EngineError::from_bollard)?
            .id;
        if spec.tty
            && let Some(session) = self.attach_terminal(&id).await?
        {
            return Ok(session);
        }
        let options = StartExecOptions {
            detach: false,
            tty: spec.tty,
            output_capacity: Some(64 * 1024),
        };
        match self
            .docker
            .start_exec(&id, Some(options))
            .await
            .map_err(EngineError::from_bollard)?
        {
            StartExecResults::Attached { output, input } => Ok(ExecSession {
                id,
                output: self
                    .keeping_open(output)
                    .map(|item| match item {
                        Ok(LogOutput::StdErr { message }) => Ok(ExecOutput::Stderr(message)),
                        Ok(other) => Ok(ExecOutput::Stdout(other.into_bytes())),
                        Err(error) => Err(EngineError::from_bollard(error)),
                    })
                    .boxed(),
                input,
            }),
            StartExecResults::Detached => Err(EngineError::Broken(
                "the engine detached a process it was asked to attach".into(),
            )),
        }
    }

    /// The exit code of a process that ended; `None` while it runs.
    pub async fn exec_exit_code(&self, id: &str) -> Result<Option<i64>, EngineError> {
        let facts = self
            .docker
            .inspect_exec(id)
            .await
            .map_err(EngineError::from_bollard)?;
        Ok(if facts.running == Some(true) {
            None
        } else {
            facts.exit_code
        })
    }

    /// Waits until a process ended; returns its exit code. For one whose output ended: between the
    /// two the engine needs a moment, unless the process closed its output and goes on.
    pub async fn wait_exec(&self, id: &str) -> Result<i64, EngineError> {
        let mut pause = FIRST_PAUSE;
        loop {
            if let Some(code) = self.exec_exit_code(id).await? {
                return Ok(code);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LAST_PAUSE);
        }
    }

    /// Runs a process to its end and throws its output away; returns its exit code.
    pub async fn run_exec(&self, container: &str, spec: &ExecSpec) -> Result<i64, EngineError> {
        let mut session = self.exec(container, spec).await?;
        while session.output.next().await.transpose()?.is_some() {}
        self.wait_exec(&session.id).await
    }

    /// Tells a process's terminal its size.
    pub async fn resize_exec(&self, id: &str, rows: u16, columns: u16) -> Result<(), EngineError> {
        let options = bollard::query_parameters::ResizeExecOptionsBuilder::new()
            .h(i32::from(rows))
            .w(i32::from(columns))
            .build();
        self.docker
            .resize_exec(id, options)
            .await
            .map_err(EngineError::from_bollard)
    }
}
