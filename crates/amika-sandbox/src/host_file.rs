//! Files of this machine that hold sign-ins.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use amika_core::credential::MAX_BYTES;
use amika_host::regular_file::{self, Links};

/// A file of the host.
pub struct HostFile {
    /// Its content.
    pub content: Vec<u8>,
    /// When it was last written, in seconds since the Unix epoch.
    pub modified: u64,
}

/// Reads a regular file of at most [`MAX_BYTES`]; never waits.
///
/// # Errors
/// Those of the system, and for what is no such file.
pub fn read_file(path: &Path) -> std::io::Result<HostFile> {
    let (content, meta) = regular_file::read(path, Links::Followed, MAX_BYTES)?;
    Ok(HostFile {
        content,
        modified: u64::try_from(meta.mtime()).unwrap_or_default(),
    })
}
