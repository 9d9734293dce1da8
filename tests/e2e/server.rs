//! The platform on a real engine: `amika server`, and a client that speaks HTTP with it.

mod agents;
mod canaries;
mod client;
mod git;
mod inside;
mod life;
mod members;
mod start;
mod timers;
