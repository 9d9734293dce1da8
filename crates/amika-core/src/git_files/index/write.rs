//! A fresh index file.

use super::{Entry, Index, Mode};

impl Index {
    /// The index as a file: version 2, or 3 where an entry needs it; stat data as they were, and no
    /// extension but the one that says that there are directories.
    pub fn write(&self) -> Vec<u8> {
        let extended = self.entries.iter().any(is_extended);
        let length = |entry: &Entry| 72 + self.format.length() + entry.path.as_bytes().len();
        let mut bytes = Vec::with_capacity(self.entries.iter().map(length).sum::<usize>() + 64);
        bytes.extend(b"DIRC");
        bytes.extend((if extended { 3_u32 } else { 2 }).to_be_bytes());
        // Not more than the limit of entries, which is far below.
        let count = u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
        bytes.extend(count.to_be_bytes());
        for entry in &self.entries {
            write_entry(&mut bytes, entry);
        }
        if self.entries.iter().any(|entry| entry.mode == Mode::Tree) {
            bytes.extend(b"sdir\0\0\0\0");
        }
        let checksum = self.format.hash(&bytes);
        bytes.extend(checksum.as_bytes());
        bytes
    }
}

fn is_extended(entry: &Entry) -> bool {
    entry.skip_worktree || entry.intent_to_add
}

fn write_entry(bytes: &mut Vec<u8>, entry: &Entry) {
    let begin = bytes.len();
    let stat = &entry.stat;
    for number in [
        stat.ctime.0,
        stat.ctime.1,
        stat.mtime.0,
        stat.mtime.1,
        stat.dev,
        stat.ino,
        entry.mode.bits(),
        stat.uid,
        stat.gid,
        stat.size,
    ] {
        bytes.extend(number.to_be_bytes());
    }
    bytes.extend(entry.oid.as_bytes());
    let is_tree = entry.mode == Mode::Tree;
    let length = entry.path.as_bytes().len() + usize::from(is_tree);
    let mut flags = u16::try_from(length.min(0xfff)).unwrap_or(0xfff);
    flags |= u16::from(entry.stage & 3) << 12;
    flags |= u16::from(entry.assume_valid) << 15;
    flags |= u16::from(is_extended(entry)) << 14;
    bytes.extend(flags.to_be_bytes());
    if is_extended(entry) {
        let more = u16::from(entry.skip_worktree) << 14 | u16::from(entry.intent_to_add) << 13;
        bytes.extend(more.to_be_bytes());
    }
    bytes.extend(entry.path.as_bytes());
    if is_tree {
        bytes.push(b'/');
    }
    // At least one NUL, up to a multiple of eight.
    let padded = (bytes.len() - begin + 1).next_multiple_of(8);
    bytes.resize(begin + padded, 0);
}
