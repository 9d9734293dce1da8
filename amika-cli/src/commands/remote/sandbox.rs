//! `amika sandbox … --remote`.

use super::unsupported::command as unsupported;
use super::{
    Server, cp, create, delete, diff, each, forward, inspect, jobs, list, logs, open, port,
    program, prompt, pull, push, rename, stats, url, wait,
};
use crate::App;
use crate::args::sandbox::Command;
use crate::commands::interruptible;
use crate::error::Result;

/// Runs a verb on a server. What is broken off here the server goes on with, but for a create.
pub(in crate::commands) async fn run(command: Command, server: &Server, app: &App) -> Result<u8> {
    let done = match command {
        Command::Create(args) => return create::run(&args, server, app).await,
        Command::List(args) => return list::run(&args, server, app).await,
        Command::Logs(args) => return logs::run(&args, server, app).await,
        Command::Exec(args) => return program::exec(&args, server, app).await,
        Command::Connect(args) => return program::connect(&args, server, app).await,
        Command::Wait(args) => return interruptible(app, wait::run(&args, server, app)).await,
        Command::Prompt(args) => return prompt::run(&args, server, app).await,
        Command::Forward(args) => return forward::run(&args, server, app).await,
        Command::Stats(args) => return stats::run(&args, server, app).await,
        Command::Cp(args) => return interruptible(app, cp::run(&args, server, app)).await,
        Command::Open(args) => open::run(&args, server, app).await,
        Command::Inspect(args) => interruptible(app, inspect::run(&args, server, app)).await,
        Command::Url(args) => interruptible(app, url::run(&args, server, app)).await,
        Command::Port(args) => interruptible(app, port::run(&args, server, app)).await,
        Command::Start(args) => interruptible(app, each::start(&args, server, app)).await,
        Command::Stop(args) => interruptible(app, each::stop(&args, server, app)).await,
        Command::Restart(args) => interruptible(app, each::restart(&args, server, app)).await,
        Command::Rename(args) => interruptible(app, rename::run(&args, server, app)).await,
        Command::Delete(args) => interruptible(app, delete::run(&args, server, app)).await,
        Command::Diff(args) => interruptible(app, diff::run(&args, server, app)).await,
        Command::Push(args) => interruptible(app, push::run(&args, server, app)).await,
        Command::Pull(args) => interruptible(app, pull::run(&args, server, app)).await,
        Command::Jobs(args) => interruptible(app, jobs::run(&args, server, app)).await,
        Command::Code(_) => Err(unsupported(
            "amika sandbox code",
            "an editor attaches to containers of this machine; `amika sandbox connect --remote NAME` opens a shell",
        )),
        Command::Adopt(_) => Err(unsupported(
            "amika sandbox adopt",
            "an administrator adopts by `POST /sandboxes/NAME/adopt`",
        )),
    };
    done.map(|()| 0)
}
