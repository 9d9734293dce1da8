//! Going on with the sandbox of a create that was killed before it told anybody of it.

use amika_core::name::SandboxName;
use amika_core::wire::Outcome;

use super::apply::name_taken;
use super::source::Source;
use crate::daemon::read_boot_record;
use crate::error::Result;
use crate::sandbox::Sandbox;
use crate::sandboxes::Sandboxes;
use crate::unreported::{Asked, Mark};
use amika_engine::{ContainerFacts, ContainerState};

/// The sandbox of a create that was killed, and what that create left.
pub(super) struct Unreported {
    /// The sandbox's container.
    pub container: ContainerFacts,
    /// The mark.
    pub mark: Mark,
}

impl Unreported {
    /// Refuses to take it for what was asked for when it is not.
    ///
    /// # Errors
    /// [`crate::error::Kind::Conflict`].
    pub(super) async fn must_be(
        &self,
        engine: &Sandboxes,
        name: &SandboxName,
        asked: &Asked,
        source: Option<&Source>,
    ) -> Result<()> {
        let snapshot = match source {
            Some(source) => source.snapshot().await?,
            None => None,
        };
        let token = engine.user_key()?.token(self.mark.id.as_str());
        if asked.fingerprint(&token, snapshot.as_ref()) == self.mark.asked {
            return Ok(());
        }
        let refusal = name_taken(engine, name.as_str(), &self.container).await;
        Err(refusal.cause(
            "its create was interrupted after it had started it, and was asked for something else; \
             it is a sandbox like any other",
        ))
    }

    /// Starts it where it was ended from outside, as by the end of the engine: it told of no end then.
    ///
    /// # Errors
    /// Those of the engine.
    pub(super) async fn start_again(&self, engine: &Sandboxes) -> Result<()> {
        let id = &self.container.id;
        if self.container.state != ContainerState::Exited {
            return Ok(());
        }
        let boot = read_boot_record(engine, id).await?;
        let outcome = boot.and_then(|boot| boot.status.outcome);
        if matches!(outcome, None | Some(Outcome::Signalled)) {
            if engine.is_local() {
                crate::overlay::refuse(&self.container.name, &self.container.mounts)?;
            }
            let sandbox = Sandbox::of(self.container.clone());
            crate::sidecars::start_of(engine, &sandbox).await?;
            crate::ports::start_again(engine, id, &self.container.port_requests).await?;
        }
        Ok(())
    }
}
