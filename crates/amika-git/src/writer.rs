//! One tar archive, written once, front to back.

use std::collections::HashMap;
use std::io::{self, Read, Write};

use amika_core::tar_time;

/// Bytes that are written at once.
const CHUNK: usize = 256 * 1024;
/// Permissions of a directory of which nothing else is said.
const DIRECTORY: u32 = 0o755;

/// Who owns what is unpacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Numeric user.
    pub uid: u32,
    /// Numeric group.
    pub gid: u32,
}

/// What was written and is not sent yet. Contents are read right into it.
struct Chunk<'a> {
    to: &'a mut dyn Write,
    buffer: Vec<u8>,
}

impl Chunk<'_> {
    fn send(&mut self) -> io::Result<()> {
        self.to.write_all(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }

    fn put(&mut self, data: &[u8]) -> io::Result<()> {
        if self.buffer.len() + data.len() > CHUNK {
            self.send()?;
        }
        self.buffer.extend_from_slice(data);
        Ok(())
    }

    /// Moves exactly `size` bytes.
    fn copy(&mut self, from: &mut dyn Read, size: u64) -> io::Result<()> {
        let mut left = size;
        while left > 0 {
            if self.buffer.len() == CHUNK {
                self.send()?;
            }
            let space = (CHUNK - self.buffer.len()) as u64;
            let read = from.take(space.min(left)).read_to_end(&mut self.buffer)? as u64;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            left -= read;
        }
        Ok(())
    }
}

/// Writes entries with one owner; parents of an entry come before it by themselves.
pub(super) struct TarWriter<'a> {
    to: Chunk<'a>,
    owner: Owner,
    /// What all names begin with.
    prefix: Vec<u8>,
    /// The directory of the entry before, with a slash at its end.
    directory: Vec<u8>,
    /// Directories with other permissions than 0755, with a slash at their end.
    modes: HashMap<Vec<u8>, u32>,
    /// The directory, with a slash at its end, whose entries alone are written, named from there; all without one.
    root: Vec<u8>,
    /// Whether every entry has the time zero.
    is_timeless: bool,
}

impl<'a> TarWriter<'a> {
    /// An archive that belongs to `owner`, and is unpacked in the directory `prefix` of where it is put.
    pub(super) fn new(owner: Owner, prefix: &str, to: &'a mut dyn Write) -> Self {
        Self {
            to: Chunk {
                to,
                buffer: Vec::with_capacity(CHUNK),
            },
            owner,
            prefix: prefix.as_bytes().to_vec(),
            directory: Vec::new(),
            modes: HashMap::new(),
            root: Vec::new(),
            is_timeless: false,
        }
    }

    /// The same of one directory alone, from which entries are named, empty for the root; no entry has a time, so that
    /// equal contents are equal archives.
    pub(super) fn of_directory(mut self, directory: &[u8]) -> Self {
        if !directory.is_empty() {
            self.root = [directory, b"/"].concat();
        }
        self.is_timeless = true;
        self
    }

    /// Says which permissions a directory has, before it or anything in it is written.
    pub(super) fn set_mode(&mut self, path: &[u8], mode: u32) {
        if mode != DIRECTORY {
            self.modes.insert([path, b"/"].concat(), mode);
        }
    }

    fn mode(&self, directory: &[u8]) -> u32 {
        self.modes.get(directory).copied().unwrap_or(DIRECTORY)
    }

    /// A directory; `path` without a slash at its end, empty for the root.
    ///
    /// The root is named `/`: Docker passes over an entry `.`, and the directory would stay root's.
    pub(super) fn directory(&mut self, path: &[u8], mtime: i64) -> io::Result<()> {
        let mut name = path.to_vec();
        if !path.is_empty() {
            self.parents(path, mtime)?;
        }
        name.push(b'/');
        let mode = self.mode(&name);
        self.header(tar::EntryType::Directory, &name, b"", mode, 0, mtime)?;
        if !path.is_empty() {
            self.directory = name;
        }
        Ok(())
    }

    /// A regular file with content that is in memory.
    pub(super) fn file(
        &mut self,
        path: &[u8],
        mode: u32,
        mtime: i64,
        content: &[u8],
    ) -> io::Result<()> {
        self.file_from(path, mode, mtime, content.len() as u64, &mut &*content)
    }

    /// A regular file whose content is read now; an early end of it is an error.
    pub(super) fn file_from(
        &mut self,
        path: &[u8],
        mode: u32,
        mtime: i64,
        size: u64,
        content: &mut dyn Read,
    ) -> io::Result<()> {
        self.parents(path, mtime)?;
        self.header(tar::EntryType::Regular, path, b"", mode, size, mtime)?;
        self.to.copy(content, size)?;
        self.pad(size)
    }

    /// A symbolic link, its target as it is.
    pub(super) fn symlink(&mut self, path: &[u8], target: &[u8], mtime: i64) -> io::Result<()> {
        self.parents(path, mtime)?;
        self.header(tar::EntryType::Symlink, path, target, 0o777, 0, mtime)
    }

    fn parents(&mut self, path: &[u8], mtime: i64) -> io::Result<()> {
        let end = path
            .iter()
            .rposition(|&byte| byte == b'/')
            .map_or(0, |at| at + 1);
        let parent = &path[..end];
        if parent == self.directory.as_slice() {
            return Ok(());
        }
        let common = parent
            .iter()
            .zip(&self.directory)
            .take_while(|(a, b)| a == b)
            .count();
        // Both end with a slash, so a directory whose slash is common was written before.
        let new: Vec<usize> = (common..parent.len())
            .filter(|&at| parent[at] == b'/')
            .collect();
        for at in new {
            let name = &parent[..=at];
            let mode = self.mode(name);
            self.header(tar::EntryType::Directory, name, b"", mode, 0, mtime)?;
        }
        self.directory = parent.to_vec();
        Ok(())
    }

    fn header(
        &mut self,
        kind: tar::EntryType,
        path: &[u8],
        target: &[u8],
        mode: u32,
        size: u64,
        mtime: i64,
    ) -> io::Result<()> {
        let whole;
        // Of what stands elsewhere only the directories on the way are ever named.
        let Some(path) = path.strip_prefix(self.root.as_slice()) else {
            return Ok(());
        };
        if path.is_empty() {
            return Ok(());
        }
        let mtime = if self.is_timeless { 0 } else { mtime };
        let path = match self.prefix.as_slice() {
            b"" => path,
            prefix => {
                whole = [prefix, b"/", path.strip_prefix(b"/").unwrap_or(path)].concat();
                &whole
            }
        };
        let mut header = tar::Header::new_gnu();
        let fields = header
            .as_gnu_mut()
            .map(|gnu| (&mut gnu.name, &mut gnu.linkname));
        if let Some((name_field, target_field)) = fields {
            if path.len() > name_field.len() {
                self.long(tar::EntryType::GNULongName, path)?;
            }
            if target.len() > target_field.len() {
                self.long(tar::EntryType::GNULongLink, target)?;
            }
            put(name_field, path);
            put(target_field, target);
        }
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(self.owner.uid.into());
        header.set_gid(self.owner.gid.into());
        header.set_size(size);
        header.as_old_mut().mtime = tar_time::field(mtime);
        header.set_cksum();
        self.to.put(header.as_bytes())
    }

    /// The entry that carries a name too long for a header (more than 100 bytes), ended by a zero byte.
    fn long(&mut self, kind: tar::EntryType, name: &[u8]) -> io::Result<()> {
        let mut header = tar::Header::new_gnu();
        if let Some(gnu) = header.as_gnu_mut() {
            put(&mut gnu.name, b"././@LongLink");
        }
        let size = name.len() as u64 + 1;
        header.set_entry_type(kind);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(size);
        header.set_cksum();
        self.to.put(header.as_bytes())?;
        self.to.put(name)?;
        self.to.put(&[0])?;
        self.pad(size)
    }

    fn pad(&mut self, size: u64) -> io::Result<()> {
        let over = (size % 512) as usize;
        if over == 0 {
            return Ok(());
        }
        self.to.put(&[0; 512][over..])
    }

    /// Writes the end mark and what was not sent yet.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.to.put(&[0; 1024])?;
        self.to.send()?;
        self.to.to.flush()
    }
}

/// As much of a name as its field holds; the whole stands in a long-name entry before.
fn put(field: &mut [u8], value: &[u8]) {
    let length = value.len().min(field.len());
    field[..length].copy_from_slice(&value[..length]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_that_end_where_a_chunk_does_are_whole() {
        let owner = Owner { uid: 1, gid: 2 };
        // The first header ends a chunk, a content does, a padding does.
        for first in [0, CHUNK - 1024, CHUNK - 1023, CHUNK - 512, CHUNK] {
            let mut archive = Vec::new();
            let mut tar = TarWriter::new(owner, "", &mut archive);
            tar.file(b"a", 0o644, 0, &vec![1; first]).expect("written");
            tar.file(b"b", 0o644, 0, &vec![2; 3 * CHUNK])
                .expect("written");
            tar.finish().expect("written");
            let sizes: Vec<usize> = tar::Archive::new(archive.as_slice())
                .entries()
                .expect("an archive")
                .map(|entry| {
                    let mut content = Vec::new();
                    let mut entry = entry.expect("an entry");
                    entry.read_to_end(&mut content).expect("content")
                })
                .collect();
            assert_eq!(sizes, [first, 3 * CHUNK]);
        }
    }
}
