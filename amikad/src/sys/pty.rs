//! Terminals of our own: the side that shows and types, and the side that a program runs on.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::Arc;

use nix::libc;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// The two places of the multiplexer: engines link the first to the second, and not every root has the link.
const MULTIPLEXERS: [&CStr; 2] = [c"/dev/ptmx", c"/dev/pts/ptmx"];

/// Both sides of a new terminal: the near one, which does not block, and the far one. Neither outlives an exec.
pub(crate) fn open_terminal() -> io::Result<(OwnedFd, OwnedFd)> {
    let near = open_multiplexer()?;
    let unlocked: libc::c_int = 0;
    // SAFETY: the kernel reads one integer, which lives; the descriptor is open.
    let result = unsafe { libc::ioctl(near.as_raw_fd(), libc::TIOCSPTLCK, &raw const unlocked) };
    if result == -1 {
        return Err(io::Error::last_os_error());
    }
    // By descriptor and not by a path below /dev/pts, where another mount may be by now.
    let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
    // SAFETY: the argument is an integer; the descriptor is open.
    let far = unsafe { libc::ioctl(near.as_raw_fd(), libc::TIOCGPTPEER, flags) };
    if far == -1 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is fresh and nobody else's.
    Ok((near, unsafe { OwnedFd::from_raw_fd(far) }))
}

fn open_multiplexer() -> io::Result<OwnedFd> {
    let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC | libc::O_NONBLOCK;
    let mut first = None;
    for path in MULTIPLEXERS {
        // SAFETY: the path is a literal with its NUL.
        let fd = unsafe { libc::open(path.as_ptr(), flags) };
        if fd != -1 {
            // SAFETY: the descriptor is fresh and nobody else's.
            return Ok(unsafe { OwnedFd::from_raw_fd(fd) });
        }
        first.get_or_insert(io::Error::last_os_error());
    }
    Err(first.unwrap_or_else(|| io::ErrorKind::NotFound.into()))
}

/// Gives a terminal its size; its programs are told by the kernel where that is another one.
pub(crate) fn resize_terminal(near: BorrowedFd<'_>, columns: u16, rows: u16) -> io::Result<()> {
    let size = libc::winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    // SAFETY: the kernel reads one structure, which lives; the descriptor is open.
    match unsafe { libc::ioctl(near.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Gives the terminal on standard input to a user, if it is one and ours, as login(1) does: programs open it by its
/// name (sudo, tmux, gpg), which only its owner may.
pub(crate) fn give_terminal(uid: u32) {
    // SAFETY: all-zero bytes are a valid value of this structure of numbers.
    let mut data: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel writes one structure to where there is one.
    if unsafe { libc::fstat(0, &raw mut data) } == -1 {
        return;
    }
    let is_device = data.st_mode & libc::S_IFMT == libc::S_IFCHR;
    // `pts` has these major numbers (Documentation/admin-guide/devices.txt).
    let is_terminal = is_device && (136..=143).contains(&libc::major(data.st_rdev));
    // SAFETY: takes no argument.
    if is_terminal && data.st_uid == unsafe { libc::geteuid() } {
        // SAFETY: integers only. Where it is refused, such programs do without, as before.
        unsafe { libc::fchown(0, uid, libc::gid_t::MAX) };
    }
}

/// Has the runtime watch a terminal. One descriptor is watched once: a second time wants a copy.
pub(crate) fn watch_terminal(
    near: Arc<OwnedFd>,
    interest: Interest,
) -> io::Result<AsyncFd<Arc<OwnedFd>>> {
    // SAFETY: the descriptor is open for as long as somebody holds it, which what is returned does, and nobody can
    // put another file in its place: it is never given out as a number.
    let watched = unsafe { AsyncFd::register_with_interest(near, interest) };
    watched.map_err(Into::into)
}
