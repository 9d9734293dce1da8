//! `amika credentials …`.

mod list;
mod pull;
mod refresh;
mod status;

use amika_core::credential::Selection;

use super::schema::{Output, document, either};
use crate::App;
use crate::args::credentials::Command;
use crate::credentials::{FileView, PairView, Pulled, Refreshed};
use crate::engine::looked_at_again;
use crate::error::{Error, Kind, Result};

/// What the verbs print with `-o json`.
pub(super) fn outputs() -> Vec<(&'static str, Output)> {
    vec![
        ("list", document::<Vec<FileView>>()),
        (
            "status",
            either::<Vec<status::SandboxView>, Vec<PairView>>(),
        ),
        ("refresh", document::<Refreshed>()),
        ("pull", document::<Pulled>()),
    ]
}

pub(super) async fn run(command: Command, app: &App) -> Result<()> {
    let name = match &command {
        Command::List(_) => None,
        Command::Status(args) => args.name.clone(),
        Command::Refresh(args) => Some(args.name.clone()),
        Command::Pull(args) => Some(args.name.clone()),
    };
    match (dispatch(command, app).await, name) {
        (Err(error), Some(name)) => Err(looked_at_again(&app.user, error, &[&name]).await),
        (result, _) => result,
    }
}

async fn dispatch(command: Command, app: &App) -> Result<()> {
    match command {
        Command::List(args) => list::run(&args, app),
        Command::Status(args) => status::run(&args, app).await,
        Command::Refresh(args) => refresh::run(&args, app).await,
        Command::Pull(args) => pull::run(&args, app).await,
    }
}

/// Reads `--credentials`.
fn selection(flag: Option<&str>) -> Result<Option<Selection>> {
    flag.map(|text| {
        text.parse()
            .map_err(|error| Error::new(Kind::Invalid, format!("--credentials: {error}")))
    })
    .transpose()
}
