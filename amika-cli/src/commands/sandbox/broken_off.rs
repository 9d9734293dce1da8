//! Ctrl-C while the engine is at something that it goes on with: what is said of the sandbox then.

use crate::App;
use crate::error::{Error, Kind, Result};

/// Waits for the engine; broken off, the error says what it is at, and `next` what there is to do.
///
/// # Errors
/// Those of the work; [`Kind::Canceled`].
pub(super) async fn engine_goes_on<T>(
    app: &App,
    work: impl Future<Output = Result<T>>,
    what: &str,
    next: &str,
) -> Result<T> {
    tokio::select! {
        done = work => done,
        () = app.interrupt.requested() => Err(Error::new(
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
pub(super) async fn nothing_done<T>(
    app: &App,
    work: impl Future<Output = Result<T>>,
    what: &str,
) -> Result<T> {
    tokio::select! {
        done = work => done,
        () = app.interrupt.requested() => Err(Error::new(
            Kind::Canceled,
            format!("interrupted; {what}"),
        )),
    }
}
