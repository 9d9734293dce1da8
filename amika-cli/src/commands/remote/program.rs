//! `amika sandbox exec --remote`, `connect --remote`: a program in a sandbox of a server's, with this process's streams,
//! signals and exit code.

use std::sync::Arc;
use std::time::Duration;

use amika_core::exec_limit;
use amika_remote::client::Call;
use amika_remote::socket::{Message, Receiver, Sender, Socket};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::sync::mpsc;

use super::Server;
use super::failure::told;
use super::spoken::{self, Heard, PIECE};
use crate::App;
use crate::args::sandbox::{ConnectArgs, ExecArgs};
use crate::commands::interruptible;
use crate::commands::sandbox::exec::{fail_as_own, install_signals, interrupted};
use crate::commands::sandbox::jobs::JobView;
use crate::error::{Error, Kind, Result};
use crate::terminal::{self, Input, Output, RawMode, Signal, Signals, Target, Unwatched, Watch};

/// What a shell is given to end in, once its terminal went away.
const HANG_UP_GRACE: Duration = Duration::from_secs(2);
/// Words and bytes on their way to the server.
const WAITING: usize = 8;

pub(super) async fn exec(args: &ExecArgs, server: &Server, app: &App) -> Result<u8> {
    own_failure(app, run_exec(args, server, app).await)
}

pub(super) async fn connect(args: &ConnectArgs, server: &Server, app: &App) -> Result<u8> {
    own_failure(app, run_connect(args, server, app).await)
}

async fn run_exec(args: &ExecArgs, server: &Server, app: &App) -> Result<u8> {
    if args.tty && !terminal::is_terminal() {
        return Err(Error::new(
            Kind::Invalid,
            "`--tty` needs a terminal, and standard input is none",
        )
        .hint("leave `--tty` out: input and output are passed on as they are"));
    }
    let is_root = matches!(args.user.as_deref(), Some("root" | "0" | "0:0"));
    let user = args.user.as_ref().filter(|_| !is_root);
    let given = crate::environment::read(&args.env, &[])?;
    crate::environment::warn_of_unset(&given.unset, &app.out);
    let pairs = given
        .set
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()));
    exec_limit::check(&args.command, pairs)
        .map_err(|error| Error::new(Kind::Invalid, error.to_string()))?;
    let mut env: serde_json::Map<String, Value> = serde_json::Map::new();
    if args.tty {
        env.extend(described());
    }
    env.extend(
        given
            .set
            .into_iter()
            .map(|(name, value)| (name, value.into())),
    );
    let start = json!({
        "cmd": args.command, "cwd": args.workdir, "env": env, "root": is_root, "user": user,
    });
    if args.detach {
        let started = server.start_job(&args.name, &start);
        let job = interruptible(app, started).await?;
        return JobView::tell(&args.name, job, app).map(|()| 0);
    }
    session(server, &args.name, start, args.tty, app).await
}

async fn run_connect(args: &ConnectArgs, server: &Server, app: &App) -> Result<u8> {
    if args.rescue {
        return Err(super::unsupported::option(
            "--rescue",
            "`start --remote --skip-setup` starts it without its setup script",
        ));
    }
    if !terminal::is_terminal() {
        let hint = format!(
            "`amika sandbox exec --remote {} -- PROGRAM` runs a program without one",
            args.name
        );
        return Err(Error::new(
            Kind::Invalid,
            "a shell needs a terminal, and standard input is none",
        )
        .hint(hint));
    }
    if let Some(session) = &args.session {
        return super::session::attend(session, args, server, app).await;
    }
    let env: serde_json::Map<String, Value> = described().collect();
    let start = json!({ "env": env, "root": args.root });
    session(server, &args.name, start, true, app).await
}

/// What a program is told of this terminal.
fn described() -> impl Iterator<Item = (String, Value)> {
    let all = terminal::known_description().into_iter();
    all.map(|(name, value)| (name, value.into()))
}

/// As of a local one: what fails here ends with 125, so that it is never taken for the program's.
pub(super) fn own_failure(app: &App, result: Result<u8>) -> Result<u8> {
    match result {
        Err(error) if error.kind != Kind::Canceled => Ok(fail_as_own(app, error)),
        other => other,
    }
}

/// Runs a program with this process's standard input; returns its exit code.
async fn session(server: &Server, name: &str, start: Value, tty: bool, app: &App) -> Result<u8> {
    let mut signals = install_signals(app)?;
    let input = || {
        Input::start().map_err(|error| {
            Error::new(Kind::Failure, "standard input cannot be read").caused_by(&error)
        })
    };
    attend(
        server,
        name,
        start,
        tty,
        input,
        &mut Unwatched,
        &mut signals,
    )
    .await
}

/// Runs a program until it ended and all it wrote is written; returns its exit code.
pub(super) async fn attend(
    server: &Server,
    name: &str,
    mut start: Value,
    tty: bool,
    input: impl FnOnce() -> Result<Input>,
    watch: &mut dyn Watch,
    signals: &mut Signals,
) -> Result<u8> {
    start["tty"] = tty.into();
    if let Some((rows, columns)) = terminal::size().filter(|_| tty) {
        start["columns"] = columns.into();
        start["rows"] = rows.into();
    }
    let path = ["sandboxes", name, "exec"];
    let socket = tokio::select! {
        socket = server.client.socket(Call::get(&path)) => socket.map_err(told)?,
        () = interrupted(signals) => return Err(Error::new(Kind::Canceled, "interrupted")),
    };
    let _raw = if tty {
        Some(RawMode::enter().map_err(|error| {
            Error::new(Kind::Failure, "the terminal cannot be set to raw mode").caused_by(&error)
        })?)
    } else {
        None
    };
    let input = input()?;
    let Socket { sender, receiver } = socket;
    let (words, waiting) = mpsc::channel(WAITING);
    let window = Arc::new(Semaphore::new(0));
    let output = Output::start();
    let code = tokio::select! {
        code = hear(receiver, &output, &window, watch) => code,
        failed = send(sender, start, waiting) => Err(failed),
        never = feed(input, words.clone(), Arc::clone(&window)) => match never {},
        code = signalled(signals, &words, tty) => code,
    };
    let last = watch.end();
    if !last.is_empty() {
        // Nobody reads any more: the end is told by `finish`.
        let _ = output.send(Target::Stdout, last).await;
    }
    let written = output.finish().await.map_err(|error| {
        Error::new(Kind::Failure, "what the program wrote cannot be written").caused_by(&error)
    });
    let code = code?;
    written?;
    Ok(code)
}

/// Sends what there is to say, the program first. Returns when the connection broke.
async fn send(mut to: Sender, start: Value, mut waiting: mpsc::Receiver<Message>) -> Error {
    let mut next = Some(Message::Text(start.to_string()));
    while let Some(message) = next {
        if to.send(message).await.is_err() {
            // Why, is heard on the other half.
            break;
        }
        next = waiting.recv().await;
    }
    std::future::pending().await
}

/// Passes standard input on as far as the program takes it, and then its end.
async fn feed(
    mut input: Input,
    words: mpsc::Sender<Message>,
    window: Arc<Semaphore>,
) -> std::convert::Infallible {
    while let Some(bytes) = input.next().await {
        for piece in bytes.chunks(PIECE) {
            let room = u32::try_from(piece.len()).unwrap_or(u32::MAX);
            if let Ok(room) = window.acquire_many(room).await {
                room.forget();
            }
            let _ = words.send(spoken::input(piece)).await;
        }
    }
    let _ = words.send(spoken::end_of_input()).await;
    std::future::pending().await
}

/// Writes what the program writes; returns its exit code.
async fn hear(
    mut from: Receiver,
    output: &Output,
    window: &Semaphore,
    watch: &mut dyn Watch,
) -> Result<u8> {
    loop {
        let Some(message) = from.next().await.map_err(told)? else {
            return Err(spoken::lost());
        };
        let (target, bytes) = match spoken::hear(message) {
            Heard::Stdout(bytes) => (Target::Stdout, bytes),
            Heard::Stderr(bytes) => (Target::Stderr, bytes),
            Heard::Room(bytes) => {
                window.add_permits(bytes);
                continue;
            }
            Heard::ExitCode(code) => return Ok(u8::try_from(code).unwrap_or(1)),
            Heard::Error(error) => return Err(error),
            Heard::Unknown => continue,
        };
        let bytes = watch.piece(target, bytes);
        if !bytes.is_empty() && output.send(target, bytes).await.is_err() {
            // As a program that SIGPIPE ended; leaving ends it.
            return Ok(141);
        }
    }
}

/// Passes signals on; returns when the user insists, or the terminal went away.
async fn signalled(signals: &mut Signals, words: &mpsc::Sender<Message>, tty: bool) -> Result<u8> {
    let mut interrupts = 0;
    loop {
        let signal = signals.next().await;
        let text = match signal {
            Signal::Resized => match terminal::size().filter(|_| tty) {
                Some((rows, columns)) => json!({ "resize": [columns, rows] }),
                None => continue,
            },
            Signal::Interrupt => {
                interrupts += 1;
                match interrupts {
                    1 => json!({ "signal": "INT" }),
                    2 => json!({ "signal": "KILL" }),
                    _ => {
                        return Err(Error::new(
                            Kind::Canceled,
                            "interrupted; the program may still run",
                        ));
                    }
                }
            }
            other => json!({ "signal": other.name() }),
        };
        let said = words.send(Message::Text(text.to_string()));
        let _ = tokio::time::timeout(HANG_UP_GRACE, said).await;
        if tty && matches!(signal, Signal::Terminate | Signal::HangUp) {
            tokio::time::sleep(HANG_UP_GRACE).await;
            // Leaving ends what did not.
            return Ok(if signal == Signal::Terminate {
                143
            } else {
                129
            });
        }
    }
}
