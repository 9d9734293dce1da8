//! `amika config …`.

mod check;
mod file;

use amika_core::config::report::Report;

use super::schema::{Output, document};
use crate::App;
use crate::args::config::Command;
use crate::error::Result;

/// What the verbs print with `-o json`.
pub(super) fn outputs() -> Vec<(&'static str, Output)> {
    vec![("check", document::<Report>())]
}

pub(super) fn run(command: &Command, app: &App) -> Result<u8> {
    match command {
        Command::Check(args) => check::run(args, app),
    }
}
