//! `amika service …`.

pub(super) mod change;
mod list;
pub(super) mod logs;
mod view;

use super::schema::{Output, document};
use crate::App;
use crate::args::service::Command;
use crate::error::Result;
use crate::own_services::Asked;

/// What the verbs print with `-o json`.
pub(super) fn outputs() -> Vec<(&'static str, Output)> {
    vec![
        ("list", document::<Vec<view::ServiceView>>()),
        ("logs", document::<logs::LogsView>()),
        ("start", document::<Vec<change::ChangedView>>()),
        ("stop", document::<Vec<change::ChangedView>>()),
        ("restart", document::<Vec<change::ChangedView>>()),
    ]
}

pub(super) async fn run(command: Command, app: &App) -> Result<u8> {
    match command {
        Command::List(args) => list::run(&args, app).await.map(|()| 0),
        Command::Logs(args) => logs::run(&args, app).await,
        Command::Start(args) => change::run(&args, Asked::Start, app).await,
        Command::Stop(args) => change::run(&args, Asked::Stop, app).await,
        Command::Restart(args) => change::run(&args, Asked::Restart, app).await,
    }
}
