//! What is wrong with a configuration, and where: data for a renderer, with no colours of its own.

use std::fmt::{self, Write as _};
use std::ops::Range;

/// A finding in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Whether work can go on.
    pub severity: Severity,
    /// The whole of it for people; more than one line when it gathers [`Diagnostic::problems`].
    pub message: String,
    /// The place, in bytes of the text.
    pub span: Range<usize>,
    /// Line of the place, counted from 1.
    pub line: usize,
    /// Column of the place in characters, counted from 1.
    pub column: usize,
    /// What to write at the place in a rendered excerpt, shorter than the message.
    pub label: Option<String>,
    /// What to do about it.
    pub help: Option<String>,
    /// The single problems, where one finding stands for many; else empty.
    pub problems: Vec<Problem>,
}

/// The most problems that a message lists.
const MAX_LISTED: usize = 100;

/// One of the problems of a [`Diagnostic`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What is wrong, in one line.
    pub message: String,
    /// The place, in bytes of the text.
    pub span: Range<usize>,
    /// Line of the place, counted from 1.
    pub line: usize,
    /// Column of the place in characters, counted from 1.
    pub column: usize,
}

/// Whether work can go on after a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It can; something is ignored.
    Warning,
    /// It cannot.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

impl Diagnostic {
    /// Makes a finding at `span` of `text`.
    pub fn new(
        severity: Severity,
        message: impl Into<String>,
        text: &str,
        span: Range<usize>,
    ) -> Self {
        Self::at(severity, message, &Places::new(text), span)
    }

    /// Makes a finding at `span` of the text that `places` knows.
    pub(crate) fn at(
        severity: Severity,
        message: impl Into<String>,
        places: &Places<'_>,
        span: Range<usize>,
    ) -> Self {
        let (line, column) = places.position(span.start);
        Self {
            severity,
            message: message.into(),
            span,
            line,
            column,
            label: None,
            help: None,
            problems: Vec::new(),
        }
    }

    /// Makes one finding of several problems, placed at the first of them in the text.
    ///
    /// Returns nothing when there are no problems.
    pub(crate) fn of_problems(
        severity: Severity,
        title: &str,
        mut problems: Vec<Problem>,
    ) -> Option<Self> {
        problems.sort_by_key(|problem| problem.span.start);
        let first = problems.first()?.clone();
        let mut message = format!("{title}:");
        for problem in problems.iter().take(MAX_LISTED) {
            let Problem {
                message: what,
                line,
                column,
                ..
            } = problem;
            // Writing to a string does not fail.
            let _ = write!(message, "\n  line {line}, column {column}: {what}");
        }
        if let Some(more @ 1..) = problems.len().checked_sub(MAX_LISTED) {
            let _ = write!(message, "\n  and {more} more");
        }
        Some(Self {
            severity,
            message,
            span: first.span,
            line: first.line,
            column: first.column,
            label: Some(first.message),
            help: None,
            problems,
        })
    }

    /// Returns the finding with something to do about it.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Returns the finding with what to write at its place.
    #[must_use]
    pub fn with_label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// Returns the message's first line, without its colon: a title above an excerpt.
    pub fn title(&self) -> &str {
        self.message
            .lines()
            .next()
            .unwrap_or_default()
            .trim_end_matches(':')
    }
}

impl Problem {
    pub(crate) fn new(message: impl Into<String>, places: &Places<'_>, span: Range<usize>) -> Self {
        let (line, column) = places.position(span.start);
        Self {
            message: message.into(),
            span,
            line,
            column,
        }
    }
}

/// Returns line and column, both counted from 1, of a byte of `text`. A place beyond the end is the
/// end; one within a character is that character's.
pub fn position(text: &str, offset: usize) -> (usize, usize) {
    Places::new(text).position(offset)
}

/// Bytes between two entries of [`Places::chars`].
const STRIDE: usize = 512;

/// Finds places in a text, however many are asked for: hostile files have as many mistakes as bytes.
pub(crate) struct Places<'a> {
    text: &'a str,
    /// Where each line begins, in bytes.
    lines: Vec<usize>,
    /// How many characters begin before each multiple of [`STRIDE`] bytes.
    chars: Vec<usize>,
}

impl<'a> Places<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        let mut lines = vec![0];
        let mut chars = Vec::with_capacity(text.len() / STRIDE + 1);
        let mut count = 0;
        for (index, byte) in text.bytes().enumerate() {
            if index % STRIDE == 0 {
                chars.push(count);
            }
            count += usize::from(begins_character(byte));
            if byte == b'\n' {
                lines.push(index + 1);
            }
        }
        chars.push(count);
        Self { text, lines, chars }
    }

    /// Returns line and column, both counted from 1, of a byte.
    pub(crate) fn position(&self, offset: usize) -> (usize, usize) {
        let mut offset = offset.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        let line = self.lines.partition_point(|start| *start <= offset);
        let start = self.lines[line - 1];
        (
            line,
            1 + self.chars_before(offset) - self.chars_before(start),
        )
    }

    fn chars_before(&self, offset: usize) -> usize {
        let near = offset / STRIDE;
        let rest = &self.text.as_bytes()[near * STRIDE..offset];
        let begun = rest.iter().filter(|byte| begins_character(**byte)).count();
        self.chars.get(near).copied().unwrap_or_default() + begun
    }
}

/// Whether a byte of UTF-8 is not the continuation of a character.
fn begins_character(byte: u8) -> bool {
    byte & 0b1100_0000 != 0b1000_0000
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn places_are_counted_in_lines_and_characters() {
        let text = "ab\nçd\r\nx";
        for (offset, place) in [
            (0, (1, 1)),
            (2, (1, 3)),
            (3, (2, 1)),
            (4, (2, 1)),
            (5, (2, 2)),
            (8, (3, 1)),
            (99, (3, 2)),
        ] {
            assert_eq!(position(text, offset), place, "{offset}");
        }
        assert_eq!(position("", 0), (1, 1));
    }

    #[test]
    fn several_problems_make_one_finding_at_the_first() {
        let text = "a = 1\nb = 2\n";
        let places = Places::new(text);
        let problems = vec![
            Problem::new("second", &places, 10..11),
            Problem::new("first", &places, 4..5),
        ];
        let found = Diagnostic::of_problems(Severity::Warning, "ignored", problems).unwrap();
        assert_eq!(
            found.message,
            "ignored:\n  line 1, column 5: first\n  line 2, column 5: second"
        );
        assert_eq!((found.line, found.column, found.span.clone()), (1, 5, 4..5));
        assert_eq!(found.title(), "ignored");
        assert_eq!(
            Diagnostic::of_problems(Severity::Warning, "ignored", Vec::new()),
            None
        );
    }

    proptest! {
        #[test]
        fn places_are_what_a_reader_counts(text in "([aé𝄞]{0,700}\n){0,3}[aé\n]{0,300}", offset in 0usize..4000) {
            let mut end = offset.min(text.len());
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            let line = text[..end].matches('\n').count() + 1;
            let before = text[..end].rsplit('\n').next().unwrap_or_default();
            prop_assert_eq!(position(&text, offset), (line, before.chars().count() + 1));
        }
    }
}
