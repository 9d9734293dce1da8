//! Standard input as a stream of pieces, read by a thread that takes nothing it is not asked for.
//!
//! The thread waits for input and for its own end at once. So whatever is typed after the remote
//! program ended stays with the terminal, for the shell that this process was started from.

use std::collections::VecDeque;
use std::io::{PipeReader, PipeWriter};
use std::os::fd::AsFd as _;

use bytes::Bytes;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::sync::mpsc;

/// Read at once.
const PIECE: usize = 64 * 1024;
/// Pieces that wait to be sent: with the thread's own, what is held of a fast source.
const WAITING: usize = 4;
/// White space before a first word that is held at most.
const MOST_HELD: usize = 1 << 20;
/// How often a job in the background looks whether it is in front again.
const BACKGROUND_PAUSE: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 200_000_000,
};

/// Standard input. Dropping it ends the reading.
pub(crate) struct Input {
    /// Pieces that were looked at, and are yet to be passed on.
    seen: VecDeque<Bytes>,
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
        Ok(Self {
            seen: VecDeque::new(),
            pieces,
            _end: end,
        })
    }

    /// These bytes, and the end; standard input is left alone.
    ///
    /// # Errors
    /// When the system has no pipe left.
    pub(crate) fn of(bytes: Vec<u8>) -> std::io::Result<Self> {
        let (_, end) = std::io::pipe()?;
        // Without a sender, what was seen is all there is.
        let (_, pieces) = mpsc::channel(1);
        Ok(Self {
            seen: VecDeque::from([Bytes::from(bytes)]),
            pieces,
            _end: end,
        })
    }

    /// Waits until anything but white space comes; false when the input ends without. What was looked
    /// at is still to be had. So much white space that it is not worth holding counts as something.
    pub(crate) async fn says_something(&mut self) -> bool {
        let says = |piece: &Bytes| !piece.trim_ascii().is_empty();
        let mut held: usize = self.seen.iter().map(Bytes::len).sum();
        if self.seen.iter().any(says) {
            return true;
        }
        while let Some(piece) = self.pieces.recv().await {
            held += piece.len();
            let is_something = says(&piece) || held > MOST_HELD;
            self.seen.push_back(piece);
            if is_something {
                return true;
            }
        }
        false
    }

    /// The next piece; none at the end of input.
    pub(crate) async fn next(&mut self) -> Option<Bytes> {
        match self.seen.pop_front() {
            Some(piece) => Some(piece),
            None => self.pieces.recv().await,
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn blank_input_says_nothing_and_all_of_it_is_passed_on() {
        for (text, says) in [("", false), (" \n\t", false), ("\n x", true)] {
            let mut input = Input::of(text.into()).expect("a pipe");
            assert_eq!(input.says_something().await, says, "{text:?}");
            let mut all = Vec::new();
            while let Some(piece) = input.next().await {
                all.extend_from_slice(&piece);
            }
            assert_eq!(all, text.as_bytes());
        }
    }
}
