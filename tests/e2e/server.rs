//! The platform on a real engine: `amika server`, and a client that speaks HTTP with it.

mod client;
mod events;
mod kill;
mod life;
mod members;
mod start;
mod timers;
mod upkeep;
