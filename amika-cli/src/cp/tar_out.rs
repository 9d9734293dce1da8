//! An archive in which everything has one owner.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use tar::{Builder, EntryType, Header};

/// Permission bits that are kept: without those that lend the owner's rights.
const MODE: u32 = 0o1777;

/// Writes an archive.
pub struct TarOut<W: Write> {
    builder: Builder<W>,
    owner: (u32, u32),
    /// What all names begin with.
    prefix: PathBuf,
}

impl<W: Write> TarOut<W> {
    /// Begins an archive whose entries belong to this user and group, and which is unpacked in the
    /// directory `prefix` of where it is put.
    pub fn new(to: W, owner: (u32, u32), prefix: &str) -> Self {
        Self {
            builder: Builder::new(to),
            owner,
            prefix: prefix.into(),
        }
    }

    /// Adds a directory.
    pub fn directory(&mut self, path: &Path, mode: u32, mtime: u64) -> io::Result<()> {
        let mut header = self.header(EntryType::Directory, mode, mtime, 0);
        self.builder
            .append_data(&mut header, self.prefix.join(path), io::empty())
    }

    /// Adds a regular file of exactly that size: what is missing at its end, because it was cut
    /// while it was read, is made up with zeros.
    pub fn file(
        &mut self,
        path: &Path,
        mode: u32,
        mtime: u64,
        size: u64,
        content: impl Read,
    ) -> io::Result<()> {
        let mut header = self.header(EntryType::Regular, mode, mtime, size);
        let exact = content.take(size).chain(io::repeat(0)).take(size);
        self.builder
            .append_data(&mut header, self.prefix.join(path), exact)
    }

    /// Adds a symbolic link.
    pub fn symlink(&mut self, path: &Path, target: &Path, mtime: u64) -> io::Result<()> {
        let mut header = self.header(EntryType::Symlink, 0o777, mtime, 0);
        self.builder
            .append_link(&mut header, self.prefix.join(path), target)
    }

    /// Adds another name for a file that the archive already has.
    pub fn hard_link(
        &mut self,
        path: &Path,
        target: &Path,
        mode: u32,
        mtime: u64,
    ) -> io::Result<()> {
        let mut header = self.header(EntryType::Link, mode, mtime, 0);
        let target = self.prefix.join(target);
        self.builder
            .append_link(&mut header, self.prefix.join(path), target)
    }

    /// Writes the end.
    pub fn finish(mut self) -> io::Result<()> {
        self.builder.finish()
    }

    fn header(&self, kind: EntryType, mode: u32, mtime: u64, size: u64) -> Header {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode & MODE);
        header.set_uid(self.owner.0.into());
        header.set_gid(self.owner.1.into());
        header.set_mtime(mtime);
        header.set_size(size);
        header
    }
}
