//! `amika sandbox connect --session`: a shell that amikad keeps, looked at from this terminal.
//!
//! Leaving ends nothing: whoever's terminal or connection went away finds the shell again by its name.

use std::convert::Infallible;

use amika_core::terminal::{FromTerminal, FromViewer, Kind as Frame, bounded};
use amika_core::text::shell_quote;
use amika_core::wire::TerminalRequest;
use amika_tunnel::terminal::{read_frame, write_frame};
use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Notify, mpsc};

use crate::App;
use crate::commands::sandbox::exec::interrupted;
use crate::error::{Error, Kind, Result};
use crate::sandbox::Sandbox;
use crate::sandboxes::Sandboxes;
use crate::terminal::{self, Input, Output, RawMode, Signal, Signals, Target};

/// Bytes of a frame at most.
const FRAME: usize = 32 << 10;
/// Pieces of what is typed that wait to be sent.
const WAITING: usize = 8;
/// Added to a signal's number, as shells do.
const SIGNALLED: u8 = 128;
/// Number of the signal of a terminal that goes away.
const HANG_UP: u8 = 1;

/// How looking at it ended.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// Its program ended with this code.
    Exited(u8),
    /// This side left, as one does that this signal ended.
    Left(u8),
    /// The connection broke.
    Lost,
}

/// Looks at the shell of this name, which is started where none of it runs, until it ends or this terminal goes away.
/// Returns the shell's exit code.
///
/// # Errors
/// Those of [`Sandboxes::terminal`]; [`Kind::ExecFailed`] for a connection that broke, and this process's streams.
pub(super) async fn attend(
    session: &str,
    engine: &Sandboxes,
    sandbox: &Sandbox,
    signals: &mut Signals,
    app: &App,
) -> Result<u8> {
    let name = &sandbox.name;
    let attaching = async {
        let user = sandbox.record.user.as_deref();
        let env = terminal::description(engine, &sandbox.container.id, user).await;
        let size = seen();
        let request = TerminalRequest {
            name: Some(session.to_owned()),
            columns: size.map(|(columns, _)| columns),
            rows: size.map(|(_, rows)| rows),
            env: env.into_iter().collect(),
            ..TerminalRequest::default()
        };
        engine.terminal(name, request, size).await
    };
    let attached = tokio::select! {
        attached = attaching => attached?,
        () = interrupted(signals) => return Err(Error::new(Kind::Canceled, "interrupted")),
    };
    look(session, name, "", attached.frames, signals, app).await
}

/// Looks at a session by frames that come and go, until it ends or this terminal goes away. `place` are the words that
/// a command needs to find the sandbox again. Returns the shell's exit code.
///
/// # Errors
/// [`Kind::ExecFailed`] for a connection that broke, and this process's streams.
pub(in crate::commands) async fn look(
    session: &str,
    name: &str,
    place: &str,
    frames: impl AsyncRead + AsyncWrite,
    signals: &mut Signals,
    app: &App,
) -> Result<u8> {
    let raw = RawMode::enter()
        .map_err(|error| broken("the terminal cannot be set to raw mode", &error))?;
    let input = Input::start().map_err(|error| broken("standard input cannot be read", &error))?;
    let (from, to) = tokio::io::split(frames);
    let (typed, waiting) = mpsc::channel(WAITING);
    let resized = Notify::new();
    let output = Output::start();
    let end = tokio::select! {
        end = hear(from, &output) => end,
        never = send(to, waiting, &resized) => match never {},
        end = feed(input, &typed) => end,
        end = left(signals, &resized) => end,
    };
    let written = output.finish().await;
    drop(raw);
    let again = format!(
        "`amika sandbox connect {place}{} --session {session}`",
        shell_quote(name)
    );
    match end {
        End::Exited(code) => {
            written.map_err(|error| broken("what the shell wrote cannot be written", &error))?;
            Ok(code)
        }
        End::Left(signal) => {
            app.out.note(&format!(
                "session \"{session}\" goes on: {again} finds it again"
            ));
            Ok(SIGNALLED + signal)
        }
        End::Lost => Err(Error::new(
            Kind::ExecFailed,
            format!("the connection to session \"{session}\" of sandbox \"{name}\" was lost"),
        )
        .hint(format!(
            "{again} finds it again, unless the sandbox was stopped"
        ))),
    }
}

fn broken(what: &str, error: &std::io::Error) -> Error {
    Error::new(Kind::ExecFailed, what).caused_by(error)
}

/// Columns and rows that can be seen here.
pub(in crate::commands) fn seen() -> Option<(u16, u16)> {
    terminal::size().map(|(rows, columns)| bounded(columns, rows))
}

/// Writes what the terminal shows until its program ended.
async fn hear(mut from: impl AsyncRead + Unpin, output: &Output) -> End {
    let mut content = Vec::new();
    loop {
        match read_frame(&mut from, &mut content).await {
            Err(_) => return End::Lost,
            Ok(Frame::Bytes) => {
                let bytes = Bytes::copy_from_slice(&content);
                if output.send(Target::Stdout, bytes).await.is_err() {
                    return End::Left(HANG_UP);
                }
            }
            Ok(Frame::Control) => {
                if let Ok(FromTerminal::ExitCode(code)) = serde_json::from_slice(&content) {
                    // What no program ends with is a failure all the same.
                    return End::Exited(u8::try_from(code).unwrap_or(u8::MAX));
                }
            }
        }
    }
}

/// Sends what is typed, and the size whenever it is another. That nobody takes it any more is heard on the other half.
async fn send(
    mut to: impl AsyncWrite + Unpin,
    mut waiting: mpsc::Receiver<Bytes>,
    resized: &Notify,
) -> Infallible {
    loop {
        let sent = tokio::select! {
            typed = waiting.recv() => match typed {
                Some(bytes) => write_frame(&mut to, Frame::Bytes, &bytes).await,
                None => break,
            },
            () = resized.notified() => match seen() {
                Some((columns, rows)) => {
                    let word = FromViewer::Resize(columns, rows);
                    // Two numbers always serialise.
                    let word = serde_json::to_vec(&word).unwrap_or_default();
                    write_frame(&mut to, Frame::Control, &word).await
                }
                None => Ok(()),
            },
        };
        if sent.is_err() {
            break;
        }
    }
    std::future::pending().await
}

/// Passes on what is typed. A terminal's input ends with the terminal.
async fn feed(mut input: Input, typed: &mpsc::Sender<Bytes>) -> End {
    while let Some(bytes) = input.next().await {
        for piece in bytes.chunks(FRAME) {
            let _ = typed.send(Bytes::copy_from_slice(piece)).await;
        }
    }
    End::Left(HANG_UP)
}

/// Tells of each size; returns once this process is to end.
async fn left(signals: &mut Signals, resized: &Notify) -> End {
    loop {
        match signals.next().await {
            Signal::Resized => resized.notify_one(),
            Signal::HangUp => return End::Left(HANG_UP),
            Signal::Interrupt => return End::Left(2),
            Signal::Quit => return End::Left(3),
            Signal::Terminate => return End::Left(15),
        }
    }
}
