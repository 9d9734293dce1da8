//! The operations on sandboxes: one implementation, whatever door they are asked for at.
//!
//! Nothing here knows a command line, a terminal or an exit code. What a door has to say of a failure it makes
//! of [`error::Error`].

pub mod cancel;
mod engine_error;
pub mod error;
pub mod finding;
pub mod git_error;
pub mod progress;
