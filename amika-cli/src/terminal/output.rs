//! Bytes of a remote program on standard output and standard error, exact and in their order.
//!
//! A thread of its own writes, so that a reader who takes his time holds up the program that
//! writes, never the signals. This passes bytes through; what amika itself says goes by
//! [`crate::output`].

use std::os::fd::{AsFd as _, BorrowedFd};

use bytes::Bytes;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Pieces that wait to be written.
const WAITING: usize = 4;

/// Where a piece goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Both streams.
pub(crate) struct Output {
    pieces: mpsc::Sender<(Target, Bytes)>,
    writer: JoinHandle<Result<(), Errno>>,
}

/// The reader of a stream went away.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Closed;

impl Output {
    /// Begins to write to the user's pager, or where there is none, to standard output. Its end is waited for.
    pub(crate) fn to_pager(machine: &amika_host::machine::Machine) -> Self {
        let Some(mut pager) = super::pager::start(machine) else {
            return Self::start();
        };
        let (pieces, mut waiting) = mpsc::channel::<(Target, Bytes)>(WAITING);
        let writer = tokio::task::spawn_blocking(move || {
            let mut written = Ok(());
            if let Some(stdin) = pager.stdin.take() {
                while let Some((_, bytes)) = waiting.blocking_recv() {
                    written = write_all(stdin.as_fd(), &bytes);
                    if written.is_err() {
                        break;
                    }
                }
            }
            // It reads no more from here, and shows what it has for as long as somebody looks.
            drop(waiting);
            let _ = pager.wait();
            written
        });
        Self { pieces, writer }
    }

    /// Begins to write.
    pub(crate) fn start() -> Self {
        let (pieces, mut waiting) = mpsc::channel::<(Target, Bytes)>(WAITING);
        let writer = tokio::task::spawn_blocking(move || {
            #[expect(
                clippy::disallowed_methods,
                reason = "another program's bytes, as they are"
            )]
            let (stdout, stderr) = (std::io::stdout(), std::io::stderr());
            while let Some((target, bytes)) = waiting.blocking_recv() {
                match target {
                    Target::Stdout => write_all(stdout.as_fd(), &bytes)?,
                    Target::Stderr => write_all(stderr.as_fd(), &bytes)?,
                }
            }
            Ok(())
        });
        Self { pieces, writer }
    }

    /// Hands a piece over, once there is room; an error when nobody writes any more: then
    /// [`Output::finish`] tells why.
    pub(crate) async fn send(&self, target: Target, bytes: Bytes) -> Result<(), Closed> {
        self.pieces.send((target, bytes)).await.map_err(|_| Closed)
    }

    /// Waits until all is written; true when a reader went away before.
    ///
    /// # Errors
    /// What the system said, such as a full disk.
    pub(crate) async fn finish(self) -> std::io::Result<bool> {
        drop(self.pieces);
        match self.writer.await {
            Ok(Ok(())) => Ok(false),
            Ok(Err(Errno::PIPE)) => Ok(true),
            Ok(Err(errno)) => Err(errno.into()),
            Err(error) => Err(std::io::Error::other(error)),
        }
    }
}

fn write_all(fd: BorrowedFd<'_>, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match rustix::io::write(fd, bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(Errno::INTR) => {}
            // The other end shares the descriptor and made it non-blocking.
            Err(Errno::AGAIN) => {
                let mut fds = [PollFd::new(&fd, PollFlags::OUT)];
                match poll(&mut fds, None) {
                    Ok(_) | Err(Errno::INTR) => {}
                    Err(errno) => return Err(errno),
                }
            }
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}
