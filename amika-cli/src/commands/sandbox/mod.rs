//! `amika sandbox …`.

mod connect;
mod cp;
mod create;
mod delete;
mod each;
mod exec;
mod inspect;
mod list;
mod logs;
mod open;
mod prompt;
mod rename;
mod restart;
mod start;
mod stats;
mod stop;
mod wait;

use super::interruptible;
use super::schema::{Output, document, document_or_lines, either};
use crate::App;
use crate::args::sandbox::Command;
use crate::error::Result;

/// What the verbs print with `-o json`.
pub(super) fn outputs() -> Vec<(&'static str, Output)> {
    let program = "what the program in the sandbox writes";
    vec![
        (
            "create",
            either::<create::CreatedView, crate::create::PlanView>(),
        ),
        ("list", list::output()),
        ("inspect", document::<inspect::InspectView>()),
        ("logs", document::<logs::LogsView>()),
        ("exec", Output::Stream(program)),
        ("connect", Output::Stream(program)),
        ("prompt", Output::Stream("what the agent writes")),
        ("open", document::<open::OpenView>()),
        ("start", document::<Vec<each::Done>>()),
        ("stop", document::<Vec<each::Done>>()),
        ("restart", document::<Vec<each::Done>>()),
        ("rename", document::<rename::Renamed>()),
        ("wait", document::<wait::Waited>()),
        ("cp", document::<cp::Copied>()),
        (
            "stats",
            document_or_lines::<Vec<stats::Sample>, stats::Sample>(),
        ),
        ("delete", delete_output()),
    ]
}

/// What `list` prints, by whatever name it is called.
pub(super) fn list_output() -> Output {
    list::output()
}

/// What `delete` prints, by whatever name it is called.
pub(super) fn delete_output() -> Output {
    document::<Vec<each::Done>>()
}

pub(super) async fn run(command: Command, app: &App) -> Result<u8> {
    match command {
        Command::Create(args) => create::run(&args, app).await,
        Command::List(args) => interruptible(app, list::run(&args, app)).await.map(|()| 0),
        Command::Inspect(args) => interruptible(app, inspect::run(&args, app))
            .await
            .map(|()| 0),
        Command::Logs(args) => logs::run(&args, app).await,
        Command::Exec(args) => exec::run(&args, app).await,
        Command::Connect(args) => connect::run(&args, app).await,
        Command::Prompt(args) => prompt::run(&args, app).await,
        Command::Open(args) => open::run(&args, app).await.map(|()| 0),
        Command::Start(args) => start::run(&args, app).await.map(|()| 0),
        Command::Stop(args) => interruptible(app, stop::run(&args, app)).await.map(|()| 0),
        Command::Restart(args) => restart::run(&args, app).await.map(|()| 0),
        Command::Rename(args) => rename::run(&args, app).await.map(|()| 0),
        Command::Wait(args) => wait::run(&args, app).await.map(|()| 0),
        Command::Cp(args) => interruptible(app, cp::run(&args, app)).await,
        Command::Stats(args) => stats::run(&args, app).await,
        Command::Delete(args) => interruptible(app, delete::run(&args, app))
            .await
            .map(|()| 0),
    }
}
