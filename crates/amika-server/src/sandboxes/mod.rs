//! Sandboxes as the platform has them: what is asked for, what is done, what is there, what is shown.

pub mod bus;
pub mod conversation;
pub mod feed;
pub mod given;
pub mod idle;
pub mod look;
pub mod operations;
pub mod quota;
pub mod rebuild;
pub mod request;
pub mod show;
pub mod sign_ins;
pub mod snapshot;
pub mod source;
pub mod timers;
pub mod turns;
