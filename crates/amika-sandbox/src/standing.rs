//! How a service stands that Amika runs: the same words at every door.

use amika_core::service::START_SCRIPT;
use amika_core::untrusted::Untrusted;
use amika_core::wire::{self, Listener};
use schemars::JsonSchema;
use serde::Serialize;

use crate::listening::ListeningView;
use crate::sandbox::Sandbox;
use crate::sandboxes::Sandboxes;
use crate::sidecars::Stands;
use amika_engine::ContainerState;

impl Sandbox {
    /// How the services stand that Amika runs, and what listens; the error is for people.
    ///
    /// # Errors
    /// Where the sandbox does not run, or its amikad does not answer.
    pub async fn how_services_stand(
        &self,
        engine: &Sandboxes,
    ) -> Result<(wire::Services, Vec<Listener>), String> {
        let client = self.client(engine).map_err(|error| error.message)?;
        let (status, listeners) =
            tokio::try_join!(client.status(), client.ports()).map_err(|error| error.to_string())?;
        let mut services = status.services;
        let beside = engine.sidecars(&self.record).await;
        for (name, stands) in beside.map_err(|error| error.message)? {
            let asked = services.0.remove(&name);
            services.0.insert(name, beside_it(&stands, asked));
        }
        Ok((services, listeners))
    }
}

/// How a service stands whose container is beside the sandbox; `asked` is what looks from there whether it is up.
fn beside_it(stands: &Stands, asked: Option<wire::Service>) -> wire::Service {
    use wire::ServiceState::{Failed, Off, Ready, Starting, Stopped};
    let is_looked_for = asked.is_some_and(|asked| asked.state == Starting);
    let ended_well = stands.exit_code.is_none_or(|code| code == 0);
    let state = match stands.state {
        None | Some(ContainerState::Created) => Off,
        Some(ContainerState::Running | ContainerState::Paused) if is_looked_for => Starting,
        Some(ContainerState::Running | ContainerState::Paused) => Ready,
        Some(ContainerState::Restarting) => Starting,
        Some(_) if ended_well => Stopped,
        Some(_) => Failed,
    };
    wire::Service {
        state,
        last_exit: stands.last_exit(),
        ..wire::Service::default()
    }
}

/// What is amiss with the ports of a service: the words for the first that nobody reaches, `listening` where all are
/// reached, and nothing where there are none.
pub fn heard<'a>(ports: impl Iterator<Item = &'a ListeningView>) -> Option<&'static str> {
    let mut ports = ports.peekable();
    let listens = ports.peek().is_some().then_some("listening");
    ports.find_map(ListeningView::amiss).or(listens)
}

/// How a service stands that Amika runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct RunView {
    /// As amikad has it; null where it cannot be asked.
    pub state: Option<wire::ServiceState>,
    /// Its process id in the sandbox.
    pub pid: Option<i32>,
    /// How often it was started again.
    pub restarts: u32,
    /// How it last ended, for people.
    pub last_exit: Option<String>,
}

impl RunView {
    /// As amikad tells it, where it could be asked.
    pub fn of(told: Option<&wire::Service>) -> Self {
        Self {
            state: told.map(|service| service.state),
            pid: told.and_then(|service| service.pid),
            restarts: told.map_or(0, |service| service.restarts),
            last_exit: told.and_then(|service| service.last_exit.clone()),
        }
    }

    /// Of the service of this name, in a few words. `heard` says whether its ports are listened on: the words for the first that are not, and
    /// nothing where all are, or there are none.
    pub fn words(&self, name: &str, heard: Option<&str>) -> String {
        use wire::ServiceState::{Backoff, Failed, Listening, Off, Ready, Starting, Stopped};
        let Some(state) = self.state else {
            return String::new();
        };
        match (state, heard) {
            (Ready, Some(amiss)) => amiss.to_owned(),
            (Ready, None) => "running".to_owned(),
            (Starting, _) => "starting".to_owned(),
            (Backoff, _) => format!("restarting{}", self.code()),
            (Failed, _) => format!("failed{}", self.code()),
            (Listening, _) => "on demand".to_owned(),
            // It has something to do, and did it.
            (Stopped, _)
                if name == START_SCRIPT && self.last_exit.as_deref() == Some("exit code 0") =>
            {
                "done".to_owned()
            }
            (Stopped, _) => "stopped".to_owned(),
            (Off, _) => "not started".to_owned(),
        }
    }

    /// How it ended, in parentheses: a code alone is its number.
    fn code(&self) -> String {
        let Some(last) = &self.last_exit else {
            return String::new();
        };
        let last = last.strip_prefix("exit code ").unwrap_or(last);
        format!(" ({})", Untrusted::new(last).within(60))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_service_beside_it_the_engine_tells() {
        use wire::ServiceState::*;
        let stands = |state, exit_code| Stands { state, exit_code };
        let running = || stands(Some(ContainerState::Running), None);
        let exited = |last| stands(Some(ContainerState::Exited), Some(last));
        let asked = |state| {
            Some(wire::Service {
                state,
                ..wire::Service::default()
            })
        };
        for (stands, asked, state) in [
            (running(), None, Ready),
            (running(), asked(Starting), Starting),
            // It was reached once, and what looked for it is done.
            (running(), asked(Stopped), Ready),
            (exited(0), asked(Stopped), Stopped),
            // A stop, which postgres and others answer with 0, is no failure; a crash is.
            (exited(1), asked(Stopped), Failed),
            (stands(None, None), None, Off),
        ] {
            let told = beside_it(&stands, asked);
            assert_eq!(told.state, state, "{stands:?}");
        }
    }

    #[test]
    fn each_state_has_its_words() {
        use wire::ServiceState::*;
        let words = |state, last: Option<&str>, heard| {
            let service = wire::Service {
                state,
                last_exit: last.map(str::to_owned),
                ..wire::Service::default()
            };
            RunView::of(Some(&service)).words("web", heard)
        };
        assert_eq!(words(Ready, Some("exit code 1"), None), "running");
        assert_eq!(
            words(Ready, None, Some("nothing listens")),
            "nothing listens"
        );
        assert_eq!(words(Starting, None, Some("nothing listens")), "starting");
        assert_eq!(words(Backoff, Some("exit code 7"), None), "restarting (7)");
        assert_eq!(
            words(Failed, Some("killed by SIGKILL"), None),
            "failed (killed by SIGKILL)"
        );
        assert_eq!(words(Listening, None, None), "on demand");
        assert_eq!(RunView::of(None).words("web", None), "");
        let over = wire::Service {
            state: Stopped,
            last_exit: Some("exit code 0".to_owned()),
            ..wire::Service::default()
        };
        let over = RunView::of(Some(&over));
        assert_eq!(over.words("web", None), "stopped");
        assert_eq!(over.words(START_SCRIPT, None), "done");
    }
}
