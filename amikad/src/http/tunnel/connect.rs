//! The way to a port inside: by which address, and what is told where nobody has it.
#![allow(
    clippy::result_large_err,
    reason = "a refusal is an answer like any other, made once a request"
)]

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use amika_core::port::Protocol;
use amika_core::wire::Listener;
use hyper::StatusCode;
use serde::Serialize;
use tokio::net::{TcpStream, UdpSocket};

use super::super::answer::{Answer, json};
use crate::ports;

/// How long the port inside may take to accept.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// So many ports are named where the one that was asked for has nobody.
const NAMED: usize = 20;

/// The two addresses at which most listen.
const LOOPBACKS: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::LOCALHOST),
    IpAddr::V6(Ipv6Addr::LOCALHOST),
];

/// A connection to `port` on a loopback address, else on the address where somebody listens.
pub(super) async fn stream(port: u16) -> Result<TcpStream, Answer> {
    let mut reason = None;
    for address in LOOPBACKS {
        match connect(SocketAddr::new(address, port)).await {
            Ok(stream) => return Ok(stream),
            // The first one's says more: a kernel without IPv6 refuses the second for that.
            Err(error) => reason = reason.or(Some(error)),
        }
    }
    let list = ports::now().await;
    for address in addresses(&list, port, Protocol::Tcp) {
        if let Ok(stream) = connect(SocketAddr::new(address, port)).await {
            return Ok(stream);
        }
    }
    let reason = reason.map_or_else(String::new, |reason| format!(": {reason}"));
    Err(nobody(port, Protocol::Tcp, &reason, &list))
}

async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await??;
    // The kernel may give the connection the very port that it is to reach, where nobody listens.
    if stream.local_addr()? == stream.peer_addr()? {
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    // Keystrokes are small; without it they wait for each other.
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

/// A socket that speaks with whoever takes datagrams at `port`.
pub(super) async fn datagrams(port: u16) -> Result<UdpSocket, Answer> {
    let list = ports::now().await;
    for address in addresses(&list, port, Protocol::Udp) {
        if let Ok(socket) = peer(SocketAddr::new(address, port)).await {
            return Ok(socket);
        }
    }
    Err(nobody(port, Protocol::Udp, "", &list))
}

async fn peer(address: SocketAddr) -> io::Result<UdpSocket> {
    let any: IpAddr = match address {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(address).await?;
    Ok(socket)
}

/// Where a port of the list is reached from inside.
fn addresses(list: &[Listener], port: u16, protocol: Protocol) -> Vec<IpAddr> {
    let found = list
        .iter()
        .filter(|listener| listener.port == port && listener.protocol == protocol)
        .filter_map(|listener| {
            let address: IpAddr = listener.address.parse().ok()?;
            Some(match address {
                address if !address.is_unspecified() => address,
                IpAddr::V6(_) if listener.ipv6_only => Ipv6Addr::LOCALHOST.into(),
                _ => Ipv4Addr::LOCALHOST.into(),
            })
        });
    let (mut loopback, others): (Vec<IpAddr>, Vec<IpAddr>) = found.partition(IpAddr::is_loopback);
    loopback.extend(others);
    loopback.dedup();
    loopback
}

/// What 502 says: the error as always, and what listens in its place.
#[derive(Serialize)]
struct Nobody<'a> {
    error: Detail<'a>,
}

#[derive(Serialize)]
struct Detail<'a> {
    code: &'static str,
    message: String,
    ports: &'a [Listener],
}

fn nobody(port: u16, protocol: Protocol, reason: &str, list: &[Listener]) -> Answer {
    let mut names: Vec<String> = list
        .iter()
        .map(|listener| format!("{}/{}", listener.port, listener.protocol))
        .collect();
    names.dedup();
    let more = if names.len() > NAMED { ", …" } else { "" };
    names.truncate(NAMED);
    let others = if names.is_empty() {
        "nothing else does".to_owned()
    } else {
        format!("these do: {}{more}", names.join(", "))
    };
    let message =
        format!("nothing listens on port {port}/{protocol} in the sandbox{reason}; {others}");
    let error = Detail {
        code: "nothing_listens",
        message,
        ports: list,
    };
    json(StatusCode::BAD_GATEWAY, &Nobody { error })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listener(address: &str, ipv6_only: bool) -> Listener {
        Listener {
            port: 53,
            protocol: Protocol::Udp,
            address: address.into(),
            loopback_only: false,
            ipv6_only,
            ephemeral: false,
            pid: None,
            program: None,
            user: None,
            since: 0,
        }
    }

    #[test]
    fn all_addresses_are_reached_by_loopback_and_one_by_itself() {
        let ways = |list: &[Listener]| -> Vec<String> {
            let addresses = addresses(list, 53, Protocol::Udp);
            addresses.iter().map(ToString::to_string).collect()
        };
        assert_eq!(ways(&[listener("0.0.0.0", false)]), ["127.0.0.1"]);
        assert_eq!(ways(&[listener("::", false)]), ["127.0.0.1"]);
        assert_eq!(ways(&[listener("::", true)]), ["::1"]);
        let both = [listener("172.18.0.2", false), listener("127.0.0.9", false)];
        assert_eq!(ways(&both), ["127.0.0.9", "172.18.0.2"]);
        assert!(addresses(&both, 53, Protocol::Tcp).is_empty());
    }
}
