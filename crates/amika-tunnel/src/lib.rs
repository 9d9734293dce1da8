//! Both ends of a tunnel: `amikad` has the port inside, `amika` the client on the host, and between them
//! go the frames of [`amika_core::tunnel`], whatever carries them.
//!
//! A crate of its own since `amika-core` knows no runtime, and both ends must treat an end and a reset alike.
//! Nobody waits here for anybody but the two ends of one connection.

mod frame;
mod stream;
pub mod terminal;

pub use frame::{read_frame, write_frame};
pub use stream::carry;
