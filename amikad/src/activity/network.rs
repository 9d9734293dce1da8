//! The sandbox's traffic, less what the API's own port had of it.

use std::fs;
use std::path::Path;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// What the port's connections took on the wire, in bytes.
static OWN: AtomicU64 = AtomicU64::new(0);

/// Headers of Ethernet, IP and TCP with time stamps.
const HEADERS: u64 = 66;
/// What a packet carries at most on an ordinary link.
const SEGMENT: u64 = 1448;
/// Packets of a connection without content: its beginning and its end.
const BARE: u64 = 8;

/// Traffic so far that counts, in bytes.
pub(super) fn read() -> u64 {
    let text = fs::read_to_string("/proc/net/dev").unwrap_or_default();
    let all = sum(&text, |name| is_inner(Path::new("/sys/class/net"), name));
    all.saturating_sub(OWN.load(Ordering::Relaxed))
}

/// Bytes received and sent on the interfaces that are not `inner`, by the text of `/proc/net/dev`.
fn sum(text: &str, inner: impl Fn(&str) -> bool) -> u64 {
    let lines = text.lines().skip(2);
    let bytes = lines.filter_map(|line| {
        let (name, counters) = line.split_once(':')?;
        let name = name.trim();
        if name == "lo" || inner(name) {
            return None;
        }
        let mut counters = counters.split_ascii_whitespace();
        let received: u64 = counters.next()?.parse().ok()?;
        let sent: u64 = counters.nth(7)?.parse().ok()?;
        Some(received.saturating_add(sent))
    });
    bytes.fold(0, u64::saturating_add)
}

/// Whether an interface is a bridge or on one: what an engine in the sandbox makes for its containers, whose traffic
/// with the outside is on the sandbox's own interface as well.
fn is_inner(class: &Path, name: &str) -> bool {
    let interface = class.join(name);
    interface.join("bridge").exists() || interface.join("brport").exists()
}

/// What `bytes` of content in one piece take on the wire, about: with their headers, and the packet that confirms them.
fn on_the_wire(bytes: usize) -> u64 {
    let bytes = bytes as u64;
    bytes + HEADERS * (2 + bytes / SEGMENT)
}

/// A connection to the API's port, whose bytes do not count as the sandbox's traffic.
pub(crate) struct Own {
    stream: TcpStream,
    is_outside: bool,
}

impl Own {
    /// Wraps a connection that was accepted.
    pub(crate) fn new(stream: TcpStream) -> Self {
        // What stays on the loopback is not in the sandbox's traffic to begin with.
        let is_outside = stream
            .peer_addr()
            .is_ok_and(|peer| !peer.ip().to_canonical().is_loopback());
        let own = Self { stream, is_outside };
        own.add(BARE * HEADERS);
        own
    }

    /// The connection itself.
    pub(crate) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    fn add(&self, bytes: u64) {
        if self.is_outside {
            OWN.fetch_add(bytes, Ordering::Relaxed);
        }
    }
}

impl AsyncRead for Own {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        let bytes = buffer.filled().len() - before;
        if bytes > 0 {
            self.add(on_the_wire(bytes));
        }
        read
    }
}

impl AsyncWrite for Own {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        if let Poll::Ready(Ok(bytes)) = written {
            self.add(on_the_wire(bytes));
        }
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, pieces);
        if let Poll::Ready(Ok(bytes)) = written {
            self.add(on_the_wire(bytes));
        }
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEXT: &str = "\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:    1968      24    0    0    0     0          0         0     1968      24    0    0    0     0       0          0
  eth0:    1480      18    0    0    0     0          0         0      744      10    0    0    0     0       0          0
docker0: 5000 1 0 0 0 0 0 0 5000 1 0 0 0 0 0 0
  eth1:1 1 0 0 0 0 0 0 2 1 0 0 0 0 0 0
";

    #[test]
    fn the_traffic_is_that_of_interfaces_to_the_outside() {
        assert_eq!(sum(TEXT, |name| name == "docker0"), 1480 + 744 + 3);
    }

    #[test]
    fn a_bridge_and_its_ports_are_inside() {
        let class = tempfile::tempdir().unwrap();
        for directory in ["docker0/bridge", "veth1/brport", "eth0"] {
            std::fs::create_dir_all(class.path().join(directory)).unwrap();
        }
        let inner = |name| is_inner(class.path(), name);
        assert!(inner("docker0") && inner("veth1"));
        assert!(!inner("eth0") && !inner("none"));
    }

    #[test]
    fn content_takes_its_headers_with_it() {
        assert_eq!(on_the_wire(1), 1 + 132);
        assert_eq!(on_the_wire(14_480), 14_480 + 66 * 12);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "(\\PC|\n){0,200}|[0-9: \na-z]{0,300}") {
            let _ = sum(&text, |_| false);
        }
    }
}
