//! Copies between this machine and sandboxes: one tar stream, never in memory or on disk as a whole.
//!
//! `place` reads what was typed, `landing` decides where it comes to stand, and the way between is
//! `amika_host::archive::pack` (files → archive), `repack` (archive → archive) or `unpack` (archive → files),
//! each on a thread of its own with a bounded channel to the engine (`crate::bridge`).

mod beginning;
pub mod far;
mod holes;
pub(crate) mod inert;
mod landing;
mod one_file;
mod place;
mod repack;
mod streams;
mod unpack;
mod unseen;

mod host_side;
mod sandbox_side;
pub mod times;
mod transfer;

pub use place::{InvalidPlace, Place};
pub use streams::{Found, unpack_here};
pub use transfer::copy;
pub use unpack::Git;
