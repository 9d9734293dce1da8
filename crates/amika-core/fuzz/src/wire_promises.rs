//! What holds for every answer that claims to be amikad's: shared by the fuzz target and by the tests that replay
//! its corpus.

use amika_core::wire::{
    BootRecord, ChallengeAnswer, Change, ErrorBody, NextBoot, OpenCodeAccess, Readiness, Status,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Panics when a promise is broken: what is understood is written so that it is understood again, and means the
/// same.
pub(crate) fn wire_promises(bytes: &[u8]) {
    same::<Status>(bytes);
    same::<BootRecord>(bytes);
    same::<NextBoot>(bytes);
    same::<Change>(bytes);
    same::<Readiness>(bytes);
    same::<ChallengeAnswer>(bytes);
    same::<OpenCodeAccess>(bytes);
    same::<ErrorBody>(bytes);
}

fn same<T: DeserializeOwned + Serialize + PartialEq>(bytes: &[u8]) {
    let Ok(value) = serde_json::from_slice::<T>(bytes) else {
        return;
    };
    let written = serde_json::to_vec(&value).expect("what was read can be written");
    let again: T = serde_json::from_slice(&written).expect("what was written can be read");
    assert!(again == value, "{}", String::from_utf8_lossy(&written));
}
