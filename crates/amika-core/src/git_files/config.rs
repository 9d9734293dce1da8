//! A file in git's configuration syntax, as bytes. Nothing that it names is followed: an `include.path` is
//! an entry like any other.

mod parse;

pub use parse::parse;

/// The largest file, in bytes.
pub const MAX_FILE: usize = 1 << 20;

/// The most entries of a file.
pub const MAX_ENTRIES: usize = 100_000;

/// The longest key or value, in bytes.
pub const MAX_TEXT: usize = 64 << 10;

/// One variable, as `git config --list` has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// All before the first dot, in lower case. Empty for a variable before the first section, which git
    /// lists and does not use.
    pub section: Vec<u8>,
    /// All between the first and the last dot, as it is: `[a "B.c"]`. The old form `[a.B]` is in lower
    /// case.
    pub subsection: Option<Vec<u8>>,
    /// All behind the last dot, in lower case.
    pub variable: Vec<u8>,
    /// The value; `None` where there is no `=`, which git takes for a boolean that is on.
    pub value: Option<Vec<u8>>,
    /// The line that it ends on, counted from 1.
    pub line: usize,
}

impl Entry {
    /// The key as git prints it: `section.subsection.variable`.
    pub fn key(&self) -> Vec<u8> {
        let mut key = self.section.clone();
        if let Some(subsection) = &self.subsection {
            key.push(b'.');
            key.extend_from_slice(subsection);
        } else if key.is_empty() {
            return self.variable.clone();
        }
        key.push(b'.');
        key.extend_from_slice(&self.variable);
        key
    }

    /// Whether it is the variable of that section, without a subsection; both are given in lower case.
    pub fn is(&self, section: &str, variable: &str) -> bool {
        self.section == section.as_bytes()
            && self.subsection.is_none()
            && self.variable == variable.as_bytes()
    }

    /// Whether a boolean is on, by git's words for it; `None` for what is no boolean.
    pub fn boolean(&self) -> Option<bool> {
        let Some(value) = &self.value else {
            return Some(true);
        };
        match value.to_ascii_lowercase().as_slice() {
            b"true" | b"yes" | b"on" => Some(true),
            b"false" | b"no" | b"off" | b"" => Some(false),
            // Git takes any number that is not zero for on, with a unit behind it too.
            other => {
                let unit = |byte: &u8| matches!(byte, b'k' | b'm' | b'g');
                let end = other.len() - usize::from(other.last().is_some_and(unit));
                let text = std::str::from_utf8(&other[..end]).ok()?;
                text.parse::<i32>().ok().map(|number| number != 0)
            }
        }
    }
}

/// Why bytes are no configuration file, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} {problem}")]
pub struct InvalidConfig {
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong there.
    pub problem: Problem,
}

/// What makes a line one that is not understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The file is larger than [`MAX_FILE`].
    #[error("is not reached: the file is larger than 1 MiB")]
    LargeFile,
    /// There are more than [`MAX_ENTRIES`].
    #[error("has one entry more than {MAX_ENTRIES}")]
    ManyEntries,
    /// A key or a value is longer than [`MAX_TEXT`].
    #[error("has a key or a value of more than 64 KiB")]
    LongText,
    /// The first bytes are part of a byte order mark.
    #[error("begins with half a byte order mark")]
    ByteOrderMark,
    /// A section's head is not `[section]` or `[section "subsection"]`.
    #[error("has a section head that is not [section] or [section \"subsection\"]")]
    Section,
    /// What stands there is neither a section, a comment nor a variable.
    #[error("has neither a section, a variable nor a comment")]
    Unexpected,
    /// A variable's name is followed by something other than `=` or the line's end.
    #[error("has a variable that is not followed by \"=\" or the end of the line")]
    NoEquals,
    /// A quoted text does not end on its line.
    #[error("has a quoted text that does not end")]
    OpenQuote,
    /// A backslash before something other than `\ " n t b` or the line's end.
    #[error("has an unknown escape behind a backslash")]
    Escape,
    /// A NUL byte outside a comment, at which git would cut the text.
    #[error("has a NUL byte")]
    Nul,
}

#[cfg(test)]
mod tests;
