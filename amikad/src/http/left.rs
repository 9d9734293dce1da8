//! Whether a client of root's socket left.
//!
//! It may close its half of the connection and still wait for the answer: `amikad relay` does when its input ends.
//! So the end of its half is no error there. But it is the only sign of a follower that left, and a stream that goes
//! on for ever is not for whoever sent that sign.

use std::io;
use std::os::fd::OwnedFd;

use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::sync::watch;

/// Tells that the client sends nothing any more. One that never tells stands for a door where hyper itself notices.
#[derive(Clone, Debug)]
pub(super) struct Left(Option<watch::Receiver<bool>>);

impl Left {
    /// Never tells.
    pub(super) fn unknown() -> Self {
        Self(None)
    }

    /// Watches a copy of the connection's descriptor, for as long as somebody holds what is returned.
    pub(super) fn watch(copy: OwnedFd) -> io::Result<Self> {
        let copy = UnixStream::from_std(copy.into())?;
        let (sender, receiver) = watch::channel(false);
        tokio::spawn(async move {
            tokio::select! {
                () = end_of_input(&copy) => { sender.send_replace(true); }
                () = sender.closed() => {}
            }
        });
        Ok(Self(Some(receiver)))
    }

    /// Returns once the client sends nothing any more.
    pub(super) async fn left(&mut self) {
        if let Some(receiver) = &mut self.0
            && receiver.wait_for(|left| *left).await.is_ok()
        {
            return;
        }
        std::future::pending::<()>().await;
    }
}

async fn end_of_input(copy: &UnixStream) {
    while let Ok(ready) = copy.ready(Interest::READABLE).await {
        if ready.is_read_closed() {
            return;
        }
        // What waits is the server's to read. What comes next wakes again.
        let nothing = || -> io::Result<()> { Err(io::ErrorKind::WouldBlock.into()) };
        let _ = copy.try_io(Interest::READABLE, nothing);
    }
}
