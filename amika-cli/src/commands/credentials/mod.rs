//! `amika credentials …`.

mod list;
mod pull;
mod refresh;
mod status;

use amika_core::credential::Selection;

use super::schema::{Output, document};
use crate::App;
use crate::args::credentials::Command;
use crate::error::{CommandError, ExitCode, Result};

/// What the verbs print with `-o json`.
pub(super) fn outputs() -> Vec<(&'static str, Output)> {
    vec![
        ("list", document::<Vec<list::FileView>>()),
        ("status", document::<Vec<status::PairView>>()),
        ("refresh", document::<refresh::Refreshed>()),
        ("pull", document::<pull::Pulled>()),
    ]
}

pub(super) async fn run(command: Command, app: &App) -> Result<()> {
    match command {
        Command::List(args) => list::run(&args, app),
        Command::Status(args) => status::run(&args, app).await,
        Command::Refresh(args) => refresh::run(&args, app).await,
        Command::Pull(args) => pull::run(&args, app).await,
    }
}

/// Reads `--credentials`; `default` holds without it.
fn selection(flag: Option<&str>, default: impl FnOnce() -> Selection) -> Result<Selection> {
    flag.map_or_else(
        || Ok(default()),
        |text| {
            text.parse().map_err(|error| {
                CommandError::new(ExitCode::Usage, format!("--credentials: {error}"))
            })
        },
    )
}
