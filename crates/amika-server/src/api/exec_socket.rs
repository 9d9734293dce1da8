//! A program whose streams are one WebSocket.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use amika_engine::ExecOutput;
use amika_sandbox::program::{Program, Running};
use axum::extract::ws::{Message, WebSocket};
use futures_util::{SinkExt as _, StreamExt as _};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc;

use super::error::{ApiError, Result};
use super::socket::{self, Close, Hears, Sends};
use crate::streams::Place;

/// How long the first message may take to come.
const FIRST: Duration = Duration::from_secs(15);

/// How often amikad is told that somebody writes: it takes a sample every 10 s.
const TELL: Duration = Duration::from_secs(4);

/// Signals and sizes on their way to the program.
const WAITING: usize = 16;

/// Bytes of standard input that may be under way: what is said beside them is heard although the program does not read.
const WINDOW: usize = 256 << 10;

/// The program, the first message.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExecStart {
    /// Program and arguments.
    #[serde(default)]
    pub cmd: Vec<String>,
    /// Directory; left out: the agent's.
    pub cwd: Option<String>,
    /// Further variables.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Whether it runs as root.
    #[serde(default)]
    pub root: bool,
    /// Whom it runs as, in place of the agent.
    pub user: Option<String>,
    /// Whether it gets a terminal.
    #[serde(default)]
    pub tty: bool,
    /// The terminal's width; left out: 80.
    pub columns: Option<u16>,
    /// Its height; left out: 24.
    pub rows: Option<u16>,
}

/// What is said to a program beside its standard input.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Word {
    /// Standard input ends.
    End(bool),
    /// Columns and rows.
    Resize(u16, u16),
    /// A name or number.
    Signal(String),
}

/// What the server says.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Said {
    /// It runs, and so many bytes of standard input may be under way.
    Window(usize),
    /// So many more bytes of it were taken.
    Taken(usize),
    /// It ended.
    ExitCode(i64),
}

/// Standard input, as the first byte of a message.
const STDIN: u8 = 0;
/// Standard output.
const STDOUT: u8 = 1;
/// Standard error.
const STDERR: u8 = 2;

/// Starts what the first message asks for, and serves it until it ended or whoever asked left.
pub async fn serve(
    socket: WebSocket,
    place: Place,
    start: impl AsyncFnOnce(ExecStart) -> Result<Program>,
) {
    let (mut to, mut from) = socket.split();
    let begun = async {
        let asked = first(&mut from).await?;
        start(asked).await.map_err(Failed::Told)
    };
    let begun = tokio::select! {
        begun = begun => begun,
        () = place.over() => Err(Failed::Closed(Close::going())),
    };
    let ended = match begun {
        Ok(program) => attend(program, &mut to, &mut from, &place).await,
        Err(failed) => Err(failed),
    };
    let bye = match ended {
        Ok(code) => {
            let _ = socket::say(&mut to, &Said::ExitCode(code)).await;
            Close::new(socket::OVER, "the program ended")
        }
        Err(Failed::Told(error)) => {
            let error_body = json!({ "error": { "code": error.code, "message": error.message, "hints": error.hints } });
            let _ = socket::say(&mut to, &error_body).await;
            error.into()
        }
        Err(Failed::Closed(close)) => close,
    };
    socket::close(to, from, bye).await;
}

/// Why there is no exit code.
enum Failed {
    /// The other side is told all of it.
    Told(ApiError),
    /// Nothing but the reason is told.
    Closed(Close),
}

fn left() -> Failed {
    Failed::Closed(Close::new(socket::OVER, "the other side left"))
}

/// The first message, which has to come soon.
async fn first(from: &mut Hears) -> Result<ExecStart, Failed> {
    let bad = |message: String| Failed::Told(ApiError::usage(message));
    let wanted = "the first message is text, the program as JSON: {\"cmd\":[…]}";
    let message = async {
        loop {
            match from.next().await {
                Some(Ok(Message::Text(text))) => break Ok(text),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Binary(_))) => break Err(bad(wanted.to_owned())),
                Some(Ok(Message::Close(_)) | Err(_)) | None => break Err(left()),
            }
        }
    };
    let text = tokio::time::timeout(FIRST, message)
        .await
        .map_err(|_| bad(format!("no message came within {} s", FIRST.as_secs())))??;
    serde_json::from_str(&text).map_err(|error| bad(format!("{wanted}: {error}")))
}

async fn attend(
    program: Program,
    to: &mut Sends,
    from: &mut Hears,
    place: &Place,
) -> Result<i64, Failed> {
    let Program {
        running,
        output,
        input,
    } = program;
    let (words, waiting) = mpsc::channel(WAITING);
    let (bytes, typed) = mpsc::unbounded_channel();
    let (taken, told) = mpsc::channel(WAITING);
    let under_way = AtomicUsize::new(0);
    let stdin = Stdin {
        bytes,
        under_way: &under_way,
    };
    let ended = tokio::select! {
        ended = outwards(output, to, told) => ended,
        failed = inwards(from, stdin, words) => Err(failed),
        failed = fed(typed, input, &running, &under_way, taken) => Err(failed),
        failed = obeyed(waiting, &running) => Err(failed),
        () = place.over() => Err(Failed::Closed(Close::going())),
    };
    match ended {
        Ok(()) => running
            .exit_code()
            .await
            .map_err(|error| Failed::Told(error.into())),
        Err(failed) => {
            running.end().await;
            Err(failed)
        }
    }
}

/// What the program writes, until it ended.
async fn outwards(
    mut output: impl futures_util::Stream<Item = Result<ExecOutput, amika_engine::EngineError>> + Unpin,
    to: &mut Sends,
    mut told: mpsc::Receiver<usize>,
) -> Result<(), Failed> {
    socket::say(to, &Said::Window(WINDOW))
        .await
        .map_err(|_| left())?;
    loop {
        let piece = tokio::select! {
            piece = output.next() => piece,
            Some(count) = told.recv() => {
                socket::say(to, &Said::Taken(count)).await.map_err(|_| left())?;
                continue;
            }
            () = tokio::time::sleep(socket::PING) => {
                to.send(Message::Ping(bytes::Bytes::new())).await.map_err(|_| left())?;
                continue;
            }
        };
        let (stream, bytes) = match piece {
            None => return Ok(()),
            Some(Ok(ExecOutput::Stdout(bytes))) => (STDOUT, bytes),
            Some(Ok(ExecOutput::Stderr(bytes))) => (STDERR, bytes),
            Some(Err(error)) => {
                let error = amika_sandbox::error::Error::from(error);
                return Err(Failed::Told(error.into()));
            }
        };
        for piece in bytes.chunks(socket::MESSAGE - 1) {
            let mut message = Vec::with_capacity(1 + piece.len());
            message.push(stream);
            message.extend_from_slice(piece);
            to.send(Message::Binary(message.into()))
                .await
                .map_err(|_| left())?;
        }
    }
}

/// Standard input on its way; `None` is its end.
type Typed = Option<bytes::Bytes>;

/// Where what is typed goes.
struct Stdin<'a> {
    bytes: mpsc::UnboundedSender<Typed>,
    /// Bytes that the program has not taken yet.
    under_way: &'a AtomicUsize,
}

/// What the other side says, until it left.
async fn inwards(from: &mut Hears, stdin: Stdin<'_>, words: mpsc::Sender<Word>) -> Failed {
    let refused = |code: u16, told: &str| Failed::Closed(Close::new(code, told));
    let not_understood = |told: &str| refused(socket::NOT_UNDERSTOOD, told);
    while let Some(message) = from.next().await {
        match message {
            Ok(Message::Binary(bytes)) => {
                if bytes.first() != Some(&STDIN) {
                    return not_understood("a binary message is 0 and bytes of standard input");
                }
                let bytes = bytes.slice(1..);
                let before = stdin.under_way.fetch_add(bytes.len(), Ordering::Relaxed);
                if before + bytes.len() > WINDOW {
                    return refused(socket::POLICY, "more standard input than the window has");
                }
                if !bytes.is_empty() {
                    // Nobody hears it any more once the program ended.
                    let _ = stdin.bytes.send(Some(bytes));
                }
            }
            Ok(Message::Text(text)) => match serde_json::from_str(&text) {
                Ok(Word::End(true)) => drop(stdin.bytes.send(None)),
                Ok(Word::Signal(name)) if !is_signal(&name) => {
                    return not_understood("signal is a name as INT, or a number");
                }
                Ok(word @ (Word::Resize(..) | Word::Signal(_))) => {
                    let _ = words.send(word).await;
                }
                _ => {
                    return not_understood(
                        "a text message is {\"end\":true}, {\"resize\":[c,r]} or {\"signal\":\"INT\"}",
                    );
                }
            },
            Ok(Message::Ping(_) | Message::Pong(_)) => {}
            Ok(Message::Close(_)) | Err(_) => break,
        }
    }
    left()
}

/// Gives the program what is typed, as it takes it.
async fn fed(
    mut typed: mpsc::UnboundedReceiver<Typed>,
    mut input: impl AsyncWrite + Unpin,
    running: &Running,
    under_way: &AtomicUsize,
    taken: mpsc::Sender<usize>,
) -> Failed {
    let mut is_open = true;
    let mut told: Option<Instant> = None;
    while let Some(bytes) = typed.recv().await {
        let Some(bytes) = bytes else {
            is_open = false;
            let _ = input.shutdown().await;
            continue;
        };
        if told.is_none_or(|at| at.elapsed() > TELL) {
            told = Some(Instant::now());
            let running = running.clone();
            // Beside it: no byte waits for that.
            tokio::spawn(async move { running.tell_input().await });
        }
        // A program that closed its input has had enough; it may still have much to say.
        is_open = is_open && input.write_all(&bytes).await.is_ok() && input.flush().await.is_ok();
        under_way.fetch_sub(bytes.len(), Ordering::Relaxed);
        let _ = taken.send(bytes.len()).await;
    }
    std::future::pending().await
}

/// Whether a text can name a signal: it becomes an argument.
fn is_signal(name: &str) -> bool {
    (1..=16).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'+')
}

/// Passes signals and sizes on, one at a time.
async fn obeyed(mut waiting: mpsc::Receiver<Word>, running: &Running) -> Failed {
    while let Some(word) = waiting.recv().await {
        match word {
            Word::Resize(columns, rows) => {
                let (columns, rows) = amika_core::terminal::bounded(columns, rows);
                running.resize(columns, rows).await;
            }
            Word::Signal(name) => running.signal(&name).await,
            Word::End(_) => {}
        }
    }
    // The other side left: what hears it tells.
    std::future::pending().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_and_signals_are_names() {
        let read = |text: &str| serde_json::from_str::<Word>(text).ok();
        assert_eq!(read("{\"end\":true}"), Some(Word::End(true)));
        assert_eq!(read("{\"resize\":[80,24]}"), Some(Word::Resize(80, 24)));
        assert_eq!(
            read("{\"signal\":\"INT\"}"),
            Some(Word::Signal("INT".to_owned()))
        );
        for bad in [
            "{}",
            "{\"resize\":[1]}",
            "{\"end\":true,\"signal\":\"INT\"}",
            "",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
        for (name, is) in [
            ("INT", true),
            ("SIGRTMIN+3", true),
            ("9", true),
            ("", false),
            ("--id", false),
            ("a b", false),
        ] {
            assert_eq!(is_signal(name), is, "{name}");
        }
    }
}
