//! The one door to standard output and standard error for whatever Amika says.
//!
//! Whoever writes through it may have text of a sandbox, a repository or an image in what is written; so
//! every character that steers a terminal comes out as an escape, but for line ends, tabs, and the styles
//! that [`Page::styled`] is given. Where a text is known to be somebody else's and must stay in its line,
//! the one who writes wraps it in [`amika_core::untrusted::Untrusted`].

use std::fmt::{self, Display};
use std::io::{self, Write};

use amika_core::untrusted::{push_inert, steers};
use anstyle::Style;

/// Characters of a line that are written; nothing that Amika says needs more, and a terminal or a log
/// collector chokes on a line of ten million.
const LINE: usize = 64 * 1024;

/// A writer that lets nothing through that steers a terminal.
pub struct Page<'a> {
    to: &'a mut dyn Write,
    syntax: Syntax,
    /// The beginning of a character whose rest has not come yet.
    begun: Vec<u8>,
    /// Characters of the line so far, for the bound on them.
    width: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Syntax {
    /// For people.
    Text,
    /// JSON, in which a character that is not ASCII, and DEL, can only be part of a string.
    Json,
}

impl<'a> Page<'a> {
    /// A page for people.
    pub fn text(to: &'a mut dyn Write) -> Self {
        Self::new(to, Syntax::Text)
    }

    /// A page for JSON, which means the same afterwards: strings have `\u202e` for U+202E.
    pub fn json(to: &'a mut dyn Write) -> Self {
        Self::new(to, Syntax::Json)
    }

    fn new(to: &'a mut dyn Write, syntax: Syntax) -> Self {
        Self {
            to,
            syntax,
            begun: Vec::new(),
            width: 0,
        }
    }

    /// What `write!` calls, also where [`Write`] is not imported.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write_fmt(&mut self, text: fmt::Arguments<'_>) -> io::Result<()> {
        Write::write_fmt(self, text)
    }

    /// Writes a text in a style.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn styled(&mut self, style: Style, text: impl Display) -> io::Result<()> {
        write!(self.to, "{style}")?;
        write!(self, "{text}")?;
        write!(self.to, "{style:#}")
    }

    fn put(&mut self, text: &str) -> io::Result<()> {
        let mut inert = String::with_capacity(text.len());
        for found in text.chars() {
            match (found, self.syntax) {
                ('\n', _) => {
                    self.width = 0;
                    inert.push('\n');
                }
                (_, Syntax::Json) if steers(found) && found > ' ' => {
                    for unit in found.encode_utf16(&mut [0; 2]) {
                        // Writing to a string does not fail.
                        let _ = fmt::Write::write_fmt(&mut inert, format_args!("\\u{unit:04x}"));
                    }
                }
                (_, Syntax::Json) => inert.push(found),
                (_, Syntax::Text) => {
                    self.width += 1;
                    match self.width {
                        ..=LINE if found == '\t' => inert.push('\t'),
                        ..=LINE => push_inert(&mut inert, found),
                        _ if self.width == LINE + 1 => inert.push('…'),
                        _ => {}
                    }
                }
            }
        }
        self.to.write_all(inert.as_bytes())
    }
}

impl Write for Page<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut all = std::mem::take(&mut self.begun);
        all.extend_from_slice(bytes);
        let mut rest = &all[..];
        loop {
            match std::str::from_utf8(rest) {
                Ok(text) => {
                    self.put(text)?;
                    return Ok(bytes.len());
                }
                Err(error) => {
                    let (good, bad) = rest.split_at(error.valid_up_to());
                    self.put(&String::from_utf8_lossy(good))?;
                    let Some(length) = error.error_len() else {
                        self.begun = bad.to_vec();
                        return Ok(bytes.len());
                    };
                    self.put("\u{fffd}")?;
                    rest = &bad[length..];
                }
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// A text of several lines, with everything that steers a terminal as an escape but for line ends; each line
/// after the first begins with that many blanks, so that none can be taken for another message.
pub(super) fn indented(text: &str, blanks: usize) -> String {
    let mut shown = String::with_capacity(text.len());
    for found in text.trim_end().chars() {
        match found {
            '\n' => {
                shown.push('\n');
                shown.extend(std::iter::repeat_n(' ', blanks));
            }
            '\t' => shown.push('\t'),
            found => push_inert(&mut shown, found),
        }
    }
    shown
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use anstyle::AnsiColor;
    use proptest::prelude::*;

    use super::*;

    fn written(pieces: &[&[u8]], json: bool) -> String {
        let mut to = Vec::new();
        let mut page = if json {
            Page::json(&mut to)
        } else {
            Page::text(&mut to)
        };
        for piece in pieces {
            page.write_all(piece).unwrap();
        }
        String::from_utf8(to).unwrap()
    }

    #[test]
    fn nothing_but_styles_steers_the_terminal() {
        let mut to = Vec::new();
        let mut page = Page::text(&mut to);
        page.styled(AnsiColor::Red.on_default(), "a\u{1b}]52;c;eA==\u{7}")
            .unwrap();
        writeln!(page, "\tb\rc\u{9b}2J\u{202e}").unwrap();
        assert_eq!(
            String::from_utf8(to).unwrap(),
            "\u{1b}[31ma\\u{1b}]52;c;eA==\\u{7}\u{1b}[0m\tb\\rc\\u{9b}2J\\u{202e}\n"
        );
    }

    #[test]
    fn characters_that_come_in_pieces_are_whole_and_broken_ones_are_replaced() {
        assert_eq!(
            written(&[b"\xc3", b"\xa9\xe4\xba", b"\xac\xff!"], false),
            "é京\u{fffd}!"
        );
        assert_eq!(written(&[b"\xc2", b"\x9b"], false), "\\u{9b}");
    }

    #[test]
    fn a_line_has_an_end() {
        let long = "x".repeat(LINE + 10);
        let shown = written(&[long.as_bytes(), b"\nnext\n"], false);
        assert_eq!(shown, format!("{}…\nnext\n", "x".repeat(LINE)));
    }

    #[test]
    fn lines_of_others_are_indented() {
        assert_eq!(
            indented("a\nerror: b\u{1b}\n\n", 4),
            "a\n    error: b\\u{1b}"
        );
    }

    proptest! {
        #[test]
        fn json_means_the_same_and_steers_nothing(text in any::<String>()) {
            let plain = serde_json::to_string(&serde_json::json!({ &text: text })).unwrap();
            let shown = written(&[plain.as_bytes()], true);
            prop_assert!(!shown.chars().any(steers), "{:?}", shown);
            let read: serde_json::Value = serde_json::from_str(&shown).unwrap();
            prop_assert_eq!(read, serde_json::json!({ &text: text }));
        }
    }
}
