//! A client of the server's web sockets.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::Value;
use tungstenite::client::IntoClientRequest as _;
use tungstenite::protocol::CloseFrame;
use tungstenite::{Message, WebSocket};

use super::client::Server;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_mins(1);

pub(crate) struct Socket(WebSocket<TcpStream>);

impl Server<'_> {
    /// Opens a socket, or is told the status of the answer that refused.
    pub(crate) fn socket(&self, key: &str, path: &str) -> Result<Socket, u16> {
        let address = self.address();
        let mut request = format!("ws://{address}/api/v0beta1{path}")
            .into_client_request()
            .unwrap();
        let headers = request.headers_mut();
        headers.insert("authorization", format!("Bearer {key}").parse().unwrap());
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        match tungstenite::client::client(request, stream) {
            Ok((socket, _)) => Ok(Socket(socket)),
            Err(tungstenite::HandshakeError::Failure(tungstenite::Error::Http(answer))) => {
                Err(answer.status().as_u16())
            }
            Err(error) => panic!("{error}"),
        }
    }
}

impl Socket {
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.0.send(Message::Binary(bytes.to_vec().into())).unwrap();
    }

    pub(crate) fn text(&mut self, word: &Value) {
        self.0.send(Message::Text(word.to_string().into())).unwrap();
    }

    /// The next message that is bytes or text.
    #[track_caller]
    pub(crate) fn next(&mut self) -> Message {
        loop {
            match self.0.read().unwrap() {
                Message::Ping(_) | Message::Pong(_) => {}
                message => return message,
            }
        }
    }

    /// The next text, with all bytes that came before it.
    #[track_caller]
    pub(crate) fn word(&mut self) -> (Vec<u8>, Value) {
        let mut bytes = Vec::new();
        loop {
            match self.next() {
                Message::Binary(more) => bytes.extend_from_slice(&more),
                Message::Text(text) => return (bytes, serde_json::from_str(&text).unwrap()),
                other => panic!("{other:?} behind {:?}", String::from_utf8_lossy(&bytes)),
            }
        }
    }

    /// Bytes until they have this in them.
    #[track_caller]
    pub(crate) fn until(&mut self, text: &str) -> String {
        let mut all = Vec::new();
        let begun = Instant::now();
        loop {
            if let Message::Binary(more) = self.next() {
                all.extend_from_slice(&more);
            }
            let seen = String::from_utf8_lossy(&all);
            if seen.contains(text) {
                return seen.into_owned();
            }
            assert!(begun.elapsed() < PATIENCE, "no {text:?} in {seen:?}");
        }
    }

    /// How it is closed.
    #[track_caller]
    pub(crate) fn closed(&mut self) -> (u16, String) {
        loop {
            match self.0.read() {
                Ok(Message::Close(Some(CloseFrame { code, reason }))) => {
                    return (code.into(), reason.to_string());
                }
                Ok(Message::Close(None)) => panic!("no reason"),
                Ok(_) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// Leaves without a word.
    pub(crate) fn vanish(self) {
        drop(self);
    }
}
