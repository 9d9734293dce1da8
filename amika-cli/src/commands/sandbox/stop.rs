//! `amika sandbox stop`.

use crate::App;
use crate::args::sandbox::StopArgs;
use crate::engine::Engine;
use crate::error::Result;
use crate::sandbox::Sandbox;

pub(super) async fn run(args: &StopArgs, app: &App) -> Result<()> {
    let engine = Engine::connect().await?;
    let grace = args
        .timeout
        .map(|timeout| i32::try_from(timeout.as_secs()).unwrap_or(i32::MAX));
    super::each::run(&args.names, app, async |name| {
        let sandbox = Sandbox::find(&engine, name).await?;
        engine.stop_container(&sandbox.container.id, grace).await?;
        Ok(super::each::Done::new(name, "stopped"))
    })
    .await
}
