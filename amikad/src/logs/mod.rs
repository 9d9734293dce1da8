//! Bounded logs: the first bytes and the last ones, in one file, readable by offset while it grows.
//!
//! The file holds a head of fixed size and a ring behind it, written with pwrite: one file, no
//! renames in the stream's way, flat in memory. A finished log whose ring went round is rewritten
//! in order, so that `cat` reads right; readers by offset keep the ring.

mod tail;

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use nix::libc;
use tokio::sync::watch;

/// How much may still be added to a finished log's file that was put in order.
const LATE_LIMIT: u64 = 1 << 20;

/// Sizes of a log's two parts, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// The first bytes, kept for good.
    pub(crate) head: u64,
    /// The last bytes.
    pub(crate) ring: u64,
}

/// One log.
#[derive(Debug)]
pub(crate) struct Log {
    bounds: Bounds,
    path: Option<PathBuf>,
    inner: Mutex<Inner>,
    changed: watch::Sender<()>,
}

#[derive(Debug)]
struct Inner {
    /// None where not even memory could be had: the log counts, and keeps nothing.
    file: Option<File>,
    total: u64,
    finished: bool,
    /// The file in order, with how much was added to it since.
    ordered: Option<(File, u64)>,
}

/// What a read found at its offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// So many bytes.
    Bytes(usize),
    /// Nothing yet, or nothing any more if the log is finished.
    End,
    /// These bytes were dropped; what follows is kept from here on.
    Gone {
        /// Offset of the next byte that is kept.
        resume: u64,
    },
}

impl Log {
    /// Makes the log's file anew, or keeps it in memory where the directory cannot be written.
    pub(crate) fn create(path: &Path, bounds: Bounds) -> Self {
        let mut options = OpenOptions::new();
        options
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o644);
        let on_disk = options.custom_flags(libc::O_NOFOLLOW).open(path);
        let (file, path) = match on_disk {
            Ok(file) => (Some(file), Some(path.to_owned())),
            Err(_) => (crate::sys::memory_file(c"amikad-log").ok(), None),
        };
        let inner = Inner {
            file,
            total: 0,
            finished: false,
            ordered: None,
        };
        Self {
            bounds,
            path,
            inner: Mutex::new(inner),
            changed: watch::Sender::new(()),
        }
    }

    /// Adds `bytes`.
    pub(crate) fn append(&self, bytes: &[u8]) {
        self.lock().append(bytes, self.bounds);
        self.changed.send_replace(());
    }

    /// Adds `bytes`, unless somebody has the log just now.
    pub(crate) fn try_append(&self, bytes: &[u8]) {
        if let Ok(mut inner) = self.inner.try_lock() {
            inner.append(bytes, self.bounds);
            drop(inner);
            self.changed.send_replace(());
        }
    }

    /// Says that the stream is over: followers end. Later bytes are still kept.
    pub(crate) fn finish(&self) {
        let mut inner = self.lock();
        if !inner.finished {
            inner.finished = true;
            if self.is_truncated(&inner)
                && let Some(path) = &self.path
            {
                // On failure the ring stays as it is: nothing is lost, `cat` reads out of order.
                inner.ordered = self.put_in_order(&inner, path).ok().map(|file| (file, 0));
            }
        }
        drop(inner);
        self.changed.send_replace(());
    }

    /// Reads what is kept at `offset` of the stream.
    pub(crate) fn read(&self, offset: u64, buffer: &mut [u8]) -> Found {
        self.read_inner(&self.lock(), offset, buffer)
    }

    /// Bytes so far, kept or not.
    pub(crate) fn total(&self) -> u64 {
        self.lock().total
    }

    /// Whether bytes were dropped from the middle.
    pub(crate) fn truncated(&self) -> bool {
        self.is_truncated(&self.lock())
    }

    /// Whether the stream is over.
    pub(crate) fn finished(&self) -> bool {
        self.lock().finished
    }

    /// Tells of every change from now on.
    pub(crate) fn subscribe(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic elsewhere must not cost the log.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_truncated(&self, inner: &Inner) -> bool {
        inner.total > self.bounds.head + self.bounds.ring
    }

    /// First offset that the ring still holds.
    fn ring_start(&self, inner: &Inner) -> u64 {
        self.bounds
            .head
            .max(inner.total.saturating_sub(self.bounds.ring))
    }

    fn read_inner(&self, inner: &Inner, offset: u64, buffer: &mut [u8]) -> Found {
        if offset >= inner.total || buffer.is_empty() {
            return Found::End;
        }
        let ring_start = self.ring_start(inner);
        if offset >= self.bounds.head && offset < ring_start {
            return Found::Gone { resume: ring_start };
        }
        let (position, room) = self.bounds.place(offset);
        let length = room.min(inner.total - offset).min(buffer.len() as u64);
        let buffer = &mut buffer[..usize::try_from(length).unwrap_or(0)];
        let Some(file) = &inner.file else {
            return Found::Gone {
                resume: inner.total,
            };
        };
        match file.read_at(buffer, position) {
            Ok(read) if read > 0 => Found::Bytes(read),
            // The disk was full when it was written.
            _ => Found::Gone {
                resume: inner.total,
            },
        }
    }

    fn put_in_order(&self, inner: &Inner, path: &Path) -> io::Result<File> {
        let mut name = path.as_os_str().to_owned();
        name.push(".new");
        let ordered = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .custom_flags(libc::O_NOFOLLOW)
            .open(&name)?;
        let copied = self.copy_in_order(inner, &ordered);
        if let Err(error) = copied.and_then(|()| std::fs::rename(&name, path)) {
            // A disk that is full must not be fuller for it.
            let _ = std::fs::remove_file(&name);
            return Err(error);
        }
        Ok(ordered)
    }

    fn copy_in_order(&self, inner: &Inner, ordered: &File) -> io::Result<()> {
        let mut buffer = vec![0_u8; 1 << 16];
        let (mut offset, mut position) = (0, 0);
        loop {
            match self.read_inner(inner, offset, &mut buffer) {
                Found::Bytes(read) => {
                    ordered.write_all_at(&buffer[..read], position)?;
                    offset += read as u64;
                    position += read as u64;
                }
                Found::Gone { resume } => {
                    let note = gap_note(resume - offset);
                    ordered.write_all_at(note.as_bytes(), position)?;
                    position += note.len() as u64;
                    offset = resume;
                }
                Found::End => return Ok(()),
            }
        }
    }
}

/// The line that stands for bytes that were dropped.
pub(crate) fn gap_note(bytes: u64) -> String {
    format!("\n[amikad: {bytes} bytes left out]\n")
}

impl Bounds {
    /// Where `offset` of the stream stands in the file, and how many bytes fit there in a row.
    fn place(self, offset: u64) -> (u64, u64) {
        if offset < self.head {
            (offset, self.head - offset)
        } else {
            let within = (offset - self.head) % self.ring;
            (self.head + within, self.ring - within)
        }
    }
}

impl Inner {
    fn append(&mut self, mut bytes: &[u8], bounds: Bounds) {
        if let Some((file, late)) = &mut self.ordered {
            let kept = bytes
                .len()
                .min(usize::try_from(LATE_LIMIT - *late).unwrap_or(0));
            let end = file.metadata().map_or(0, |data| data.len());
            // A full disk costs this line and nothing else.
            let _ = file.write_all_at(&bytes[..kept], end);
            *late += kept as u64;
        }
        while !bytes.is_empty() {
            let (position, room) = bounds.place(self.total);
            let length = bytes.len().min(usize::try_from(room).unwrap_or(usize::MAX));
            let (now, later) = bytes.split_at(length);
            if let Some(file) = &self.file {
                // As above: what the disk refuses reads as dropped.
                let _ = file.write_all_at(now, position);
            }
            self.total += length as u64;
            bytes = later;
        }
    }
}

#[cfg(test)]
mod tests;
