//! `amika config …`.

mod check;
mod file;
mod migrate;
mod user;

use amika_core::config::report::Report;

use super::schema::{Output, document};
use crate::App;
use crate::args::config::Command;
use crate::error::Result;
use user::SettingsView;

/// What the verbs print with `-o json`.
pub(super) fn outputs() -> Vec<(&'static str, Output)> {
    vec![
        ("check", document::<Report>()),
        ("migrate", document::<migrate::MigrateView>()),
        ("get", document::<SettingsView>()),
        ("set", document::<SettingsView>()),
        ("unset", document::<SettingsView>()),
    ]
}

pub(super) async fn run(command: &Command, app: &App) -> Result<u8> {
    match command {
        Command::Check(args) => check::run(args, app),
        Command::Migrate(args) => migrate::run(args, app),
        Command::Get(args) => user::get(args, app),
        Command::Set(args) => user::set(args, app).await,
        Command::Unset(args) => user::unset(args, app).await,
    }
}
