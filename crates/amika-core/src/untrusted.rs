//! Text that somebody else wrote: a sandbox, a repository, an image, the other end of a connection.
//!
//! On a terminal such a text can do more than be read: set the clipboard (OSC 52), make a link that leads
//! elsewhere (OSC 8), clear the screen, write over what stands above, run from right to left, or begin a
//! line that looks like another program's. [`Untrusted`] shows all of that as escapes, in one line.

use std::fmt::{self, Write as _};

/// How many characters of a text are shown, unless [`Untrusted::within`] says otherwise.
pub const SHOWN: usize = 1_000;

/// Displays a text of somebody else's: as it is, but with everything that steers a terminal as an escape
/// (`\u{1b}`, `\n`), and cut where it is long, with the number of characters that are left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Untrusted<'a> {
    text: &'a str,
    most: usize,
}

impl<'a> Untrusted<'a> {
    /// Shows at most [`SHOWN`] characters of a text.
    pub fn new(text: &'a str) -> Self {
        Self { text, most: SHOWN }
    }

    /// Shows at most that many characters.
    #[must_use]
    pub fn within(self, most: usize) -> Self {
        Self { most, ..self }
    }
}

impl fmt::Display for Untrusted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = String::new();
        let mut chars = self.text.chars();
        for found in chars.by_ref().take(self.most) {
            push_inert(&mut shown, found);
        }
        let left = chars.count();
        if left > 0 {
            write!(shown, "… ({left} more characters)")?;
        }
        f.pad(&shown)
    }
}

/// Appends a character, as an escape where it steers a terminal.
pub fn push_inert(to: &mut String, found: char) {
    if !steers(found) {
        to.push(found);
    } else if found.is_control() {
        to.extend(found.escape_debug());
    } else {
        to.extend(found.escape_unicode());
    }
}

/// Whether a character does something to a terminal, or to the characters beside it, other than being
/// shown: C0 and C1 controls (ECMA-48), marks that turn the direction of writing (Unicode Standard Annex 9),
/// separators of lines, and what has no width.
pub fn steers(found: char) -> bool {
    found.is_control()
        || matches!(
            found,
            '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_steers_a_terminal_is_shown_as_an_escape() {
        for (text, shown) in [
            ("api", "api"),
            ("zürich \"京\" 👍🏽 é", "zürich \"京\" 👍🏽 é"),
            ("a\u{1b}[2J\nb\tc\rd", "a\\u{1b}[2J\\nb\\tc\\rd"),
            ("\u{9b}1m\u{7f}\0", "\\u{9b}1m\\u{7f}\\0"),
            ("x\u{202e}gpj\u{2066}", "x\\u{202e}gpj\\u{2066}"),
            ("\u{2028}\u{feff}\u{e0041}", "\\u{2028}\\u{feff}\\u{e0041}"),
        ] {
            assert_eq!(Untrusted::new(text).to_string(), shown);
        }
    }

    #[test]
    fn a_long_text_is_cut_and_says_so() {
        let text = "é".repeat(2_000);
        let shown = Untrusted::new(&text).to_string();
        assert!(shown.ends_with("é… (1000 more characters)"), "{shown}");
        assert_eq!(Untrusted::new("abc").within(3).to_string(), "abc");
        assert_eq!(
            Untrusted::new("abcd").within(1).to_string(),
            "a… (3 more characters)"
        );
    }

    proptest! {
        #[test]
        fn nothing_that_steers_is_left_and_it_is_one_line(text in any::<String>()) {
            let shown = Untrusted::new(&text).to_string();
            prop_assert!(!shown.chars().any(steers), "{:?}", shown);
        }
    }
}
