//! Setup's output, cut into lines.

/// A line longer than this is shown in parts.
const LONGEST_LINE: usize = 16 * 1024;

/// Cuts a stream of bytes into lines.
#[derive(Default)]
pub(super) struct Lines {
    partial: Vec<u8>,
}

impl Lines {
    pub(super) fn push(&mut self, bytes: &[u8], mut show: impl FnMut(&str)) {
        for &byte in bytes {
            if byte == b'\n' || self.partial.len() >= LONGEST_LINE {
                show(&String::from_utf8_lossy(&self.partial));
                self.partial.clear();
            }
            if byte != b'\n' {
                self.partial.push(byte);
            }
        }
    }

    pub(super) fn end(&mut self, mut show: impl FnMut(&str)) {
        if !self.partial.is_empty() {
            show(&String::from_utf8_lossy(&self.partial));
            self.partial.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_across_chunks() {
        let mut seen = Vec::new();
        let mut lines = Lines::default();
        lines.push(b"one\ntw", |line| seen.push(line.to_owned()));
        lines.push(b"o\n\nthree", |line| seen.push(line.to_owned()));
        lines.end(|line| seen.push(line.to_owned()));
        assert_eq!(seen, ["one", "two", "", "three"]);
    }
}
