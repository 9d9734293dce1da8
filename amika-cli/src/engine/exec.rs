//! Processes started in a running container.

use std::pin::Pin;

use bollard::container::LogOutput;
use bollard::exec::{StartExecOptions, StartExecResults};
use bollard::models::ExecConfig;
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use tokio::io::AsyncWrite;

use super::{Engine, EngineError};

/// A process to start in a container.
#[derive(Clone, Debug, Default)]
pub struct ExecSpec {
    /// Program and arguments.
    pub command: Vec<String>,
    /// User to run as; the container's own when absent.
    pub user: Option<String>,
    /// Directory to start in.
    pub workdir: Option<String>,
    /// Further `KEY=VALUE` entries.
    pub env: Vec<String>,
    /// Whether it gets a terminal.
    pub tty: bool,
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
            env: (!spec.env.is_empty()).then(|| spec.env.clone()),
            cmd: Some(spec.command.clone()),
            user: spec.user.clone(),
            working_dir: spec.workdir.clone(),
            ..ExecConfig::default()
        };
        let id = self
            .docker
            .create_exec(container, config)
            .await
            .map_err(EngineError::from_bollard)?
            .id;
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
                output: output
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
