//! Which connections have a place: few at a time, and a new probe before an old idler.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::task::AbortHandle;

use super::left::Left;
use super::route::Door;
use crate::publish::Shared;

/// A connection this young is never evicted: it may be a probe that is about to ask.
const SAFE_AGE: Duration = Duration::from_millis(100);
/// How long a connection waits for a place before it is refused.
const ROOM_PATIENCE: Duration = Duration::from_millis(200);
/// How often it looks whether there is one.
const ROOM_INTERVAL: Duration = Duration::from_millis(10);
/// So many may wait for a place at a time: each holds a descriptor.
const WAITING_LIMIT: usize = 256;
/// What one connection too many is told; its body ends with the connection.
const BUSY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\nretry-after: 1\r\n\
    content-type: application/json\r\n\r\n\
    {\"error\":{\"code\":\"busy\",\"message\":\"too many connections; try again soon\"}}";
/// So many at a time are a burst, after which memory is given back.
const BURST: usize = 16;

/// The connections of one door at this time.
#[derive(Debug)]
pub(super) struct Connections {
    /// So many at a time.
    limit: usize,
    places: Mutex<Places>,
    /// How many wait for a place.
    waiting: Mutex<usize>,
}

#[derive(Debug, Default)]
struct Places {
    taken: Vec<Connection>,
    /// The most there were since memory was last given back.
    peak: usize,
}

#[derive(Debug)]
struct Connection {
    since: Instant,
    busy: Arc<AtomicBool>,
    abort: AbortHandle,
}

impl Connections {
    /// None yet, and room for `limit`.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            places: Mutex::default(),
            waiting: Mutex::new(0),
        }
    }

    /// Serves `stream`, unless there are too many already. Whoever comes next waits for none of it, unless very many wait:
    /// then he does so outside, where the kernel keeps him.
    pub(super) async fn admit<S>(
        self: &Arc<Self>,
        stream: S,
        door: Door,
        left: Left,
        shared: &Arc<Shared>,
    ) where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        if self.make_room() {
            return self.serve(stream, door, left, shared);
        }
        // None waits for long.
        while *self.lock_waiting() >= WAITING_LIMIT {
            tokio::time::sleep(ROOM_INTERVAL).await;
        }
        *self.lock_waiting() += 1;
        let (this, shared) = (self.clone(), shared.clone());
        tokio::spawn(async move {
            this.wait_for_room(stream, door, left, &shared).await;
            *this.lock_waiting() -= 1;
        });
    }

    /// A burst: one of those that came with it will soon be old enough to go.
    async fn wait_for_room<S>(
        self: &Arc<Self>,
        mut stream: S,
        door: Door,
        left: Left,
        shared: &Arc<Shared>,
    ) where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let begun = Instant::now();
        while begun.elapsed() < ROOM_PATIENCE {
            tokio::time::sleep(ROOM_INTERVAL).await;
            if self.make_room() {
                return self.serve(stream, door, left, shared);
            }
        }
        let refusal = stream.write_all(BUSY);
        // A client that does not take it is cut off.
        let _ = tokio::time::timeout(Duration::from_secs(1), refusal).await;
    }

    fn serve<S>(&self, stream: S, door: Door, left: Left, shared: &Arc<Shared>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let busy = Arc::new(AtomicBool::new(false));
        let task = tokio::spawn(super::serve_connection(
            stream,
            door,
            left,
            shared.clone(),
            busy.clone(),
        ));
        let connection = Connection {
            since: Instant::now(),
            busy,
            abort: task.abort_handle(),
        };
        let mut places = self.lock();
        places.taken.push(connection);
        places.peak = places.peak.max(places.taken.len());
    }

    /// Whether one more may come, if need be in place of the oldest that asks for nothing.
    fn make_room(&self) -> bool {
        let mut places = self.lock();
        places
            .taken
            .retain(|connection| !connection.abort.is_finished());
        if places.taken.is_empty() && places.peak > BURST {
            // What a burst took would be kept for weeks; a probe comes twice a minute.
            places.peak = 0;
            places.taken.shrink_to_fit();
            crate::sys::give_back_memory();
        }
        if places.taken.len() < self.limit {
            return true;
        }
        let idle = places.taken.iter().position(|connection| {
            !connection.busy.load(Ordering::Relaxed) && connection.since.elapsed() > SAFE_AGE
        });
        let Some(index) = idle else { return false };
        places.taken.remove(index).abort.abort();
        true
    }

    fn lock_waiting(&self) -> MutexGuard<'_, usize> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
