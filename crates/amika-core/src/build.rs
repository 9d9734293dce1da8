//! Building an image of a repository's Dockerfile: which files it is given, and what is added to it.

mod dockerfile;
mod ignore;

pub use dockerfile::{declares, in_each_stage, is_arg};
pub use ignore::Ignore;
