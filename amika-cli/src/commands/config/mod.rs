//! `amika config …`.

mod check;
mod file;

use crate::App;
use crate::args::config::Command;
use crate::error::Result;

pub(super) fn run(command: &Command, app: &App) -> Result<u8> {
    match command {
        Command::Check(args) => check::run(args, app),
    }
}
