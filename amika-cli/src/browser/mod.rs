//! A browser that is signed in to a sandbox's OpenCode without ever learning the password.

mod gate;
mod launch;
mod page;
mod relay;

pub(crate) use launch::open;
pub(crate) use page::Page;
pub(crate) use relay::{Relay, Upstream};
