//! The unsafe part: the program's entry, fork and exec, waiting, and signals by number.
//!
//! Everything here stands on libc alone, and nothing outside this module is `unsafe`. Signals are
//! plain numbers throughout amikad, since the real-time ones have no name in `nix`.
#![allow(
    unsafe_code,
    reason = "fork, exec, wait and raw signals have no safe form; see each use"
)]

mod keyring;
mod look;
mod pty;
mod spawn;

use std::ffi::{CStr, CString};
#[cfg(not(any(test, fuzzing)))]
use std::ffi::{c_char, c_int};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::libc;
use nix::sys::signal::{SigSet, SigmaskHow, pthread_sigmask};

pub(crate) use keyring::keyrings_are_filtered;
pub(crate) use look::{fork, let_go_of_streams, next_signal};
pub(crate) use pty::{give_terminal, open_terminal, resize_terminal, watch_terminal};
pub(crate) use spawn::{Group, Program, Report, SpawnError, Stdio, Step, exec, spawn};

/// Whether the container was given SIGCHLD ignored, and its children are to have it so.
static CHLD_WAS_IGNORED: AtomicBool = AtomicBool::new(false);

/// The program's entry.
///
/// It stands in place of Rust's own, which ignores SIGPIPE before `main`: CMD must find signal
/// dispositions as the container was given them.
// SAFETY: the C runtime calls `main` once; no other symbol of that name is linked, since the crate
// is `no_main` outside its unit tests.
#[cfg(not(any(test, fuzzing)))]
#[unsafe(no_mangle)]
extern "C" fn main(_argc: c_int, _argv: *const *const c_char) -> c_int {
    // A panic may not unwind into C. 70 is amikad's code for failures of its own.
    std::panic::catch_unwind(crate::run).unwrap_or(70)
}

/// Opens `/dev/null` on each of the first three descriptors that is closed, so that no file of ours
/// can become somebody's stdout.
pub(crate) fn fill_standard_descriptors() {
    for fd in 0..3 {
        // SAFETY: F_GETFD reads a flag of a descriptor number and touches no memory.
        let closed = unsafe { libc::fcntl(fd, libc::F_GETFD) } == -1;
        if closed {
            // SAFETY: the path is a literal with its NUL; the lowest free number is `fd`, since all
            // below it are open by now. Without `/dev/null` there is nothing better to do.
            unsafe { libc::open(c"/dev/null".as_ptr(), libc::O_RDWR) };
        }
    }
}

/// Blocks every signal in this thread and in all it will make, and returns the mask it had.
pub(crate) fn block_all_signals() -> SigSet {
    let mut before = SigSet::empty();
    // Only invalid arguments make this fail, and these are constants.
    let _ = pthread_sigmask(
        SigmaskHow::SIG_BLOCK,
        Some(&SigSet::all()),
        Some(&mut before),
    );
    before
}

/// Gives this thread a mask that it had before.
pub(crate) fn take_signals(mask: &SigSet) {
    // As above.
    let _ = pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(mask), None);
}

/// Makes ends of children known: dispositions outlive exec, and where SIGCHLD is ignored the kernel reaps by itself,
/// see waitpid(2). Children get it back as it was.
pub(crate) fn hear_of_children() {
    // SAFETY: SIG_DFL is no function; nothing of ours runs in a handler.
    let before = unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
    CHLD_WAS_IGNORED.store(before == libc::SIG_IGN, Ordering::Relaxed);
}

/// Sends signal `signo` to `pid` with the meaning that kill(2) gives negative numbers.
pub(crate) fn kill(pid: i32, signo: i32) -> io::Result<()> {
    // SAFETY: takes two integers; the kernel checks both.
    if unsafe { libc::kill(pid, signo) } == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Fills `bytes` with numbers that nobody can guess, whatever files there are and may be opened.
pub(crate) fn random(bytes: &mut [u8; 32]) -> io::Result<()> {
    // SAFETY: the kernel writes at most as many bytes as there are. Up to 256 come whole or not at all.
    let filled = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
    match filled {
        32 => Ok(()),
        -1 => Err(io::Error::last_os_error()),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// The process group of `pid`, as long as there is such a process.
pub(crate) fn group_of(pid: i32) -> Option<i32> {
    // SAFETY: takes an integer.
    let group = unsafe { libc::getpgid(pid) };
    (group != -1).then_some(group)
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It exited with this code.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
}

impl End {
    /// The code by which a shell or an engine reports this end.
    pub(crate) fn exit_code(self) -> i32 {
        match self {
            Self::Code(code) => code,
            Self::Signal(signo) => 128 + signo,
        }
    }
}

impl std::fmt::Display for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(signo) => write!(f, "signal {signo}"),
        }
    }
}

/// Reaps one child that ended, if there is one: the only `wait` in amikad.
pub(crate) fn reap() -> Option<(i32, End)> {
    loop {
        let mut status = 0;
        // SAFETY: `status` is a live integer for the kernel to write to.
        let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG) };
        if pid > 0 {
            if libc::WIFEXITED(status) {
                return Some((pid, End::Code(libc::WEXITSTATUS(status))));
            }
            if libc::WIFSIGNALED(status) {
                return Some((pid, End::Signal(libc::WTERMSIG(status))));
            }
            // Neither stopped nor continued children are asked for; ask again.
            continue;
        }
        if pid == -1 && io::Error::last_os_error().kind() == io::ErrorKind::Interrupted {
            continue;
        }
        return None;
    }
}

/// Makes orphaned descendants our children, as PID 1 has them by right.
pub(crate) fn become_subreaper() {
    // SAFETY: an integer option; on kernels that lack it, nothing changes.
    unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) };
}

/// The user and groups that a process runs as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    /// User id.
    pub(crate) uid: u32,
    /// Primary group id.
    pub(crate) gid: u32,
    /// Supplementary groups.
    pub(crate) groups: Vec<u32>,
}

impl Identity {
    /// Takes on this identity for good; needs root unless it changes nothing.
    pub(crate) fn assume(&self) -> io::Result<()> {
        // Raw calls, for this thread alone: after fork there is no other thread, and glibc's
        // wrappers would look for them. `exec-as` has one thread only.
        // SAFETY: the pointer and length describe a live vector of 32-bit ids.
        succeed(unsafe {
            libc::syscall(libc::SYS_setgroups, self.groups.len(), self.groups.as_ptr())
        })?;
        // SAFETY: integers only.
        succeed(unsafe { libc::syscall(libc::SYS_setresgid, self.gid, self.gid, self.gid) })?;
        // SAFETY: integers only.
        succeed(unsafe { libc::syscall(libc::SYS_setresuid, self.uid, self.uid, self.uid) })
    }
}

/// Turns a system call's result into ours; allocates nothing.
fn succeed(result: libc::c_long) -> io::Result<()> {
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Gives the kernel back what the allocator holds free: by itself it keeps what a burst took.
pub(crate) fn give_back_memory() {
    // SAFETY: takes no pointer; the allocator locks itself.
    unsafe { libc::malloc_trim(0) };
}

/// An anonymous file in memory, for logs where no directory can be written.
pub(crate) fn memory_file(name: &CStr) -> io::Result<File> {
    // SAFETY: `name` ends with a NUL; the flags are constants.
    let fd = unsafe { libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC) };
    if fd == -1 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is fresh and nobody else's.
    Ok(File::from(unsafe { OwnedFd::from_raw_fd(fd) }))
}

/// The id of the mount that `name` in directory `at` lies on, without following a link; of what `at` itself is where the
/// name is empty. Nothing on kernels before 5.8, which do not tell.
pub(crate) fn mount_id(at: BorrowedFd<'_>, name: &CStr) -> io::Result<Option<u64>> {
    // SAFETY: all-zero bytes are a valid value of this structure of numbers.
    let mut data: libc::statx = unsafe { std::mem::zeroed() };
    let flags = libc::AT_EMPTY_PATH | libc::AT_SYMLINK_NOFOLLOW | libc::AT_NO_AUTOMOUNT;
    // SAFETY: the name ends with a NUL, and the kernel writes one structure to where there is one.
    let result = unsafe {
        libc::statx(
            at.as_raw_fd(),
            name.as_ptr(),
            flags,
            libc::STATX_MNT_ID,
            &raw mut data,
        )
    };
    match result {
        0 => Ok((data.stx_mask & libc::STATX_MNT_ID != 0).then_some(data.stx_mnt_id)),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Bytes of an extended attribute of a file; nothing where it has none, or a very long one.
pub(crate) fn attribute(file: &Path, name: &CStr) -> Option<Vec<u8>> {
    let path = CString::new(file.as_os_str().as_bytes()).ok()?;
    let mut value = vec![0_u8; 256];
    // SAFETY: both names end with a NUL; the kernel writes at most as many bytes as the buffer has.
    let length = unsafe {
        libc::getxattr(
            path.as_ptr(),
            name.as_ptr(),
            value.as_mut_ptr().cast(),
            value.len(),
        )
    };
    value.truncate(usize::try_from(length).ok()?);
    Some(value)
}
