//! A client of the platform (`amika server`): requests, streams, and as whom one is signed in. It knows routes and
//! answers by their shape alone; what they mean to a user is the caller's.

pub mod account;
pub mod address;
pub mod client;
pub mod events;
pub mod failure;
pub mod sandbox;
pub mod socket;

pub use account::Account;
pub use address::Address;
pub use client::Client;
pub use failure::{Failure, Result};
