//! A program that runs in a sandbox to its end, and what it wrote.

use amika_engine::ExecOutput;
use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio::io::AsyncWriteExt as _;

use crate::cancel::Cancel;
use crate::error::{Error, Kind, Result};
use crate::program::{Program, ProgramRequest};
use crate::sandboxes::Sandboxes;

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
