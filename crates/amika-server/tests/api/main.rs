//! The server over real TCP, with a real store in a real directory.

#![allow(
    clippy::unwrap_used,
    missing_docs,
    unreachable_pub,
    reason = "a test fails by panicking, and is read beside its tests"
)]

mod agents;
mod document;
mod guards;
mod idempotency;
mod limits;
mod rights;
mod saved;
mod secrets;
mod sign_in;
mod store;
mod support;
