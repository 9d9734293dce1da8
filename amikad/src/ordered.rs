//! Maps and sets, made entry by entry.
//!
//! The standard library sorts what is collected into one, and brings a sort of some kilobytes into the program for each
//! kind of entry. There are few entries here, and the program travels into every sandbox.

use std::collections::{BTreeMap, BTreeSet};

/// As `collect` would make it: of entries with one key the last counts.
pub(crate) fn map<K: Ord, V>(entries: impl IntoIterator<Item = (K, V)>) -> BTreeMap<K, V> {
    let mut map = BTreeMap::new();
    map.extend(entries);
    map
}

/// As `collect` would make it.
pub(crate) fn set<T: Ord>(entries: impl IntoIterator<Item = T>) -> BTreeSet<T> {
    let mut set = BTreeSet::new();
    set.extend(entries);
    set
}
