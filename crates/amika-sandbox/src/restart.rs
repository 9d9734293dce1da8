//! Stopping a sandbox and starting it again.

use std::sync::Arc;
use std::time::Duration;

use crate::broken_off::nothing_done;
use crate::cancel::Cancel;
use crate::error::{Kind, Result};
use crate::progress::{Progress, Steps};
use crate::sandbox::Sandbox;
use crate::sandboxes::{Sandboxes, to_its_end};
use crate::start::{StartRequest, Started};
use amika_engine::ContainerState;

impl Sandboxes {
    /// Stops a sandbox, if it runs, as [`Sandboxes::stop`] does, and starts it as [`Sandboxes::start`] does.
    ///
    /// # Errors
    /// Those of the two.
    pub async fn restart(
        &self,
        name: &str,
        grace: Option<Duration>,
        request: StartRequest,
        progress: Arc<dyn Progress>,
        cancel: &Cancel,
    ) -> Result<Started> {
        let (engine, name, cancel) = (self.clone(), name.to_owned(), cancel.clone());
        to_its_end(async move {
            let untouched = format!("sandbox \"{name}\" was not restarted");
            let found = Sandbox::find_whole(&engine, &name);
            let sandbox = nothing_done(&cancel, found, &untouched).await?;
            if engine.is_local() {
                // What could not be started again is not stopped.
                crate::overlay::refuse(&name, &sandbox.container.mounts)?;
            }
            if sandbox.is_running() || sandbox.container.state == ContainerState::Paused {
                let mut steps = Steps::new(Arc::clone(&progress));
                let stopped = crate::stop::end(&engine, &sandbox, grace, &mut steps, &cancel).await;
                let again = format!("`amika sandbox start {name}` starts it once it is stopped");
                stopped.map_err(|error| match error.kind {
                    Kind::Canceled => error.hint(again),
                    _ => error,
                })?;
            }
            crate::start::one(
                &engine.for_one_operation(),
                &name,
                &request,
                &progress,
                &cancel,
            )
            .await
        })
        .await
    }
}
