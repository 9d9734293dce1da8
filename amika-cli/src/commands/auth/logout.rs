//! `amika auth logout`.

use schemars::JsonSchema;
use serde::Serialize;

use crate::App;
use crate::commands::remote;
use crate::error::Result;

/// What `logout` did.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct LoggedOut {
    /// Whether there was a key to forget.
    was_signed_in: bool,
}

pub(super) fn run(app: &App) -> Result<()> {
    let done = LoggedOut {
        was_signed_in: remote::forget(app)?,
    };
    app.out.result(&done, |_| Ok(()))?;
    app.out.note(if done.was_signed_in {
        "the key is forgotten here; it still holds for whoever has it"
    } else {
        "you were not signed in"
    });
    Ok(())
}
