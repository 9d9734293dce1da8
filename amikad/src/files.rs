//! Reads files that somebody else may have put there, without hanging on them or swelling.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::libc;

/// Opens `path` if it is a regular file: a FIFO would hold up the boot, a device would never end.
pub(crate) fn open_regular(path: &Path) -> io::Result<File> {
    // Non-blocking, since opening a FIFO waits for its writer; a regular file takes no notice.
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::other("not a regular file"))
    }
}

/// The first `limit` bytes of a regular file.
pub(crate) fn read_head(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    open_regular(path)?.take(limit).read_to_end(&mut head)?;
    Ok(head)
}

/// A regular file of at most `limit` bytes, whole.
pub(crate) fn read_small(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let text = read_head(path, limit + 1)?;
    if text.len() as u64 > limit {
        return Err(io::Error::other(format!("larger than {limit} bytes")));
    }
    Ok(text)
}
