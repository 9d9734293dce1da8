//! A sandbox that a request for one of its ports starts, where a service with that port says so.
//!
//! However many ask at once, one task starts it and waits until the service is up; it goes on though all of them leave.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use amika_core::port::{Port, Protocol};
use amika_core::service::Service;
use amika_core::wire::ServiceState;
use amika_sandbox::listening::ListeningView;
use amika_sandbox::sandbox::Sandbox;
use axum::http::StatusCode;
use tokio::sync::watch;

use crate::api::error::{ApiError, Result};
use crate::api::{find_sandbox, starting};
use crate::auth::caller::Caller;
use crate::sandboxes::operations::{Order, Work, begin};
use crate::sandboxes::show::{SandboxState, states};
use crate::state::App;

/// How long a request is held for it.
const HELD: Duration = Duration::from_mins(2);

/// Between two looks at a service that is not up yet.
const LOOK: Duration = Duration::from_millis(100);

/// Starts that are begun for one request: what else is done to the sandbox may come between.
const TRIES: u32 = 3;

type Outcome = Option<Result<()>>;

/// Those that are being woken: by sandbox and service, with how it ended once it did.
#[derive(Default)]
pub struct Waking {
    all: Mutex<HashMap<(String, String), watch::Receiver<Outcome>>>,
}

impl Waking {
    fn all(
        &self,
    ) -> std::sync::MutexGuard<'_, HashMap<(String, String), watch::Receiver<Outcome>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is known of a sandbox that a request is for.
pub struct Target<'a> {
    /// Who asks.
    pub caller: &'a Caller,
    /// The sandbox's id in the API.
    pub id: String,
    /// The service that says so.
    pub service: &'a Service,
    /// Whether the sandbox runs, and nothing is being done to it.
    pub is_up: bool,
}

/// The service with this port that says that a request starts its sandbox.
pub fn asks_for_it(services: &[Service], port: Port) -> Option<&Service> {
    services.iter().find(|service| {
        let has_port = service
            .ports
            .iter()
            .any(|it| it.container.port() == port && it.container.protocol() == Protocol::Tcp);
        has_port && service.run.as_ref().is_some_and(|run| run.wake)
    })
}

/// Returns once the service is up: at once where nobody wakes it and its sandbox runs. Whether anything was waited for.
///
/// # Errors
/// Those of the start; 503 with when to ask again where it is not up in time.
pub async fn wake(app: &Arc<App>, target: Target<'_>) -> Result<bool> {
    let key = (target.id.clone(), target.service.name.clone());
    let mut outcome = {
        let mut all = app.ports.waking.all();
        match all.get(&key) {
            Some(outcome) => outcome.clone(),
            None if target.is_up => return Ok(false),
            None => {
                let (tell, outcome) = watch::channel(None);
                all.insert(key.clone(), outcome.clone());
                let (app, caller) = (Arc::clone(app), target.caller.clone());
                let service = target.service.clone();
                tokio::spawn(async move {
                    let done = up(&app, &caller, &key.0, &service).await;
                    app.ports.waking.all().remove(&key);
                    let _ = tell.send(Some(done));
                });
                outcome
            }
        }
    };
    let ended = tokio::time::timeout(HELD, outcome.wait_for(Option::is_some)).await;
    match ended {
        Ok(Ok(outcome)) => outcome.clone().unwrap_or(Ok(())).map(|()| true),
        Ok(Err(_)) => Err(ApiError::internal()),
        Err(_) => {
            let message = format!(
                "service \"{}\" of the sandbox is not up yet; the server goes on with the start",
                target.service.name
            );
            Err(later(message))
        }
    }
}

/// 503, to be asked again soon.
fn later(message: String) -> ApiError {
    ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "not_ready", message)
        .hint("ask again in a moment")
        .retry_after(5)
}

async fn up(app: &Arc<App>, caller: &Caller, id: &str, service: &Service) -> Result<()> {
    started(app, caller, id).await?;
    let name = find_sandbox(app, caller, id).await?.name();
    serves(app, &name, service).await
}

/// Starts the sandbox, after what is being done to it.
async fn started(app: &Arc<App>, caller: &Caller, id: &str) -> Result<()> {
    for _ in 0..TRIES {
        // A stop that is under way comes to its end first, a start is the one that is waited for.
        app.operations.settled(id).await;
        let found = find_sandbox(app, caller, id).await?;
        let name = found.there()?.to_owned();
        let state = found.seen.as_ref().map(|seen| seen.view.state);
        match states(state, None, None).0 {
            SandboxState::Started => return Ok(()),
            SandboxState::Stopped => {}
            state => {
                let message = format!(
                    "sandbox \"{name}\" is {}, which no request starts",
                    state.as_str()
                );
                let start = format!("look at it: GET /api/v0beta1/sandboxes/{id}");
                return Err(
                    ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "conflict", message).hint(start),
                );
            }
        }
        let order = Order {
            sandbox_id: id,
            name: &name,
            user_id: Some(&caller.user.id),
            owner_id: found.owner(),
        };
        match begin(app, order, Work::Start(starting(false))).await {
            Ok(mut begun) => match begun.ended().await.error {
                None => return Ok(()),
                Some(error) => {
                    let log = format!("its log: GET /api/v0beta1/sandboxes/{id}/logs");
                    return Err(error.hint(log));
                }
            },
            // Somebody else began something meanwhile.
            Err(error) if error.status == StatusCode::CONFLICT => {}
            Err(error) => return Err(error),
        }
    }
    Err(later(
        "the sandbox is busy with what else is done to it".to_owned(),
    ))
}

/// Returns once the service answers, or amikad starts it for whoever connects.
async fn serves(app: &App, name: &str, service: &Service) -> Result<()> {
    let Some(run) = &service.run else {
        return Ok(());
    };
    let patience = Duration::from_secs(run.ready_timeout_s.into());
    let begun = Instant::now();
    let engine = app.engines.get().await?;
    let sandbox = Sandbox::find_made(&engine, name).await?;
    sandbox.must_run()?;
    loop {
        // One that does not answer is asked again until the time is up.
        if let Ok((told, list)) = sandbox.how_services_stand(&engine).await {
            let is_heard = || {
                service.ports.iter().any(|it| {
                    let (port, protocol) = (it.container.port().get(), it.container.protocol());
                    ListeningView::of(&list, port, protocol).amiss() != Some("nothing listens")
                })
            };
            match told.state(&service.name) {
                ServiceState::Listening => return Ok(()),
                ServiceState::Ready if is_heard() => return Ok(()),
                ServiceState::Failed | ServiceState::Stopped => {
                    let why = told.get(&service.name).and_then(|it| it.last_exit.clone());
                    let why = why.map(|why| format!(": {why}")).unwrap_or_default();
                    let message = format!("service \"{}\" is not up{why}", service.name);
                    let error = ApiError::new(StatusCode::BAD_GATEWAY, "not_ready", message);
                    return Err(error.hint(format!(
                        "its log: GET /api/v0beta1/sandboxes/{name}/logs?source=service:{}",
                        service.name
                    )));
                }
                _ => {}
            }
        }
        if begun.elapsed() > patience {
            let message = format!("service \"{}\" is not up yet", service.name);
            return Err(later(message));
        }
        tokio::time::sleep(LOOK).await;
    }
}
