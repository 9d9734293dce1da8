//! `amika sandbox connect --session --remote`: a shell that amikad keeps, looked at by a socket of the server's.

use amika_core::terminal::Kind as Frame;
use amika_remote::client::Call;
use amika_remote::socket::{Message, Receiver, Sender, Socket};
use amika_tunnel::terminal::{read_frame, write_frame};
use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};

use super::Server;
use super::failure::told;
use crate::App;
use crate::args::sandbox::ConnectArgs;
use crate::commands::sandbox::connect::session::{look, seen};
use crate::commands::sandbox::exec::{install_signals, interrupted};
use crate::error::{Error, Kind, Result};

/// Bytes that may be under way here in each direction.
const ROOM: usize = 64 << 10;

/// Looks at the session, which is started where none of its name runs. Returns the shell's exit code.
pub(super) async fn attend(
    session: &str,
    args: &ConnectArgs,
    server: &Server,
    app: &App,
) -> Result<u8> {
    let mut signals = install_signals(app)?;
    let path = ["sandboxes", args.name.as_str(), "terminal"];
    let mut call = Call::get(&path).with("session", session);
    if let Some((columns, rows)) = seen() {
        call = call.with("columns", &columns).with("rows", &rows);
    }
    let socket = tokio::select! {
        socket = server.client.socket(call) => socket.map_err(told)?,
        () = interrupted(&mut signals) => return Err(Error::new(Kind::Canceled, "interrupted")),
    };
    let (here, there) = tokio::io::duplex(ROOM);
    let carrying = tokio::spawn(carry(socket, there));
    let code = look(session, &args.name, "--remote ", here, &mut signals, app).await;
    carrying.abort();
    code
}

/// Carries frames between a socket and this side, until either ends.
async fn carry(socket: Socket, there: DuplexStream) {
    let Socket { sender, receiver } = socket;
    let (read, write) = tokio::io::split(there);
    tokio::select! {
        () = inwards(read, sender) => {}
        () = outwards(receiver, write) => {}
    }
}

async fn inwards(mut from: impl AsyncRead + Unpin, mut to: Sender) {
    let mut content = Vec::new();
    while let Ok(kind) = read_frame(&mut from, &mut content).await {
        let message = match kind {
            Frame::Bytes => Message::Binary(Bytes::copy_from_slice(&content)),
            Frame::Control => Message::Text(String::from_utf8_lossy(&content).into_owned()),
        };
        if to.send(message).await.is_err() {
            break;
        }
    }
}

async fn outwards(mut from: Receiver, mut to: impl AsyncWrite + Unpin) {
    while let Ok(Some(message)) = from.next().await {
        let written = match &message {
            Message::Binary(bytes) => write_frame(&mut to, Frame::Bytes, bytes).await,
            Message::Text(text) => write_frame(&mut to, Frame::Control, text.as_bytes()).await,
        };
        if written.is_err() {
            break;
        }
    }
}
