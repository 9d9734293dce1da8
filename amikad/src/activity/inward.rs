//! What comes in through tunnels.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use amika_core::contract::OPENCODE_PORT;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::requests::Reader;

/// The number of the sample that is being taken.
static SAMPLE: AtomicU64 = AtomicU64::new(0);
/// The most that one tunnel carried in it, in bytes.
static MOST: AtomicU64 = AtomicU64::new(0);
/// Requests to OpenCode so far that somebody made.
static REQUESTS: AtomicU64 = AtomicU64::new(0);

/// Requests to OpenCode so far that somebody made, through any tunnel.
pub(super) fn requests() -> u64 {
    REQUESTS.load(Ordering::Relaxed)
}

/// The most that one tunnel carried inwards since the last sample, in bytes.
pub(super) fn most() -> u64 {
    MOST.load(Ordering::Relaxed)
}

/// Begins the next sample.
pub(super) fn next_sample() {
    SAMPLE.fetch_add(1, Ordering::Relaxed);
    MOST.store(0, Ordering::Relaxed);
}

/// What comes in through one tunnel, counted.
pub(crate) struct Inward {
    /// Reads what goes to OpenCode.
    reader: Option<Reader>,
    /// The sample that `carried` is of.
    sample: u64,
    carried: u64,
}

impl Inward {
    /// Of a tunnel to `port`.
    pub(crate) fn new(port: u16) -> Self {
        Self {
            reader: (port == OPENCODE_PORT).then(Reader::default),
            sample: 0,
            carried: 0,
        }
    }

    /// These came in.
    pub(crate) fn count(&mut self, bytes: &[u8]) {
        let carried = match &mut self.reader {
            Some(reader) => {
                let seen = reader.read(bytes);
                REQUESTS.fetch_add(seen.acts, Ordering::Relaxed);
                seen.other
            }
            None => bytes.len() as u64,
        };
        let sample = SAMPLE.load(Ordering::Relaxed);
        if sample != self.sample {
            (self.sample, self.carried) = (sample, 0);
        }
        self.carried += carried;
        MOST.fetch_max(self.carried, Ordering::Relaxed);
    }
}

/// The outer end of a tunnel, of which all that is read is counted.
pub(crate) struct Watched<'a, S> {
    stream: &'a mut S,
    inward: &'a mut Inward,
}

impl<'a, S> Watched<'a, S> {
    /// Counts what is read of `stream`.
    pub(crate) fn new(stream: &'a mut S, inward: &'a mut Inward) -> Self {
        Self { stream, inward }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<'_, S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let read = Pin::new(&mut *this.stream).poll_read(context, buffer);
        if let Some(bytes) = buffer.filled().get(before..).filter(|new| !new.is_empty()) {
            this.inward.count(bytes);
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<'_, S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut *self.get_mut().stream).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut *self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut *self.get_mut().stream).poll_shutdown(context)
    }
}
