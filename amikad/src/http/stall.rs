//! Lets a client go that does not read what it asked for.
//!
//! A connection with an answer under way keeps its place, whatever comes. So one whose client stopped reading would
//! keep it for good: what is written makes no progress, and no body ever notices.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// How long a client may read nothing while something waits to be written to it.
const PATIENCE: Duration = Duration::from_secs(30);

/// A connection whose writes fail once they made no progress for long.
pub(super) struct Stalling<S> {
    inner: S,
    /// Runs while a write waits.
    timer: Option<Pin<Box<Sleep>>>,
    /// Set once the connection speaks another protocol, in which a pause is the peers' own affair.
    upgraded: Arc<AtomicBool>,
}

impl<S> Stalling<S> {
    /// Watches `inner` until `upgraded` is set.
    pub(super) fn new(inner: S, upgraded: Arc<AtomicBool>) -> Self {
        Self {
            inner,
            timer: None,
            upgraded,
        }
    }

    /// The connection itself.
    pub(super) fn into_inner(self) -> S {
        self.inner
    }

    /// What a write comes to: time runs while it waits, and anew after each that did something.
    fn judge<T>(
        &mut self,
        written: Poll<io::Result<T>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() || self.upgraded.load(Ordering::Relaxed) {
            self.timer = None;
            return written;
        }
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(PATIENCE)));
        match timer.as_mut().poll(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(()) => {
                // Asked again, it says the same.
                timer.as_mut().reset(Instant::now());
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Stalling<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Stalling<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.inner).poll_write(context, bytes);
        this.judge(written, context)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.inner).poll_write_vectored(context, pieces);
        this.judge(written, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    /// Time stands still but for those who wait for it.
    fn paused(test: impl Future<Output = ()>) {
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap()
            .block_on(test);
    }

    #[test]
    fn a_client_that_reads_nothing_is_let_go_after_half_a_minute() {
        paused(async {
            let (near, _far) = duplex(16);
            let mut near = Stalling::new(near, Arc::default());
            let begun = Instant::now();
            let error = near.write_all(&[0; 64]).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
            assert!(begun.elapsed() >= PATIENCE && begun.elapsed() < PATIENCE * 2);
        });
    }

    #[test]
    fn one_that_reads_a_little_now_and_then_is_waited_for() {
        paused(async {
            let (near, mut far) = duplex(16);
            let mut near = Stalling::new(near, Arc::default());
            let reader = tokio::spawn(async move {
                let mut piece = [0; 16];
                for _ in 0..4 {
                    sleep(PATIENCE.mul_f32(0.9)).await;
                    far.read_exact(&mut piece).await.unwrap();
                }
            });
            near.write_all(&[0; 64]).await.unwrap();
            reader.await.unwrap();
        });
    }

    #[test]
    fn what_is_no_http_any_more_may_pause() {
        paused(async {
            let (near, _far) = duplex(16);
            let mut near = Stalling::new(near, Arc::new(AtomicBool::new(true)));
            let written = tokio::time::timeout(PATIENCE * 4, near.write_all(&[0; 64])).await;
            assert!(written.is_err(), "still waiting: {written:?}");
        });
    }
}
