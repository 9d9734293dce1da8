//! What is wrong with a file that cannot be used.

use amika_core::diagnostic::Diagnostic;
use amika_core::untrusted::Untrusted;

use crate::error::{Error, Findings, Kind};

/// Characters of a path that are shown: the longest that Linux opens.
pub const PATH_SHOWN: usize = 4096;

/// The error of a file that cannot be used. What is wrong first is the error's own sentence, with the place;
/// all findings are with it, for doors that show the lines that they are about.
pub fn refusal(path: &str, text: &str, problems: &[Diagnostic]) -> Error {
    let Some(first) = problems.first() else {
        return Error::new(Kind::Invalid, format!("{path} cannot be used"));
    };
    let shown = Untrusted::new(path).within(PATH_SHOWN);
    let message = format!("{shown}:{}:{}: {}", first.line, first.column, first.message);
    Error::new(Kind::Invalid, message)
        .findings(Findings {
            path: path.to_owned(),
            text: text.to_owned(),
            problems: problems.to_vec(),
        })
        .detail("line", first.line)
        .detail("column", first.column)
}
