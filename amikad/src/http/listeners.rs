//! The port and the root-only socket, taken before any child is there that could have them.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;

use amika_core::contract::{AMIKAD_PORT, path};
use nix::sys::socket::{Backlog, listen};

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

/// The port; a sentence where it cannot be had.
fn bind_port() -> Result<TcpListener, String> {
    let bound = || -> io::Result<TcpListener> {
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, AMIKAD_PORT))?;
        listener.set_nonblocking(true)?;
        // Again, for a longer queue.
        listen(&listener.as_fd(), Backlog::new(BACKLOG)?)?;
        Ok(listener)
    };
    bound()
        .map_err(|error| format!("port {AMIKAD_PORT} cannot be had: {error}; going on without it"))
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
