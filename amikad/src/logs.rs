//! Bounded logs: the first bytes and the last ones, in one file, readable by offset while it grows.
//!
//! The file holds a head of fixed size and a ring behind it, written with pwrite: one file, no
//! renames in the stream's way, flat in memory. A finished log whose ring went round is rewritten
//! in order, so that `cat` reads right; readers by offset keep the ring.

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

    /// Offset at which the last `lines` lines begin, as far as they are kept.
    pub(crate) fn tail_offset(&self, lines: usize) -> u64 {
        let inner = self.lock();
        let mut end = inner.total;
        let mut newlines = 0;
        let mut buffer = [0_u8; 4096];
        while end > 0 {
            let start = end.saturating_sub(buffer.len() as u64).max(
                // Never across the gap.
                if end > self.bounds.head {
                    self.ring_start(&inner).min(end)
                } else {
                    0
                },
            );
            if start == end {
                return end;
            }
            let length = usize::try_from(end - start).unwrap_or(buffer.len());
            let Found::Bytes(read) = self.read_inner(&inner, start, &mut buffer[..length]) else {
                return end;
            };
            for index in (0..read).rev() {
                let offset = start + index as u64;
                if buffer[index] == b'\n' && offset + 1 != inner.total {
                    newlines += 1;
                    if newlines == lines {
                        return offset + 1;
                    }
                }
            }
            if read < length {
                // The head ended here; what follows belongs to the ring and was seen before.
                return start;
            }
            end = start;
        }
        if lines == 0 { inner.total } else { 0 }
    }

    /// The last `lines` lines, cut to the last `limit` bytes.
    pub(crate) fn tail(&self, lines: usize, limit: usize) -> Vec<String> {
        let total = self.total();
        let mut offset = self
            .tail_offset(lines)
            .max(total.saturating_sub(limit as u64));
        let mut text = Vec::new();
        let mut buffer = [0_u8; 4096];
        while let Found::Bytes(read) = self.read(offset, &mut buffer) {
            text.extend_from_slice(&buffer[..read]);
            offset += read as u64;
        }
        let text = String::from_utf8_lossy(&text);
        text.lines().map(str::to_owned).collect()
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
mod tests {
    use super::*;

    const SMALL: Bounds = Bounds { head: 10, ring: 20 };

    fn scratch(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("amikad-log-{}-{name}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        path
    }

    fn whole(log: &Log) -> Vec<u8> {
        let (mut offset, mut all, mut buffer) = (0, Vec::new(), [0; 7]);
        loop {
            match log.read(offset, &mut buffer) {
                Found::Bytes(read) => {
                    all.extend_from_slice(&buffer[..read]);
                    offset += read as u64;
                }
                Found::Gone { resume } => {
                    all.extend_from_slice(gap_note(resume - offset).as_bytes());
                    offset = resume;
                }
                Found::End => return all,
            }
        }
    }

    #[test]
    fn what_fits_is_kept_whole() {
        let path = scratch("fits");
        let log = Log::create(&path, SMALL);
        log.append(b"0123456789abcdefghij");
        log.append(b"KLMNOPQRST");
        log.finish();
        assert!(!log.truncated());
        assert_eq!(whole(&log), b"0123456789abcdefghijKLMNOPQRST");
        assert_eq!(std::fs::read(&path).unwrap(), whole(&log));
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn the_middle_is_dropped_and_the_finished_file_reads_in_order() {
        let path = scratch("wraps");
        let log = Log::create(&path, SMALL);
        for chunk in [
            &b"0123456789"[..],
            b"abcdefghijklm",
            b"nopqrstuvwxyz",
            b"ABC",
        ] {
            log.append(chunk);
        }
        log.finish();
        let expected = b"0123456789\n[amikad: 9 bytes left out]\njklmnopqrstuvwxyzABC";
        assert_eq!(whole(&log), expected);
        assert_eq!(std::fs::read(&path).unwrap(), expected);
        log.append(b"late");
        assert!(std::fs::read(&path).unwrap().ends_with(b"ABClate"));
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn tails_are_found_by_lines() {
        let path = scratch("tail");
        let log = Log::create(&path, Bounds { head: 4, ring: 100 });
        log.append(b"one\ntwo\nthree\nfour\n");
        assert_eq!(log.tail(2, 1000), ["three", "four"]);
        assert_eq!(log.tail(100, 1000), ["one", "two", "three", "four"]);
        assert_eq!(log.tail(0, 1000), Vec::<String>::new());
        assert_eq!(
            log.tail(3, 7),
            ["\u{65}", "four"],
            "cut to the last seven bytes"
        );
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_directory_that_cannot_be_written_moves_the_log_to_memory() {
        let log = Log::create(Path::new("/proc/nowhere/setup.log"), SMALL);
        log.append(b"kept");
        assert_eq!(whole(&log), b"kept");
    }
}
