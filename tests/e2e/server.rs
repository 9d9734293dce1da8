//! The platform on a real engine: `amika server`, and a client that speaks HTTP with it.

mod client;
mod exec;
mod files;
mod life;
mod members;
mod ports;
mod security;
mod services;
mod socket;
mod start;
mod terminal;
mod timers;
mod tunnel;
mod uploads;
