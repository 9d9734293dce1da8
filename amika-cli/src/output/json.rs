//! JSON on standard output, in which nothing steers a terminal.

use std::io::{self, Write};

use amika_core::untrusted::steers;

/// A writer for JSON, which means the same afterwards: strings have `\u202e` for U+202E.
pub(super) struct Json<'a> {
    to: &'a mut dyn Write,
    /// The beginning of a character whose rest has not come yet.
    begun: Vec<u8>,
}

impl<'a> Json<'a> {
    pub(super) fn new(to: &'a mut dyn Write) -> Self {
        Self {
            to,
            begun: Vec::new(),
        }
    }

    /// A character that is not ASCII, and DEL, can only be part of a string; controls below the blank are
    /// escaped in strings by who makes the JSON, and stand between its parts as line ends.
    fn put(&mut self, text: &str) -> io::Result<()> {
        let mut inert = String::with_capacity(text.len());
        for found in text.chars() {
            if steers(found) && found > ' ' {
                for unit in found.encode_utf16(&mut [0; 2]) {
                    // Writing to a string does not fail.
                    let _ = std::fmt::Write::write_fmt(&mut inert, format_args!("\\u{unit:04x}"));
                }
            } else {
                inert.push(found);
            }
        }
        self.to.write_all(inert.as_bytes())
    }
}

impl Write for Json<'_> {
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

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(pieces: &[&[u8]]) -> String {
        let mut to = Vec::new();
        let mut json = Json::new(&mut to);
        for piece in pieces {
            json.write_all(piece).unwrap();
        }
        String::from_utf8(to).unwrap()
    }

    #[test]
    fn characters_that_come_in_pieces_are_whole_and_broken_ones_are_replaced() {
        assert_eq!(
            written(&[b"\xc3", b"\xa9\xe4\xba", b"\xac\xff!"]),
            "é京\u{fffd}!"
        );
        assert_eq!(written(&[b"\xc2", b"\x9b"]), "\\u009b");
    }

    proptest! {
        #[test]
        fn json_means_the_same_and_steers_nothing(text in any::<String>()) {
            let plain = serde_json::to_string(&serde_json::json!({ &text: text })).unwrap();
            let shown = written(&[plain.as_bytes()]);
            prop_assert!(!shown.chars().any(steers), "{:?}", shown);
            let read: serde_json::Value = serde_json::from_str(&shown).unwrap();
            prop_assert_eq!(read, serde_json::json!({ &text: text }));
        }
    }
}
