//! The end of an operation before it is done: what is said of the sandbox then.

use crate::cancel::Cancel;
use crate::error::{Error, Kind, Result};

/// Waits for the engine; broken off, the error says what it is at, and `next` what there is to do.
///
/// # Errors
/// Those of the work; [`Kind::Canceled`].
pub(crate) async fn engine_goes_on<T>(
    cancel: &Cancel,
    work: impl Future<Output = Result<T>>,
    what: &str,
    next: &str,
) -> Result<T> {
    tokio::select! {
        done = work => done,
        () = cancel.requested() => Err(Error::new(
            Kind::Canceled,
            format!("interrupted while {what}; the engine goes on with that"),
        )
        .hint(next)),
    }
}

/// Breaks off what changes nothing yet; the error says so.
///
/// # Errors
/// Those of the work; [`Kind::Canceled`].
pub async fn nothing_done<T>(
    cancel: &Cancel,
    work: impl Future<Output = Result<T>>,
    what: &str,
) -> Result<T> {
    tokio::select! {
        done = work => done,
        () = cancel.requested() => Err(Error::new(
            Kind::Canceled,
            format!("interrupted; {what}"),
        )),
    }
}

/// Breaks off what changes nothing yet, and has nothing to say of it.
///
/// # Errors
/// Those of the work; [`Kind::Canceled`].
pub(crate) async fn interruptible<T>(
    cancel: &Cancel,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    tokio::select! {
        done = work => done,
        () = cancel.requested() => Err(Error::new(Kind::Canceled, "interrupted")),
    }
}
