//! Black-box tests: the real binary as PID 1 of its own namespaces. They need root and no engine.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::needless_pass_by_value,
    reason = "tests: their names are their documentation, and a panic is how they fail"
)]

mod activity;
mod challenge;
mod cmd;
mod degrade;
mod dockerd;
mod exec;
mod files;
mod gate;
mod hostile;
mod http;
mod http_limits;
mod jobs;
mod mapping;
mod opencode;
#[cfg(target_arch = "x86_64")]
mod panics;
mod ports;
mod services;
mod signals;
mod streams;
mod stubborn;
mod support;
mod terminal;
mod terminals;
mod told;
mod tunnel;
mod unpack;
