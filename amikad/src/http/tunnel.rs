//! `POST /v1/ports/{port}/tunnel`: the bytes of a connection to a port inside.
//!
//! Also to what listens on the container's loopback only, and to datagrams. A tunnel has left the connections of HTTP:
//! its place is among tunnels, and its task waits for nobody but its own two ends.
#![allow(
    clippy::result_large_err,
    reason = "a refusal is an answer like any other, made once a request"
)]

mod connect;
mod pump;

use amika_core::contract::{OPENCODE_PORT, RESERVED_PORTS};
use amika_core::tunnel::Upgrade;
use hyper::StatusCode;
use hyper::body::{Body as _, Incoming};
use hyper::header::{self, HeaderValue};
use hyper::http::request::Parts;
use hyper::upgrade::{OnUpgrade, Upgraded};
use tokio::net::{TcpStream, UdpSocket};

use super::answer::{Answer, error, set, switching};
use super::limit::Limit;
use super::route::Door;
use crate::activity;

/// What the bytes after the answer may be, in `Upgrade`.
const PROTOCOLS: &str = "tcp, tcp-frames, udp";

static TUNNELS: Limit = Limit::new("tunnels", 200);

/// What is at the other end.
enum Inside {
    Stream(TcpStream),
    Frames(TcpStream),
    Datagrams(UdpSocket),
}

/// Answers a request for a tunnel to `port`, which is text yet.
pub(super) async fn open(
    port: &str,
    request: &Parts,
    body: &Incoming,
    door: Door,
) -> Result<Answer, Answer> {
    let port = allowed(port)?;
    if body.size_hint().exact() != Some(0) {
        let message = "a tunnel's bytes come after the answer; the request has no body";
        return Err(error(StatusCode::BAD_REQUEST, "bad_body", message));
    }
    let (protocol, upgrade) = asked(request)?;
    let permit = TUNNELS.take(door)?;
    let inside = match protocol {
        Upgrade::Tcp => Inside::Stream(connect::stream(port).await?),
        Upgrade::TcpFrames => Inside::Frames(connect::stream(port).await?),
        Upgrade::Udp => Inside::Datagrams(connect::datagrams(port).await?),
    };
    tokio::spawn(async move {
        let _permit = permit;
        // A client that left before it got its answer has nothing to be told.
        let Ok(outside) = upgrade.await else { return };
        inside
            .serve(outside, &mut activity::Inward::new(port))
            .await;
    });
    Ok(switching(HeaderValue::from_static(protocol.as_str())))
}

impl Inside {
    /// What comes from outside is shown to `inward`.
    async fn serve(self, outside: Upgraded, inward: &mut activity::Inward) {
        match self {
            Self::Stream(stream) => pump::bytes(outside, stream, inward).await,
            Self::Frames(stream) => pump::frames(outside, stream, inward).await,
            Self::Datagrams(socket) => pump::datagrams(outside, socket, inward).await,
        }
    }
}

/// What the client wants to speak, and its connection once it may.
fn asked(request: &Parts) -> Result<(Upgrade, OnUpgrade), Answer> {
    let protocol = request.headers.get(header::UPGRADE);
    let protocol = protocol
        .and_then(|value| value.to_str().ok())
        .and_then(Upgrade::parse);
    let upgrade = request.extensions.get::<OnUpgrade>().cloned();
    protocol.zip(upgrade).ok_or_else(|| {
        let message =
            "`Connection: Upgrade` and one of `Upgrade: tcp`, `tcp-frames`, `udp` are needed";
        let mut answer = error(StatusCode::UPGRADE_REQUIRED, "upgrade_required", message);
        set(answer.headers_mut(), header::UPGRADE, PROTOCOLS);
        answer
    })
}

/// The port, unless it is none or one of ours that nobody needs to reach.
fn allowed(text: &str) -> Result<u16, Answer> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let port = text.parse::<u16>().ok().filter(|port| digits && *port != 0);
    let Some(port) = port else {
        let message = "a port is a number from 1 to 65535";
        return Err(error(StatusCode::BAD_REQUEST, "bad_port", message));
    };
    if RESERVED_PORTS.contains(&port) && port != OPENCODE_PORT {
        let message = format!("port {port} is reserved: Amika uses 60899 to 60999");
        return Err(error(StatusCode::BAD_REQUEST, "reserved_port", message));
    }
    Ok(port)
}

#[cfg(test)]
mod tests {
    use super::allowed;

    #[test]
    fn only_ports_of_the_sandboxs_own_and_opencodes_are_reached() {
        for good in [1, 22, 8080, 60898, 60998, 61000, 65535] {
            assert_eq!(allowed(&good.to_string()).ok(), Some(good));
        }
        for bad in [
            "60899", "60950", "60997", "60999", "0", "", "65536", "-1", "+1", "x", "1 ",
        ] {
            assert!(allowed(bad).is_err(), "{bad}");
        }
    }
}
