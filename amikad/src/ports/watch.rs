//! Looks for who asks: once, or at each tick for all who follow together. Nobody follows, nobody looks.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use amika_core::wire::Listener;
use tokio::sync::{Mutex, watch};

use super::look::Looker;

/// From one look to the next: what begins to listen is known within that time, half of it at the median.
const TICK: Duration = Duration::from_millis(800);

/// What listens, by port.
pub(crate) type List = Arc<[Listener]>;

/// Who looks; one at a time, however many ask.
static LOOKER: LazyLock<Arc<Mutex<Looker>>> = LazyLock::new(Arc::default);
/// The list of the last look.
static LAST: LazyLock<watch::Sender<List>> = LazyLock::new(|| watch::Sender::new(Arc::new([])));
/// Whether there is a task that looks at each tick.
static IS_TURNING: AtomicBool = AtomicBool::new(false);

/// Looks, on a thread that nobody else waits for: a process may have a hundred thousand descriptors.
pub(crate) async fn now() -> List {
    let mut looker = LOOKER.clone().lock_owned().await;
    let look = tokio::task::spawn_blocking(move || {
        let list: List = looker.look().into();
        // Still under the lock: an older list never comes after a newer one.
        LAST.send_if_modified(|last| {
            let is_new = *last != list;
            last.clone_from(&list);
            is_new
        });
        list
    });
    // A look that panicked saw nothing.
    look.await.unwrap_or_default()
}

/// The list, and each one that differs from the one before. It is looked for as long as the receiver is there.
pub(crate) async fn follow() -> (List, watch::Receiver<List>) {
    let mut receiver = LAST.subscribe();
    now().await;
    if !IS_TURNING.swap(true, Ordering::AcqRel) {
        tokio::spawn(turn());
    }
    let list = receiver.borrow_and_update().clone();
    (list, receiver)
}

/// Marks the end of the task that looks, also where its runtime went down with it.
struct Turning;

impl Drop for Turning {
    fn drop(&mut self) {
        IS_TURNING.store(false, Ordering::Release);
    }
}

async fn turn() {
    // On the one thread of the runtime: nobody comes between the last look at who follows and the end.
    let _turning = Turning;
    loop {
        tokio::time::sleep(TICK).await;
        if LAST.receiver_count() == 0 {
            return;
        }
        now().await;
    }
}
