//! Reads what a terminal's program writes, and writes what somebody typed.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use nix::errno::Errno;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::{sleep, timeout};

use super::Terminal;
use crate::sys;

/// Read at a time: others have their turn in between, and the model takes a third of a millisecond for it.
const PIECE: usize = 8 << 10;
/// How long a terminal is still read on which nobody speaks, once its program ended.
const LAST_WORDS: Duration = Duration::from_millis(200);
/// How long at most, where others still speak on it.
const LAST_WORDS_LIMIT: Duration = Duration::from_secs(2);
/// How often it is looked whether somebody opened a terminal again that everybody had closed.
const REOPEN_INTERVAL: Duration = Duration::from_millis(200);
/// How long something typed may wait until the terminal takes some of it.
const PATIENCE: Duration = Duration::from_secs(30);

impl Terminal {
    /// Reads it until its program ended and what it wrote is here.
    pub(crate) async fn drive(self: Arc<Self>) {
        if let Some(near) = self.near() {
            // The error says that the kernel watches no more descriptors: then it is shown as far as it is read.
            if let Ok(near) = sys::watch_terminal(near, Interest::READABLE) {
                self.read_on(&near).await;
            }
            self.finish();
        }
    }

    async fn read_on(&self, near: &AsyncFd<Arc<OwnedFd>>) {
        let mut fares = self.progress.subscribe();
        let mut buffer = vec![0; PIECE];
        loop {
            let has_ended = async {
                // The sender lives as long as this terminal.
                let _ = fares.wait_for(|fares| fares.ended.is_some()).await;
            };
            tokio::select! {
                () = has_ended => break,
                read = read(near, &mut buffer) => match read {
                    Ok(count @ 1..) => {
                        self.wrote(&buffer[..count]);
                        tokio::task::yield_now().await;
                    }
                    // Nobody has it open; its program lives and may open it again by /dev/tty.
                    _ => sleep(REOPEN_INTERVAL).await,
                }
            }
        }
        let rest = async {
            while let Ok(Ok(count @ 1..)) = timeout(LAST_WORDS, read(near, &mut buffer)).await {
                self.wrote(&buffer[..count]);
            }
        };
        // Those that still have it open learn with its end that nobody reads them.
        let _ = timeout(LAST_WORDS_LIMIT, rest).await;
    }
}

/// Reads what is there, waiting for it; 0 or an error where nobody has the terminal open.
async fn read(near: &AsyncFd<Arc<OwnedFd>>, buffer: &mut [u8]) -> io::Result<usize> {
    near.async_io(Interest::READABLE, |near| {
        let mut count = 0;
        // The kernel gives a few KiB at a time.
        while count < buffer.len() {
            match nix::unistd::read(near, &mut buffer[count..]) {
                Ok(0) => break,
                Ok(more) => count += more,
                Err(Errno::EINTR) => {}
                Err(_) if count > 0 => break,
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(count)
    })
    .await
}

/// Writes all of `bytes`; a program that does not read is waited for, but not for ever.
pub(super) async fn write(near: &Arc<OwnedFd>, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match nix::unistd::write(near, bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) => match timeout(PATIENCE, takes_more(near)).await {
                Ok(takes) => takes?,
                Err(_) => return Err(io::ErrorKind::TimedOut.into()),
            },
            // Nobody has it open: as if it were typed and not read.
            Err(Errno::EIO) => return Ok(()),
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

async fn takes_more(near: &Arc<OwnedFd>) -> io::Result<()> {
    // A descriptor of its own: the kernel watches each once.
    let near = sys::watch_terminal(Arc::new(near.try_clone()?), Interest::WRITABLE)?;
    near.writable().await.map(|_| ())
}
