//! `amika volume …`.

mod delete;
mod inspect;
mod list;
mod prune;
mod view;

use crate::App;
use crate::args::volume::Command;
use crate::error::Result;

pub(super) async fn run(command: Command, app: &App) -> Result<()> {
    match command {
        Command::List => list::run(app).await,
        Command::Inspect(args) => inspect::run(&args, app).await,
        Command::Delete(args) => delete::run(&args, app).await,
        Command::Prune(args) => prune::run(&args, app).await,
    }
}
