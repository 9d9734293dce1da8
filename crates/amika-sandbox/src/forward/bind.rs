//! Ports of this machine's loopback.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use amika_core::port::{Port, Protocol};
use tokio::net::{TcpListener, UdpSocket};

/// So many numbers are tried for one that is free.
const TRIES: u16 = 1000;
/// Below it a port takes a right that users do not have; `ip_unprivileged_port_start` is its default.
const UNPRIVILEGED: u16 = 1024;
/// What is added to such a port for another one: 80 becomes 8080, 443 becomes 8443.
const AWAY: u16 = 8000;

/// A port of this machine, on both loopback addresses where there are both.
pub enum Bound {
    /// TCP.
    Streams(Vec<TcpListener>),
    /// UDP.
    Datagrams(Vec<UdpSocket>),
}

/// Takes a port. A name such as `localhost` leads to either address, so neither may be somebody else's.
///
/// # Errors
/// [`io::ErrorKind::AddrInUse`] when it is taken, [`io::ErrorKind::PermissionDenied`] when this user may not.
pub fn bind(port: Port, protocol: Protocol) -> io::Result<Bound> {
    match protocol {
        Protocol::Tcp => both(|address| {
            let listener = std::net::TcpListener::bind((address, port.get()))?;
            listener.set_nonblocking(true)?;
            TcpListener::from_std(listener)
        })
        .map(Bound::Streams),
        Protocol::Udp => both(|address| {
            let socket = std::net::UdpSocket::bind((address, port.get()))?;
            socket.set_nonblocking(true)?;
            UdpSocket::from_std(socket)
        })
        .map(Bound::Datagrams),
    }
}

fn both<T>(take: impl Fn(IpAddr) -> io::Result<T>) -> io::Result<Vec<T>> {
    let first = take(Ipv4Addr::LOCALHOST.into())?;
    match take(Ipv6Addr::LOCALHOST.into()) {
        Ok(second) => Ok(vec![first, second]),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Err(error),
        // A machine without IPv6.
        Err(_) => Ok(vec![first]),
    }
}

/// Takes the next port that is free.
pub fn next_free(after: Port, protocol: Protocol) -> Option<(Port, Bound)> {
    candidates(after).find_map(|port| Some((port, bind(port, protocol).ok()?)))
}

fn candidates(after: Port) -> impl Iterator<Item = Port> {
    let first = match after.get() {
        privileged if privileged < UNPRIVILEGED => privileged + AWAY,
        other => other.saturating_add(1),
    };
    (first..=u16::MAX)
        .chain(UNPRIVILEGED..=u16::MAX)
        .take(TRIES.into())
        .filter_map(Port::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_next_free_one_is_found_behind_one_that_is_taken() {
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            let after = Port::new(47_000).expect("a port");
            let (port, _held) = next_free(after, protocol).expect("one is free");
            let error = bind(port, protocol).err().expect("it is taken");
            assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
            let (other, _) = next_free(after, protocol).expect("another");
            assert_ne!(port, other);
        }
    }

    #[test]
    fn what_takes_a_right_is_looked_for_where_it_takes_none() {
        let first = |port: u16| candidates(Port::new(port).expect("a port")).next();
        assert_eq!(first(80), Port::new(8080));
        assert_eq!(first(3000), Port::new(3001));
        // The last one has the first behind it.
        assert_eq!(first(u16::MAX), Port::new(u16::MAX));
        assert_eq!(
            candidates(Port::new(u16::MAX).expect("a port")).nth(1),
            Port::new(1024)
        );
    }
}
