//! Walks a spanned TOML table, and notes what is wrong with it.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeInteger, DeString, DeTable, DeValue};

use super::Located;
use crate::diagnostic::{Diagnostic, Places, Problem, Severity};
use crate::nearest::nearest;

/// A section while it is read.
pub(super) struct Section<'a> {
    /// The places of the whole file.
    places: &'a Places<'a>,
    /// What makes the section not apply.
    pub(super) problems: Vec<Problem>,
    /// What is worth a warning only.
    pub(super) remarks: Vec<Diagnostic>,
    /// Keys that do not apply, while the section does.
    pub(super) left_out: Vec<String>,
}

impl<'a> Section<'a> {
    pub(super) fn new(places: &'a Places<'a>) -> Self {
        Self {
            places,
            problems: Vec::new(),
            remarks: Vec::new(),
            left_out: Vec::new(),
        }
    }

    /// Notes what makes the section not apply.
    pub(super) fn problem(&mut self, span: Range<usize>, message: impl Into<String>) {
        self.problems
            .push(Problem::new(cut(message), self.places, span));
    }

    /// Notes what is worth a warning.
    pub(super) fn remark(&mut self, span: Range<usize>, message: impl Into<String>) {
        let message = match self.remarks.len() {
            ..MAX_REMARKS => cut(message),
            MAX_REMARKS => "further remarks on this section are left out".to_owned(),
            _ => return,
        };
        self.remarks.push(Diagnostic::at(
            Severity::Warning,
            message,
            self.places,
            span,
        ));
    }

    /// Returns an error at a place of the section, which the caller keeps.
    pub(super) fn error(&self, span: Range<usize>, message: impl Into<String>) -> Diagnostic {
        Diagnostic::at(Severity::Error, cut(message), self.places, span)
    }

    /// Returns the line of a place, counted from 1.
    pub(super) fn line(&self, span: &Range<usize>) -> usize {
        self.places.position(span.start).0
    }

    /// Returns a value with its place.
    pub(super) fn locate<T>(&self, span: Range<usize>, value: T) -> Located<T> {
        let (line, column) = self.places.position(span.start);
        Located {
            value,
            span,
            line,
            column,
        }
    }

    /// Remarks on each key that is not one of `known`. `place` names the table, for people.
    pub(super) fn unknown_keys(
        &mut self,
        table: &DeTable<'_>,
        place: &str,
        known: &[&'static str],
    ) {
        for key in keys_in_order(table) {
            let name = key.get_ref();
            if known.contains(&name.as_ref()) {
                continue;
            }
            let hint = match nearest(name, known.iter().copied()) {
                Some(meant) => format!("did you mean \"{meant}\"?"),
                None => format!("known are {}", known.join(", ")),
            };
            self.remark(
                key.span(),
                format!("unknown key {} in {place}; {hint}", quoted(name)),
            );
        }
    }

    /// Returns the table that a value is, or notes that it is none. `what` names the value.
    pub(super) fn table<'v, 'i>(
        &mut self,
        value: &'v Spanned<DeValue<'i>>,
        what: &str,
    ) -> Option<&'v DeTable<'i>> {
        let table = value.get_ref().as_table();
        if table.is_none() {
            self.wrong_type(value, what, "a table");
        }
        table
    }

    /// Returns the string that a value is, or notes that it is none. `what` names the value.
    pub(super) fn string<'v>(
        &mut self,
        value: &'v Spanned<DeValue<'_>>,
        what: &str,
    ) -> Option<&'v str> {
        let text = value.get_ref().as_str();
        if text.is_none() {
            self.wrong_type(value, what, "a string");
        }
        text
    }

    /// Notes that a value has another type than it should.
    pub(super) fn wrong_type(&mut self, value: &Spanned<DeValue<'_>>, what: &str, wanted: &str) {
        let found = match value.get_ref().type_str() {
            kind @ ("integer" | "array") => format!("an {kind}"),
            kind => format!("a {kind}"),
        };
        self.problem(
            value.span(),
            format!("{what} must be {wanted}, not {found}"),
        );
    }
}

/// The most characters of the file's own words that a message repeats.
const MAX_QUOTED: usize = 80;

/// Returns a text in quotes, with control characters escaped, and cut when it is very long.
pub(super) fn quoted(text: &str) -> String {
    match text.char_indices().nth(MAX_QUOTED) {
        Some((end, _)) => format!("\"{}…\"", text[..end].escape_debug()),
        None => format!("\"{}\"", text.escape_debug()),
    }
}

/// The most characters of a message on one problem.
const MAX_MESSAGE: usize = 400;

/// Cuts a message that repeats a very long word of the file.
fn cut(message: impl Into<String>) -> String {
    let mut message = message.into();
    if let Some((end, _)) = message.char_indices().nth(MAX_MESSAGE) {
        message.truncate(end);
        message.push('…');
    }
    message
}

/// The most remarks on one section.
const MAX_REMARKS: usize = 50;

/// Returns the number that a TOML integer means, whatever its base, unless it exceeds 64 bits.
pub(super) fn integer(value: &DeInteger<'_>) -> Option<i64> {
    i64::from_str_radix(value.as_str(), value.radix()).ok()
}

/// Returns a plain value as the text that a variable gets: numbers as they are written, but for underscores, since what
/// they mean is the program's to say.
pub(super) fn plain_text(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Boolean(flag) => Some(flag.to_string()),
        DeValue::Integer(number) if number.radix() == 10 => Some(number.as_str().to_owned()),
        DeValue::Integer(number) => Some(number.to_string()),
        DeValue::Float(number) => Some(number.as_str().to_owned()),
        DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => None,
    }
}

/// Returns a table's keys in the order of the file.
pub(super) fn keys_in_order<'t, 'i>(table: &'t DeTable<'i>) -> Vec<&'t Spanned<DeString<'i>>> {
    let mut keys: Vec<_> = table.keys().collect();
    keys.sort_by_key(|key| key.span().start);
    keys
}

/// Returns a table's entries in the order of the file.
pub(super) fn entries_in_order<'t, 'i>(
    table: &'t DeTable<'i>,
) -> Vec<(&'t Spanned<DeString<'i>>, &'t Spanned<DeValue<'i>>)> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    entries
}
