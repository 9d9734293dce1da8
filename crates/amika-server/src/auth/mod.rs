//! Who asks, and what they may do.

pub mod caller;
pub mod failures;
pub mod rates;
pub mod scope;
pub mod session;
pub mod tickets;
pub mod token;
