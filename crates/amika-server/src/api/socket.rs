//! Web sockets (RFC 6455): opened, closed with a reason, and the words that are the same on all of them.
//!
//! What can be refused is refused before the upgrade, as an answer like any other. What fails later closes with
//! 4000 and the status that it would have had.

use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::http::StatusCode;
use axum::http::request::Parts;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use serde::Serialize;

use super::error::{ApiError, Result};

/// Bytes of a message at most.
pub const MESSAGE: usize = 1 << 20;

/// How often something goes out where nothing else does, so that nobody between takes it for dead.
pub const PING: Duration = Duration::from_secs(30);

/// How long the other side may take for the end.
const GOODBYE: Duration = Duration::from_secs(5);

/// The protocol that a page names beside its ticket.
pub const PROTOCOL: &str = "amika";

/// Both directions are over.
pub const OVER: u16 = 1000;
/// The server ends.
pub const GOING: u16 = 1001;
/// A message that is not understood.
pub const NOT_UNDERSTOOD: u16 = 1007;
/// More than is let.
pub const POLICY: u16 = 1008;
/// The connection inside broke.
pub const RESET: u16 = 4000;

/// The half that sends.
pub type Sends = SplitSink<WebSocket, Message>;
/// The half that hears.
pub type Hears = SplitStream<WebSocket>;

/// A request that becomes a web socket.
pub struct Upgrade(pub WebSocketUpgrade);

impl<S: Send + Sync> FromRequestParts<S> for Upgrade {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let upgrade = WebSocketUpgrade::from_request_parts(parts, state).await;
        let upgrade = upgrade.map_err(|_| {
            ApiError::new(
                StatusCode::UPGRADE_REQUIRED,
                "usage",
                "this route is a WebSocket: it wants Connection: Upgrade, Upgrade: websocket, and version 13",
            )
        })?;
        let upgrade = upgrade
            .protocols([PROTOCOL])
            .max_message_size(MESSAGE)
            .max_frame_size(MESSAGE)
            .max_write_buffer_size(4 * MESSAGE);
        Ok(Self(upgrade))
    }
}

/// How a socket is closed: a code, and a reason for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Close {
    /// The code (RFC 6455, 7.4).
    pub code: u16,
    /// At most 123 bytes of it are sent.
    pub reason: String,
}

impl Close {
    /// One.
    pub fn new(code: u16, reason: impl Into<String>) -> Self {
        Self {
            code,
            reason: reason.into(),
        }
    }

    /// The server ends.
    pub fn going() -> Self {
        Self::new(GOING, "the server ends")
    }
}

impl From<ApiError> for Close {
    fn from(error: ApiError) -> Self {
        Self::new(4000 + error.status.as_u16(), error.message)
    }
}

/// Sends a word as JSON.
///
/// # Errors
/// Where the other side is gone.
pub async fn say(to: &mut Sends, word: &impl Serialize) -> Result<(), axum::Error> {
    let text = serde_json::to_string(word).map_err(axum::Error::new)?;
    to.send(Message::Text(text.into())).await
}

/// Waits for something, and gives signs of life meanwhile.
///
/// # Errors
/// Where the other side is gone.
pub async fn pinging<T>(to: &mut Sends, what: impl Future<Output = T>) -> Result<T, axum::Error> {
    let mut what = std::pin::pin!(what);
    loop {
        tokio::select! {
            done = &mut what => return Ok(done),
            () = tokio::time::sleep(PING) => to.send(Message::Ping(bytes::Bytes::new())).await?,
        }
    }
}

/// Returns once the other side left; what it still says is thrown away.
pub async fn left(from: &mut Hears) {
    while let Some(Ok(message)) = from.next().await {
        if matches!(message, Message::Close(_)) {
            return;
        }
    }
}

/// Closes, and hears the other side out for a moment: what it still says is thrown away.
pub async fn close(mut to: Sends, mut from: Hears, close: Close) {
    let mut reason = close.reason;
    while reason.len() > 123 {
        reason.pop();
    }
    let frame = CloseFrame {
        code: close.code,
        reason: reason.into(),
    };
    let goodbye = async {
        if to.send(Message::Close(Some(frame))).await.is_ok() {
            while let Some(Ok(_)) = from.next().await {}
        }
    };
    let _ = tokio::time::timeout(GOODBYE, goodbye).await;
}
