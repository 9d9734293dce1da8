//! A program that runs in a sandbox, with its streams: whoever started it feeds it, hears it and ends it.

use std::pin::Pin;
use std::time::Duration;

use amika_core::exec_limit;
use amika_engine::{EngineError, ExecOutput, ExecSession};
use futures_util::Stream;
use tokio::io::AsyncWrite;

use crate::daemon::Client;
use crate::error::{Error, Kind, Result};
use crate::exec_as::{self, Remote, Streams, kill, new_id};
use crate::sandbox::Sandbox;
use crate::sandboxes::Sandboxes;

/// Signals for a program that nobody wants any more, with the time that each is given.
const UNWANTED: [(&str, Duration); 2] = [
    ("TERM", Duration::from_secs(5)),
    ("KILL", Duration::from_secs(5)),
];
/// The same for one whose terminal went away.
const HUNG_UP: [(&str, Duration); 2] = [
    ("HUP", Duration::from_secs(2)),
    ("KILL", Duration::from_secs(5)),
];
/// Engines before 23 start the program first and size its terminal afterwards.
const FIRST_RESIZE: Duration = Duration::from_secs(2);

/// A program to start.
#[derive(Clone, Debug, Default)]
pub struct ProgramRequest {
    /// Program and arguments; none is the user's login shell, for which there must be a terminal.
    pub command: Vec<String>,
    /// Further environment.
    pub env: Vec<(String, String)>,
    /// Directory to start in; none is the agent's.
    pub workdir: Option<String>,
    /// User name or number; none is the agent.
    pub user: Option<String>,
    /// Columns and rows of the terminal that it gets; without them its streams are separate.
    pub size: Option<(u16, u16)>,
}

/// One that was started.
pub struct Program {
    /// What it is known by; the same as long as it runs.
    pub running: Running,
    /// What it writes; with a terminal all of it is standard output.
    pub output: Pin<Box<dyn Stream<Item = Result<ExecOutput, EngineError>> + Send>>,
    /// What it reads; shutting it down ends its standard input.
    pub input: Pin<Box<dyn AsyncWrite + Send>>,
}

/// What a program that runs is known by. A copy is of the same one.
#[derive(Clone)]
pub struct Running {
    engine: Sandboxes,
    container: String,
    /// Amikad's id of it.
    id: String,
    /// The engine's.
    exec: String,
    has_terminal: bool,
    amikad: Option<Client>,
}

impl Sandboxes {
    /// Starts a program in a sandbox. Dropping what is returned leaves it running: [`Running::end`] ends it.
    ///
    /// # Errors
    /// [`Kind::Invalid`] for what no program can be started with, [`Kind::NotFound`], [`Kind::Conflict`] for a sandbox
    /// that does not run, and those of the engine. A program that is not there ends with 127, as for a shell.
    pub async fn start_program(&self, name: &str, request: ProgramRequest) -> Result<Program> {
        let invalid = |message: String| Error::new(Kind::Invalid, message);
        if request.command.is_empty() && request.size.is_none() {
            return Err(invalid("a login shell needs a terminal".to_owned()));
        }
        let pairs = request.env.iter();
        let pairs = pairs.map(|(name, value)| (name.as_str(), value.as_str()));
        exec_limit::check(&request.command, pairs).map_err(|error| invalid(error.to_string()))?;
        let sandbox = Sandbox::find_whole(self, name).await?;
        sandbox.must_run()?;
        let remote = Remote {
            verb: if request.command.is_empty() {
                "shell"
            } else {
                "exec-as"
            },
            user: request.user.or_else(|| sandbox.record.user.clone()),
            workdir: request.workdir,
            env: request.env,
            command: request.command,
            streams: match request.size {
                Some(_) => Streams::Terminal,
                None => Streams::Separate,
            },
        };
        let container = &sandbox.container.id;
        let id = new_id();
        let rows_first = request.size.map(|(columns, rows)| (rows, columns));
        let spec = remote.spec(&id, rows_first);
        let session = self.engine().exec(container, &spec).await?;
        let ExecSession {
            id: exec,
            output,
            input,
        } = session;
        let running = Running {
            engine: self.clone(),
            container: container.clone(),
            id,
            exec,
            has_terminal: request.size.is_some(),
            // Without a key of ours nobody can be told of input, and the program runs all the same.
            amikad: sandbox.client(self).ok(),
        };
        if let Some((columns, rows)) = request.size {
            // What is typed ahead waits, so that no command sees a terminal without a size.
            let _ = tokio::time::timeout(FIRST_RESIZE, running.resize(columns, rows)).await;
        }
        Ok(Program {
            running,
            output,
            input,
        })
    }
}

impl Running {
    /// Signals it and all of its process group: `INT`, `TERM`, a number.
    pub async fn signal(&self, signal: &str) {
        kill(&self.engine, &self.container, &self.id, signal).await;
    }

    /// Gives its terminal a size. One that has none is left alone.
    pub async fn resize(&self, columns: u16, rows: u16) {
        if !self.has_terminal {
            return;
        }
        exec_as::resize(&self.engine, &self.exec, || Some((rows, columns))).await;
    }

    /// Its exit code, once it ended; for one whose output ended.
    ///
    /// # Errors
    /// [`Kind::ExecFailed`] where the sandbox ended with it, and those of the engine.
    pub async fn exit_code(&self) -> Result<i64> {
        self.engine
            .wait_exec(&self.exec)
            .await
            .map_err(|error| match error {
                // The engine forgets the programs of a container that ended.
                EngineError::NotFound(message) | EngineError::Conflict(message) => Error::new(
                    Kind::ExecFailed,
                    "the sandbox ended while the program ran; its exit code is not known",
                )
                .cause(message),
                other => other.into(),
            })
    }

    /// Tells amikad that somebody wrote to its standard input. On a terminal the kernel tells it.
    pub async fn tell_input(&self) {
        let Some(amikad) = self.amikad.as_ref().filter(|_| !self.has_terminal) else {
            return;
        };
        if let Err(error) = amikad.tell_input().await {
            tracing::debug!(%error, "amikad is not told of input");
        }
    }

    /// Ends it: it is asked to, and killed where it does not.
    pub async fn end(&self) {
        let steps = if self.has_terminal { HUNG_UP } else { UNWANTED };
        for (signal, grace) in steps {
            self.signal(signal).await;
            let ended = tokio::time::timeout(grace, self.engine.wait_exec(&self.exec));
            if ended.await.is_ok() {
                return;
            }
        }
    }
}
