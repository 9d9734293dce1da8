//! `amika volume …`.

mod delete;
mod inspect;
mod list;
mod prune;

use super::schema::{Output, document, either};
use crate::App;
use crate::args::volume::Command;
use crate::error::Result;
use crate::volumes::VolumeView;

/// What the verbs print with `-o json`.
pub(super) fn outputs() -> Vec<(&'static str, Output)> {
    vec![
        ("list", document::<Vec<VolumeView>>()),
        ("inspect", either::<VolumeView, Vec<VolumeView>>()),
        ("delete", document::<Vec<delete::Deleted>>()),
        ("prune", document::<Vec<delete::Deleted>>()),
    ]
}

pub(super) async fn run(command: Command, app: &App) -> Result<()> {
    match command {
        Command::List => list::run(app).await,
        Command::Inspect(args) => inspect::run(&args, app).await,
        Command::Delete(args) => delete::run(&args, app).await,
        Command::Prune(args) => prune::run(&args, app).await,
    }
}
