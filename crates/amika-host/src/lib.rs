//! This machine: files opened with care, archives of them, temporary directories, ports.
//!
//! Nothing here knows an engine, a terminal or an exit code.

pub mod archive;
pub mod beneath;
pub mod clock;
mod directories;
pub mod machine;
pub mod path;
pub mod port_probe;
pub mod private_file;
pub mod regular_file;
pub mod scratch;
pub mod temporary;
pub mod unfollowed;
