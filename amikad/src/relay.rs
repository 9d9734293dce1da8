//! `amikad relay`: standard input and output, connected with the daemon's API.
//!
//! For hosts that cannot reach the published port: an exec of this program stands in for it.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::mpsc;

use amika_core::contract::{AMIKAD_PORT, path};
use nix::sys::socket::{Shutdown as SocketShutdown, shutdown};

/// Connects both ways until the daemon's side is closed; exits 1 if it cannot be reached.
pub(crate) fn relay() -> i32 {
    let way = match connect() {
        Ok(way) => way,
        Err(error) => {
            crate::say::say(format!("the daemon cannot be reached: {error}"));
            return 1;
        }
    };
    match connect_both(way) {
        Ok(()) => 0,
        Err(error) => {
            crate::say::say(format!("relay: {error}"));
            1
        }
    }
}

/// The way to the daemon.
struct Way {
    socket: OwnedFd,
    /// Whether it is the port. There the end of our half says that we left, but for what is no HTTP any more.
    is_network: bool,
}

/// The root-only socket, else the port: there the client needs the token.
fn connect() -> io::Result<Way> {
    if let Ok(socket) = UnixStream::connect(path::CONTROL_SOCKET) {
        return Ok(Way {
            socket: socket.into(),
            is_network: false,
        });
    }
    Ok(Way {
        socket: TcpStream::connect((Ipv4Addr::LOCALHOST, AMIKAD_PORT))?.into(),
        is_network: true,
    })
}

fn connect_both(way: Way) -> io::Result<()> {
    let upward = File::from(way.socket.try_clone()?);
    let (switch, switched) = mpsc::channel();
    // Never joined: it may wait for input when the daemon's side is long closed.
    std::thread::Builder::new().spawn(move || {
        // A broken pipe up shows as an end down.
        let _ = copy(
            File::from(io::stdin().as_fd().try_clone_to_owned()?),
            &upward,
            |_| (),
        );
        if way.is_network {
            // The error says that all is over.
            let _ = switched.recv();
        }
        // Half a close: the answer to the last request still comes.
        let _ = shutdown(
            std::os::fd::AsRawFd::as_raw_fd(&upward),
            SocketShutdown::Write,
        );
        io::Result::Ok(())
    })?;
    let downward = File::from(way.socket);
    let stdout = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    let copied = copy(downward, &stdout, |piece| {
        if piece.starts_with(b"HTTP/1.1 101 ") {
            // From here on half a close is the two ends' own affair.
            let _ = switch.send(());
        }
    });
    match copied {
        // The reader left: nobody is to be told.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// Copies to the end; `look` sees each piece before it goes on.
fn copy(mut from: File, mut to: &File, look: impl Fn(&[u8])) -> io::Result<()> {
    let mut buffer = [0_u8; 16 << 10];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(read) => {
                look(&buffer[..read]);
                to.write_all(&buffer[..read])?;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
