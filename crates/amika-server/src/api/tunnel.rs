//! A port of a sandbox as a WebSocket.

use std::sync::Arc;

use amika_core::port::Port;
use amika_core::tunnel::{CONTENT, Kind, Upgrade as Protocol};
use amika_core::wire::Listener;
use amika_sandbox::tunnel::{NoTunnel, Tunnel, must_be_open};
use amika_tunnel::{read_frame, write_frame};
use axum::extract::State;
use axum::extract::ws::{Message, WebSocket};
use axum::http::StatusCode;
use axum::response::Response;
use futures_util::{SinkExt as _, StreamExt as _};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use utoipa::{IntoParams, ToSchema};

use super::error::{ApiError, Failures, Result};
use super::extract::{Path, Query};
use super::sandboxes::find;
use super::socket::{self, Close, Hears, Sends, Upgrade};
use crate::auth::caller::Writer;
use crate::state::App;
use crate::streams::Place;

/// Bytes of a frame at most: what is larger goes in several.
const FRAME: usize = 32 << 10;

/// Listeners that an error names at most.
const NAMED: usize = 20;

/// What is spoken on a port.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TunnelProtocol {
    /// A connection.
    #[default]
    Tcp,
    /// Datagrams, each a message.
    Udp,
}

/// How a port is reached.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct TunnelQuery {
    /// Left out: `tcp`.
    #[param(inline)]
    protocol: Option<TunnelProtocol>,
}

/// Nothing more comes in this direction: `{"end":true}`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct End {
    end: bool,
}

/// A connection to a port inside, also where only the sandbox's loopback has it: a WebSocket. Binary messages are the
/// bytes; the text `{"end":true}` says that nothing more comes in this direction, and the other one goes on. It is closed
/// with 1000 when both are over, 4000 when the connection broke, 1001 when the server ends. With `protocol=udp` each binary
/// message is a datagram.
#[utoipa::path(get, path = "/sandboxes/{ref}/tunnel/{port}", tag = "sandboxes",
    params(("ref" = String, Path, description = "Id or name."), ("port" = u16, Path, minimum = 1), TunnelQuery),
    responses((status = 101, description = "A WebSocket."), (status = 426, body = super::error::ErrorBody),
        (status = 502, body = super::error::ErrorBody, description = "Nothing listens on the port; the hint names what does."), Failures))]
pub async fn tunnel(
    State(app): State<Arc<App>>,
    caller: Writer,
    Path((reference, port)): Path<(String, u16)>,
    Query(query): Query<TunnelQuery>,
    upgrade: Result<Upgrade>,
) -> Result<Response> {
    let port = open_port(port)?;
    let found = find(&app, &caller, &reference).await?;
    let upgrade = upgrade?;
    let place = app.streams.take(&caller.user.id)?;
    let protocol = match query.protocol.unwrap_or_default() {
        TunnelProtocol::Tcp => Protocol::TcpFrames,
        TunnelProtocol::Udp => Protocol::Udp,
    };
    let engine = app.engines.get().await?;
    let tunnel = engine.tunnel(found.there()?, port, protocol).await;
    let tunnel = tunnel.map_err(|why| refusal(port, why))?;
    Ok(upgrade
        .0
        .on_upgrade(move |socket| carry(socket, tunnel, place)))
}

/// A port that tunnels may lead to.
///
/// # Errors
/// 400.
pub fn open_port(port: u16) -> Result<Port> {
    let port = Port::new(port)
        .ok_or_else(|| ApiError::field("port", "port is a number from 1 to 65535"))?;
    must_be_open(port).map_err(|error| ApiError::field("port", error.message))?;
    Ok(port)
}

/// What a tunnel that there is not is answered with.
pub fn refusal(port: Port, why: NoTunnel) -> ApiError {
    match why {
        NoTunnel::Nobody(listening) => nobody(port, &listening),
        NoTunnel::TooMany => {
            let message = "the sandbox has as many connections as it takes";
            ApiError::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", message).retry_after(1)
        }
        NoTunnel::Other(error) => error.into(),
    }
}

fn nobody(port: Port, listening: &[Listener]) -> ApiError {
    let message = format!("nothing listens on port {} of the sandbox", port.get());
    let mut ports: Vec<u16> = listening.iter().map(|it| it.port).collect();
    ports.sort_unstable();
    ports.dedup();
    let ports: Vec<String> = ports.iter().take(NAMED).map(u16::to_string).collect();
    let hint = match ports.as_slice() {
        [] => "nothing listens in it at all".to_owned(),
        ports => format!("something listens on: {}", ports.join(", ")),
    };
    ApiError::new(StatusCode::BAD_GATEWAY, "upstream", message).hint(hint)
}

async fn carry(socket: WebSocket, tunnel: Tunnel, place: Place) {
    let (mut to, mut from) = socket.split();
    let (from_tunnel, mut to_tunnel) = tokio::io::split(tunnel);
    let from_tunnel = BufReader::with_capacity(FRAME, from_tunnel);
    let over = {
        let both = async {
            let mut inwards = Box::pin(inwards(&mut from, &mut to_tunnel));
            let mut outwards = std::pin::pin!(outwards(from_tunnel, &mut to));
            let ended = tokio::select! {
                ended = &mut inwards => ended,
                ended = &mut outwards => {
                    ended?;
                    return inwards.await;
                }
            };
            drop(inwards);
            ended?;
            tokio::select! {
                ended = outwards => ended,
                () = socket::left(&mut from) => Err(gone()),
            }
        };
        tokio::select! {
            over = both => over,
            () = place.over() => Err(Close::going()),
        }
    };
    let code = over
        .as_ref()
        .map_or_else(|close| close.code, |()| socket::OVER);
    if code != socket::OVER {
        let _ = write_frame(&mut to_tunnel, Kind::Reset, &[]).await;
    }
    let _ = to_tunnel.shutdown().await;
    let bye = over
        .err()
        .unwrap_or_else(|| Close::new(socket::OVER, "both directions are over"));
    socket::close(to, from, bye).await;
}

fn gone() -> Close {
    Close::new(socket::RESET, "the connection broke")
}

/// From the socket into the tunnel, until the other side said that nothing more comes.
async fn inwards(from: &mut Hears, to: &mut (impl AsyncWrite + Unpin)) -> Result<(), Close> {
    while let Some(message) = from.next().await {
        match message {
            Ok(Message::Binary(bytes)) => {
                if bytes.is_empty() {
                    // An empty datagram is one.
                    write_frame(to, Kind::Data, &bytes)
                        .await
                        .map_err(|_| gone())?;
                }
                // No datagram is as long.
                for piece in bytes.chunks(CONTENT) {
                    write_frame(to, Kind::Data, piece)
                        .await
                        .map_err(|_| gone())?;
                }
            }
            Ok(Message::Text(text)) => {
                let Ok(End { end: true }) = serde_json::from_str(&text) else {
                    let told = "a text message is {\"end\":true}; bytes are binary messages";
                    return Err(Close::new(socket::NOT_UNDERSTOOD, told));
                };
                return write_frame(to, Kind::End, &[]).await.map_err(|_| gone());
            }
            Ok(Message::Ping(_) | Message::Pong(_)) => {}
            Ok(Message::Close(_)) | Err(_) => break,
        }
    }
    Err(gone())
}

/// From the tunnel to the socket, until nothing more comes.
async fn outwards(mut from: impl AsyncRead + Unpin, to: &mut Sends) -> Result<(), Close> {
    loop {
        let mut content = Vec::new();
        let reading = read_frame(&mut from, &mut content);
        let kind = socket::pinging(to, reading).await.map_err(|_| gone())?;
        match kind.map_err(|_| gone())? {
            Kind::Data => to
                .send(Message::Binary(content.into()))
                .await
                .map_err(|_| gone())?,
            Kind::End => {
                return socket::say(to, &End { end: true })
                    .await
                    .map_err(|_| gone());
            }
            Kind::Reset => return Err(gone()),
        }
    }
}
