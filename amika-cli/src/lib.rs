//! `amika`: makes and keeps sandboxes for coding agents on a Docker engine.

pub mod engine;
pub mod error;
pub mod git;
pub mod host;
