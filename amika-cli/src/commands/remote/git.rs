//! The git of a sandbox of a server's, run through the server by its agent: whatever it is, it can do no more than the agent.

use std::io::Cursor;
use std::path::Path;
use std::pin::Pin;
use std::time::Duration;

use amika_core::contract::{env, path::WORKSPACE};
use amika_core::label::{Repository, RepositorySource, SandboxId};
use amika_core::name::SandboxName;
use amika_remote::client::Call;
use amika_remote::socket::{Message, Receiver, Sender, Socket};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::sync::{Semaphore, mpsc};

use super::Server;
use super::failure::told;
use super::spoken::{self, Heard, PIECE};
use crate::App;
use crate::commits::{ANSWER, Beside, Host, PACK, Piece, Sink, Source, Told, keep};
use crate::error::{Error, Kind, Result};

/// Pieces on their way to who reads them.
const WAITING: usize = 8;

/// A repository in a sandbox, which its agent works in.
#[derive(Clone)]
pub(super) struct RemoteGit<'s> {
    server: &'s Server,
    /// The sandbox's id.
    sandbox: SandboxId,
    /// The repository's directory there.
    directory: String,
    /// What its git is told besides.
    environment: Vec<(String, String)>,
}

impl Server {
    /// The repository of a sandbox, and the one of this machine that its commits belong into: the one that is named, else the one
    /// around here, where that is a clone of what the sandbox was made from.
    ///
    /// # Errors
    /// [`Kind::Conflict`] where it was made without one, or from another; those of [`Host::find`].
    pub(super) async fn repository(
        &self,
        sandbox: &str,
        named: Option<&Path>,
        flag: &str,
        app: &App,
    ) -> Result<(Host, RemoteGit<'_>)> {
        let (found, whole) = self.sandbox(sandbox).await?;
        let Some(name) = found.repo_name else {
            let message = format!("sandbox \"{sandbox}\" was made without a repository");
            return Err(Error::new(Kind::Conflict, message).hint(format!(
                "`amika sandbox cp --remote {sandbox}:PATH .` copies files out of it"
            )));
        };
        // Both become parts of paths here.
        let (Ok(_), Ok(id)) = (
            found.name.parse::<SandboxName>(),
            found.id.parse::<SandboxId>(),
        ) else {
            return Err(Error::new(
                Kind::Failure,
                "the server names the sandbox by what can be no name",
            ));
        };
        if found.state != "started" {
            let message = format!("sandbox \"{sandbox}\" is not running");
            return Err(Error::new(Kind::Conflict, message).hint(format!(
                "`amika sandbox start --remote {sandbox}` starts it"
            )));
        }
        // What was sent has no address, and a path is one of the server's machine.
        let url = whole["repo_url"].as_str();
        let url = url.filter(|url| url.contains(':') && !url.starts_with('/'));
        if url.is_none() && named.is_none() {
            let message =
                format!("sandbox \"{sandbox}\" was made from a working copy that has no remote");
            return Err(Error::new(Kind::Conflict, message)
                .hint(format!("name the repository of this machine: `{flag} DIR`")));
        }
        let directory = format!("{WORKSPACE}/{name}");
        let repository = Repository {
            name,
            source: url.map(RepositorySource::from),
            branch: None,
        };
        let host = Host::of(&app.machine, named, sandbox, &repository, false)?;
        let git = RemoteGit {
            server: self,
            sandbox: id,
            directory,
            environment: Vec::new(),
        };
        Ok((host, git))
    }
}

/// What git writes.
enum Written {
    Stdout(Bytes),
    Stderr(Bytes),
    End(i64),
}

impl RemoteGit<'_> {
    /// The sandbox's id.
    pub(super) fn sandbox(&self) -> &str {
        self.sandbox.as_str()
    }

    /// Starts git, which is ended after `longest`, with all that it left behind. What it writes is told until its end; who reads no
    /// more ends it.
    async fn start(
        &self,
        arguments: &[&str],
        input: impl AsyncRead + Send + Unpin + 'static,
        longest: Duration,
    ) -> Result<mpsc::Receiver<Result<Written>>> {
        let command: Vec<&str> = std::iter::once("git")
            .chain(arguments.iter().copied())
            .collect();
        let mut env = json!({
            "LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0",
            (env::EXEC_LOOK): "1", (env::EXEC_LOOK_SECONDS): (longest.as_secs() + 1).to_string(),
        });
        for (name, value) in &self.environment {
            env[name] = value.as_str().into();
        }
        let start = Message::Text(
            json!({ "cmd": command, "cwd": self.directory, "env": env, "tty": false }).to_string(),
        );
        let path = ["sandboxes", self.sandbox(), "exec"];
        let socket = self.server.client.socket(Call::get(&path)).await;
        let Socket { sender, receiver } = socket.map_err(told)?;
        let (to, from) = mpsc::channel(WAITING);
        tokio::spawn(async move {
            let window = Semaphore::new(0);
            let end = tokio::select! {
                end = hear(receiver, &to, &window) => end,
                error = feed(sender, start, input, &window) => Err(error),
                () = to.closed() => return,
            };
            let _ = to.send(end.map(Written::End)).await;
        });
        Ok(from)
    }
}

/// Sends what is to run, and its input as far as it is taken. Returns where that cannot be read.
async fn feed(
    mut to: Sender,
    start: Message,
    mut input: impl AsyncRead + Unpin,
    window: &Semaphore,
) -> Error {
    let mut piece = vec![0; PIECE];
    let mut next = Some(start);
    while let Some(message) = next {
        if to.send(message).await.is_err() {
            // Why, is heard on the other half.
            return std::future::pending().await;
        }
        // As much as there is room for, whatever a server lets be under way.
        if let Ok(room) = window.acquire().await {
            room.forget();
        }
        let more = window.forget_permits(PIECE - 1);
        let read = match input.read(&mut piece[..=more]).await {
            Ok(read) => read,
            Err(error) => {
                return Error::new(Kind::Failure, "what is to be sent cannot be read")
                    .caused_by(&error);
            }
        };
        window.add_permits(1 + more - read);
        next = (read > 0).then(|| spoken::input(&piece[..read]));
    }
    let _ = to.send(spoken::end_of_input()).await;
    std::future::pending().await
}

/// Passes on what git writes; its exit code.
async fn hear(
    mut from: Receiver,
    to: &mpsc::Sender<Result<Written>>,
    window: &Semaphore,
) -> Result<i64> {
    loop {
        let Some(message) = from.next().await.map_err(told)? else {
            return Err(lost());
        };
        let written = match spoken::hear(message) {
            Heard::Stdout(bytes) => Written::Stdout(bytes),
            Heard::Stderr(bytes) => Written::Stderr(bytes),
            Heard::Room(bytes) => {
                window.add_permits(bytes);
                continue;
            }
            Heard::ExitCode(code) => return Ok(code),
            Heard::Error(mut error) => {
                // As of a local git that cannot be run: 125 is a program's that was asked for.
                if error.kind == Kind::ExecFailed {
                    error.kind = Kind::Repository;
                }
                return Err(error);
            }
            Heard::Unknown => continue,
        };
        // Where nobody reads any more, that is seen beside this.
        let _ = to.send(Ok(written)).await;
    }
}

/// All that git says, to its end; of its standard output what `take` takes.
async fn whole(
    mut written: mpsc::Receiver<Result<Written>>,
    mut take: impl FnMut(&mut Vec<u8>, &[u8]) -> Result<()>,
) -> Result<Told> {
    let mut said = Told::default();
    while let Some(piece) = written.recv().await {
        match piece? {
            Written::Stdout(bytes) => take(&mut said.stdout, &bytes)?,
            Written::Stderr(bytes) => keep(&mut said.stderr, &bytes),
            Written::End(code) => return Ok(Told { code, ..said }),
        }
    }
    Err(lost())
}

impl Source for RemoteGit<'_> {
    async fn git(&self, arguments: &[&str], input: Vec<u8>, limit: usize) -> Result<Told> {
        let answer = async {
            let written = self.start(arguments, Cursor::new(input), ANSWER).await?;
            let take = |stdout: &mut Vec<u8>, bytes: &[u8]| {
                stdout.extend_from_slice(bytes);
                if stdout.len() > limit {
                    return Err(Error::new(
                        Kind::Repository,
                        format!("the sandbox's git says more than {limit} bytes"),
                    ));
                }
                Ok(())
            };
            whole(written, take).await
        };
        tokio::time::timeout(ANSWER, answer)
            .await
            .unwrap_or_else(|_| Err(no_answer(ANSWER)))
    }

    async fn stream(
        &self,
        arguments: &[&str],
        input: Vec<u8>,
    ) -> Result<Pin<Box<dyn Stream<Item = Result<Piece>> + Send>>> {
        let start = self.start(arguments, Cursor::new(input), 2 * PACK);
        let start = tokio::time::timeout(ANSWER, start).await;
        let written = start.unwrap_or_else(|_| Err(no_answer(ANSWER)))?;
        let read = (written, Told::default());
        let pieces = futures_util::stream::unfold(read, |(mut written, mut said)| async {
            loop {
                let piece = match written.recv().await? {
                    Ok(Written::Stderr(bytes)) => {
                        keep(&mut said.stderr, &bytes);
                        continue;
                    }
                    Ok(Written::Stdout(bytes)) => Ok(Piece::Data(bytes)),
                    Ok(Written::End(code)) => Ok(Piece::End(Told {
                        code,
                        ..std::mem::take(&mut said)
                    })),
                    Err(error) => Err(error),
                };
                return Some((piece, (written, said)));
            }
        });
        Ok(pieces.boxed())
    }
}

impl Beside for RemoteGit<'_> {
    fn with_environment(mut self, variables: Vec<(String, String)>) -> Self {
        self.environment.extend(variables);
        self
    }
}

impl Sink for RemoteGit<'_> {
    async fn feed(&self, arguments: &[&str], file: std::fs::File) -> Result<Told> {
        let answer = async {
            let file = tokio::fs::File::from_std(file);
            let written = self.start(arguments, file, PACK).await?;
            whole(written, |stdout, bytes| {
                keep(stdout, bytes);
                Ok(())
            })
            .await
        };
        tokio::time::timeout(PACK, answer)
            .await
            .unwrap_or_else(|_| Err(no_answer(PACK)))
    }
}

fn lost() -> Error {
    Error::new(
        Kind::Repository,
        "the server ended the connection before git ended",
    )
}

fn no_answer(longest: Duration) -> Error {
    Error::new(
        Kind::Repository,
        format!(
            "the sandbox's git did not answer within {} minutes",
            longest.as_secs() / 60
        ),
    )
    .hint("look inside with `amika sandbox connect NAME`")
}
