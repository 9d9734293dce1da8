//! Regular files of this machine, opened without waiting: a pipe in a file's place must not make anything
//! hang.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::fs::OFlags;

/// What is done with a symbolic link in a file's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Links {
    /// It is followed.
    Followed,
    /// It is refused: whoever made it might lead to a file that is none of his.
    Refused,
}

/// Opens a regular file for reading.
///
/// # Errors
/// Those of the system, and for what is no such file.
pub fn open(path: &Path, links: Links) -> io::Result<(File, Metadata)> {
    let flags = match links {
        Links::Followed => OFlags::NONBLOCK,
        Links::Refused => OFlags::NONBLOCK | OFlags::NOFOLLOW,
    };
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)?;
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    Ok((file, meta))
}

/// Reads a regular file of at most `limit` bytes.
///
/// # Errors
/// As [`open`], and for a larger one.
pub fn read(path: &Path, links: Links, limit: u64) -> io::Result<(Vec<u8>, Metadata)> {
    let (file, meta) = open(path, links)?;
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(io::Error::other("it is too large"));
    }
    Ok((bytes, meta))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_are_read_and_never_waited_for() {
        let dir = tempfile::tempdir().expect("a directory");
        let (file, link, pipe) = (
            dir.path().join("file"),
            dir.path().join("link"),
            dir.path().join("pipe"),
        );
        std::fs::write(&file, "four").expect("write");
        std::os::unix::fs::symlink(&file, &link).expect("a link");
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0)
            .expect("a pipe");
        let content = |path, links, limit| read(path, links, limit).map(|(bytes, _)| bytes).ok();
        assert_eq!(content(&file, Links::Refused, 4), Some(b"four".to_vec()));
        assert_eq!(content(&file, Links::Refused, 3), None);
        assert_eq!(content(&link, Links::Followed, 4), Some(b"four".to_vec()));
        assert_eq!(content(&link, Links::Refused, 4), None);
        assert_eq!(content(&pipe, Links::Followed, 4), None);
        assert_eq!(content(dir.path(), Links::Followed, 4), None);
    }
}
