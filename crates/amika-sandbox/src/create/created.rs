//! What came of a create.

use amika_core::contract::service;
use amika_core::credential::Agent;
use amika_core::name::SandboxName;
use amika_core::wire::{Phase, ServiceState, Status};

use super::taken::TakenView;
use crate::error::Result;
use crate::lock::FileLock;
use crate::progress::Steps;
use crate::ready::Ready;
use crate::sandbox::{Answer, Sandbox, State};
use crate::sandboxes::Sandboxes;
use crate::unreported;
use crate::view::SandboxView;

/// A sandbox that was made and started. Its name is locked as long as this value is there.
///
/// Whoever asked for it is to be told of it, and this value of that: [`Created::told`]. Without that word the
/// same create finds the sandbox, and goes on with it.
pub struct Created {
    engine: Sandboxes,
    lock: FileLock,
    sandbox: Sandbox,
    status: Option<Status>,
    /// The sandbox as all are told of it.
    pub view: SandboxView,
    /// How the wait for it ended; none where nobody waited.
    pub ready: Option<Ready>,
    /// What of the repository's configuration holds, and why; none without a repository.
    pub taken: Option<TakenView>,
    /// Agents whose sign-ins went in.
    pub sign_ins: Vec<Agent>,
    /// The steps that were taken, and how long each took, in milliseconds.
    pub steps: Vec<(String, u64)>,
}

impl Created {
    /// Looks at a sandbox that was started.
    ///
    /// # Errors
    /// Those of the engine.
    pub(super) async fn of(
        engine: Sandboxes,
        name: &SandboxName,
        lock: FileLock,
        ready: Option<Ready>,
        taken: Option<TakenView>,
        steps: &Steps,
    ) -> Result<Self> {
        let sandbox = Sandbox::find(&engine, name.as_str()).await?;
        let status = match sandbox.client(&engine) {
            Ok(client) => client.status().await.ok(),
            Err(_) => None,
        };
        let state = match ready {
            Some(Ready::Running) => State::Running,
            Some(Ready::Finished) => State::Stopped,
            None => {
                // Before amikad answers, it is about to begin with setup.
                let phase = status
                    .as_ref()
                    .map_or(Phase::Starting, |status| status.phase);
                let answer = Answer::Phase(phase);
                State::tell(sandbox.container.state, &sandbox.record, answer, None)
            }
        };
        let view = SandboxView {
            opencode_url: opencode_url(&sandbox, status.as_ref()),
            ..SandboxView::of(&sandbox, state)
        };
        Ok(Self {
            view,
            ready,
            taken,
            sign_ins: sandbox.record.credentials.clone(),
            steps: steps.timings().to_vec(),
            engine,
            lock,
            sandbox,
            status,
        })
    }

    /// Its record and its container.
    pub fn sandbox(&self) -> &Sandbox {
        &self.sandbox
    }

    /// What of a sandbox that is ready is not as one would have it: an engine inside that is not up, published ports
    /// that do not reach who listens on them.
    pub async fn amiss(&self) -> Vec<String> {
        if self.ready != Some(Ready::Running) {
            return Vec::new();
        }
        let name = self.sandbox.name.as_str();
        let mut amiss = Vec::new();
        if let Some(status) = &self.status {
            amiss.extend(crate::inner_engine::warning(&status.services, name));
        }
        if let Ok(client) = self.sandbox.client(&self.engine) {
            let published = &self.sandbox.container.ports;
            amiss.extend(crate::listening::out_of_reach(&client, name, published).await);
        }
        amiss
    }

    /// Says that somebody was told of it: from now on it is a sandbox like any other.
    pub fn told(self) {
        unreported::clear(&self.lock);
    }
}

/// Where OpenCode is found, unless it is off.
fn opencode_url(sandbox: &Sandbox, status: Option<&Status>) -> Option<String> {
    let off = status?.services.state(service::OPENCODE) == ServiceState::Off;
    crate::view::opencode_url(&sandbox.container.ports).filter(|_| !off)
}
