//! `POST /v1/ports/{port}/tunnel`: the bytes of a connection to a port inside.
//!
//! Also to what listens on the container's loopback only. A tunnel has left the connections of HTTP:
//! its place is among tunnels, and its task waits for nobody but its own two ends.
#![allow(
    clippy::result_large_err,
    reason = "a refusal is an answer like any other, made once a request"
)]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use amika_core::contract::{OPENCODE_PORT, RESERVED_PORTS};
use hyper::StatusCode;
use hyper::body::{Body as _, Incoming};
use hyper::header::{self, HeaderValue};
use hyper::http::request::Parts;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::answer::{Answer, error, set, switching};
use super::limit::Limit;
use super::route::Door;
use crate::activity;

/// What the bytes after the answer are, in `Upgrade`.
const PROTOCOL: &str = "tcp";
/// How long the port inside may take to accept.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

static TUNNELS: Limit = Limit::new("tunnels", 200);

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
    let asked = request.headers.contains_key(header::UPGRADE);
    let Some(upgrade) = request
        .extensions
        .get::<OnUpgrade>()
        .filter(|_| asked)
        .cloned()
    else {
        let message = "`Connection: Upgrade` and `Upgrade: tcp` are needed";
        let mut answer = error(StatusCode::UPGRADE_REQUIRED, "upgrade_required", message);
        set(answer.headers_mut(), header::UPGRADE, PROTOCOL);
        return Err(answer);
    };
    let permit = TUNNELS.take(door)?;
    let inside = connect(port).await?;
    tokio::spawn(async move {
        let _permit = permit;
        // A client that left before it got its answer has nothing to be told.
        let Ok(outside) = upgrade.await else { return };
        let outside = activity::Inward::new(TokioIo::new(outside), port);
        let (mut outside, mut inside) = (outside, inside);
        // An end of one direction is carried over, and the other goes on.
        let _ = tokio::io::copy_bidirectional(&mut outside, &mut inside).await;
    });
    Ok(switching(HeaderValue::from_static(PROTOCOL)))
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

/// A connection to `port` on either loopback address.
async fn connect(port: u16) -> Result<TcpStream, Answer> {
    let addresses: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    let mut reason = "it does not accept".to_owned();
    for address in addresses {
        let address = SocketAddr::new(address, port);
        match tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // Keystrokes are small; without it they wait for each other.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            // The first one's says more: a kernel without IPv6 refuses the second for that.
            Ok(Err(error)) if address.is_ipv4() => reason = error.to_string(),
            Ok(Err(_)) | Err(_) => {}
        }
    }
    let message = format!("nothing listens on port {port} in the sandbox: {reason}");
    Err(error(StatusCode::BAD_GATEWAY, "nothing_listens", message))
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
