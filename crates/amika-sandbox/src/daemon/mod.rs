//! Talking to amikad in a sandbox: the key to it, the way to it, its proof, and its HTTP API.

mod boot_record;
mod client;
mod connection;
mod events;
mod jobs;
mod terminals;
mod token;
mod transport;

pub use boot_record::read_boot_record;
pub use client::{Client, ClientError, LogPart};
pub use token::{KEY_LENGTH, Token, UserKey};
use transport::Transport;
