//! What a server is not asked for.

use crate::error::{Error, Kind};

/// An option that has no meaning on a server.
pub(super) fn option(flag: &str, hint: &str) -> Error {
    let error = Error::new(
        Kind::Invalid,
        format!("{flag} cannot be used with --remote"),
    );
    if hint.is_empty() {
        error
    } else {
        error.hint(hint)
    }
}

/// A command that has no meaning on a server.
pub(super) fn command(verb: &str, hint: &str) -> Error {
    Error::new(
        Kind::Invalid,
        format!("`{verb}` does not work with --remote"),
    )
    .hint(hint)
}
