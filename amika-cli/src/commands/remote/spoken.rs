//! How a program in a sandbox of a server's is spoken with: the words stand at the route, `GET /sandboxes/{ref}/exec`.

use amika_remote::socket::Message;
use bytes::{BufMut as _, Bytes, BytesMut};
use serde::Deserialize;
use serde_json::json;

use super::failure::word;
use crate::error::{Error, Kind};

/// Bytes of standard input in one message.
pub(super) const PIECE: usize = 32 << 10;
/// Bytes that a server may let be under way at once.
pub(super) const MOST: usize = 1 << 20;

/// First byte of a message: standard input, standard output, standard error.
const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;

/// What comes.
pub(super) enum Heard {
    /// Of the program's standard output.
    Stdout(Bytes),
    /// Of its standard error.
    Stderr(Bytes),
    /// So many further bytes of standard input may be under way.
    Room(usize),
    /// The program ended.
    ExitCode(i64),
    /// It could not be started, or is lost.
    Error(Error),
    /// What a newer server says.
    Unknown,
}

/// What the server says beside the program's output.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Said {
    /// So many bytes of standard input may be under way.
    Window(usize),
    /// So many of them were taken.
    Taken(usize),
    /// The program ended.
    ExitCode(i64),
    /// It could not be started, or is lost.
    Error(Refusal),
}

#[derive(Debug, Deserialize)]
struct Refusal {
    code: String,
    message: String,
    #[serde(default)]
    hints: Vec<String>,
}

/// What a message means.
pub(super) fn hear(message: Message) -> Heard {
    match message {
        Message::Binary(bytes) => match bytes.first() {
            Some(&STDOUT) => Heard::Stdout(bytes.slice(1..)),
            Some(&STDERR) => Heard::Stderr(bytes.slice(1..)),
            _ => Heard::Unknown,
        },
        Message::Text(text) => match serde_json::from_str(&text) {
            Ok(Said::Window(bytes) | Said::Taken(bytes)) => Heard::Room(bytes.min(MOST)),
            Ok(Said::ExitCode(code)) => Heard::ExitCode(code),
            Ok(Said::Error(refusal)) => Heard::Error(refused(refusal)),
            Err(_) => Heard::Unknown,
        },
    }
}

/// Standard input, of at most [`PIECE`] bytes.
pub(super) fn input(piece: &[u8]) -> Message {
    let mut message = BytesMut::with_capacity(1 + piece.len());
    message.put_u8(STDIN);
    message.extend_from_slice(piece);
    Message::Binary(message.freeze())
}

/// The end of standard input.
pub(super) fn end_of_input() -> Message {
    Message::Text(json!({ "end": true }).to_string())
}

fn refused(refusal: Refusal) -> Error {
    let error = Error::new(word(&refusal.code), refusal.message);
    refusal.hints.into_iter().fold(error, Error::hint)
}

/// The error of a connection that ended too early.
pub(super) fn lost() -> Error {
    Error::new(
        Kind::ExecFailed,
        "the server ended the connection before the program ended",
    )
}
