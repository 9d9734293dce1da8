//! Git's own files as a hostile repository may hold them: bytes in, values out, under limits.
//!
//! Git trusts these files: it follows what the configuration names, and reads what the index names. amika
//! reads them by itself, takes what it understands, and refuses the rest with its place. Reading the
//! files, without following a link, is the caller's.

pub mod config;
pub mod index;
pub mod oid;
pub mod refs;
