//! What the server counts, in the text form that Prometheus reads.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Counters since the start.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Answers by the first digit of their status, from 1.
    answers: [AtomicU64; 5],
    /// Connections that are open.
    connections: AtomicU64,
    /// Requests that were too many.
    limited: AtomicU64,
    /// Requests that were answered as they were the first time.
    replayed: AtomicU64,
    /// Creates that a quota refused.
    over_quota: AtomicU64,
    /// Operations that ended, by what was done and how it ended.
    operations: Mutex<BTreeMap<(&'static str, &'static str), u64>>,
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

    /// Counts a request that was one too many.
    pub fn limited(&self) {
        self.limited.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a request that was answered as it was the first time.
    pub fn replayed(&self) {
        self.replayed.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a create that a quota refused.
    pub fn over_quota(&self) {
        self.over_quota.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts an operation that ended.
    pub fn ended(&self, kind: &'static str, state: &'static str) {
        let mut all = self
            .operations
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *all.entry((kind, state)).or_default() += 1;
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
        for (name, count) in [
            ("amika_rate_limited_total", &self.limited),
            ("amika_idempotent_replays_total", &self.replayed),
            ("amika_over_quota_total", &self.over_quota),
        ] {
            let count = count.load(Ordering::Relaxed);
            let _ = writeln!(text, "# TYPE {name} counter\n{name} {count}");
        }
        let _ = writeln!(text, "# TYPE amika_operations_total counter");
        let ended = self
            .operations
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        for ((kind, state), count) in &*ended {
            let _ = writeln!(
                text,
                "amika_operations_total{{kind=\"{kind}\",state=\"{state}\"}} {count}"
            );
        }
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
