//! Digests of several parts, in which nothing of one part can stand for something of another.

use sha2::{Digest as _, Sha256};

/// Adds a part, with its length before it.
pub(crate) fn add(digest: &mut Sha256, part: &[u8]) {
    digest.update((part.len() as u64).to_be_bytes());
    digest.update(part);
}
