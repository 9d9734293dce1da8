//! The parser: what git's `config.c` does, byte for byte.

use super::{Entry, InvalidConfig, MAX_ENTRIES, MAX_FILE, MAX_TEXT, Problem};

/// Reads a configuration file.
///
/// # Errors
/// With the first line that git would refuse, too; for NUL bytes outside comments, which git would cut
/// texts at; and beyond the limits.
pub fn parse(bytes: &[u8]) -> Result<Vec<Entry>, InvalidConfig> {
    let mut parser = Parser {
        bytes,
        at: 0,
        line: 1,
        stem: Vec::new(),
        entries: Vec::new(),
    };
    let problem = if bytes.len() > MAX_FILE {
        Some(Problem::LargeFile)
    } else {
        parser.file().err()
    };
    match problem {
        None => Ok(parser.entries),
        Some(problem) => Err(InvalidConfig {
            line: parser.line,
            problem,
        }),
    }
}

struct Parser<'a> {
    bytes: &'a [u8],
    at: usize,
    line: usize,
    /// The section's key with a dot behind it; empty before the first section.
    stem: Vec<u8>,
    entries: Vec<Entry>,
}

/// A byte, or the end of a line.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    Byte(u8),
    LineEnd,
    /// The end of the file, which ends a line as well.
    End,
}

/// What git takes for white space within a line.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r')
}

fn is_key(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-'
}

impl Parser<'_> {
    /// The next byte; `\r\n` is the end of a line, and `\r` alone is a byte.
    fn peek(&self) -> Next {
        match self.bytes.get(self.at..).unwrap_or_default() {
            [] => Next::End,
            [b'\n', ..] | [b'\r', b'\n', ..] => Next::LineEnd,
            [byte, ..] => Next::Byte(*byte),
        }
    }

    /// Goes past what was peeked at. A line is counted only here, so that a problem at a line's end is
    /// told of that line.
    fn pass(&mut self) {
        match self.peek() {
            Next::End => {}
            Next::Byte(_) => self.at += 1,
            Next::LineEnd => {
                self.at += if self.bytes[self.at] == b'\r' { 2 } else { 1 };
                self.line += 1;
            }
        }
    }

    fn skip_comment(&mut self) {
        while let Next::Byte(_) = self.peek() {
            self.pass();
        }
    }

    fn file(&mut self) -> Result<(), Problem> {
        const MARK: &[u8] = b"\xef\xbb\xbf";
        if self.bytes.starts_with(MARK) {
            self.at = MARK.len();
        } else if self.bytes.first() == MARK.first() {
            return Err(Problem::ByteOrderMark);
        }
        loop {
            match self.peek() {
                Next::End => return Ok(()),
                Next::LineEnd => self.pass(),
                Next::Byte(byte) if is_space(byte) => self.pass(),
                Next::Byte(b'#' | b';') => self.skip_comment(),
                Next::Byte(b'[') => {
                    self.pass();
                    self.section()?;
                }
                Next::Byte(byte) if byte.is_ascii_alphabetic() => self.variable()?,
                Next::Byte(0) => return Err(Problem::Nul),
                Next::Byte(_) => return Err(Problem::Unexpected),
            }
        }
    }

    /// Reads a section's head behind its `[`.
    fn section(&mut self) -> Result<(), Problem> {
        let mut stem = Vec::new();
        loop {
            match self.peek() {
                Next::Byte(b']') => {
                    self.pass();
                    break;
                }
                Next::Byte(byte) if is_space(byte) => {
                    self.subsection(&mut stem)?;
                    break;
                }
                Next::Byte(byte) if is_key(byte) || byte == b'.' => {
                    self.pass();
                    stem.push(byte.to_ascii_lowercase());
                }
                _ => return Err(Problem::Section),
            }
        }
        if stem.is_empty() {
            return Err(Problem::Section);
        }
        if stem.len() > MAX_TEXT {
            return Err(Problem::LongText);
        }
        stem.push(b'.');
        self.stem = stem;
        Ok(())
    }

    /// Reads ` "subsection"]`.
    fn subsection(&mut self, stem: &mut Vec<u8>) -> Result<(), Problem> {
        while matches!(self.peek(), Next::Byte(byte) if is_space(byte)) {
            self.pass();
        }
        if self.peek() != Next::Byte(b'"') {
            return Err(Problem::Section);
        }
        self.pass();
        stem.push(b'.');
        loop {
            let mut next = self.peek();
            if next == Next::Byte(b'"') {
                self.pass();
                break;
            }
            if next == Next::Byte(b'\\') {
                self.pass();
                next = self.peek();
            }
            match next {
                Next::Byte(0) => return Err(Problem::Nul),
                Next::Byte(byte) => stem.push(byte),
                Next::LineEnd | Next::End => return Err(Problem::Section),
            }
            self.pass();
        }
        if self.peek() != Next::Byte(b']') {
            return Err(Problem::Section);
        }
        self.pass();
        Ok(())
    }

    fn variable(&mut self) -> Result<(), Problem> {
        let mut name = Vec::new();
        while let Next::Byte(byte) = self.peek()
            && is_key(byte)
        {
            self.pass();
            name.push(byte.to_ascii_lowercase());
        }
        if name.len() > MAX_TEXT {
            return Err(Problem::LongText);
        }
        while matches!(self.peek(), Next::Byte(b' ' | b'\t')) {
            self.pass();
        }
        let value = match self.peek() {
            Next::LineEnd | Next::End => None,
            Next::Byte(b'=') => {
                self.pass();
                Some(self.value()?)
            }
            Next::Byte(0) => return Err(Problem::Nul),
            Next::Byte(_) => return Err(Problem::NoEquals),
        };
        if self.entries.len() == MAX_ENTRIES {
            return Err(Problem::ManyEntries);
        }
        let (section, subsection) = self.split_stem();
        self.entries.push(Entry {
            section,
            subsection,
            variable: name,
            value,
            line: self.line,
        });
        Ok(())
    }

    /// Git's keys are flat: what is behind a section's first dot is the subsection, in whatever form it
    /// was written.
    fn split_stem(&self) -> (Vec<u8>, Option<Vec<u8>>) {
        let stem = self.stem.strip_suffix(b".").unwrap_or_default();
        match stem.iter().position(|&byte| byte == b'.') {
            None => (stem.to_vec(), None),
            Some(dot) => (stem[..dot].to_vec(), Some(stem[dot + 1..].to_vec())),
        }
    }

    /// Reads a value behind its `=`, up to the end of its line, which is left.
    fn value(&mut self) -> Result<Vec<u8>, Problem> {
        let mut value = Vec::new();
        // The length without the white space at the end.
        let mut kept = 0;
        let mut quoted = false;
        loop {
            if value.len() > MAX_TEXT {
                return Err(Problem::LongText);
            }
            let byte = match self.peek() {
                Next::End | Next::LineEnd if quoted => return Err(Problem::OpenQuote),
                Next::End | Next::LineEnd => break,
                Next::Byte(byte) => byte,
            };
            match byte {
                0 => return Err(Problem::Nul),
                b'#' | b';' if !quoted => {
                    self.skip_comment();
                    break;
                }
                byte if is_space(byte) && !quoted => {
                    self.pass();
                    if !value.is_empty() {
                        value.push(byte);
                    }
                    continue;
                }
                b'"' => {
                    self.pass();
                    quoted = !quoted;
                }
                b'\\' => {
                    self.pass();
                    match self.peek() {
                        // The value goes on; at the file's end it is over.
                        Next::LineEnd | Next::End => {}
                        Next::Byte(b't') => value.push(b'\t'),
                        Next::Byte(b'n') => value.push(b'\n'),
                        Next::Byte(b'b') => value.push(8),
                        Next::Byte(same @ (b'\\' | b'"')) => value.push(same),
                        Next::Byte(_) => return Err(Problem::Escape),
                    }
                    self.pass();
                }
                byte => {
                    self.pass();
                    value.push(byte);
                }
            }
            kept = value.len();
        }
        value.truncate(kept);
        Ok(value)
    }
}
