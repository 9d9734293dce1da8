//! `amika sandbox stop`.

use std::time::Duration;

use super::broken_off::{engine_goes_on, nothing_done};
use crate::App;
use crate::args::sandbox::StopArgs;
use crate::error::Result;
use crate::sandbox::Sandbox;
use crate::sandboxes::Sandboxes;
use amika_engine::ContainerState;

pub(super) async fn run(args: &StopArgs, app: &App) -> Result<()> {
    let grace = args.timeout.map(grace_seconds);
    let running = |state| {
        use ContainerState::{Paused, Restarting, Running};
        matches!(state, Running | Paused | Restarting)
    };
    let asked = async {
        let engine = crate::engine::connect(&app.user).await?;
        let names = super::each::names(&engine, &args.names, args.all, running).await?;
        Ok((engine, names))
    };
    let (engine, names) = nothing_done(app, asked, "nothing was stopped").await?;
    super::each::run(&names, app, async |name| {
        let untouched = format!("sandbox \"{name}\" was not stopped");
        let sandbox = nothing_done(app, Sandbox::find_any(&engine, name), &untouched).await?;
        sandbox.must_be_made()?;
        crate::unreported::is_known(&engine, name);
        one(&engine, &sandbox, grace, app).await?;
        crate::setid::warn_of(&sandbox, engine.is_local(), &app.out).await;
        Ok(super::each::Done::new(name, "stopped"))
    })
    .await
}

/// Stops a sandbox; who looks on sees that its programs are waited for.
///
/// # Errors
/// Those of the engine; [`crate::error::Kind::Canceled`].
pub(super) async fn one(
    engine: &Sandboxes,
    sandbox: &Sandbox,
    grace: Option<i32>,
    app: &App,
) -> Result<()> {
    let mut steps = app.out.steps_on_terminal();
    steps.begin("stop");
    let name = &sandbox.name;
    let stopping = async { Ok(engine.stop_container(&sandbox.container.id, grace).await?) };
    let what = format!("sandbox \"{name}\" was being stopped");
    let next = format!("`amika sandbox wait {name} --for stopped` waits for it");
    let stopped = engine_goes_on(app, stopping, &what, &next).await;
    match stopped {
        Ok(()) => steps.finish(name),
        Err(_) => steps.fail(name),
    }
    stopped
}

/// A time to end in whole seconds, which is what the engine takes: never less than was asked for.
pub(super) fn grace_seconds(grace: Duration) -> i32 {
    i32::try_from(grace.as_millis().div_ceil(1000)).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_killed_before_his_time() {
        for (millis, seconds) in [(0, 0), (1, 1), (900, 1), (1000, 1), (1001, 2), (20_000, 20)] {
            assert_eq!(grace_seconds(Duration::from_millis(millis)), seconds);
        }
        assert_eq!(grace_seconds(Duration::MAX), i32::MAX);
    }
}
