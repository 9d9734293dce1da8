//! Stopping a sandbox.

use std::sync::Arc;
use std::time::Duration;

use crate::broken_off::{engine_goes_on, nothing_done};
use crate::cancel::Cancel;
use crate::error::Result;
use crate::progress::{Progress, Steps};
use crate::sandbox::Sandbox;
use crate::sandboxes::{Sandboxes, to_its_end};

impl Sandboxes {
    /// Stops a sandbox: its programs are told to end, and killed after `grace`, or after the sandbox's own time where
    /// none is given. One that is stopped stays so.
    ///
    /// No lock is held: the engine is asked one thing, of one container by its id, and who deletes the sandbox
    /// meanwhile need not wait for its programs.
    ///
    /// # Errors
    /// [`crate::error::Kind::NotFound`], [`crate::error::Kind::Conflict`] for one that is not made to the end,
    /// [`crate::error::Kind::Canceled`] (the engine goes on with it), and those of the engine.
    pub async fn stop(
        &self,
        name: &str,
        grace: Option<Duration>,
        progress: Arc<dyn Progress>,
        cancel: &Cancel,
    ) -> Result<()> {
        let (engine, name, cancel) = (self.clone(), name.to_owned(), cancel.clone());
        to_its_end(async move {
            let untouched = format!("sandbox \"{name}\" was not stopped");
            let sandbox =
                nothing_done(&cancel, Sandbox::find_any(&engine, &name), &untouched).await?;
            sandbox.must_be_made()?;
            crate::unreported::is_known(&engine, &name);
            let mut steps = Steps::new(Arc::clone(&progress));
            end(&engine, &sandbox, grace, &mut steps, &cancel).await?;
            crate::setid::warn_of(&sandbox, engine.is_local(), &*progress).await;
            Ok(())
        })
        .await
    }
}

/// Stops a sandbox; who looks on sees that its programs are waited for.
///
/// # Errors
/// Those of the engine; [`crate::error::Kind::Canceled`].
pub(crate) async fn end(
    engine: &Sandboxes,
    sandbox: &Sandbox,
    grace: Option<Duration>,
    steps: &mut Steps,
    cancel: &Cancel,
) -> Result<()> {
    steps.begin("stop");
    let name = &sandbox.name;
    let grace = grace.map(grace_seconds);
    let stopping = async {
        engine.stop_container(&sandbox.container.id, grace).await?;
        // Its programs may have needed them to the end.
        crate::sidecars::stop(engine, &sandbox.record).await
    };
    let what = format!("sandbox \"{name}\" was being stopped");
    let next = format!("`amika sandbox wait {name} --for stopped` waits for it");
    let stopped = engine_goes_on(cancel, stopping, &what, &next).await;
    match stopped {
        Ok(()) => steps.finish(name),
        Err(_) => steps.fail(name),
    }
    stopped
}

/// A time to end in whole seconds, which is what the engine takes: never less than was asked for.
fn grace_seconds(grace: Duration) -> i32 {
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
