//! `amika sandbox stop`.

use crate::App;
use crate::args::sandbox::StopArgs;
use crate::engine::{ContainerState, Engine};
use crate::error::Result;
use crate::sandbox::Sandbox;

pub(super) async fn run(args: &StopArgs, app: &App) -> Result<()> {
    let engine = Engine::connect().await?;
    let grace = args
        .timeout
        .map(|timeout| i32::try_from(timeout.as_secs()).unwrap_or(i32::MAX));
    let running = |state| {
        use ContainerState::{Paused, Restarting, Running};
        matches!(state, Running | Paused | Restarting)
    };
    let names = super::each::names(&engine, &args.names, args.all, running).await?;
    super::each::run(&names, app, async |name| {
        let sandbox = Sandbox::find(&engine, name).await?;
        engine.stop_container(&sandbox.container.id, grace).await?;
        Ok(super::each::Done::new(name, "stopped"))
    })
    .await
}
