//! A program in a sandbox as amikad starts and signals it: what is asked of the engine for that.

use std::time::Duration;

use amika_core::contract::{self, path};
use amika_core::hex::hex;
use amika_engine::ExecSpec;

use crate::sandboxes::Sandboxes;

/// Root by numbers: an image need not have a name for it.
const ROOT: &str = "0:0";
/// Exit code of `amikad kill` when there is no such process: not yet, or not any more.
const NO_SUCH_PROCESS: i64 = 3;
/// How often a process that is not there yet is looked for again, and how long between.
const KILL_TRIES: u32 = 50;
const KILL_PAUSE: Duration = Duration::from_millis(20);
/// How often a terminal is tried to be resized, and how long between.
const RESIZE_TRIES: u32 = 40;
const RESIZE_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_RESIZE_PAUSE: Duration = Duration::from_millis(500);

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

/// Gives a program's terminal a size, in rows and columns, which `size` is asked for anew before each try: there may be
/// another since, and none is the end. A new terminal has no process yet for a moment, a long one on a machine with other
/// work; the engine refuses to resize it.
pub async fn resize(engine: &Sandboxes, exec: &str, size: impl Fn() -> Option<(u16, u16)>) {
    let mut pause = RESIZE_PAUSE;
    for _ in 0..RESIZE_TRIES {
        let Some((rows, columns)) = size() else {
            return;
        };
        match engine.resize_exec(exec, rows, columns).await {
            Ok(()) => return,
            Err(error) => tracing::debug!(%error, "the terminal is not resized yet"),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_RESIZE_PAUSE);
    }
}
