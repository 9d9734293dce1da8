//! Who has a key, as it was read last: each request asks it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::User;
use crate::auth::scope::Scope;
use crate::auth::token::Hash;

/// How many are kept; with more, all are read anew.
const KEPT: usize = 10_000;

/// Who has a key.
#[derive(Clone, Debug)]
pub struct Holder {
    /// The key's id.
    pub key_id: String,
    /// The user.
    pub user: User,
    /// What it may be used for.
    pub scopes: Vec<Scope>,
    /// When it was used last, as far as that is noted.
    pub(super) last_used_at: Arc<AtomicI64>,
}

impl Holder {
    /// Whether a use at a time is to be noted: once a minute.
    pub(super) fn is_to_be_noted(&self, now: i64) -> bool {
        self.last_used_at.load(Ordering::Relaxed) < now - 60_000
    }
}

/// Holders by their key's digest, each with how many changes of users and keys there were before it was read.
#[derive(Clone, Debug, Default)]
pub(super) struct Holders(Arc<Mutex<Kept>>);

type Kept = HashMap<[u8; 32], (u64, Holder)>;

impl Holders {
    fn all(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The one with a key, where nothing was changed since it was read.
    pub(super) fn get(&self, hash: &Hash, mark: u64) -> Option<Holder> {
        let all = self.all();
        let (at, holder) = all.get(&hash.0)?;
        (*at == mark).then(|| holder.clone())
    }

    /// Keeps one that was read after so many changes.
    pub(super) fn keep(&self, hash: &Hash, mark: u64, holder: &Holder) {
        let mut all = self.all();
        if all.len() >= KEPT {
            all.clear();
        }
        all.insert(hash.0, (mark, holder.clone()));
    }
}
