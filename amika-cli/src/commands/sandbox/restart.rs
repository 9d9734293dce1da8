//! `amika sandbox restart`.

use super::each;
use super::start::{done, in_flags, request};
use crate::App;
use crate::args::sandbox::RestartArgs;
use crate::commands::interruptible;
use crate::error::Result;
use amika_engine::ContainerState;

pub(super) async fn run(args: &RestartArgs, app: &App) -> Result<()> {
    let request = request(&args.start)?;
    let running = |state| matches!(state, ContainerState::Running | ContainerState::Restarting);
    // Nothing is under way yet that would have to be unmade.
    let (engine, names) = interruptible(app, async {
        let engine = crate::engine::connect(&app.user).await?;
        let names = each::names(&engine, &args.start.names, args.start.all, running).await?;
        Ok((engine, names))
    })
    .await?;
    each::run(&names, app, async |name| {
        let progress = app.out.progress_of_restart(name, &names);
        let (grace, cancel) = (args.stop_timeout, app.interrupt.cancel());
        let started = engine.restart(name, grace, request.clone(), progress, cancel);
        let started = started.await;
        let started = started.map_err(|error| in_flags(error, name, &args.start))?;
        Ok(done(name, "restarted", started))
    })
    .await
}
