//! The one door to standard output and standard error for whatever Amika says to people.
//!
//! Whoever writes through it may have text of a sandbox, a repository or an image in what is written. So all
//! text is taken for somebody else's ([`one_line`]): a call writes one line, whatever it is given, and every
//! character that steers a terminal comes out as an escape, line ends among them. Lines that Amika laid out
//! itself come as [`Lines`](super::Lines), each of which is held to the same; styles are given to
//! [`Page::styled`].

use std::fmt::{Arguments, Display};
use std::io::{self, Write};

use amika_core::untrusted::Untrusted;
use anstyle::Style;

/// Characters of a line that are written; nothing that Amika says needs more, and a terminal or a log
/// collector chokes on a line of ten million.
const LINE: usize = 16 * 1024;

/// What people are shown, line by line.
pub struct Page<'a> {
    to: &'a mut dyn Write,
}

impl<'a> Page<'a> {
    /// A page on that writer.
    pub fn text(to: &'a mut dyn Write) -> Self {
        Self { to }
    }

    /// Writes one line: what `writeln!` calls. A line end within the text is an escape.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write_fmt(&mut self, text: Arguments<'_>) -> io::Result<()> {
        let text = text.to_string();
        let line = one_line(text.strip_suffix('\n').unwrap_or(&text));
        self.to.write_all(format!("{line}\n").as_bytes())
    }

    /// Writes a part of a line, which the next line that is written ends.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn part(&mut self, text: impl Display) -> io::Result<()> {
        self.to.write_all(one_line(&text.to_string()).as_bytes())
    }

    /// Writes a part of a line in a style.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn styled(&mut self, style: Style, text: impl Display) -> io::Result<()> {
        write!(self.to, "{style}")?;
        self.part(text)?;
        write!(self.to, "{style:#}")
    }

    /// Shows what was written.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// A text in one line, cut where nobody would read on, with everything that steers a terminal as an escape.
pub(super) fn one_line(text: &str) -> String {
    Untrusted::new(text).within(LINE).to_string()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use amika_core::untrusted::steers;
    use anstyle::AnsiColor;
    use proptest::prelude::*;

    use super::*;

    fn written(write: impl FnOnce(&mut Page<'_>) -> io::Result<()>) -> String {
        let mut to = Vec::new();
        write(&mut Page::text(&mut to)).unwrap();
        String::from_utf8(to).unwrap()
    }

    #[test]
    fn nothing_but_styles_steers_the_terminal() {
        let shown = written(|page| {
            page.styled(AnsiColor::Red.on_default(), "a\u{1b}]52;c;eA==\u{7}\n")?;
            writeln!(page, "b\rc\u{9b}2J\u{202e}")
        });
        assert_eq!(
            shown,
            "\u{1b}[31ma\\u{1b}]52;c;eA==\\u{7}\\n\u{1b}[0mb\\rc\\u{9b}2J\\u{202e}\n"
        );
    }

    #[test]
    fn a_line_has_an_end() {
        let long = "x".repeat(LINE + 10);
        let shown = written(|page| {
            writeln!(page, "{long}")?;
            writeln!(page, "next")
        });
        let cut = "x".repeat(LINE);
        assert_eq!(shown, format!("{cut}… (10 more characters)\nnext\n"));
    }

    proptest! {
        #[test]
        fn a_call_writes_one_line_whatever_it_is_given(text in any::<String>()) {
            let whole = written(|page| writeln!(page, "{text}"));
            let open = written(|page| write!(page, "{text}"));
            let parts = written(|page| page.part(&text).and_then(|()| writeln!(page)));
            for shown in [whole, open, parts] {
                let line = shown.strip_suffix('\n').unwrap();
                prop_assert!(!line.chars().any(steers), "{:?}", shown);
            }
        }
    }
}
