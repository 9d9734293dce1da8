//! Agents in sandboxes: how they are started for a prompt, and what they tell.

mod heard;
mod launch;
mod refusal;

pub use heard::{Answer, Listener};
pub use launch::{Launch, launch, turn};
pub use refusal::Refusals;
