//! `amika sandbox … --remote`.

use super::unsupported::command as unsupported;
use super::{
    Server, create, delete, each, forward, inspect, list, logs, open, program, prompt, rename,
    stats, wait,
};
use crate::App;
use crate::args::sandbox::Command;
use crate::commands::interruptible;
use crate::error::Result;

/// Runs a verb on a server.
pub(in crate::commands) async fn run(command: Command, server: &Server, app: &App) -> Result<u8> {
    match command {
        Command::Create(args) => create::run(&args, server, app).await,
        Command::Logs(args) => logs::run(&args, server, app).await,
        Command::Exec(args) => program::exec(&args, server, app).await,
        Command::Prompt(args) => prompt::run(&args, server, app).await,
        Command::Open(args) => open::run(&args, server, app).await.map(|()| 0),
        Command::Forward(args) => forward::run(&args, server, app).await,
        Command::Stats(args) => stats::run(&args, server, app).await,
        Command::Connect(args) => program::connect(&args, server, app).await,
        command => interruptible(app, short(command, server, app))
            .await
            .map(|()| 0),
    }
}

/// What may be broken off at any time: the server goes on with what it was asked for.
async fn short(command: Command, server: &Server, app: &App) -> Result<()> {
    match command {
        Command::List(args) => list::run(&args, server, app).await,
        Command::Inspect(args) => inspect::run(&args, server, app).await,
        Command::Start(args) => each::start(&args, server, app).await,
        Command::Stop(args) => each::stop(&args, server, app).await,
        Command::Restart(args) => each::restart(&args, server, app).await,
        Command::Rename(args) => rename::run(&args, server, app).await,
        Command::Wait(args) => wait::run(&args, server, app).await,
        Command::Delete(args) => delete::run(&args, server, app).await,
        Command::Pull(_) => Err(unsupported(
            "amika sandbox pull",
            "push from inside it: `amika sandbox exec --remote NAME -- git push`",
        )),
        Command::Adopt(_) => Err(unsupported(
            "amika sandbox adopt",
            "an administrator adopts by `POST /sandboxes/NAME/adopt`",
        )),
        Command::Create(_) | Command::Logs(_) => Ok(()),
        _ => Err(unsupported("this command", "")),
    }
}
