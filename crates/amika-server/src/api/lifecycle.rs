//! What is done to sandboxes that are there: started, stopped, deleted, and what happened to them.

use std::sync::Arc;

use amika_sandbox::create::Wait;
use amika_sandbox::start::StartRequest;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::error::{ApiError, Failures, Result};
use super::extract::{Path, Query};
use super::sandboxes::find;
use super::users::OkStatus;
use crate::auth::caller::{Caller, Reader, Writer};
use crate::clock::shown;
use crate::sandboxes::operations::{Deletion, KeptVolume, Order, Work, begin};
use crate::sandboxes::show::SandboxState;
use crate::state::App;

/// How a sandbox is started.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct StartQuery {
    /// Whether this start runs no setup script.
    #[serde(default)]
    skip_start_script: bool,
}

/// Starts a sandbox. It is `initializing` once the answer comes.
#[utoipa::path(post, path = "/sandboxes/{ref}/start", tag = "sandboxes",
    params(("ref" = String, Path, description = "Id or name."), StartQuery),
    responses((status = 202, body = OkStatus), Failures))]
pub async fn start(
    State(app): State<Arc<App>>,
    caller: Writer,
    Path(reference): Path<String>,
    Query(query): Query<StartQuery>,
) -> Result<(StatusCode, Json<OkStatus>)> {
    run(
        &app,
        &caller,
        &reference,
        Work::Start(starting(query.skip_start_script)),
    )
    .await
}

/// A start for which nobody is there to be asked.
pub fn starting(skip_setup: bool) -> StartRequest {
    StartRequest {
        setup: None,
        skip_setup,
        // Nobody is there to be asked, and a server's sandboxes are found by what the server says.
        given: None,
        reassign_ports: true,
        wait: Wait::UntilReady(None),
    }
}

/// Stops a sandbox.
#[utoipa::path(post, path = "/sandboxes/{ref}/stop", tag = "sandboxes",
    params(("ref" = String, Path, description = "Id or name.")), responses((status = 202, body = OkStatus), Failures))]
pub async fn stop(
    State(app): State<Arc<App>>,
    caller: Writer,
    Path(reference): Path<String>,
) -> Result<(StatusCode, Json<OkStatus>)> {
    run(&app, &caller, &reference, Work::Stop).await
}

/// Stops a sandbox and starts it again.
#[utoipa::path(post, path = "/sandboxes/{ref}/restart", tag = "sandboxes",
    params(("ref" = String, Path, description = "Id or name.")), responses((status = 202, body = OkStatus), Failures))]
pub async fn restart(
    State(app): State<Arc<App>>,
    caller: Writer,
    Path(reference): Path<String>,
) -> Result<(StatusCode, Json<OkStatus>)> {
    run(&app, &caller, &reference, Work::Restart(starting(false))).await
}

async fn run(
    app: &Arc<App>,
    caller: &Caller,
    reference: &str,
    mut work: Work,
) -> Result<(StatusCode, Json<OkStatus>)> {
    let found = find(app, caller, reference).await?;
    let name = found.there()?.to_owned();
    let is_up = found.seen.as_ref().is_some_and(|seen| {
        use crate::sandboxes::show::states;
        states(Some(seen.view.state), None, None).0 == SandboxState::Started
    });
    if let (true, Work::Start(request)) = (is_up, &mut work) {
        // A start of what runs is done, whatever it asks of one.
        *request = StartRequest {
            skip_setup: false,
            given: None,
            reassign_ports: false,
            ..request.clone()
        };
    }
    let id = found.id();
    let order = Order {
        sandbox_id: &id,
        name: &name,
        user_id: Some(&caller.user.id),
        owner_id: found.owner(),
    };
    begin(app, order, work).await?;
    Ok((StatusCode::ACCEPTED, Json(OkStatus { ok: true })))
}

/// What is deleted.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct DeleteQuery {
    /// Also what holds work, and the git volume.
    #[serde(default)]
    force: bool,
    /// Nothing where there is work: 409 says what there is.
    #[serde(default)]
    if_clean: bool,
}

/// A sandbox that was deleted.
#[derive(Debug, Serialize, ToSchema)]
pub struct Deleted {
    ok: bool,
    /// Volumes that stay.
    kept_volumes: Vec<KeptVolume>,
}

/// Deletes a sandbox. What holds work stays, the git volume always.
#[utoipa::path(delete, path = "/sandboxes/{ref}", tag = "sandboxes",
    params(("ref" = String, Path, description = "Id or name."), DeleteQuery),
    responses((status = 200, body = Deleted), Failures))]
pub async fn delete(
    State(app): State<Arc<App>>,
    caller: Writer,
    Path(reference): Path<String>,
    Query(query): Query<DeleteQuery>,
) -> Result<Json<Deleted>> {
    let deletion = match (query.force, query.if_clean) {
        (true, true) => return Err(ApiError::usage("give one of both: force, or if_clean")),
        (true, false) => Deletion::Everything,
        (false, true) => Deletion::IfClean,
        (false, false) => Deletion::KeepWork,
    };
    let found = find(&app, &caller, &reference).await?;
    let (id, name) = (found.id(), found.name());
    let order = Order {
        sandbox_id: &id,
        name: &name,
        user_id: Some(&caller.user.id),
        owner_id: found.owner(),
    };
    let mut begun = begin(&app, order, Work::Delete(deletion)).await?;
    match tokio::time::timeout(app.config.holds.delete, begun.ended()).await {
        Ok(ended) => match ended.error {
            Some(error) => Err(error),
            None => Ok(Json(Deleted {
                ok: true,
                kept_volumes: ended.kept,
            })),
        },
        // It goes on, and what stays can be seen then.
        Err(_) => Ok(Json(Deleted {
            ok: true,
            kept_volumes: Vec::new(),
        })),
    }
}

/// Something that happened to a sandbox.
#[derive(Debug, Serialize, ToSchema)]
pub struct LifecycleEvent {
    id: i64,
    /// What was done: `create`, `start`, `stop`, `restart`, `delete`.
    run_kind: String,
    /// The step of it.
    step: String,
    /// `started`, `succeeded`, `failed`, `warning`.
    status: String,
    detail: Option<String>,
    created_at: String,
}

/// What happened to a sandbox, the first first.
#[derive(Debug, Serialize, ToSchema)]
pub struct ListLifecycleEventsResponse {
    events: Vec<LifecycleEvent>,
    count: usize,
}

/// What happened to a sandbox.
#[utoipa::path(get, path = "/sandboxes/{ref}/lifecycle-events", tag = "sandboxes",
    params(("ref" = String, Path, description = "Id or name.")),
    responses((status = 200, body = ListLifecycleEventsResponse), Failures))]
pub async fn events(
    State(app): State<Arc<App>>,
    caller: Reader,
    Path(reference): Path<String>,
) -> Result<Json<ListLifecycleEventsResponse>> {
    let found = find(&app, &caller, &reference).await?;
    let rows = app.store.lifecycle(&found.id()).await?;
    let events = rows.into_iter().map(|row| LifecycleEvent {
        id: row.id,
        run_kind: row.run_kind,
        step: row.step,
        status: row.status,
        detail: row.detail,
        created_at: shown(row.created_at),
    });
    let events: Vec<LifecycleEvent> = events.collect();
    Ok(Json(ListLifecycleEventsResponse {
        count: events.len(),
        events,
    }))
}
