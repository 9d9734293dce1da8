//! Services as they stand: those that a sandbox was made with and those that were added, by name; and what is asked of
//! those that Amika runs.

use std::sync::Arc;
use std::time::Duration;

use amika_core::port::Protocol;
use amika_core::service::{Run, Service, Sidecar, Start};
use amika_core::wire::{self, Listener};
use amika_sandbox::listening::ListeningView;
use amika_sandbox::own_services::Asked;
use amika_sandbox::sandbox::Sandbox;
use amika_sandbox::standing::{RunView, heard};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::error::{ApiError, Failures, Result};
use super::extract::Path;
use super::sandbox_services::{SandboxService, of_sandbox};
use super::sandboxes::{Found, find};
use super::users::OkStatus;
use crate::auth::caller::{Caller, Reader, Writer};
use crate::definition::{ready_text, start_text};
use crate::sandboxes::show::{SandboxState, states};
use crate::state::App;

/// How long a sandbox may take to tell how its services stand.
const PATIENCE: Duration = Duration::from_secs(5);

/// A service of a sandbox, and how it stands.
#[derive(Debug, Serialize, ToSchema)]
pub struct StandingService {
    name: String,
    /// Its ports, each as `/sandbox-services` lists it.
    ports: Vec<SandboxService>,
    /// In a few words, such as `running`, `nothing listens` or `failed (1)`; null where the sandbox does not run or
    /// does not tell, and where it is not Amika that runs it.
    state: Option<String>,
    /// What more is known of one that Amika runs.
    run: Option<ServiceRun>,
}

/// How a service is run.
#[derive(Debug, Serialize, ToSchema)]
pub struct ServiceRun {
    /// `off`, `starting`, `ready`, `backoff`, `failed`, `stopped` or `listening`; null where it cannot be asked.
    state: Option<String>,
    /// Its process id in the sandbox.
    pid: Option<i32>,
    /// How often it was started again.
    restarts: u32,
    /// How it last ended.
    last_exit: Option<String>,
    /// `auto`, or `on-demand`.
    start: String,
    /// How one sees that it is up, as the repository's file writes it.
    ready: Option<String>,
    /// Whether a request at its port route starts the sandbox.
    wake: bool,
}

/// A sandbox's services, by name.
#[derive(Debug, Serialize, ToSchema)]
pub struct ListStandingServicesResponse {
    items: Vec<StandingService>,
}

/// The services of a sandbox, and how those stand that Amika runs.
#[utoipa::path(get, path = "/sandboxes/{ref}/services", tag = "sandboxes",
    params(("ref" = String, Path, description = "Id or name.")),
    responses((status = 200, body = ListStandingServicesResponse), Failures))]
pub async fn standing(
    State(app): State<Arc<App>>,
    caller: Reader,
    Path(reference): Path<String>,
) -> Result<Json<ListStandingServicesResponse>> {
    let found = find(&app, &caller, &reference).await?;
    let told = ask(&app, &found).await;
    let mut items: Vec<StandingService> = Vec::new();
    for declared in found.seen.iter().flat_map(|seen| &seen.services) {
        let of_run = |run: &Run| (run.start, run.ready.clone(), run.wake);
        let of_image = |it: &Sidecar| (Start::Auto, it.ready.clone(), false);
        let run = declared.run.as_ref().map(of_run);
        let run = run.or(declared.sidecar.as_ref().map(of_image)).map(|run| {
            let told = told.as_ref().and_then(|(all, _)| all.get(&declared.name));
            (run, RunView::of(told))
        });
        let heard = told.as_ref().and_then(|(_, list)| listened(declared, list));
        let words = run
            .as_ref()
            .map(|(_, view)| view.words(&declared.name, heard));
        items.push(StandingService {
            name: declared.name.clone(),
            ports: Vec::new(),
            state: words.filter(|words| !words.is_empty()),
            run: run.map(|((start, ready, wake), view)| ServiceRun {
                state: view.state.map(word),
                pid: view.pid,
                restarts: view.restarts,
                last_exit: view.last_exit,
                start: start_text(start).to_owned(),
                ready: ready.as_ref().map(ready_text),
                wake,
            }),
        });
    }
    for port in of_sandbox(&app, &found).await? {
        match items.iter_mut().find(|it| it.name == port.name()) {
            Some(service) => service.ports.push(port),
            None => items.push(StandingService {
                name: port.name().to_owned(),
                ports: vec![port],
                state: None,
                run: None,
            }),
        }
    }
    items.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(Json(ListStandingServicesResponse { items }))
}

/// How they stand, where there is anything to ask and anybody who answers.
async fn ask(app: &App, found: &Found) -> Option<(wire::Services, Vec<Listener>)> {
    let seen = found.seen.as_ref()?;
    let is_up = matches!(
        states(Some(seen.view.state), None, None).0,
        SandboxState::Started | SandboxState::Initializing
    );
    if !is_up || !seen.services.iter().any(Service::is_run) {
        return None;
    }
    let asked = async {
        let engine = app.engines.get().await.map_err(|error| error.message)?;
        let sandbox = Sandbox::find_made(&engine, &seen.view.name).await;
        let sandbox = sandbox.map_err(|error| error.message)?;
        sandbox.how_services_stand(&engine).await
    };
    match tokio::time::timeout(PATIENCE, asked).await {
        Ok(Ok(told)) => Some(told),
        Ok(Err(why)) => {
            tracing::debug!(sandbox = seen.view.name, why, "services are not told of");
            None
        }
        Err(_) => None,
    }
}

fn listened(service: &Service, list: &[Listener]) -> Option<&'static str> {
    let ports = service.ports.iter().map(|port| {
        let protocol: Protocol = port.container.protocol();
        ListeningView::of(list, port.container.port().get(), protocol)
    });
    let ports: Vec<ListeningView> = ports.collect();
    heard(ports.iter())
}

/// A state as amikad writes it.
fn word(state: wire::ServiceState) -> String {
    let text = serde_json::to_value(state).unwrap_or_default();
    text.as_str().unwrap_or_default().to_owned()
}

/// Starts a service that Amika runs; one that runs is left alone.
#[utoipa::path(post, path = "/sandboxes/{ref}/services/{service}/start", tag = "sandboxes",
    params(("ref" = String, Path, description = "Id or name."), ("service" = String, Path, description = "Its name.")),
    responses((status = 202, body = OkStatus), Failures))]
pub async fn start(
    State(app): State<Arc<App>>,
    caller: Writer,
    Path((reference, service)): Path<(String, String)>,
) -> Result<(StatusCode, Json<OkStatus>)> {
    ask_for(&app, &caller, &reference, &service, Asked::Start).await
}

/// Stops a service that Amika runs; the sandbox goes on.
#[utoipa::path(post, path = "/sandboxes/{ref}/services/{service}/stop", tag = "sandboxes",
    params(("ref" = String, Path, description = "Id or name."), ("service" = String, Path, description = "Its name.")),
    responses((status = 202, body = OkStatus), Failures))]
pub async fn stop(
    State(app): State<Arc<App>>,
    caller: Writer,
    Path((reference, service)): Path<(String, String)>,
) -> Result<(StatusCode, Json<OkStatus>)> {
    ask_for(&app, &caller, &reference, &service, Asked::Stop).await
}

/// Stops a service that Amika runs, and starts it again.
#[utoipa::path(post, path = "/sandboxes/{ref}/services/{service}/restart", tag = "sandboxes",
    params(("ref" = String, Path, description = "Id or name."), ("service" = String, Path, description = "Its name.")),
    responses((status = 202, body = OkStatus), Failures))]
pub async fn restart(
    State(app): State<Arc<App>>,
    caller: Writer,
    Path((reference, service)): Path<(String, String)>,
) -> Result<(StatusCode, Json<OkStatus>)> {
    ask_for(&app, &caller, &reference, &service, Asked::Restart).await
}

async fn ask_for(
    app: &App,
    caller: &Caller,
    reference: &str,
    service: &str,
    asked: Asked,
) -> Result<(StatusCode, Json<OkStatus>)> {
    let found = find(app, caller, reference).await?;
    let rows = app.store.sandbox_services(Some(&found.id())).await?;
    if rows.iter().any(|row| row.name == service) {
        let message = format!("service \"{service}\" has no command: it is not Amika that runs it");
        return Err(ApiError::not_found(message));
    }
    let engine = app.engines.get().await?;
    let name = found.there()?;
    engine.ask_services(name, Some(service), asked).await?;
    Ok((StatusCode::ACCEPTED, Json(OkStatus { ok: true })))
}
