//! WebSockets (RFC 6455) of a server: messages both ways, each answered at its own pace.

use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Message as Frame, Role, WebSocketConfig};

use crate::failure::{Failure, Result};

/// The largest message, in bytes.
const LARGEST: usize = 4 << 20;

type Inner = WebSocketStream<reqwest::Upgraded>;

/// What comes and goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Bytes.
    Binary(Bytes),
    /// Text.
    Text(String),
}

/// A connection.
pub struct Socket {
    /// Takes what goes.
    pub sender: Sender,
    /// Has what comes.
    pub receiver: Receiver,
}

/// Takes what goes.
pub struct Sender(SplitSink<Inner, Frame>);

/// Has what comes.
pub struct Receiver(SplitStream<Inner>);

impl Socket {
    pub(crate) async fn new(connection: reqwest::Upgraded) -> Self {
        let config = WebSocketConfig::default()
            .max_message_size(Some(LARGEST))
            .max_frame_size(Some(LARGEST));
        let socket = WebSocketStream::from_raw_socket(connection, Role::Client, Some(config)).await;
        let (sender, receiver) = socket.split();
        Self {
            sender: Sender(sender),
            receiver: Receiver(receiver),
        }
    }
}

impl Sender {
    /// Sends a message, once there is room for it.
    ///
    /// # Errors
    /// [`Failure::BrokenOff`]
    pub async fn send(&mut self, message: Message) -> Result<()> {
        let frame = match message {
            Message::Binary(bytes) => Frame::Binary(bytes),
            Message::Text(text) => Frame::Text(text.into()),
        };
        self.0.send(frame).await.map_err(broken)
    }

    /// Says that nothing more comes.
    ///
    /// # Errors
    /// [`Failure::BrokenOff`]
    pub async fn close(&mut self) -> Result<()> {
        self.0.close().await.map_err(broken)
    }
}

impl Receiver {
    /// The next message; none once the server closed in good order.
    ///
    /// # Errors
    /// [`Failure::BrokenOff`], with the server's reason where it gave one.
    pub async fn next(&mut self) -> Result<Option<Message>> {
        loop {
            match self.0.next().await {
                Some(Ok(Frame::Binary(bytes))) => return Ok(Some(Message::Binary(bytes))),
                Some(Ok(Frame::Text(text))) => {
                    return Ok(Some(Message::Text(text.as_str().to_owned())));
                }
                Some(Ok(Frame::Close(Some(close)))) if !close.reason.is_empty() => {
                    return Err(Failure::BrokenOff(close.reason.as_str().to_owned().into()));
                }
                None | Some(Ok(Frame::Close(_))) => return Ok(None),
                Some(Ok(Frame::Ping(_) | Frame::Pong(_) | Frame::Frame(_))) => {}
                Some(Err(error)) => return Err(broken(error)),
            }
        }
    }
}

fn broken(error: tokio_tungstenite::tungstenite::Error) -> Failure {
    Failure::BrokenOff(Box::new(error))
}
