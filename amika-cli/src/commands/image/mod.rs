//! `amika image …`.

mod build;
mod list;
mod prune;

use crate::App;
use crate::args::image::Command;
use crate::error::Result;

pub(super) async fn run(command: Command, app: &App) -> Result<()> {
    match command {
        Command::Build(args) => build::run(&args, app).await,
        Command::List => list::run(app).await,
        Command::Prune(args) => prune::run(&args, app).await,
    }
}
