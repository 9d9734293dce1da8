//! The end of a log, by lines.

use super::{Found, Log};

/// Looked through at a time. The log is locked for no longer: whoever writes to it may be the loop that reaps.
const PIECE: usize = 4096;

impl Log {
    /// Offset at which the last `lines` lines begin, as far as they are kept without a gap.
    pub(crate) fn tail_offset(&self, lines: usize) -> u64 {
        let total = self.total();
        if lines == 0 {
            return total;
        }
        let mut end = total;
        let mut newlines = 0;
        let mut buffer = [0_u8; PIECE];
        loop {
            // Never across the gap. What is kept may begin later by now.
            let start = end.saturating_sub(PIECE as u64).max(self.kept_from(end));
            let length = usize::try_from(end.saturating_sub(start)).unwrap_or(0);
            let piece = &mut buffer[..length];
            if length == 0 || !self.fill(start, piece) {
                return end;
            }
            for (index, byte) in piece.iter().enumerate().rev() {
                let offset = start + index as u64;
                if *byte == b'\n' && offset + 1 != total {
                    newlines += 1;
                    if newlines == lines {
                        return offset + 1;
                    }
                }
            }
            end = start;
        }
    }

    /// First offset from which on all is kept up to `end`.
    fn kept_from(&self, end: u64) -> u64 {
        let inner = self.lock();
        if end > self.bounds.head && self.is_truncated(&inner) {
            self.ring_start(&inner)
        } else {
            0
        }
    }

    /// Fills `piece` from `offset` on: one read ends where the ring does, the next goes on at its beginning.
    fn fill(&self, mut offset: u64, mut piece: &mut [u8]) -> bool {
        while !piece.is_empty() {
            let Found::Bytes(read) = self.read(offset, piece) else {
                return false;
            };
            offset += read as u64;
            piece = &mut piece[read..];
        }
        true
    }

    /// The last `lines` lines, cut to the last `limit` bytes.
    pub(crate) fn tail(&self, lines: usize, limit: usize) -> Vec<String> {
        let total = self.total();
        let mut offset = self
            .tail_offset(lines)
            .max(total.saturating_sub(limit as u64));
        let mut text = Vec::new();
        let mut buffer = [0_u8; PIECE];
        while let Found::Bytes(read) = self.read(offset, &mut buffer) {
            text.extend_from_slice(&buffer[..read]);
            offset += read as u64;
        }
        let text = String::from_utf8_lossy(&text);
        text.lines().map(str::to_owned).collect()
    }
}
