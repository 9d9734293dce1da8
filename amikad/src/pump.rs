//! Moves a child's output from its pipe to its log and, for setup, to the container's stdout.
//!
//! A thread of its own: a reader of the container's log that stalls may hold up setup, as it would
//! without amikad, but never the loop that reaps.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};

use crate::logs::Log;

/// So much of setup's output goes to the container's log; engines write that slowly.
pub(crate) const ECHO_LIMIT: u64 = 10 << 20;

/// Bytes that a pipe holds at most.
const CAPACITY: i32 = 1 << 18;

/// How long a pipe is still read that nobody speaks into, once its program ended.
const LAST_WORDS: u16 = 500;

/// Whose output a pump moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whose {
    /// Setup's: shown in the container's log, too. What it left running speaks on.
    Setup,
    /// A service's: each of its starts has a pump of its own, which ends soon after it, whoever still holds the pipe.
    Service,
    /// A job's: what it left running speaks on, until nobody may read the log any more.
    Job,
}

/// What a pump was asked for.
const NOTHING: u8 = 0;
const SETTLE: u8 = 1;
const END: u8 = 2;

/// Asks a pump to report once it has moved what is in the pipe.
#[derive(Clone, Debug)]
pub(crate) struct Settler {
    asked: Arc<AtomicU8>,
    wake: Arc<EventFd>,
}

impl Settler {
    /// Asks: the writer's end is over, though others may still hold the pipe.
    pub(crate) fn settle(&self) {
        self.ask(SETTLE);
    }

    /// Asks it to end, whoever still holds the pipe.
    pub(crate) fn end(&self) {
        self.ask(END);
    }

    fn ask(&self, what: u8) {
        self.asked.fetch_max(what, Ordering::AcqRel);
        // Only a counter that is already at its maximum can refuse, and that wakes too.
        let _ = self.wake.write(1);
    }
}

/// A pipe whose writing end goes to a child.
pub(crate) fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (reader, writer) = nix::unistd::pipe2(OFlag::O_CLOEXEC)?;
    // More per wake-up; refused where the user's pipe budget is used up, which is fine.
    let _ = fcntl(&reader, FcntlArg::F_SETPIPE_SZ(CAPACITY));
    fcntl(&reader, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    Ok((reader, writer))
}

/// Starts a pump; `settled` is called once, when it was asked to settle and the pipe was found
/// empty, or when the last writer closed the pipe.
pub(crate) fn start(
    reader: OwnedFd,
    log: Arc<Log>,
    whose: Whose,
    settled: impl FnOnce() + Send + 'static,
) -> io::Result<Settler> {
    let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
    let settler = Settler {
        asked: Arc::new(AtomicU8::new(NOTHING)),
        wake: Arc::new(EventFd::from_flags(flags)?),
    };
    let pump = Pump {
        reader,
        log,
        echo: (whose == Whose::Setup).then_some(ECHO_LIMIT),
        settler: settler.clone(),
        settled: Some(settled),
        whose,
    };
    std::thread::Builder::new()
        .name("pump".into())
        .stack_size(256 << 10)
        .spawn(|| pump.run())?;
    Ok(settler)
}

struct Pump<F> {
    reader: OwnedFd,
    log: Arc<Log>,
    /// Bytes that may still go to stdout.
    echo: Option<u64>,
    settler: Settler,
    settled: Option<F>,
    whose: Whose,
}

impl<F: FnOnce()> Pump<F> {
    fn run(mut self) {
        let mut buffer = vec![0_u8; 1 << 16];
        // Read since it was asked.
        let mut since = 0;
        loop {
            match nix::unistd::read(&self.reader, &mut buffer) {
                Ok(0) => break,
                Ok(read) => {
                    self.log.append(&buffer[..read]);
                    self.echo(&buffer[..read]);
                    let asked = self.settler.asked.load(Ordering::Acquire);
                    since += if asked == NOTHING { 0 } else { read };
                    // What was in the pipe by then is read, and others speak into it without a pause.
                    if since > CAPACITY.unsigned_abs() as usize {
                        self.settle();
                        if asked == END || self.whose == Whose::Service {
                            break;
                        }
                    }
                }
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => {
                    let asked = self.settler.asked.load(Ordering::Acquire);
                    if asked != NOTHING {
                        self.settle();
                    }
                    if asked == END || !self.wait(asked == SETTLE && self.whose == Whose::Service) {
                        break;
                    }
                }
                Err(_) => break,
            }
        }
        // A job's log is over once the job is: it may have closed its output before.
        while self.whose == Whose::Job && self.settler.asked.load(Ordering::Acquire) == NOTHING {
            let mut wake = [PollFd::new(self.settler.wake.as_fd(), PollFlags::POLLIN)];
            // An error here shows as an early wake-up, which does no harm.
            let _ = poll(&mut wake, PollTimeout::NONE);
        }
        self.settle();
    }

    fn settle(&mut self) {
        if let Some(settled) = self.settled.take() {
            settled();
        }
    }

    /// Waits for more; when it is about to end, not for long. Whether there may be more.
    fn wait(&self, ends: bool) -> bool {
        let both = [self.reader.as_fd(), self.settler.wake.as_fd()];
        let mut fds = both.map(|fd| PollFd::new(fd, PollFlags::POLLIN));
        let timeout = if ends {
            LAST_WORDS.into()
        } else {
            PollTimeout::NONE
        };
        // A failure shows again in the next read.
        let is_over = poll(&mut fds, timeout) == Ok(0);
        // It only wakes; what was asked is told by the flag.
        let _ = self.settler.wake.read();
        !is_over
    }

    fn echo(&mut self, bytes: &[u8]) {
        let Some(left) = self.echo else { return };
        let length = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
        let mut written = write_all(io::stdout().as_fd(), &bytes[..length]);
        let left = left - length as u64;
        self.echo = Some(left);
        if left == 0 {
            self.echo = None;
            let note =
                b"\n[amikad: setup printed 10 MiB; the rest is in /var/log/amikad/setup.log]\n";
            written = written.and_then(|()| write_all(io::stdout().as_fd(), note));
        }
        if written.is_err() {
            // Nobody reads the container's stdout any more; the log still gets everything.
            self.echo = None;
        }
    }
}

/// Writes everything, waiting where the descriptor was made non-blocking by somebody else.
fn write_all(fd: BorrowedFd<'_>, mut bytes: &[u8]) -> nix::Result<()> {
    while !bytes.is_empty() {
        match nix::unistd::write(fd, bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) => {
                poll(
                    &mut [PollFd::new(fd, PollFlags::POLLOUT)],
                    PollTimeout::NONE,
                )?;
            }
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}
