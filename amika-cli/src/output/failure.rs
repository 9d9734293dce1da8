//! What a failed command is to a program: its exit code, and the document that `-o json` prints.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use super::diagnostic;
use crate::error::{Error, Kind};
use amika_core::text::plain_words;

/// What a command exits with; `docs/errors.md` lists them.
pub fn exit_code(kind: Kind) -> u8 {
    match kind {
        Kind::Failure | Kind::CmdExited | Kind::AgentRefused | Kind::RightMissing => 1,
        Kind::Invalid => 2,
        Kind::NotFound => 3,
        Kind::Conflict => 4,
        Kind::EngineUnreachable => 5,
        Kind::Image => 6,
        Kind::Repository => 7,
        Kind::NotSignedIn => 8,
        Kind::SetupFailed => 20,
        Kind::NotReady => 21,
        // `exec` and `connect` failed themselves; every other code there is the remote program's.
        Kind::ExecFailed => 125,
        Kind::Canceled => 130,
    }
}

/// The document that `-o json` prints: `{"error":{"code","message","causes","hint","hints",…}}`.
pub fn document(error: &Error) -> ErrorDocument {
    let mut details = error.details.clone();
    // `exec` and `connect` end with another code than the error's kind would have.
    let other = details.remove("exit_code").and_then(|code| code.as_i64());
    ErrorDocument {
        error: ErrorView {
            code: error.kind.word(),
            exit_code: other.unwrap_or_else(|| exit_code(error.kind).into()),
            message: plain_words(&error.message),
            excerpt: error
                .findings
                .as_deref()
                .map(|findings| diagnostic::excerpt(findings).text()),
            causes: causes(error).chain(last_output(error)).collect(),
            hints: error.hints.clone(),
            hint: (!error.hints.is_empty()).then(|| error.hints.join("\n")),
            details,
        },
    }
}

/// Why it failed, as it is said.
pub(super) fn causes(error: &Error) -> impl Iterator<Item = String> {
    error.causes.iter().map(|cause| plain_words(cause))
}

/// The last lines that a program wrote, as one more cause.
fn last_output(error: &Error) -> Option<String> {
    let output = error.last_output.as_ref()?;
    Some(format!("its last output was:\n{}", output.lines.join("\n")))
}

/// [`document`] as JSON.
pub fn to_json(error: &Error) -> Value {
    // Text, numbers and JSON always serialise.
    serde_json::to_value(document(error)).unwrap_or_default()
}

/// What a failed command prints with `-o json`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ErrorDocument {
    error: ErrorView,
}

/// What it failed with.
#[derive(Debug, Serialize, JsonSchema)]
struct ErrorView {
    /// The kind of failure; `docs/errors.md` lists them.
    code: &'static str,
    /// What the command exits with.
    exit_code: i64,
    /// What was tried and what was wrong: one sentence.
    message: String,
    /// The lines of a file that it is about, with a mark under each place.
    #[serde(skip_serializing_if = "Option::is_none")]
    excerpt: Option<String>,
    /// Why, outermost first.
    causes: Vec<String>,
    /// What to do next, in lines: all of `hints`.
    hint: Option<String>,
    /// What to do next, one entry a way.
    hints: Vec<String>,
    /// What else is known of this kind of failure.
    #[serde(flatten)]
    details: Map<String, Value>,
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_documentation_has_the_same_table() {
        let docs = include_str!("../../../docs/errors.md");
        let rows = docs
            .lines()
            .skip_while(|line| !line.starts_with("| code"))
            .skip(2)
            .take_while(|line| line.starts_with('|'))
            .map(|line| {
                let mut cells = line.trim_matches('|').split('|').map(str::trim);
                let code: u8 = cells.next().unwrap().parse().unwrap();
                (code, cells.next().unwrap().trim_matches('`').to_owned())
            });
        // Zero is no failure's.
        let documented: BTreeSet<(u8, String)> = rows.filter(|(code, _)| *code != 0).collect();
        let all = Kind::ALL.map(|kind| (exit_code(kind), kind.word().to_owned()));
        assert_eq!(BTreeSet::from(all), documented);
    }
}
