//! What is shown to many is made anew only where something of it changed: counters of changes, and a word to whoever
//! waits for one.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;

/// Counts changes of what sandboxes are shown by.
#[derive(Debug, Default)]
pub struct Changes {
    rows: AtomicU64,
    people: AtomicU64,
    doings: AtomicU64,
    woken: Notify,
}

/// How many changes there were at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marks {
    /// Of what the store holds of sandboxes.
    pub rows: u64,
    /// Of users, their rights and their keys.
    pub people: u64,
    /// Of what is being done to sandboxes, and of when they were active.
    pub doings: u64,
}

impl Changes {
    /// How many there were.
    pub fn marks(&self) -> Marks {
        Marks {
            rows: self.rows.load(Ordering::SeqCst),
            people: self.people.load(Ordering::SeqCst),
            doings: self.doings.load(Ordering::SeqCst),
        }
    }

    /// What the store holds of a sandbox was changed.
    pub fn rows(&self) {
        self.note(&self.rows);
    }

    /// A user or a key was changed.
    pub fn people(&self) {
        self.note(&self.people);
    }

    /// Something was begun or ended, or a sandbox is idle or active now.
    pub fn doings(&self) {
        self.note(&self.doings);
    }

    /// Something else changed: what is on the engine.
    pub fn other(&self) {
        self.woken.notify_one();
    }

    fn note(&self, counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::SeqCst);
        self.woken.notify_one();
    }

    /// Waits for the next one, or returns at once where there was one since the last time. One waits.
    pub async fn next(&self) {
        self.woken.notified().await;
    }
}
