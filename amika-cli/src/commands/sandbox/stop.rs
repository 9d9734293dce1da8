//! `amika sandbox stop`.

use crate::App;
use crate::args::sandbox::StopArgs;
use crate::broken_off::nothing_done;
use crate::error::Result;
use amika_engine::ContainerState;

pub(super) async fn run(args: &StopArgs, app: &App) -> Result<()> {
    let running = |state| {
        use ContainerState::{Paused, Restarting, Running};
        matches!(state, Running | Paused | Restarting)
    };
    let asked = async {
        let engine = crate::engine::connect(&app.user).await?;
        let names = super::each::names(&engine, &args.names, args.all, running).await?;
        Ok((engine, names))
    };
    let cancel = app.interrupt.cancel();
    let (engine, names) = nothing_done(cancel, asked, "nothing was stopped").await?;
    super::each::run(&names, app, async |name| {
        let progress = app.out.progress_on_terminal();
        engine.stop(name, args.timeout, progress, cancel).await?;
        Ok(super::each::Done::new(name, "stopped"))
    })
    .await
}
