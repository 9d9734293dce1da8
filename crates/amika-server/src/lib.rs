//! The platform: sandboxes, saved settings, timers and secrets over HTTP, for people to run themselves.
//!
//! One process with an embedded database. The engine stays the database of sandboxes; the store holds what the
//! engine cannot.

#![allow(
    unreachable_pub,
    reason = "`pub` marks what a module offers the others, of which the door reaches the first floor"
)]

mod api;
mod audit_file;
mod auth;
mod changes;
pub mod clock;
pub mod config;
pub mod data;
mod definition;
mod engine;
mod id;
mod metrics;
mod page;
mod ports;
mod sandboxes;
mod seal;
mod serve;
pub mod start;
mod state;
mod store;
mod streams;
mod taken;
mod tls;
pub mod upkeep;

pub use api::document;
pub use api::reference::page as reference;
