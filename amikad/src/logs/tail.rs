//! The end of a log, by lines.

use super::{Found, Log};

impl Log {
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
}
