//! `amika sandbox restart`.

use super::broken_off::nothing_done;
use super::each::{self, Done};
use super::start;
use super::stop;
use crate::App;
use crate::args::sandbox::RestartArgs;
use crate::commands::interruptible;
use crate::create;
use crate::error::{Kind, Result};
use crate::sandbox::Sandbox;
use amika_engine::ContainerState;

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
        let engine = crate::engine::connect(&app.user).await?;
        let names = each::names(&engine, &args.start.names, args.start.all, running).await?;
        Ok((engine, names))
    })
    .await?;
    each::run(&names, app, async |name| {
        let untouched = format!("sandbox \"{name}\" was not restarted");
        let found = Sandbox::find_whole(&engine, name);
        let sandbox = nothing_done(app, found, &untouched).await?;
        if engine.is_local() {
            // What could not be started again is not stopped.
            crate::overlay::refuse(name, &sandbox.container.mounts)?;
        }
        if sandbox.is_running() || sandbox.container.state == ContainerState::Paused {
            let stopped = stop::one(&engine, &sandbox, grace, app).await;
            let again = format!("`amika sandbox start {name}` starts it once it is stopped");
            stopped.map_err(|error| match error.kind {
                Kind::Canceled => error.hint(again),
                _ => error,
            })?;
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
