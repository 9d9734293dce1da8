//! `amika auth …`: as whom `--remote` asks a server.

mod login;
mod logout;
mod status;

use super::schema::{Output, document};
use crate::App;
use crate::args::auth::Command;
use crate::error::Result;

/// What the verbs print with `-o json`.
pub(super) fn outputs() -> Vec<(&'static str, Output)> {
    vec![
        ("login", document::<status::AccountView>()),
        ("status", document::<status::AccountView>()),
        ("logout", document::<logout::LoggedOut>()),
    ]
}

pub(super) async fn run(command: Command, app: &App) -> Result<()> {
    match command {
        Command::Login(args) => login::run(&args, app).await,
        Command::Status => status::run(app).await,
        Command::Logout => logout::run(app),
    }
}
