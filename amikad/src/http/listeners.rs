//! The port and the root-only socket, taken before any child is there that could have them.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6, TcpListener};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;

use amika_core::contract::{AMIKAD_PORT, path};
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrIn, SockaddrIn6, SockaddrLike, bind,
    listen, setsockopt, socket, sockopt,
};

use crate::say::say;

/// Connections that wait to be accepted: until the thread runs, and in a burst.
const BACKLOG: i32 = 1024;

/// What the API is asked on. Without either, which is said, the sandbox still does its work.
#[derive(Debug)]
pub(crate) struct Listeners {
    /// The published port.
    pub(super) port: Option<TcpListener>,
    /// Root's socket.
    pub(super) socket: Option<UnixListener>,
}

impl Listeners {
    /// Takes both; what comes waits until the thread serves it.
    pub(crate) fn bind() -> Self {
        // The socket first: whoever reaches the port finds it as well.
        let (socket, port) = (bind_socket(), bind_port());
        let problems = [port.as_ref().err(), socket.as_ref().err()];
        problems.into_iter().flatten().for_each(say);
        Self {
            port: port.ok(),
            socket: socket.ok().flatten(),
        }
    }

    /// Takes the port again after it was lost.
    pub(super) fn bind_port_again(&mut self) {
        say(format!("port {AMIKAD_PORT} was lost; listening again"));
        // Ours is closed first.
        self.port = None;
        match bind_port() {
            Ok(listener) => self.port = Some(listener),
            Err(problem) => say(problem),
        }
    }
}

/// The port; a sentence where it cannot be had. On all addresses of IPv6 and IPv4 by one socket, so that probes get in
/// where a cluster has IPv6 alone, and nobody else gets one half of it; of IPv4 alone where the kernel has no other.
fn bind_port() -> Result<TcpListener, String> {
    let any = SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, AMIKAD_PORT, 0, 0);
    let both = bound(AddressFamily::Inet6, &SockaddrIn6::from(any));
    let any = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, AMIKAD_PORT);
    both.or_else(|_| bound(AddressFamily::Inet, &SockaddrIn::from(any)))
        .map_err(|error| format!("port {AMIKAD_PORT} cannot be had: {error}; going on without it"))
}

fn bound(family: AddressFamily, address: &dyn SockaddrLike) -> io::Result<TcpListener> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(family, SockType::Stream, flags, None)?;
    // Connections of an earlier daemon may still be about to close.
    setsockopt(&socket, sockopt::ReuseAddr, &true)?;
    if family == AddressFamily::Inet6 {
        // What is usual is the container's to say (`net.ipv6.bindv6only`).
        setsockopt(&socket, sockopt::Ipv6V6Only, &false)?;
    }
    bind(socket.as_raw_fd(), address)?;
    listen(&socket.as_fd(), Backlog::new(BACKLOG)?)?;
    Ok(TcpListener::from(socket))
}

/// The socket, unless the agent would be whoever owns it: without root, it must use the token.
fn bind_socket() -> Result<Option<UnixListener>, String> {
    if !nix::unistd::geteuid().is_root() {
        return Ok(None);
    }
    // Bound elsewhere and moved, so that nobody finds it before its mode is right.
    let hidden = format!("{}.new", path::CONTROL_SOCKET);
    let bound = || -> io::Result<UnixListener> {
        let listener = UnixListener::bind(&hidden)?;
        listener.set_nonblocking(true)?;
        fs::set_permissions(&hidden, fs::Permissions::from_mode(0o600))?;
        fs::rename(&hidden, path::CONTROL_SOCKET)?;
        Ok(listener)
    };
    bound()
        .map(Some)
        .map_err(|error| format!("cannot listen on {}: {error}", path::CONTROL_SOCKET))
}
