//! One program in a sandbox, tied to this process's streams and signals until it ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::watch::Unwatched;
use super::{Input, Output, RawMode, Signal, Signals, Target, Watch};
use crate::daemon::Client;
use crate::error::{Error, Kind, Result};
use crate::exec_as::{Remote, Streams, kill, new_id, resize};
use crate::sandbox::Sandbox;
use crate::sandboxes::Sandboxes;
use amika_engine::{EngineError, ExecOutput, ExecSession};

/// How long what was typed waits for the terminal to have a size.
const FIRST_RESIZE: Duration = Duration::from_secs(2);
/// What a shell is given to end in, once its terminal went away.
const HANG_UP_GRACE: Duration = Duration::from_secs(2);
/// How long the engine may take to take a signal that is to end the program.
const DELIVERY: Duration = Duration::from_secs(8);
/// How often amikad is told that somebody writes: it takes a sample every 10 s.
const TELL_INTERVAL: Duration = Duration::from_secs(4);
/// Exit code of what SIGTERM ended, as shells have it.
const TERMINATED: u8 = 143;
/// Signals for a program that nobody listens to any more, with the time that each is given. SIGPIPE
/// is what writing to a closed pipe would have done.
const UNHEARD: [(&str, Duration); 3] = [
    ("PIPE", Duration::from_secs(1)),
    ("TERM", Duration::from_secs(5)),
    ("KILL", Duration::ZERO),
];

/// Runs a program until it ended and all it wrote is written; returns its exit code. Without an `input`
/// it reads this process's.
///
/// # Errors
/// Those of the engine and of this process's streams; [`Kind::Canceled`] when the user
/// insisted and the program did not end.
pub(crate) async fn run(
    engine: &Sandboxes,
    container: &str,
    remote: &Remote,
    input: Option<Input>,
    signals: &mut Signals,
) -> Result<u8> {
    {
        let known = Known {
            id: new_id(),
            amikad: None,
        };
        run_as(
            engine,
            container,
            &known,
            remote,
            input,
            signals,
            &mut Unwatched,
        )
        .await
    }
}

/// What amikad knows of a program, and is told.
pub(crate) struct Known {
    /// Its id of the program.
    pub(crate) id: String,
    /// Who is told that somebody writes to the program, where it is worth telling: on a terminal the kernel does.
    pub(crate) amikad: Option<Client>,
}

impl Known {
    /// A program in this sandbox, under a new id.
    pub(crate) fn new(engine: &Sandboxes, sandbox: &Sandbox) -> Self {
        Self {
            id: new_id(),
            // Without a key of ours nobody can be told, and the program runs all the same.
            amikad: sandbox.client(engine).ok(),
        }
    }
}

/// As [`run`], with amikad and somebody who reads along.
///
/// # Errors
/// As [`run`].
pub(crate) async fn run_as(
    engine: &Sandboxes,
    container: &str,
    known: &Known,
    remote: &Remote,
    input: Option<Input>,
    signals: &mut Signals,
    watch: &mut dyn Watch,
) -> Result<u8> {
    let spec = remote.spec(&known.id, super::size());
    let _raw = match remote.streams {
        Streams::Terminal => Some(
            RawMode::enter()
                .map_err(|error| broken("the terminal cannot be set to raw mode", &error))?,
        ),
        Streams::Separate => None,
    };
    let mut before = Vec::new();
    let mut too_late: Option<tokio::time::Instant> = None;
    let session = {
        let mut starting = std::pin::pin!(engine.engine().exec(container, &spec));
        loop {
            tokio::select! {
                session = &mut starting => break session?,
                () = sleep_until(too_late) => {
                    return Err(Error::new(Kind::Canceled, "interrupted"));
                }
                signal = signals.next() => {
                    before.push(signal);
                    if signal == Signal::Terminate {
                        too_late.get_or_insert_with(|| tokio::time::Instant::now() + DELIVERY);
                    }
                    if before.iter().filter(|signal| **signal != Signal::Resized).count() > 1 {
                        return Err(Error::new(Kind::Canceled, "interrupted"));
                    }
                }
            }
        }
    };
    let mut control = Control {
        engine: engine.clone(),
        container: container.to_owned(),
        id: known.id.clone(),
        exec: session.id.clone(),
        streams: remote.streams,
        interrupts: 0,
        hung_up: None,
        terminating: None,
        resized: Arc::default(),
        calls: JoinSet::new(),
    };
    for signal in before {
        control.signal(signal)?;
    }
    let input = match input {
        Some(input) => input,
        None => Input::start().map_err(|error| broken("standard input cannot be read", &error))?,
    };
    let teller = known
        .amikad
        .clone()
        .filter(|_| remote.streams == Streams::Separate);
    control.attend(session, input, teller, signals, watch).await
}

/// What is done to a program from outside while it runs.
struct Control {
    engine: Sandboxes,
    container: String,
    /// Amikad's id of the program.
    id: String,
    /// The engine's id of it.
    exec: String,
    streams: Streams,
    interrupts: u32,
    /// When to leave a program whose terminal went away, and the exit code then.
    hung_up: Option<(tokio::time::Instant, u8)>,
    /// SIGTERM on its way to the program: when to give up on an engine that does not take it, and
    /// whether it has.
    terminating: Option<(tokio::time::Instant, Arc<AtomicBool>)>,
    /// Told when this terminal has another size.
    resized: Arc<Notify>,
    /// Calls under way; dropping them breaks them off.
    calls: JoinSet<()>,
}

impl Control {
    async fn attend(
        mut self,
        session: ExecSession,
        input: Input,
        teller: Option<Client>,
        signals: &mut Signals,
        watch: &mut dyn Watch,
    ) -> Result<u8> {
        let terminal = self.streams == Streams::Terminal;
        let (sized, has_size) = tokio::sync::oneshot::channel();
        if terminal {
            let (engine, exec) = (self.engine.clone(), self.exec.clone());
            let resized = Arc::clone(&self.resized);
            self.calls.spawn(keep_size(engine, exec, resized, sized));
        }
        self.calls.spawn(async move {
            if terminal {
                // Engines before 23 start the program first and size its terminal afterwards: what
                // was typed ahead waits, so that no command sees a terminal without a size.
                let _ = tokio::time::timeout(FIRST_RESIZE, has_size).await;
            }
            feed(input, session.input, teller).await;
        });
        let (unheard, mut nobody_listens) = tokio::sync::oneshot::channel();
        let mut ending = std::pin::pin!(drain(
            self.engine.clone(),
            session.id,
            session.output,
            unheard,
            watch,
        ));
        let mut listening = true;
        loop {
            let deadline = self.hung_up;
            tokio::select! {
                // Whoever ended this process learns that, not what the hang-up did to the program.
                result = &mut ending => {
                    return result.map(|code| deadline.map_or(code, |(_, code)| code));
                }
                signal = signals.next() => self.signal(signal)?,
                _ = &mut nobody_listens, if listening => {
                    listening = false;
                    self.silence();
                }
                code = leave_at(deadline) => return Ok(code),
                () = not_delivered(self.terminating.clone()) => return Ok(TERMINATED),
            }
        }
    }

    fn signal(&mut self, signal: Signal) -> Result<()> {
        match (signal, self.streams) {
            (Signal::Resized, _) => self.resized.notify_one(),
            (Signal::Terminate | Signal::HangUp, Streams::Terminal) => {
                let code = if signal == Signal::Terminate {
                    TERMINATED
                } else {
                    129
                };
                let deadline = tokio::time::Instant::now() + HANG_UP_GRACE;
                self.hung_up.get_or_insert((deadline, code));
                self.escalate(&[("HUP", HANG_UP_GRACE / 2), ("KILL", Duration::ZERO)]);
            }
            (Signal::Interrupt, _) => {
                self.interrupts += 1;
                match self.interrupts {
                    1 => self.escalate(&[("INT", Duration::ZERO)]),
                    2 => self.escalate(&[("KILL", Duration::ZERO)]),
                    _ => {
                        return Err(Error::new(
                            Kind::Canceled,
                            "interrupted; the program may still run",
                        ));
                    }
                }
            }
            (Signal::Terminate, Streams::Separate) => self.terminate(),
            (signal, _) => self.escalate(&[(signal.name(), Duration::ZERO)]),
        }
        Ok(())
    }

    fn silence(&mut self) {
        self.escalate(&UNHEARD);
    }

    /// Sends signals one after the other, each followed by its time to take effect. The session's
    /// end breaks the rest off.
    fn escalate(&mut self, steps: &[(&'static str, Duration)]) {
        let steps = steps.to_vec();
        let (engine, container, id) =
            (self.engine.clone(), self.container.clone(), self.id.clone());
        self.calls.spawn(async move {
            for (signal, time) in steps {
                kill(&engine, &container, &id, signal).await;
                tokio::time::sleep(time).await;
            }
        });
    }

    /// Passes SIGTERM on. What the program makes of it is its own affair; whether the engine takes it is not.
    fn terminate(&mut self) {
        let (engine, container, id) =
            (self.engine.clone(), self.container.clone(), self.id.clone());
        let deadline = tokio::time::Instant::now() + DELIVERY;
        let (_, delivered) = self
            .terminating
            .get_or_insert_with(|| (deadline, Arc::default()));
        let delivered = Arc::clone(delivered);
        self.calls.spawn(async move {
            kill(&engine, &container, &id, Signal::Terminate.name()).await;
            delivered.store(true, Ordering::Relaxed);
        });
    }
}

/// Returns at that time, if there is one.
async fn sleep_until(time: Option<tokio::time::Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// Returns at the time when a signal should have been delivered long since, if it was not.
async fn not_delivered(signal: Option<(tokio::time::Instant, Arc<AtomicBool>)>) {
    if let Some((deadline, delivered)) = signal {
        tokio::time::sleep_until(deadline).await;
        if !delivered.load(Ordering::Relaxed) {
            return;
        }
    }
    std::future::pending::<()>().await;
}

/// Gives the remote terminal this one's size, at first and whenever it has another. One call at a time: of two the engine
/// may take the later one first, and the older size would stay.
async fn keep_size(
    engine: Sandboxes,
    exec: String,
    resized: Arc<Notify>,
    sized: tokio::sync::oneshot::Sender<()>,
) {
    resize(&engine, &exec, super::size).await;
    drop(sized);
    loop {
        resized.notified().await;
        resize(&engine, &exec, super::size).await;
    }
}

/// Passes standard input on, and its end; tells amikad now and then that there was some.
async fn feed(
    mut input: Input,
    mut remote: std::pin::Pin<Box<dyn tokio::io::AsyncWrite + Send>>,
    teller: Option<Client>,
) {
    let mut told: Option<tokio::time::Instant> = None;
    while let Some(bytes) = input.next().await {
        if let Some(amikad) = &teller
            && told.is_none_or(|at| at.elapsed() > TELL_INTERVAL)
        {
            told = Some(tokio::time::Instant::now());
            let amikad = amikad.clone();
            // Beside it: no byte waits for that.
            tokio::spawn(async move {
                if let Err(error) = amikad.tell_input().await {
                    tracing::debug!(%error, "amikad is not told of input");
                }
            });
        }
        // A program that closed its input has had enough; it may still have much to say.
        if remote.write_all(&bytes).await.is_err() || remote.flush().await.is_err() {
            return;
        }
    }
    let _ = remote.shutdown().await;
}

/// Writes what the program writes until it ends; returns its exit code. Tells `unheard` when
/// nobody reads it any more, and throws the rest away.
async fn drain(
    engine: Sandboxes,
    exec: String,
    mut remote: std::pin::Pin<
        Box<dyn futures_util::Stream<Item = Result<ExecOutput, EngineError>> + Send>,
    >,
    unheard: tokio::sync::oneshot::Sender<()>,
    watch: &mut dyn Watch,
) -> Result<u8> {
    let output = Output::start();
    let mut unheard = Some(unheard);
    while let Some(piece) = remote.next().await {
        let (target, bytes) = match piece? {
            ExecOutput::Stdout(bytes) => (Target::Stdout, bytes),
            ExecOutput::Stderr(bytes) => (Target::Stderr, bytes),
        };
        let bytes = watch.piece(target, bytes);
        if unheard.is_some()
            && !bytes.is_empty()
            && output.send(target, bytes).await.is_err()
            && let Some(unheard) = unheard.take()
        {
            let _ = unheard.send(());
        }
    }
    let rest = watch.end();
    if unheard.is_some() && !rest.is_empty() {
        // Whoever does not read it any more is told by what follows.
        let _ = output.send(Target::Stdout, rest).await;
    }
    let written = output.finish().await;
    let code = engine.wait_exec(&exec).await.map_err(|error| match error {
        // The engine forgets the programs of a container that ended.
        EngineError::NotFound(message) | EngineError::Conflict(message) => Error::new(
            Kind::ExecFailed,
            "the sandbox ended while the program ran; its exit code is not known",
        )
        .cause(message),
        other => other.into(),
    })?;
    written.map_err(|error| broken("the program's output cannot be written", &error))?;
    Ok(u8::try_from(code).unwrap_or(crate::output::exit_code(Kind::ExecFailed)))
}

async fn leave_at(deadline: Option<(tokio::time::Instant, u8)>) -> u8 {
    sleep_until(deadline.map(|(at, _)| at)).await;
    deadline.map_or(TERMINATED, |(_, code)| code)
}

fn broken(what: &str, error: &std::io::Error) -> Error {
    Error::new(Kind::ExecFailed, what).caused_by(error)
}
