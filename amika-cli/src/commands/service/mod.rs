//! `amika service …`.

mod list;

use super::schema::{Output, document};
use crate::App;
use crate::args::service::Command;
use crate::error::Result;

/// What the verbs print with `-o json`.
pub(super) fn outputs() -> Vec<(&'static str, Output)> {
    vec![("list", document::<Vec<list::ServiceView>>())]
}

pub(super) async fn run(command: Command, app: &App) -> Result<()> {
    match command {
        Command::List(args) => list::run(&args, app).await,
    }
}
