//! Texts of several lines whose line ends are Amika's own.

use super::page::one_line;

/// Lines that Amika laid out: an excerpt of a file with its marks, the last lines of a log. It is the one type
/// in which a line end gets to the terminal, so whoever makes one says where each line ends; what a line
/// holds may be anybody's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lines(Vec<String>);

impl Lines {
    /// These lines. A line end within one is part of it, and shown as an escape.
    pub fn new(lines: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self(lines.into_iter().map(Into::into).collect())
    }

    /// The lines of a text that was laid out by us, or by a program of ours for a terminal.
    pub fn laid_out(text: &str) -> Self {
        Self::new(text.trim_end().lines())
    }

    /// Them as one text, for programs.
    pub fn text(&self) -> String {
        self.0.join("\n")
    }

    /// Them for a terminal, each but the first behind that many blanks, so that none can be taken for another
    /// message.
    pub(super) fn shown(&self, blanks: usize) -> String {
        let lines: Vec<String> = self.0.iter().map(|line| one_line(line)).collect();
        lines.join(&format!("\n{:blanks$}", ""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_stays_one_and_behind_its_blanks() {
        let lines = Lines::new(["a", "error: b\nhint: c\u{1b}"]);
        assert_eq!(lines.shown(4), "a\n    error: b\\nhint: c\\u{1b}");
        assert_eq!(Lines::laid_out("a\nb\n\n").shown(0), "a\nb");
        assert_eq!(lines.text(), "a\nerror: b\nhint: c\u{1b}");
    }
}
