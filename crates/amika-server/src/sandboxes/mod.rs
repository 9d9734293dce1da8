//! Sandboxes as the platform has them: what is asked for, what is done, what is there, what is shown.

pub mod idle;
pub mod look;
pub mod operations;
pub mod request;
pub mod show;
pub mod source;
pub mod timers;
