//! `amika system …`.

mod df;

use super::schema::{Output, document};
use crate::App;
use crate::args::system::Command;
use crate::error::Result;

/// What the verbs print with `-o json`.
pub(super) fn outputs() -> Vec<(&'static str, Output)> {
    vec![("df", document::<crate::disk::DiskView>())]
}

pub(super) async fn run(command: Command, app: &App) -> Result<()> {
    match command {
        Command::Df(args) => df::run(&args, app).await,
    }
}
