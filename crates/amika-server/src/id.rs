//! Ids of what the store holds.

use amika_core::label::SandboxId;

/// A new id, of the form that sandboxes' ids have.
pub fn new() -> String {
    SandboxId::from_random(rand::random()).to_string()
}
