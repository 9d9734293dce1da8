//! Agents in sandboxes: how they are started for a prompt, and what they tell.

mod heard;
mod launch;
mod refusal;
pub mod signed_out;

pub use heard::{Answer, Listener};
pub use launch::{Form, Launch, Manner, Session, launch, turn};
pub use refusal::Refusals;
pub use signed_out::is_signed_out;
