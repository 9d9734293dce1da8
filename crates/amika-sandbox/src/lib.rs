//! The operations on sandboxes: one implementation, whatever door they are asked for at.
//!
//! Nothing here knows a command line, a terminal or an exit code. What a door has to say of a failure it makes
//! of [`error::Error`].

#![allow(
    unreachable_pub,
    reason = "`pub` marks what a module offers the others, of which doors reach the first floor"
)]
#![allow(
    clippy::large_futures,
    reason = "an operation's future is made once: its size costs nothing worth a box"
)]

pub mod amikad;
pub mod bridge;
pub mod broken_off;
pub mod cancel;
pub mod certificates;
pub mod commits;
pub mod cp;
pub mod create;
pub mod creator;
pub mod daemon;
pub mod delete;
pub mod deliver;
mod engine_error;
pub mod error;
pub mod events;
pub mod exec;
pub mod fan_out;
pub mod finding;
pub mod forward;
pub mod git_error;
pub mod host_path;
pub mod image_labels;
pub mod inject;
pub mod inner_engine;
pub mod inspect;
pub mod leftovers;
pub mod list;
pub mod listening;
pub mod lock;
pub mod logs;
pub mod lost;
pub mod networks;
pub mod overlay;
pub mod ports;
pub mod preset;
pub mod progress;
pub mod proxy;
pub mod pull;
pub mod ready;
pub mod reassign;
pub mod registry;
pub mod rename;
mod restart;
pub mod sandbox;
pub mod sandboxes;
pub mod seccomp;
pub mod setid;
pub mod sign_ins;
pub mod start;
pub mod stats;
mod stop;
pub mod trust;
pub mod unreported;
pub mod unsaved;
pub mod user_config;
pub mod view;
pub mod wait;
