//! Standard input as a stream of pieces, read by a thread that takes nothing it is not asked for.
//!
//! The thread waits for input and for its own end at once. So whatever is typed after the remote
//! program ended stays with the terminal, for the shell that this process was started from.

use std::io::{PipeReader, PipeWriter};
use std::os::fd::AsFd as _;

use bytes::Bytes;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::sync::mpsc;

/// Read at once.
const PIECE: usize = 64 * 1024;
/// Pieces that wait to be sent: with the thread's own, what is held of a fast source.
const WAITING: usize = 4;
/// How often a job in the background looks whether it is in front again.
const BACKGROUND_PAUSE: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 200_000_000,
};

/// Standard input. Dropping it ends the reading.
pub(crate) struct Input {
    pieces: mpsc::Receiver<Bytes>,
    _end: PipeWriter,
}

impl Input {
    /// Begins to read.
    ///
    /// # Errors
    /// When the system has no pipe or no thread left.
    pub(crate) fn start() -> std::io::Result<Self> {
        let (ended, end) = std::io::pipe()?;
        let (sender, pieces) = mpsc::channel(WAITING);
        std::thread::Builder::new()
            .name("stdin".into())
            .spawn(move || read(&ended, &sender))?;
        Ok(Self { pieces, _end: end })
    }

    /// These bytes, and the end; standard input is left alone.
    ///
    /// # Errors
    /// When the system has no pipe left.
    pub(crate) fn of(bytes: Vec<u8>) -> std::io::Result<Self> {
        let (_, end) = std::io::pipe()?;
        let (sender, pieces) = mpsc::channel(1);
        // The channel is empty and takes one.
        let _ = sender.try_send(Bytes::from(bytes));
        Ok(Self { pieces, _end: end })
    }

    /// The next piece; none at the end of input.
    pub(crate) async fn next(&mut self) -> Option<Bytes> {
        self.pieces.recv().await
    }
}

fn read(ended: &PipeReader, pieces: &mpsc::Sender<Bytes>) {
    let stdin = std::io::stdin();
    let terminal = super::is_terminal();
    let mut buffer = vec![0; PIECE];
    loop {
        let mut fds = [
            PollFd::new(&stdin, PollFlags::IN),
            PollFd::new(ended, PollFlags::IN),
        ];
        match poll(&mut fds, None) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(_) => return,
        }
        if !fds[1].revents().is_empty() {
            return;
        }
        // Reading a terminal from the background would stop this whole job.
        if terminal && in_background() {
            let mut end = [PollFd::new(ended, PollFlags::IN)];
            let _ = poll(&mut end, Some(&BACKGROUND_PAUSE));
            continue;
        }
        match rustix::io::read(stdin.as_fd(), &mut buffer) {
            Ok(0) => return,
            Ok(count) => {
                if pieces
                    .blocking_send(Bytes::copy_from_slice(&buffer[..count]))
                    .is_err()
                {
                    return;
                }
            }
            // Somebody else made the descriptor non-blocking, or took the input first.
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
            Err(_) => return,
        }
    }
}

fn in_background() -> bool {
    rustix::termios::tcgetpgrp(std::io::stdin())
        .is_ok_and(|front| front != rustix::process::getpgrp())
}
