//! What a process needs that starts another and ends it with all that came of it.

use std::io;
use std::time::Duration;

use nix::libc;
use nix::sys::signal::{SigSet, Signal};

/// Makes a second process of this one: 0 in the new one, its number in the old one.
pub(crate) fn fork() -> io::Result<i32> {
    // SAFETY: only `exec-as` calls it, which has a single thread: no lock can be held by another.
    let pid = unsafe { libc::fork() };
    if pid == -1 {
        Err(io::Error::last_os_error())
    } else {
        Ok(pid)
    }
}

/// The next of these signals, which are blocked; none if none came in time.
pub(crate) fn next_signal(set: &SigSet, within: Duration) -> Option<Signal> {
    let time = libc::timespec {
        tv_sec: libc::time_t::try_from(within.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: libc::c_long::from(within.subsec_nanos().cast_signed()),
    };
    // SAFETY: both are live for the call, and nothing is asked for about the signal but its number.
    let signo = unsafe { libc::sigtimedwait(set.as_ref(), std::ptr::null_mut(), &raw const time) };
    Signal::try_from(signo).ok()
}

/// Lets go of the first three descriptors, so that whoever reads or writes at their other ends waits for the program
/// alone.
pub(crate) fn let_go_of_streams() {
    for fd in 0..3 {
        // SAFETY: takes an integer; nothing of this process reads or writes there any more.
        unsafe { libc::close(fd) };
    }
    super::fill_standard_descriptors();
}
