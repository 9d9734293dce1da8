//! A sandbox's own services: what amikad runs because the repository says so.

use amika_core::contract::path;
use amika_core::label::SandboxRecord;
use amika_core::nearest::nearest;
use amika_core::service::{Service, Start, sidecar, sidecars};
use amika_core::untrusted::Untrusted;
use amika_core::wire::{self, ServiceState};
use amika_engine::ExecOutput;
use futures_util::StreamExt as _;

use crate::daemon::{Client, ClientError};
use crate::error::{Error, Kind, Result};
use crate::logs::{Kept, Pieces, engine_log, kept_log};
use crate::sandbox::Sandbox;
use crate::sandboxes::Sandboxes;

/// What is asked of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// To run; one that does is left alone.
    Start,
    /// Not to run.
    Stop,
    /// To begin anew.
    Restart,
}

impl Asked {
    /// The verb.
    pub fn word(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
        }
    }
}

/// The services of a sandbox that Amika runs, in it or beside it, by name; all of them, or the one of this name.
///
/// # Errors
/// [`Kind::NotFound`] where there is none.
pub fn run_services<'a>(sandbox: &'a Sandbox, name: Option<&str>) -> Result<Vec<&'a Service>> {
    let all: Vec<&Service> = sandbox
        .record
        .services
        .iter()
        .filter(|service| service.is_run())
        .collect();
    let Some(name) = name else {
        if all.is_empty() {
            let message = format!("sandbox \"{}\" runs no services", sandbox.name);
            let hint = format!(
                "`command = \"…\"` or `image = \"…\"` beneath `[services.NAME]` in {} lets it run one",
                amika_core::config::PATH
            );
            return Err(Error::new(Kind::NotFound, message).hint(hint));
        }
        return Ok(all);
    };
    if let Some(found) = all.iter().find(|service| service.name == name) {
        return Ok(vec![found]);
    }
    let declared = sandbox.record.services.iter().any(|it| it.name == name);
    let (box_name, shown) = (&sandbox.name, Untrusted::new(name));
    let message = if declared {
        format!(
            "service \"{shown}\" of sandbox \"{box_name}\" has neither command nor image: it is not Amika that runs it"
        )
    } else {
        format!("sandbox \"{box_name}\" has no service \"{shown}\"")
    };
    let error = Error::new(Kind::NotFound, message);
    let names: Vec<&str> = all.iter().map(|service| service.name.as_str()).collect();
    Err(match nearest(name, names.iter().copied()) {
        Some(near) => error.hint(format!("did you mean `{near}`?")),
        None if names.is_empty() => error,
        None => error.hint(format!("there are {}", names.join(", "))),
    })
}

impl Sandboxes {
    /// Asks something of services of a sandbox that runs: of one, or of all that it runs. Returns their names.
    ///
    /// # Errors
    /// [`Kind::NotFound`], also for the service; [`Kind::Conflict`] for a sandbox that does not run; [`Kind::Failure`]
    /// where its amikad does not answer; those of the engine.
    pub async fn ask_services(
        &self,
        name: &str,
        service: Option<&str>,
        asked: Asked,
    ) -> Result<Vec<String>> {
        let sandbox = Sandbox::find_made(self, name).await?;
        let services = run_services(&sandbox, service)?;
        sandbox.must_run()?;
        let client = sandbox.client(self)?.patient();
        let mut done = Vec::new();
        for service in services {
            if service.sidecar.is_some() {
                self.ask_sidecar(&sandbox, &service.name, asked).await?;
                if asked != Asked::Stop {
                    // What waits for it is told anew whether it is up. Of one that is not looked at nobody knows there.
                    let again = Asked::Restart.word();
                    let _ = client.ask_service(&service.name, again).await;
                }
            } else {
                let answer = client.ask_service(&service.name, asked.word()).await;
                answer.map_err(|error| refused(&sandbox, &service.name, asked, &error))?;
            }
            done.push(service.name.clone());
        }
        Ok(done)
    }

    /// The log of a service, of a sandbox that runs or not. Without a name, of the only one there is.
    ///
    /// # Errors
    /// As [`Sandboxes::ask_services`], and [`Kind::Invalid`] where there are several and none is named.
    pub async fn service_log(
        &self,
        name: &str,
        service: Option<&str>,
        follow: bool,
        tail: Option<usize>,
    ) -> Result<Pieces> {
        let sandbox = Sandbox::find_made(self, name).await?;
        let services = run_services(&sandbox, service)?;
        let [service] = services.as_slice() else {
            let names: Vec<&str> = services.iter().map(|it| it.name.as_str()).collect();
            let message = format!(
                "sandbox \"{name}\" runs several services: {}",
                names.join(", ")
            );
            let hint = format!("name one, as in `{name}/{}`", names[0]);
            return Err(Error::new(Kind::Invalid, message).hint(hint));
        };
        if service.sidecar.is_some() {
            let container = sidecar::container(sandbox.record.id.as_str(), &service.name);
            return Ok(engine_log(self, &container, follow, tail));
        }
        let file = format!("{}/{}.log", path::SERVICE_LOG_DIR, service.name);
        let kept = Kept {
            word: &service.name,
            file: &file,
        };
        kept_log(self, &sandbox, kept, follow, tail).await
    }
}

fn refused(sandbox: &Sandbox, service: &str, asked: Asked, error: &ClientError) -> Error {
    let (name, verb) = (&sandbox.name, asked.word());
    let kind = match error {
        ClientError::Refused { status, .. } if status.as_u16() == 409 => Kind::Conflict,
        _ => Kind::Failure,
    };
    let message = format!("service \"{service}\" of sandbox \"{name}\": cannot {verb} it");
    Error::new(kind, message).caused_by(error).hint(format!(
        "`amika sandbox inspect {name}` shows how it stands"
    ))
}

/// How services stand that are started by themselves and say how they are up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// All are up, or did what they had to do.
    Up,
    /// These are not yet.
    Waiting(Vec<String>),
    /// This one will not be without somebody's doing.
    Failed(String),
}

/// How they stand, as amikad tells.
pub(crate) fn standing(declared: &[Service], told: &wire::Services) -> Standing {
    let mut waiting = Vec::new();
    for service in declared {
        let is_waited_for = match (&service.run, &service.sidecar) {
            (Some(run), _) => run.start == Start::Auto && run.ready.is_some(),
            (None, Some(sidecar)) => sidecar.ready.is_some(),
            (None, None) => false,
        };
        if !is_waited_for {
            continue;
        }
        match told.state(&service.name) {
            ServiceState::Failed => return Standing::Failed(service.name.clone()),
            ServiceState::Off | ServiceState::Starting | ServiceState::Backoff => {
                waiting.push(service.name.clone());
            }
            ServiceState::Ready | ServiceState::Stopped | ServiceState::Listening => {}
        }
    }
    if waiting.is_empty() {
        Standing::Up
    } else {
        Standing::Waiting(waiting)
    }
}

/// So much of what a service wrote is told of one that is not up.
const LAST_LINES: usize = 20;

/// The last lines of a service's log.
async fn last_words(
    engine: &Sandboxes,
    client: &Client,
    of: &SandboxRecord,
    service: &str,
) -> Vec<String> {
    let is_beside = sidecars(&of.services).any(|(name, _)| name == service);
    if !is_beside {
        return client.last_lines(service, LAST_LINES).await;
    }
    let container = sidecar::container(of.id.as_str(), service);
    let mut log = engine_log(engine, &container, false, Some(LAST_LINES));
    let mut bytes = Vec::new();
    while let Some(Ok(piece)) = log.next().await {
        let (ExecOutput::Stdout(piece) | ExecOutput::Stderr(piece)) = piece;
        bytes.extend_from_slice(&piece);
    }
    let text = String::from_utf8_lossy(&bytes);
    text.lines().map(str::to_owned).collect()
}

/// The error for a sandbox that runs while one of its services is not up.
pub(crate) async fn not_up(
    engine: &Sandboxes,
    client: &Client,
    (name, record): (&str, &SandboxRecord),
    service: &str,
    why: Option<String>,
) -> Error {
    let error = Error::new(
        Kind::NotReady,
        format!("service \"{service}\" of sandbox \"{name}\" is not up"),
    );
    let error = match why {
        Some(why) => error.cause(why),
        None => error,
    };
    let words = last_words(engine, client, record, service).await;
    error
        .last_output(&words)
        .detail("sandbox", name)
        .detail("service", service)
        .hint(format!(
            "read it all: `amika service logs {name}/{service}`"
        ))
        .hint(format!(
            "the sandbox runs: mend it, then `amika service restart {name}/{service}`"
        ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_those_that_say_how_they_are_up_are_waited_for() {
        let declared: Vec<Service> = serde_json::from_str(
            r#"[{"name":"notes","ports":[]},
                {"name":"worker","ports":[],"run":{"command":["x"]}},
                {"name":"lazy","ports":[],"run":{"command":["x"],"ready":{"tcp":{"port":1}},"start":"on-demand"}},
                {"name":"web","ports":[],"run":{"command":["x"],"ready":{"tcp":{"port":2}}}}]"#,
        )
        .unwrap();
        let told = |state| {
            let mut services = wire::Services::default();
            for (name, state) in [("worker", ServiceState::Failed), ("web", state)] {
                let service = wire::Service {
                    state,
                    ..wire::Service::default()
                };
                services.0.insert(name.to_owned(), service);
            }
            standing(&declared, &services)
        };
        let web = || "web".to_owned();
        for state in [
            ServiceState::Off,
            ServiceState::Starting,
            ServiceState::Backoff,
        ] {
            assert_eq!(told(state), Standing::Waiting(vec![web()]), "{state:?}");
        }
        for state in [ServiceState::Ready, ServiceState::Stopped] {
            assert_eq!(told(state), Standing::Up, "{state:?}");
        }
        assert_eq!(told(ServiceState::Failed), Standing::Failed(web()));
        assert_eq!(
            standing(&declared[..3], &wire::Services::default()),
            Standing::Up
        );
    }
}
