//! What the server counts, in the text form that Prometheus reads.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counters since the start.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Answers by the first digit of their status, from 1.
    answers: [AtomicU64; 5],
    /// Connections that are open.
    connections: AtomicU64,
    /// Streams of events that are followed.
    streams: Arc<AtomicU64>,
}

impl Metrics {
    /// Counts an answer.
    pub fn answered(&self, status: u16) {
        let class = usize::from(status / 100).wrapping_sub(1);
        if let Some(count) = self.answers.get(class) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts a connection for as long as what is returned lives.
    pub fn connection(&self) -> Connection<'_> {
        self.connections.fetch_add(1, Ordering::Relaxed);
        Connection(&self.connections)
    }

    /// Counts a stream of events for as long as what is returned lives.
    pub fn stream(&self) -> Stream {
        self.streams.fetch_add(1, Ordering::Relaxed);
        Stream(Arc::clone(&self.streams))
    }

    /// All of it.
    pub fn text(&self) -> String {
        let mut text = String::from("# TYPE amika_http_answers_total counter\n");
        for (class, count) in self.answers.iter().enumerate() {
            let count = count.load(Ordering::Relaxed);
            // Writing to a string does not fail.
            let _ = writeln!(
                text,
                "amika_http_answers_total{{status=\"{}xx\"}} {count}",
                class + 1
            );
        }
        let open = self.connections.load(Ordering::Relaxed);
        let _ = write!(
            text,
            "# TYPE amika_http_connections gauge\namika_http_connections {open}\n"
        );
        let followed = self.streams.load(Ordering::Relaxed);
        let _ = write!(
            text,
            "# TYPE amika_event_streams gauge\namika_event_streams {followed}\n"
        );
        text
    }
}

/// A connection that is open.
pub struct Connection<'a>(&'a AtomicU64);

impl Drop for Connection<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A stream of events that is followed.
#[derive(Debug)]
pub struct Stream(Arc<AtomicU64>);

impl Drop for Stream {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
