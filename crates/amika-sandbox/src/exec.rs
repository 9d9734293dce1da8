//! A program to run in a sandbox, as amikad is asked to start and signal it.

use std::time::Duration;

use amika_core::contract::{self, path};
use amika_core::hex::hex;
use amika_engine::{ExecOutput, ExecSpec};
use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio::io::AsyncWriteExt as _;

use crate::cancel::Cancel;
use crate::error::{Error, Kind, Result};
use crate::program::{Program, ProgramRequest};
use crate::sandboxes::Sandboxes;

/// Root by numbers: an image need not have a name for it.
const ROOT: &str = "0:0";
/// Exit code of `amikad kill` when there is no such process: not yet, or not any more.
const NO_SUCH_PROCESS: i64 = 3;
/// How often a process that is not there yet is looked for again, and how long between.
const KILL_TRIES: u32 = 50;
const KILL_PAUSE: Duration = Duration::from_millis(20);
/// What the program is tied to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Streams {
    /// Standard input, output and error, each for itself and byte by byte.
    Separate,
    /// A terminal.
    Terminal,
}

/// A program to run as somebody in a sandbox.
#[derive(Clone, Debug)]
pub struct Remote {
    /// `exec-as` or `shell`, the verb of amikad that starts it.
    pub verb: &'static str,
    /// User name or number; none is the user that amikad runs CMD as.
    pub user: Option<String>,
    /// Directory to start in; none leaves it to amikad.
    pub workdir: Option<String>,
    /// Further environment.
    pub env: Vec<(String, String)>,
    /// Program and arguments; none for `shell`.
    pub command: Vec<String>,
    /// What it is tied to.
    pub streams: Streams,
}

impl Remote {
    /// The engine starts it through amikad as root: user, home, directory and environment are
    /// amikad's to set, so that they come out right in an image that knows none of them. `size`: rows and columns of
    /// the terminal, where it is to have one.
    pub fn spec(&self, id: &str, size: Option<(u16, u16)>) -> ExecSpec {
        let mut command: Vec<String> = [path::AMIKAD, self.verb, "--id", id]
            .map(str::to_owned)
            .to_vec();
        if let Some(user) = &self.user {
            command.extend(["--user".to_owned(), user.clone()]);
        }
        if let Some(workdir) = &self.workdir {
            command.extend(["--workdir".to_owned(), workdir.clone()]);
        }
        if !self.command.is_empty() {
            command.push("--".to_owned());
            command.extend(self.command.iter().cloned());
        }
        // Not as arguments: those are in the engine's events, and `ps` in the sandbox shows them.
        let mut env: Vec<String> = self
            .env
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        if !env.is_empty() {
            let names: Vec<&str> = self.env.iter().map(|(name, _)| name.as_str()).collect();
            env.push(format!("{}={}", contract::env::EXEC_ENV, names.join("=")));
        }
        let tty = self.streams == Streams::Terminal;
        ExecSpec {
            command,
            env,
            user: Some(ROOT.to_owned()),
            tty,
            size: size.filter(|_| tty),
            stdin: true,
        }
    }
}

/// A program to run to its end, that talks to nobody meanwhile.
#[derive(Clone, Debug)]
pub struct ExecRequest {
    /// Program and arguments.
    pub command: Vec<String>,
    /// Further environment.
    pub env: Vec<(String, String)>,
    /// Directory to start in; none is the agent's.
    pub workdir: Option<String>,
    /// User name or number; none is the agent.
    pub user: Option<String>,
    /// All that it can read.
    pub input: Bytes,
    /// How many bytes of each output are kept, from the first on.
    pub most: usize,
}

/// How a program ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Executed {
    /// Its exit code.
    pub exit_code: i64,
    /// What it wrote to standard output.
    pub stdout: Vec<u8>,
    /// What it wrote to standard error.
    pub stderr: Vec<u8>,
    /// Whether it wrote more than was to be kept.
    pub is_cut: bool,
}

impl Sandboxes {
    /// Runs a program in a sandbox to its end. One that is canceled is told to end, and killed where it does not.
    ///
    /// # Errors
    /// As [`Sandboxes::start_program`]; [`Kind::Canceled`].
    pub async fn exec(
        &self,
        name: &str,
        request: ExecRequest,
        cancel: &Cancel,
    ) -> Result<Executed> {
        let (input, most) = (request.input, request.most);
        let request = ProgramRequest {
            command: request.command,
            env: request.env,
            workdir: request.workdir,
            user: request.user,
            size: None,
        };
        let program = self.start_program(name, request).await?;
        let running = program.running.clone();
        let mut attended = std::pin::pin!(attend(program, input, most));
        tokio::select! {
            ended = &mut attended => return ended,
            () = cancel.requested() => {}
        }
        let ending = running.end();
        tokio::select! {
            _ = &mut attended => {}
            () = ending => {}
        }
        Err(Error::new(Kind::Canceled, "interrupted"))
    }
}

/// Feeds a program and keeps what it writes, until it ended.
async fn attend(program: Program, input: Bytes, most: usize) -> Result<Executed> {
    let Program {
        running,
        mut output,
        input: mut to,
    } = program;
    let fed = async {
        // A program need not read.
        let _ = to.write_all(&input).await;
        let _ = to.shutdown().await;
    };
    let read = async {
        let mut seen = Executed::default();
        while let Some(piece) = output.next().await.transpose()? {
            let (kept, bytes) = match &piece {
                ExecOutput::Stdout(bytes) => (&mut seen.stdout, bytes),
                ExecOutput::Stderr(bytes) => (&mut seen.stderr, bytes),
            };
            let room = most.saturating_sub(kept.len()).min(bytes.len());
            kept.extend_from_slice(&bytes[..room]);
            seen.is_cut |= room < bytes.len();
        }
        Ok::<_, Error>(seen)
    };
    let mut read = std::pin::pin!(read);
    let mut seen = tokio::select! {
        seen = &mut read => seen?,
        () = fed => read.await?,
    };
    seen.exit_code = running.exit_code().await?;
    Ok(seen)
}

/// An id by which amikad knows a program.
pub fn new_id() -> String {
    hex(&rand::random::<[u8; 8]>())
}

/// Signals a program and all of its process group.
pub async fn kill(engine: &Sandboxes, container: &str, id: &str, signal: &str) {
    let spec = ExecSpec {
        command: [path::AMIKAD, "kill", "--id", id, signal]
            .map(str::to_owned)
            .to_vec(),
        user: Some(ROOT.to_owned()),
        ..ExecSpec::default()
    };
    for _ in 0..KILL_TRIES {
        match engine.run_exec(container, &spec).await {
            Ok(NO_SUCH_PROCESS) => tokio::time::sleep(KILL_PAUSE).await,
            Ok(_) => return,
            Err(error) => {
                tracing::debug!(signal, %error, "the signal was not delivered");
                return;
            }
        }
    }
}
