//! The operations as a server calls them: many in one process, on a real engine.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cancel;
mod layers;
mod streams;
mod support;
mod together;
