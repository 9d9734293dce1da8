//! `amikad relay`: standard input and output, connected with the daemon's API.
//!
//! For hosts that cannot reach the published port: an exec of this program stands in for it.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

use amika_core::contract::{AMIKAD_PORT, path};
use nix::sys::socket::{Shutdown as SocketShutdown, shutdown};

/// Connects both ways until the daemon's side is closed; exits 1 if it cannot be reached.
pub(crate) fn relay() -> i32 {
    let socket = match connect() {
        Ok(socket) => socket,
        Err(error) => {
            crate::say::say(format!("the daemon cannot be reached: {error}"));
            return 1;
        }
    };
    match connect_both(socket) {
        Ok(()) => 0,
        Err(error) => {
            crate::say::say(format!("relay: {error}"));
            1
        }
    }
}

/// The root-only socket, else the port: there the client needs the token.
fn connect() -> io::Result<OwnedFd> {
    match UnixStream::connect(path::CONTROL_SOCKET) {
        Ok(socket) => Ok(socket.into()),
        Err(_) => Ok(TcpStream::connect((Ipv4Addr::LOCALHOST, AMIKAD_PORT))?.into()),
    }
}

fn connect_both(socket: OwnedFd) -> io::Result<()> {
    let upward = File::from(socket.try_clone()?);
    // Never joined: it may wait for input when the daemon's side is long closed.
    std::thread::Builder::new().spawn(move || {
        // A broken pipe up shows as an end down.
        let _ = copy(
            File::from(io::stdin().as_fd().try_clone_to_owned()?),
            &upward,
        );
        // Half a close: the answer to the last request still comes.
        let _ = shutdown(
            std::os::fd::AsRawFd::as_raw_fd(&upward),
            SocketShutdown::Write,
        );
        io::Result::Ok(())
    })?;
    let downward = File::from(socket);
    let stdout = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    let copied = copy(downward, &stdout);
    match copied {
        // The reader left: nobody is to be told.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

fn copy(mut from: File, mut to: &File) -> io::Result<()> {
    let mut buffer = [0_u8; 16 << 10];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(read) => to.write_all(&buffer[..read])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
