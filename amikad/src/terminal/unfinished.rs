//! What of a terminal's output is an escape sequence, or a character, that is not over yet.
//!
//! Who begins to look in the middle of one would take its rest for text. So the part that was there before is shown
//! first. As in Paul Williams' state machine (`vt100.net/emu/dec_ansi_parser`), and UTF-8.

/// Longer ones are text of a program's own, such as pictures: they are not kept.
const LIMIT: usize = 4096;

const ESCAPE: u8 = 0x1b;

/// Where the output stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Between characters.
    #[default]
    Ground,
    /// In a character that wants so many bytes more.
    Character(u8),
    /// After an escape, or that and intermediate bytes.
    Escape,
    /// In a control sequence, which begins with `ESC [`.
    Control,
    /// In a string that ends with BEL as well: `ESC ]`.
    System,
    /// In the head of a device control string, `ESC P`: what may come next in it is less with each step.
    Device(Head),
    /// In the content of one, which ends with an 8-bit ST as well.
    Content,
    /// In another string, or a device control string that nobody understands.
    String,
}

/// How far the head of a device control string has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Head {
    Begun,
    Parameters,
    Intermediates,
}

/// The part that is not over.
#[derive(Clone, Debug, Default)]
pub(super) struct Unfinished {
    state: State,
    bytes: Vec<u8>,
}

impl Unfinished {
    /// Takes in what was written.
    pub(super) fn take_in(&mut self, mut bytes: &[u8]) {
        loop {
            if self.state == State::Ground {
                // Most of it is text of one byte each.
                let Some(first) = bytes.iter().position(|byte| is_first(*byte)) else {
                    return;
                };
                bytes = &bytes[first..];
            }
            let Some((byte, rest)) = bytes.split_first() else {
                return;
            };
            self.take_byte(*byte);
            bytes = rest;
        }
    }

    /// The part, from its beginning.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn take_byte(&mut self, byte: u8) {
        let is_cancel = matches!(byte, 0x18 | 0x1a);
        let next = match self.state {
            State::Character(left) if byte & 0xc0 == 0x80 => match left {
                1 => State::Ground,
                left => State::Character(left - 1),
            },
            // One that breaks off is shown as such, and what follows is what it is.
            _ if byte == ESCAPE => {
                self.bytes.clear();
                State::Escape
            }
            State::Ground | State::Character(_) => {
                self.bytes.clear();
                match byte {
                    0xc2..=0xdf => State::Character(1),
                    0xe0..=0xef => State::Character(2),
                    0xf0..=0xf4 => State::Character(3),
                    _ => State::Ground,
                }
            }
            _ if is_cancel => State::Ground,
            // Done at once, in the middle of a sequence.
            State::Escape | State::Control if byte < 0x20 => return,
            State::Escape => match byte {
                b'[' if self.bytes.len() == 1 => State::Control,
                b']' if self.bytes.len() == 1 => State::System,
                b'P' if self.bytes.len() == 1 => State::Device(Head::Begun),
                b'X' | b'^' | b'_' if self.bytes.len() == 1 => State::String,
                0x30..=0x7e => State::Ground,
                _ => State::Escape,
            },
            State::Control => match byte {
                0x40..=0x7e => State::Ground,
                _ => State::Control,
            },
            State::System if byte == 0x07 => State::Ground,
            State::Content if byte == 0x9c => State::Ground,
            State::Device(head) => match (byte, head) {
                (0x40..=0x7e, _) => State::Content,
                (0x20..=0x2f, _) => State::Device(Head::Intermediates),
                (0x3c..=0x3f, Head::Parameters) | (0x30..=0x3f, Head::Intermediates) => {
                    State::String
                }
                (0x30..=0x3f, _) => State::Device(Head::Parameters),
                _ => State::Device(head),
            },
            state @ (State::System | State::Content | State::String) => state,
        };
        self.state = next;
        if next == State::Ground || self.bytes.len() == LIMIT {
            self.bytes.clear();
        }
        // A beginning that is too long is none: what is kept begins with its first byte or is nothing.
        if next != State::Ground && (!self.bytes.is_empty() || is_first(byte)) {
            self.bytes.push(byte);
        }
    }
}

/// Whether a byte begins something that is not over with it.
fn is_first(byte: u8) -> bool {
    byte == ESCAPE || byte >= 0xc2
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(bytes: &[u8]) -> Vec<u8> {
        let mut unfinished = Unfinished::default();
        unfinished.take_in(bytes);
        unfinished.bytes().to_vec()
    }

    #[test]
    fn what_is_not_over_is_kept_from_its_beginning() {
        for (written, kept) in [
            (&b"plain text\n"[..], &b""[..]),
            (b"text\x1b", b"\x1b"),
            (b"text\x1b[", b"\x1b["),
            (b"text\x1b[1;3", b"\x1b[1;3"),
            (b"text\x1b[1;3m", b""),
            (b"\x1b(", b"\x1b("),
            (b"\x1b(B", b""),
            (b"\x1b]0;title", b"\x1b]0;title"),
            (b"\x1b]0;title\x07", b""),
            (b"\x1b]0;title\x1b", b"\x1b"),
            (b"\x1b]0;title\x1b\\", b""),
            (b"\x1bPq#0", b"\x1bPq#0"),
            (b"\x1bP1;2 q#0", b"\x1bP1;2 q#0"),
            (b"\x1bPq#0\x9c", b""),
            (b"\x1bP1 2q#0\x9c", b"\x1bP1 2q#0\x9c"),
            (b"\x1b_text\x9c", b"\x1b_text\x9c"),
            (b"\x1b[1\x1b[2", b"\x1b[2"),
            (b"\x1b[1\x18", b""),
            // A line feed in a sequence is done at once, and not twice.
            (b"\x1b[1\n3", b"\x1b[13"),
            ("é".as_bytes(), b""),
            (&"é".as_bytes()[..1], b"\xc3"),
            (&"字".as_bytes()[..2], b"\xe5\xad"),
            (b"\xf0\x9f\x98", b"\xf0\x9f\x98"),
            (b"\xf0\x9f\x98\x80", b""),
            (b"\xc3x", b""),
            (b"\xc3\xc3", b"\xc3"),
            (b"\x80\xff", b""),
        ] {
            assert_eq!(after(written), kept, "{written:?}");
        }
    }

    #[test]
    fn a_string_without_an_end_takes_no_memory() {
        let mut picture = b"\x1bPq".to_vec();
        picture.extend(vec![b'~'; 100_000]);
        assert!(after(&picture).is_empty());
        picture.extend(b"\x1b\\\x1b[3");
        assert_eq!(after(&picture), b"\x1b[3");
    }
}
