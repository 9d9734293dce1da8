//! A connection whose other side must take what it is sent: one that takes nothing is let go.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// How long nothing may be taken of what is sent.
const LONGEST: Duration = Duration::from_secs(30);

/// The connection.
pub struct Taken<T> {
    inner: T,
    longest: Duration,
    /// Runs out while nothing is taken.
    waits: Option<Pin<Box<Sleep>>>,
}

impl<T> Taken<T> {
    /// Watches over a connection.
    pub fn new(inner: T) -> Self {
        Self {
            inner,
            longest: LONGEST,
            waits: None,
        }
    }

    fn checked<R>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<R>>,
    ) -> Poll<io::Result<R>> {
        if written.is_ready() {
            self.waits = None;
            return written;
        }
        let longest = self.longest;
        let waits = self
            .waits
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(longest)));
        ready!(waits.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "the other side took nothing of what it was sent",
        )))
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Taken<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buffer)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Taken<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(cx, bytes);
        self.checked(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write_vectored(cx, parts);
        self.checked(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.inner).poll_flush(cx);
        self.checked(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.inner).poll_shutdown(cx);
        self.checked(cx, shut)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn who_takes_a_little_now_and_then_is_served_and_who_takes_nothing_is_let_go() {
        let (ours, mut theirs) = tokio::io::duplex(1);
        let longest = Duration::from_secs(1);
        let mut ours = Taken {
            longest,
            ..Taken::new(ours)
        };
        let writing = tokio::spawn(async move {
            let begun = tokio::time::Instant::now();
            let ended = ours.write_all(b"123456").await;
            (begun.elapsed(), ended)
        });
        let mut byte = [0];
        for _ in 0..4 {
            tokio::time::sleep(longest / 2).await;
            theirs.read_exact(&mut byte).await.unwrap();
        }
        let (took, ended) = writing.await.unwrap();
        assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(took >= longest * 3, "{took:?}");
    }
}
