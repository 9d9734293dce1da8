//! A program's log on a terminal: its colours, and nothing else that steers the terminal.

use amika_core::untrusted::push_inert;

/// Bytes of a sequence that sets colours; a longer one is shown as an escape.
const SEQUENCE: usize = 32;

/// Makes text of a log's bytes as they come, one stream at a time.
///
/// Sequences that set colours and weights pass (`ESC [ … m`, ECMA-48 SGR, but none that hides text); a carriage return
/// begins a new line, since it would write over what was said before; everything else that steers a
/// terminal is shown as an escape.
#[derive(Debug, Default)]
pub struct LogText {
    /// What is not whole yet: a character, or a sequence.
    begun: Vec<u8>,
    /// A carriage return that came last: whether a line end follows is not known yet.
    returned: bool,
    coloured: bool,
}

impl LogText {
    /// The text of the next bytes.
    pub fn of(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut all = std::mem::take(&mut self.begun);
        all.extend_from_slice(bytes);
        let mut shown = String::with_capacity(all.len());
        let mut rest = &all[..];
        while !rest.is_empty() {
            if rest[0] == 0x1b {
                match sequence(rest) {
                    Sequence::Colour(length) => {
                        self.line_end(&mut shown);
                        shown.push_str(&String::from_utf8_lossy(&rest[..length]));
                        self.coloured = true;
                        rest = &rest[length..];
                        continue;
                    }
                    Sequence::Unfinished => break,
                    Sequence::Other => {}
                }
            }
            let Some((found, length)) = first_char(rest) else {
                break;
            };
            rest = &rest[length..];
            match found {
                '\r' => {
                    self.line_end(&mut shown);
                    self.returned = true;
                    continue;
                }
                '\n' => self.returned = false,
                _ => self.line_end(&mut shown),
            }
            match found {
                '\n' | '\t' => shown.push(found),
                found => push_inert(&mut shown, found),
            }
        }
        self.begun = rest.to_vec();
        shown.into_bytes()
    }

    /// What is left at the end of the log: a beginning that nothing followed, and the terminal's own colours.
    pub fn end(&mut self) -> Vec<u8> {
        let mut shown = String::new();
        for found in String::from_utf8_lossy(&std::mem::take(&mut self.begun)).chars() {
            push_inert(&mut shown, found);
        }
        if self.coloured {
            shown.push_str("\u{1b}[0m");
        }
        shown.into_bytes()
    }

    fn line_end(&mut self, shown: &mut String) {
        if std::mem::take(&mut self.returned) {
            shown.push('\n');
        }
    }
}

enum Sequence {
    /// One that sets colours, with its length.
    Colour(usize),
    /// What it is shows only with more bytes.
    Unfinished,
    Other,
}

fn sequence(bytes: &[u8]) -> Sequence {
    match bytes.get(1) {
        None => return Sequence::Unfinished,
        Some(b'[') => {}
        Some(_) => return Sequence::Other,
    }
    let is_parameter = |byte: &&u8| matches!(byte, b'0'..=b'9' | b';' | b':');
    let count = bytes[2..].iter().take_while(is_parameter).count();
    if count > SEQUENCE {
        return Sequence::Other;
    }
    match bytes.get(2 + count) {
        None => Sequence::Unfinished,
        // 8 is concealed text.
        Some(b'm') if !hides(&bytes[2..2 + count]) => Sequence::Colour(count + 3),
        Some(_) => Sequence::Other,
    }
}

fn hides(parameters: &[u8]) -> bool {
    parameters
        .split(|byte| *byte == b';')
        .any(|one| std::str::from_utf8(one).is_ok_and(|text| text.parse() == Ok(8)))
}

/// The first character and its length; a broken one is replaced. None when more bytes are needed.
fn first_char(bytes: &[u8]) -> Option<(char, usize)> {
    let piece = &bytes[..bytes.len().min(4)];
    let good = match std::str::from_utf8(piece) {
        Ok(text) => text,
        Err(error) if error.valid_up_to() > 0 => {
            std::str::from_utf8(&piece[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(error) => {
            return error
                .error_len()
                .map(|length| (char::REPLACEMENT_CHARACTER, length));
        }
    };
    let found = good.chars().next()?;
    Some((found, found.len_utf8()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(pieces: &[&[u8]]) -> String {
        let mut text = LogText::default();
        let mut all = Vec::new();
        for piece in pieces {
            all.extend(text.of(piece));
        }
        all.extend(text.end());
        String::from_utf8_lossy(&all).into_owned()
    }

    #[test]
    fn colours_pass_and_nothing_else_does() {
        for (bytes, expected) in [
            (&b"plain\n\tx\n"[..], "plain\n\tx\n"),
            (
                b"\x1b[1;31mred\x1b[0m\n",
                "\u{1b}[1;31mred\u{1b}[0m\n\u{1b}[0m",
            ),
            (b"\x1b[38;5;8mx", "\\u{1b}[38;5;8mx"),
            (b"\x1b[8mhidden", "\\u{1b}[8mhidden"),
            (b"\x1b]52;c;eA==\x07", "\\u{1b}]52;c;eA==\\u{7}"),
            (b"\x1b[2J\x1b[H\x1bc", "\\u{1b}[2J\\u{1b}[H\\u{1b}c"),
            ("\u{9b}2J\u{202e}x".as_bytes(), "\\u{9b}2J\\u{202e}x"),
            (b"10%\r20%\r\ndone\r", "10%\n20%\ndone"),
            (b"a\x08b\xffc", "a\\u{8}b\u{fffd}c"),
        ] {
            assert_eq!(shown(&[bytes]), expected);
        }
    }

    #[test]
    fn what_comes_in_pieces_is_the_same_as_in_one() {
        let text = "é\u{1b}[31mred\r\n\u{1b}]0;t\u{7}京\r\u{1b}[0m".as_bytes();
        let whole = shown(&[text]);
        for at in 0..text.len() {
            assert_eq!(shown(&[&text[..at], &text[at..]]), whole, "{at}");
        }
        let bytes: Vec<&[u8]> = text.chunks(1).collect();
        assert_eq!(shown(&bytes), whole);
    }

    proptest! {
        #[test]
        fn no_bytes_get_a_sequence_through(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let text = shown(&[&bytes]);
            let plain = anstream::adapter::strip_str(&text).to_string();
            prop_assert!(!plain.chars().any(|c| c.is_control() && c != '\n' && c != '\t'), "{:?}", text);
        }
    }
}
