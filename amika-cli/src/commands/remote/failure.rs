//! What a server's refusal is to a user.

use amika_remote::Failure;
use amika_remote::failure::{Details, Refusal};

use crate::error::{Error, Kind};

/// An error of a command.
pub(in crate::commands) fn told(failure: Failure) -> Error {
    match failure {
        Failure::Refused(refusal) => refused(*refusal),
        Failure::Unreachable { address, source } => Error::new(
            Kind::EngineUnreachable,
            format!("the server at {address} does not answer"),
        )
        .caused_by(&*source)
        .hint("`amika auth status` says where you are signed in"),
        failure => Error::new(Kind::Failure, failure.to_string()).because_of(&failure),
    }
}

fn refused(refusal: Refusal) -> Error {
    let mut error = Error::new(kind(refusal.status, &refusal.code), refusal.message.clone());
    match &refusal.details {
        Details::Places(places) => {
            let others = places
                .iter()
                .filter(|place| place.message != refusal.message);
            for place in others {
                error = error.because(format!("{}: {}", place.field, place.message));
            }
        }
        Details::Text(text) => error = error.because(text.clone()),
    }
    for hint in refusal.hints {
        error = error.hint(hint);
    }
    error = match refusal.retry_after {
        Some(seconds) => error.hint(format!("ask again in {seconds} s")),
        None if refusal.status == 401 => error.hint("`amika auth login URL` signs you in anew"),
        None => error,
    };
    error.detail("trace_id", refusal.trace_id)
}

/// The kind that a status is, or a word where it is of no kind by itself.
fn kind(status: u16, code: &str) -> Kind {
    match status {
        400 | 413 => Kind::Invalid,
        401 | 403 => Kind::NotSignedIn,
        404 => Kind::NotFound,
        409 => Kind::Conflict,
        503 => Kind::EngineUnreachable,
        // Of something before the server, which does not reach it.
        502 | 504 if code.is_empty() => Kind::EngineUnreachable,
        _ => word(code),
    }
}

/// The kind that a word is of.
pub(super) fn word(code: &str) -> Kind {
    let found = Kind::ALL.into_iter().find(|kind| kind.word() == code);
    found.unwrap_or(Kind::Failure)
}

trait BecauseOf {
    /// Adds the sources of an error whose own words are said already.
    fn because_of(self, error: &dyn std::error::Error) -> Self;
}

impl BecauseOf for Error {
    fn because_of(self, error: &dyn std::error::Error) -> Self {
        match error.source() {
            Some(source) => self.caused_by(source),
            None => self,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_ends_with_the_code_that_is_documented() {
        for (status, code, kind) in [
            (400, "usage", Kind::Invalid),
            (401, "unauthorized", Kind::NotSignedIn),
            (403, "forbidden", Kind::NotSignedIn),
            (404, "not_found", Kind::NotFound),
            (400, "port_conflict", Kind::Invalid),
            (429, "rate_limited", Kind::Failure),
            (502, "setup_failed", Kind::SetupFailed),
            (502, "repository", Kind::Repository),
            (503, "engine_unreachable", Kind::EngineUnreachable),
            (502, "", Kind::EngineUnreachable),
            (504, "not_ready", Kind::NotReady),
            (500, "internal", Kind::Failure),
        ] {
            let refusal = Refusal {
                status,
                code: code.into(),
                ..Refusal::default()
            };
            assert_eq!(refused(refusal).kind, kind, "{status} {code}");
        }
    }
}
