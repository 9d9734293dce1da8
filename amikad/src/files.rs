//! Reads files that somebody else may have put there, without hanging on them or swelling.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::libc;
use serde::de::DeserializeOwned;

use crate::say::say;

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

/// What a JSON file says that is root's alone, of at most `limit` bytes: one that others may write, or a link that leads
/// to one, is not root's word.
pub(crate) fn read_roots<T: DeserializeOwned>(file: &Path, limit: u64) -> io::Result<T> {
    let data = file.symlink_metadata()?;
    if !data.is_file() || data.uid() != 0 || data.mode() & 0o022 != 0 {
        return Err(io::Error::other("it is no file of root's alone"));
    }
    Ok(serde_json::from_slice(&read_small(file, limit)?)?)
}

/// The same; where there is none, nothing. Who is not root may not read it, and is given nothing either.
pub(crate) fn read_roots_if_there<T: DeserializeOwned + Default>(file: &Path, limit: u64) -> T {
    read_roots(file, limit).unwrap_or_else(|error| {
        let is_no_news =
            [io::ErrorKind::NotFound, io::ErrorKind::PermissionDenied].contains(&error.kind());
        if !is_no_news {
            say(format!("{} is not understood: {error}", file.display()));
        }
        T::default()
    })
}
