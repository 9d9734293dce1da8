//! The platform on a real engine: `amika server`, and a client that speaks HTTP with it.

mod agents;
mod canaries;
mod client;
mod events;
mod exec;
mod files;
mod git;
mod holds;
mod inside;
mod kill;
mod life;
mod members;
mod ports;
mod remote;
mod security;
mod services;
mod settings;
mod socket;
mod start;
mod terminal;
mod timers;
mod tls;
mod tunnel;
mod upkeep;
mod uploads;
