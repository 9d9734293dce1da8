//! `amika service …`.

mod list;

use crate::App;
use crate::args::service::Command;
use crate::error::Result;

pub(super) async fn run(command: Command, app: &App) -> Result<()> {
    match command {
        Command::List(args) => list::run(&args, app).await,
    }
}
