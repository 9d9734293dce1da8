//! Fork and exec: a child is made of what was computed before, and says why it could not go on.

use std::ffi::{CString, c_char};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::ptr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc;
use nix::sys::signal::SigSet;

use super::Identity;

/// A thread that gave its answer a moment ago still has a place among the user's processes, where these are limited:
/// so often, and with such pauses, a fork that found none is tried again. The loop that reaps waits for it.
const FORK_TRIES: u32 = 10;
const FORK_PAUSE: Duration = Duration::from_millis(1);

/// Where a child's standard streams come from.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stdio {
    /// amikad's own, untouched.
    Inherit,
    /// Input from `/dev/null`, output and errors both into this descriptor.
    Captured(RawFd),
    /// Input from one descriptor, output and errors both into another.
    Fed {
        /// What is read.
        input: RawFd,
        /// Where the rest goes.
        output: RawFd,
    },
    /// All three from and to this terminal, which becomes the session's own; it wants [`Group::Session`].
    Terminal(RawFd),
}

/// What becomes of the child's process group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Group {
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
    /// Directories to start in: the first that is there.
    pub(crate) directories: Vec<CString>,
    /// An open directory to start in, before all of those.
    pub(crate) at: Option<RawFd>,
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
    /// A number that the process and all that come of it are known by.
    pub(crate) mark: Option<u64>,
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

/// How the beginning of a child went, told through a pipe that its exec closes. Nobody waits for it: a directory or a
/// file system that hangs holds up the child alone.
#[derive(Debug)]
pub(crate) struct Report {
    reader: File,
    /// Which of [`Program::directories`] it was, once told.
    directory: Option<usize>,
}

/// What a report says once it is whole: the place of the directory that it started in among those that were named, or
/// why the program does not run. That child is about to exit.
pub(crate) type Began = Result<Option<usize>, SpawnError>;

impl Report {
    /// What it says; nothing as long as the program has not begun.
    pub(crate) fn take(&mut self) -> Option<Began> {
        loop {
            let mut record = [0_u8; 8];
            match self.reader.read(&mut record) {
                Ok(8) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return None,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                // Its end, by exec or by death.
                _ => return Some(Ok(self.directory)),
            }
            let [a, b, c, d, step, index, ..] = record;
            let step = match step {
                1 => Step::Stdio,
                2 => Step::Identity,
                3 => Step::Chdir,
                4 => Step::Exec,
                _ => {
                    self.directory = Some(usize::from(index));
                    continue;
                }
            };
            let source = io::Error::from_raw_os_error(i32::from_ne_bytes([a, b, c, d]));
            return Some(Err(SpawnError { step, source }));
        }
    }
}

impl AsFd for Report {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }
}

/// Makes the process of `program`; returns its id, and what tells how it goes on.
///
/// All signals must be blocked in the calling thread: the child takes its mask before it touches what may hang.
pub(crate) fn spawn(program: &Program) -> Result<(i32, Report), SpawnError> {
    let at_fork = |source| SpawnError {
        step: Step::Fork,
        source,
    };
    let (failure_reader, failure_writer) =
        nix::unistd::pipe2(OFlag::O_CLOEXEC).map_err(|e| at_fork(e.into()))?;
    fcntl(&failure_reader, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).map_err(|e| at_fork(e.into()))?;
    let argv = pointers(&program.argv);
    let envp = pointers(&program.envp);
    let mut tries = 0;
    let pid = loop {
        // SAFETY: the child runs `run_child` alone, which makes nothing but async-signal-safe calls on
        // memory prepared above, and never returns.
        let pid = unsafe { libc::fork() };
        if pid != -1 {
            break pid;
        }
        let error = io::Error::last_os_error();
        if error.raw_os_error() != Some(libc::EAGAIN) || tries == FORK_TRIES {
            return Err(at_fork(error));
        }
        tries += 1;
        std::thread::sleep(FORK_PAUSE);
    };
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
    let report = Report {
        reader: File::from(failure_reader),
        directory: None,
    };
    Ok((pid, report))
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
        if let Stdio::Terminal(terminal) = program.stdio {
            // A session leader without one: it becomes its own (tty_ioctl(4)).
            if libc::ioctl(terminal, libc::TIOCSCTTY, 0) == -1 {
                fail(failure, 1);
            }
            for fd in 0..3 {
                if libc::dup2(terminal, fd) == -1 {
                    fail(failure, 1);
                }
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
        if let Stdio::Fed { input, output } = program.stdio {
            let is_wired = libc::dup2(input, 0) != -1
                && libc::dup2(output, 1) != -1
                && libc::dup2(output, 2) != -1;
            if !is_wired {
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
        if let Some(mark) = program.mark {
            let limit = libc::rlimit {
                rlim_cur: mark,
                rlim_max: mark,
            };
            // Refused where a smaller one was given to the container; then the tree alone tells.
            libc::setrlimit(libc::RLIMIT_LOCKS, &raw const limit);
        }
        if let Some(identity) = &program.identity
            && identity.assume().is_err()
        {
            fail(failure, 2);
        }
        if super::CHLD_WAS_IGNORED.load(Ordering::Relaxed) {
            libc::signal(libc::SIGCHLD, libc::SIG_IGN);
        }
        // From here on a signal ends it: what comes next may take for ever.
        libc::pthread_sigmask(libc::SIG_SETMASK, program.mask.as_ref(), ptr::null_mut());
        if program.at.is_none_or(|at| libc::fchdir(at) != 0) {
            enter_first(&program.directories, failure);
        }
        exec_first(&program.candidates, argv, envp);
        fail(failure, 4)
    }
}

/// Enters the first of `directories` that is there, and tells which one it was.
///
/// # Safety
/// Only to be called in a forked child.
unsafe fn enter_first(directories: &[CString], failure: RawFd) {
    for (index, directory) in directories.iter().enumerate() {
        // SAFETY: the path ends with a NUL; write and errno as in `fail`.
        unsafe {
            if libc::chdir(directory.as_ptr()) == 0 {
                let index = u8::try_from(index).unwrap_or(u8::MAX);
                let report = [0, 0, 0, 0, 5, index, 0, 0];
                libc::write(failure, report.as_ptr().cast(), report.len());
                return;
            }
            let is_missing = matches!(
                *libc::__errno_location(),
                libc::ENOENT | libc::ENOTDIR | libc::ELOOP
            );
            if !is_missing {
                fail(failure, 3);
            }
        }
    }
    if !directories.is_empty() {
        // SAFETY: as the caller promises.
        unsafe { fail(failure, 3) }
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
            // As execvp(3): such a place in PATH is passed over.
            libc::ENOENT | libc::ENOTDIR | libc::ESTALE | libc::ENODEV | libc::ETIMEDOUT => {}
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
