//! `amika sandbox stop`.

use std::time::Duration;

use crate::App;
use crate::args::sandbox::StopArgs;
use crate::engine::{ContainerState, Engine};
use crate::error::Result;
use crate::sandbox::Sandbox;

pub(super) async fn run(args: &StopArgs, app: &App) -> Result<()> {
    let engine = Engine::connect().await?;
    let grace = args.timeout.map(grace_seconds);
    let running = |state| {
        use ContainerState::{Paused, Restarting, Running};
        matches!(state, Running | Paused | Restarting)
    };
    let names = super::each::names(&engine, &args.names, args.all, running).await?;
    super::each::run(&names, app, async |name| {
        let sandbox = Sandbox::find(&engine, name).await?;
        sandbox.must_be_made()?;
        crate::unreported::is_known(name);
        one(&engine, &sandbox, grace, app).await?;
        Ok(super::each::Done::new(name, "stopped"))
    })
    .await
}

/// Stops a sandbox; who looks on sees that its programs are waited for.
pub(super) async fn one(
    engine: &Engine,
    sandbox: &Sandbox,
    grace: Option<i32>,
    app: &App,
) -> Result<()> {
    let mut steps = app.out.steps_on_terminal();
    steps.begin("stop");
    let stopped = engine.stop_container(&sandbox.container.id, grace).await;
    match stopped {
        Ok(()) => steps.finish(&sandbox.name),
        Err(_) => steps.fail(&sandbox.name),
    }
    Ok(stopped?)
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
