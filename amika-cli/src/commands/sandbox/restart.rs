//! `amika sandbox restart`.

use super::each::{self, Done};
use super::start;
use super::stop;
use crate::App;
use crate::args::sandbox::RestartArgs;
use crate::commands::interruptible;
use crate::create;
use crate::engine::{ContainerState, Engine};
use crate::error::Result;
use crate::sandbox::Sandbox;

pub(super) async fn run(args: &RestartArgs, app: &App) -> Result<()> {
    let given = args
        .start
        .setup_script
        .as_deref()
        .map(create::read_script)
        .transpose()?;
    let grace = args.stop_timeout.map(stop::grace_seconds);
    let running = |state| matches!(state, ContainerState::Running | ContainerState::Restarting);
    // Nothing is under way yet that would have to be unmade.
    let (engine, names) = interruptible(app, async {
        let engine = Engine::connect().await?;
        let names = each::names(&engine, &args.start.names, args.start.all, running).await?;
        Ok((engine, names))
    })
    .await?;
    each::run(&names, app, async |name| {
        let sandbox = Sandbox::find_whole(&engine, name).await?;
        if sandbox.is_running() || sandbox.container.state == ContainerState::Paused {
            stop::one(&engine, &sandbox, grace, app).await?;
        }
        let steps = app.out.steps_of(name, &names);
        let started = start::one(&engine, name, given.as_ref(), &args.start, steps, app).await?;
        Ok(Done {
            result: "restarted".to_owned(),
            ..started
        })
    })
    .await
}
