//! `amika image …`.

mod build;
mod list;
mod prune;

use super::schema::{Output, document};
use crate::App;
use crate::args::image::Command;
use crate::error::Result;
use crate::images::{ImageView, Pruned};

/// What the verbs print with `-o json`.
pub(super) fn outputs() -> Vec<(&'static str, Output)> {
    vec![
        ("build", document::<crate::preset::PresetImage>()),
        ("list", document::<Vec<ImageView>>()),
        ("prune", document::<Pruned>()),
    ]
}

pub(super) async fn run(command: Command, app: &App) -> Result<()> {
    match command {
        Command::Build(args) => build::run(&args, app).await,
        Command::List => list::run(app).await,
        Command::Prune(args) => prune::run(&args, app).await,
    }
}
