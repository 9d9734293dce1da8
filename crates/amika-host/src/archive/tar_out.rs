//! An archive in which everything has one owner.

use std::io::{self, BufWriter, Read, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use amika_core::tar_time;
use tar::{Builder, EntryType, Header};

/// Bytes that are written at once.
const BUFFER: usize = 128 * 1024;
/// The longest target of a link that a header holds.
const LINK_FIELD: usize = 100;

/// Which permission bits are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Modes {
    /// All.
    Kept,
    /// All but those that lend the owner's rights, set-user-ID and set-group-ID.
    WithoutBorrowedRights,
}

/// Writes an archive.
pub struct TarOut<W: Write> {
    builder: Builder<BufWriter<W>>,
    owner: (u32, u32),
    modes: Modes,
    /// What all names begin with.
    prefix: PathBuf,
    odd_times: OddTimes,
}

/// Times that an engine does not give to a file, see [`tar_time::is_odd`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OddTimes {
    /// How many there are.
    pub count: usize,
    /// The first of them, by the names in the archive, in seconds since 1970.
    pub known: Vec<(PathBuf, i64)>,
}

impl OddTimes {
    /// So many are kept.
    const KEPT: usize = 100_000;

    fn note(&mut self, path: PathBuf, seconds: i64) {
        if tar_time::is_odd(seconds) {
            self.count += 1;
            if self.known.len() < Self::KEPT {
                self.known.push((path, seconds));
            }
        }
    }
}

impl<W: Write> TarOut<W> {
    /// Begins an archive whose entries belong to this user and group, and which is unpacked in the
    /// directory `prefix` of where it is put.
    pub fn new(to: W, owner: (u32, u32), modes: Modes, prefix: &str) -> Self {
        Self {
            builder: Builder::new(BufWriter::with_capacity(BUFFER, to)),
            owner,
            modes,
            prefix: prefix.into(),
            odd_times: OddTimes::default(),
        }
    }

    /// Adds the directory that the archive is unpacked in; only where there is no prefix.
    pub fn root(&mut self, mode: u32, mtime: i64) -> io::Result<()> {
        let mut header = self.header(EntryType::Directory, mode, mtime, 0);
        // Docker passes over an entry `.`, and the directory would keep its owner; `/` it takes.
        header.as_old_mut().name[0] = b'/';
        header.set_cksum();
        self.builder.append(&header, io::empty())
    }

    /// Adds a directory.
    pub fn directory(&mut self, path: &Path, mode: u32, mtime: i64) -> io::Result<()> {
        let mut header = self.header(EntryType::Directory, mode, mtime, 0);
        self.odd_times.note(self.prefix.join(path), mtime);
        self.builder
            .append_data(&mut header, self.prefix.join(path), io::empty())
    }

    /// Adds a regular file of exactly that size.
    ///
    /// # Errors
    /// Those of the content, and [`io::ErrorKind::UnexpectedEof`] when it is shorter.
    pub fn file(
        &mut self,
        path: &Path,
        mode: u32,
        mtime: i64,
        size: u64,
        content: impl Read,
    ) -> io::Result<()> {
        let mut header = self.header(EntryType::Regular, mode, mtime, size);
        self.odd_times.note(self.prefix.join(path), mtime);
        let exactly = Exactly {
            left: size,
            content,
        };
        self.builder
            .append_data(&mut header, self.prefix.join(path), exactly)
    }

    /// Adds a symbolic link. Its target is kept byte by byte, which the library would tidy up.
    pub fn symlink(&mut self, path: &Path, target: &Path, mtime: i64) -> io::Result<()> {
        let target = target.as_os_str().as_bytes();
        if target.len() > LINK_FIELD {
            let size = target.len() as u64 + 1;
            let mut long = self.header(EntryType::GNULongLink, 0o644, 0, size);
            long.set_path("././@LongLink")?;
            long.set_cksum();
            self.builder.append(&long, target.chain(&[0_u8][..]))?;
        }
        self.odd_times.note(self.prefix.join(path), mtime);
        let mut header = self.header(EntryType::Symlink, 0o777, mtime, 0);
        let field = target.len().min(LINK_FIELD);
        header.as_old_mut().linkname[..field].copy_from_slice(&target[..field]);
        self.builder
            .append_data(&mut header, self.prefix.join(path), io::empty())
    }

    /// Adds another name for a file that the archive already has.
    pub fn hard_link(
        &mut self,
        path: &Path,
        target: &Path,
        mode: u32,
        mtime: i64,
    ) -> io::Result<()> {
        let mut header = self.header(EntryType::Link, mode, mtime, 0);
        let target = self.prefix.join(target);
        self.builder
            .append_link(&mut header, self.prefix.join(path), target)
    }

    /// Writes the end; returns the times that an engine does not give to files.
    pub fn finish(self) -> io::Result<OddTimes> {
        self.builder.into_inner()?.flush()?;
        Ok(self.odd_times)
    }

    fn header(&self, kind: EntryType, mode: u32, mtime: i64, size: u64) -> Header {
        let kept = match self.modes {
            Modes::Kept => 0o7777,
            Modes::WithoutBorrowedRights => 0o1777,
        };
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode & kept);
        header.set_uid(self.owner.0.into());
        header.set_gid(self.owner.1.into());
        header.as_old_mut().mtime = tar_time::field(mtime);
        header.set_size(size);
        header
    }
}

/// Reads as much as was announced; an early end is an error.
struct Exactly<R> {
    left: u64,
    content: R,
}

impl<R: Read> Read for Exactly<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let limit = usize::try_from(self.left).unwrap_or(usize::MAX);
        let limit = buffer.len().min(limit);
        let read = self.content.read(&mut buffer[..limit])?;
        if read == 0 && limit > 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "it ended before its announced size, as a file does that is cut while it is copied",
            ));
        }
        self.left -= read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shorter_than_announced_is_refused() {
        let mut tar = TarOut::new(Vec::new(), (0, 0), Modes::Kept, "");
        let cut = tar.file(Path::new("cut"), 0o644, 0, 4, &b"abc"[..]);
        let kind = cut.expect_err("a byte is missing").kind();
        assert_eq!(kind, io::ErrorKind::UnexpectedEof);
    }
}
