//! Fork and exec: a child is made of what was computed before, and says why it could not go on.

use std::ffi::{CString, c_char};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, RawFd};
use std::ptr;

use nix::libc;
use nix::sys::signal::SigSet;

use super::Identity;

/// Where a child's standard streams come from.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stdio {
    /// amikad's own, untouched.
    Inherit,
    /// Input from `/dev/null`, output and errors both into this descriptor.
    Captured(RawFd),
}

/// What becomes of the child's process group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Group {
    /// A group of its own.
    Own,
    /// A group of its own, which is given the terminal on stdin if there is one.
    Foreground,
    /// A session of its own.
    Session,
}

/// A program to run, with everything computed beforehand: after fork, a child of a process with
/// threads may neither allocate nor lock.
#[derive(Debug)]
pub(crate) struct Program {
    /// Files to try in turn, as PATH has them.
    pub(crate) candidates: Vec<CString>,
    /// Arguments, the name first.
    pub(crate) argv: Vec<CString>,
    /// Environment.
    pub(crate) envp: Vec<CString>,
    /// Directory to start in.
    pub(crate) cwd: Option<CString>,
    /// User to become.
    pub(crate) identity: Option<Identity>,
    /// Standard streams.
    pub(crate) stdio: Stdio,
    /// Process group.
    pub(crate) group: Group,
    /// Signal mask, as the container was given it.
    pub(crate) mask: SigSet,
    /// Text for `/proc/self/oom_score_adj`, best effort.
    pub(crate) oom_score_adj: Option<CString>,
}

/// The step at which a child could not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Making the process.
    Fork,
    /// Wiring its streams.
    Stdio,
    /// Becoming the user.
    Identity,
    /// Entering its directory.
    Chdir,
    /// Replacing itself by the program.
    Exec,
}

/// Why a program was not started.
#[derive(Debug)]
pub(crate) struct SpawnError {
    /// At which step.
    pub(crate) step: Step,
    /// What the kernel said.
    pub(crate) source: io::Error,
}

/// Pointers to `strings`, ended by a null, as exec wants them.
fn pointers(strings: &[CString]) -> Vec<*const c_char> {
    strings
        .iter()
        .map(|string| string.as_ptr())
        .chain([ptr::null()])
        .collect()
}

/// Starts `program`; returns its process id once the program itself runs.
///
/// All signals must be blocked in the calling thread: the child gets its mask back as its last act.
pub(crate) fn spawn(program: &Program) -> Result<i32, SpawnError> {
    let at_fork = |source| SpawnError {
        step: Step::Fork,
        source,
    };
    let (failure_reader, failure_writer) =
        nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).map_err(|e| at_fork(e.into()))?;
    let argv = pointers(&program.argv);
    let envp = pointers(&program.envp);
    // SAFETY: the child runs `run_child` alone, which makes nothing but async-signal-safe calls on
    // memory prepared above, and never returns.
    let pid = unsafe { libc::fork() };
    if pid == -1 {
        return Err(at_fork(io::Error::last_os_error()));
    }
    if pid == 0 {
        // SAFETY: as above; the arrays outlive the call.
        unsafe { run_child(program, &argv, &envp, failure_writer.as_raw_fd()) }
    }
    drop(failure_writer);
    if program.group != Group::Session {
        // In the child too, whichever comes first: a signal to the group may be sent right now.
        // SAFETY: integers only; EACCES after the child's exec is fine.
        unsafe { libc::setpgid(pid, pid) };
    }
    let mut report = [0_u8; 8];
    let told = File::from(failure_reader).read_exact(&mut report).is_ok();
    if !told {
        return Ok(pid);
    }
    let mut status = 0;
    // SAFETY: `pid` is our child and about to exit; no other code waits meanwhile.
    unsafe { libc::waitpid(pid, &raw mut status, 0) };
    let [a, b, c, d, step, ..] = report;
    let step = match step {
        1 => Step::Stdio,
        2 => Step::Identity,
        3 => Step::Chdir,
        _ => Step::Exec,
    };
    let source = io::Error::from_raw_os_error(i32::from_ne_bytes([a, b, c, d]));
    Err(SpawnError { step, source })
}

/// The child between fork and exec.
///
/// # Safety
/// Only to be called in a freshly forked child; `argv` and `envp` end with a null pointer.
unsafe fn run_child(
    program: &Program,
    argv: &[*const c_char],
    envp: &[*const c_char],
    failure: RawFd,
) -> ! {
    // SAFETY: each call below is async-signal-safe and gets integers or pointers into memory that
    // the parent prepared.
    unsafe {
        match program.group {
            Group::Own => {
                libc::setpgid(0, 0);
            }
            Group::Foreground => {
                libc::setpgid(0, 0);
                // TTOU is blocked, so this does not stop us; without a terminal it fails (ENOTTY,
                // ENXIO, EBADF), which is fine.
                libc::tcsetpgrp(0, libc::getpid());
            }
            Group::Session => {
                libc::setsid();
            }
        }
        if let Stdio::Captured(output) = program.stdio {
            let null = libc::open(c"/dev/null".as_ptr(), libc::O_RDWR);
            // Without `/dev/null` stdin is closed rather than CMD's input eaten.
            if null == -1 {
                libc::close(0);
            } else if null != 0 {
                libc::dup2(null, 0);
                libc::close(null);
            }
            if libc::dup2(output, 1) == -1 || libc::dup2(output, 2) == -1 {
                fail(failure, 1);
            }
        }
        if let Some(score) = &program.oom_score_adj {
            let fd = libc::open(c"/proc/self/oom_score_adj".as_ptr(), libc::O_WRONLY);
            if fd != -1 {
                libc::write(fd, score.as_ptr().cast(), score.as_bytes().len());
                libc::close(fd);
            }
        }
        if let Some(identity) = &program.identity
            && identity.assume().is_err()
        {
            fail(failure, 2);
        }
        if let Some(cwd) = &program.cwd
            && libc::chdir(cwd.as_ptr()) == -1
        {
            fail(failure, 3);
        }
        libc::pthread_sigmask(libc::SIG_SETMASK, program.mask.as_ref(), ptr::null_mut());
        exec_first(&program.candidates, argv, envp);
        fail(failure, 4)
    }
}

/// Tells the parent the step and errno, and ends the child.
///
/// # Safety
/// Only to be called in a forked child.
unsafe fn fail(failure: RawFd, step: u8) -> ! {
    // SAFETY: errno is this thread's own; write and _exit are async-signal-safe.
    unsafe {
        let [a, b, c, d] = (*libc::__errno_location()).to_ne_bytes();
        let report = [a, b, c, d, step, 0, 0, 0];
        libc::write(failure, report.as_ptr().cast(), report.len());
        libc::_exit(127)
    }
}

/// Executes the first of `candidates` that exists; errno tells why none did.
///
/// As in execvp(3), a file that may not be executed (EACCES) is passed over and remembered. Unlike
/// it, a file without `#!` is not handed to a shell: that is ENOEXEC.
///
/// # Safety
/// `argv` and `envp` end with a null pointer, and all they point to is alive.
unsafe fn exec_first(candidates: &[CString], argv: &[*const c_char], envp: &[*const c_char]) {
    let mut denied = false;
    for candidate in candidates {
        // SAFETY: as the caller promises; on success this does not return.
        let errno = unsafe {
            libc::execve(candidate.as_ptr(), argv.as_ptr(), envp.as_ptr());
            *libc::__errno_location()
        };
        match errno {
            libc::ENOENT | libc::ENOTDIR => {}
            libc::EACCES => denied = true,
            _ => return,
        }
    }
    let errno = if denied { libc::EACCES } else { libc::ENOENT };
    // SAFETY: errno is this thread's own.
    unsafe { *libc::__errno_location() = errno };
}

/// Replaces this process by the first of `candidates` that exists, or says why it cannot.
pub(crate) fn exec(candidates: &[CString], argv: &[CString], envp: &[CString]) -> io::Error {
    let (argv, envp) = (pointers(argv), pointers(envp));
    // SAFETY: both arrays end with a null and outlive the call.
    unsafe { exec_first(candidates, &argv, &envp) };
    io::Error::last_os_error()
}
