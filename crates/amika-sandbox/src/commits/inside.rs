//! The git of a sandbox's agent, run by the agent: whatever it is, it can do no more than the agent.

use std::pin::Pin;
use std::time::Duration;

use amika_core::contract::env;
use amika_core::hex::hex;
use amika_core::label::SandboxRecord;
use futures_util::{Stream, StreamExt as _};
use tokio::io::AsyncWriteExt as _;

use super::{ANSWER, Beside, PACK, Piece, Sink, Source, Told, keep};
use crate::error::{Error, Kind, Result};
use crate::exec_as::{Remote, Streams, kill};
use crate::sandbox::Sandbox;
use crate::sandboxes::Sandboxes;
use amika_engine::{ExecOutput, ExecSession};

/// A sandbox's repository.
#[derive(Clone)]
pub struct Inside {
    engine: Sandboxes,
    container: String,
    user: Option<String>,
    directory: String,
    /// What its git is told besides.
    environment: Vec<(String, String)>,
    /// When no answer is waited for any longer, where that is sooner than usual.
    patience: Option<Duration>,
}

impl Inside {
    /// The repository at a path of a sandbox that runs.
    pub fn new(engine: &Sandboxes, sandbox: &Sandbox, directory: &str) -> Self {
        Self {
            user: sandbox.record.user.clone(),
            ..Self::of_helper(engine, &sandbox.container.id, directory)
        }
    }

    /// The repository in which a sandbox's agent works, of one that is only listed and runs: its git is ended after
    /// `patience`.
    pub fn listed(
        engine: &Sandboxes,
        container: &str,
        record: &SandboxRecord,
        directory: &str,
        patience: Duration,
    ) -> Self {
        Self {
            user: record.user.clone(),
            patience: Some(patience),
            ..Self::of_helper(engine, container, directory)
        }
    }

    /// The repository at a path of a container that was made for looking at it.
    pub(crate) fn of_helper(engine: &Sandboxes, container: &str, directory: &str) -> Self {
        Self {
            engine: engine.clone(),
            container: container.to_owned(),
            user: None,
            directory: directory.to_owned(),
            environment: Vec::new(),
            patience: None,
        }
    }

    /// The same repository, at the same place of another container.
    #[must_use]
    pub fn of_container(mut self, container: &str) -> Self {
        container.clone_into(&mut self.container);
        self
    }

    /// Starts git, which is ended after `longest` also where nobody is there any more to do it.
    async fn start(&self, arguments: &[&str], longest: Duration) -> Result<(ExecSession, Ending)> {
        let longest = self
            .patience
            .map_or(longest, |patience| patience.min(longest));
        // Whole seconds, of which the last has begun.
        let seconds = (longest.as_secs() + 1).to_string();
        let mut command = vec!["git".to_owned()];
        command.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        let remote = Remote {
            verb: "exec-as",
            user: self.user.clone(),
            workdir: Some(self.directory.clone()),
            env: [
                ("LC_ALL".into(), "C".into()),
                ("GIT_OPTIONAL_LOCKS".into(), "0".into()),
                ("GIT_TERMINAL_PROMPT".into(), "0".into()),
                (env::EXEC_LOOK.into(), "1".into()),
                (env::EXEC_LOOK_SECONDS.into(), seconds),
            ]
            .into_iter()
            .chain(self.environment.iter().cloned())
            .collect(),
            command,
            streams: Streams::Separate,
        };
        let id = hex(&rand::random::<[u8; 8]>());
        let session = self
            .engine
            .engine()
            .exec(&self.container, &remote.spec(&id, None))
            .await?;
        let ending = Ending {
            engine: self.engine.clone(),
            container: self.container.clone(),
            id,
            has_ended: false,
        };
        Ok((session, ending))
    }

    async fn code(&self, session: &str) -> Result<i64> {
        let waited = tokio::time::timeout(ANSWER, self.engine.wait_exec(session)).await;
        match waited {
            Ok(code) => Ok(code?),
            Err(_) => Err(no_answer()),
        }
    }
}

impl Source for Inside {
    async fn git(&self, arguments: &[&str], input: Vec<u8>, limit: usize) -> Result<Told> {
        let (mut session, mut ending) = self.start(arguments, ANSWER).await?;
        let feed = feed(&mut session.input, &input);
        let read = async {
            let mut told = Told::default();
            while let Some(piece) = session.output.next().await {
                match piece? {
                    ExecOutput::Stdout(bytes) => {
                        told.stdout.extend_from_slice(&bytes);
                        if told.stdout.len() > limit {
                            return Err(Error::new(
                                Kind::Repository,
                                format!("the sandbox's git says more than {limit} bytes"),
                            ));
                        }
                    }
                    ExecOutput::Stderr(bytes) => keep(&mut told.stderr, &bytes),
                }
            }
            Ok(told)
        };
        let both = async {
            let ((), told) = tokio::join!(feed, read);
            told
        };
        let mut told = match tokio::time::timeout(ANSWER, both).await {
            Ok(told) => told?,
            Err(_) => return Err(no_answer()),
        };
        told.code = self.code(&session.id).await?;
        ending.has_ended = true;
        Ok(told)
    }

    async fn stream(
        &self,
        arguments: &[&str],
        input: Vec<u8>,
    ) -> Result<Pin<Box<dyn Stream<Item = Result<Piece>> + Send>>> {
        // It may think for as long as it may then send.
        let (session, ending) = self.start(arguments, 2 * PACK).await?;
        let ExecSession {
            id,
            mut output,
            input: mut remote,
        } = session;
        let this = self.clone();
        let (sender, receiver) = tokio::sync::mpsc::channel::<Result<Piece>>(8);
        tokio::spawn(async move {
            let mut ending = ending;
            let mut told = Told::default();
            let read = async {
                while let Some(piece) = output.next().await {
                    let sent = match piece {
                        Ok(ExecOutput::Stdout(bytes)) => sender.send(Ok(Piece::Data(bytes))).await,
                        Ok(ExecOutput::Stderr(bytes)) => {
                            keep(&mut told.stderr, &bytes);
                            Ok(())
                        }
                        Err(error) => sender.send(Err(error.into())).await,
                    };
                    if sent.is_err() {
                        // Nobody reads any more.
                        return false;
                    }
                }
                true
            };
            let both = async {
                let ((), is_whole) = tokio::join!(feed(&mut remote, &input), read);
                is_whole
            };
            let is_whole = tokio::select! {
                is_whole = both => is_whole,
                () = sender.closed() => false,
            };
            if is_whole {
                let end = this.code(&id).await.map(|code| {
                    ending.has_ended = true;
                    Piece::End(Told { code, ..told })
                });
                let _ = sender.send(end).await;
            }
        });
        let stream = futures_util::stream::unfold(receiver, |mut receiver| async {
            Some((receiver.recv().await?, receiver))
        });
        Ok(stream.boxed())
    }
}

impl Beside for Inside {
    fn with_environment(mut self, variables: Vec<(String, String)>) -> Self {
        self.environment.extend(variables);
        self
    }
}

impl Sink for Inside {
    async fn feed(&self, arguments: &[&str], file: std::fs::File) -> Result<Told> {
        let (session, mut ending) = self.start(arguments, PACK).await?;
        let ExecSession {
            id,
            mut output,
            mut input,
        } = session;
        let mut file = tokio::fs::File::from_std(file);
        let send = async {
            // A program that closed its input has had enough.
            let _ = tokio::io::copy(&mut file, &mut input).await;
            let _ = input.flush().await;
            let _ = input.shutdown().await;
        };
        let read = async {
            let mut told = Told::default();
            while let Some(piece) = output.next().await {
                match piece? {
                    ExecOutput::Stdout(bytes) => keep(&mut told.stdout, &bytes),
                    ExecOutput::Stderr(bytes) => keep(&mut told.stderr, &bytes),
                }
            }
            Ok::<_, Error>(told)
        };
        let both = async { tokio::join!(send, read).1 };
        let mut told = match tokio::time::timeout(PACK, both).await {
            Ok(told) => told?,
            Err(_) => return Err(no_answer()),
        };
        told.code = self.code(&id).await?;
        ending.has_ended = true;
        Ok(told)
    }
}

/// Ends a program that nobody waits for any more.
struct Ending {
    engine: Sandboxes,
    container: String,
    id: String,
    has_ended: bool,
}

impl Drop for Ending {
    fn drop(&mut self) {
        if self.has_ended {
            return;
        }
        let (engine, container, id) =
            (self.engine.clone(), self.container.clone(), self.id.clone());
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { kill(&engine, &container, &id, "KILL").await });
        }
    }
}

async fn feed(remote: &mut Pin<Box<dyn tokio::io::AsyncWrite + Send>>, input: &[u8]) {
    // A program that closed its input has had enough.
    let _ = remote.write_all(input).await;
    let _ = remote.flush().await;
    let _ = remote.shutdown().await;
}

fn no_answer() -> Error {
    Error::new(
        Kind::Repository,
        format!(
            "the sandbox's git did not answer within {} minutes",
            ANSWER.as_secs() / 60
        ),
    )
    .hint("nothing was taken; look inside with `amika sandbox connect NAME`")
}
