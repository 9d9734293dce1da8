//! Operations: what is or was done, followed step by step, and canceled.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::error::{ApiError, Failures, Result};
use super::extract::{Path, Query};
use super::sse::{self, Next};
use super::users::OkStatus;
use crate::auth::caller::{Caller, Reader, Writer};
use crate::clock::shown;
use crate::sandboxes::bus::Subject;
use crate::sandboxes::operations::KeptVolume;
use crate::state::App;
use crate::store::{LifecycleRow, OperationRow};

/// Something that is or was done.
#[derive(Debug, Serialize, ToSchema)]
pub struct Operation {
    id: String,
    /// What: `create`, `start`, `stop`, `restart`, `delete`.
    kind: String,
    sandbox_id: String,
    sandbox_name: String,
    /// `running`, `succeeded`, `failed`, `canceled`.
    state: String,
    /// Why it failed.
    error: Option<OperationError>,
    /// What stays of a sandbox that was deleted.
    kept_volumes: Vec<KeptVolume>,
    created_at: String,
    ended_at: Option<String>,
}

/// Why an operation failed.
#[derive(Debug, Serialize, ToSchema)]
pub struct OperationError {
    code: String,
    message: String,
}

/// What comes of an operation, as it is kept.
#[derive(Debug, Default, Serialize, serde::Deserialize)]
#[serde(default)]
struct Outcome {
    kept_volumes: Vec<KeptVolume>,
}

impl From<OperationRow> for Operation {
    fn from(row: OperationRow) -> Self {
        let outcome = row.result.as_deref();
        let outcome = outcome.and_then(|text| serde_json::from_str::<Outcome>(text).ok());
        Self {
            id: row.id,
            kind: row.kind,
            sandbox_id: row.sandbox_id,
            sandbox_name: row.sandbox_name,
            state: row.state,
            error: row.error.map(|error| OperationError {
                code: error.code,
                message: error.message,
            }),
            kept_volumes: outcome.unwrap_or_default().kept_volumes,
            created_at: shown(row.created_at),
            ended_at: row.ended_at.map(shown),
        }
    }
}

/// A step of an operation.
#[derive(Debug, Serialize, ToSchema)]
pub struct OperationStep {
    id: i64,
    operation_id: String,
    sandbox_id: String,
    /// What is done: `create`, `start`, `stop`, `restart`, `delete`.
    run_kind: String,
    /// The step of it.
    step: String,
    /// `started`, `succeeded`, `failed`, `warning`.
    status: String,
    detail: Option<String>,
    created_at: String,
}

impl OperationStep {
    /// The step of an operation as it is told.
    pub fn new(of: &OperationRow, step: LifecycleRow) -> Self {
        Self {
            id: step.id,
            operation_id: of.id.clone(),
            sandbox_id: of.sandbox_id.clone(),
            run_kind: step.run_kind,
            step: step.step,
            status: step.status,
            detail: step.detail,
            created_at: shown(step.created_at),
        }
    }
}

/// Which operations.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct OperationsQuery {
    /// Those in this state: `running`, `succeeded`, `failed`, `canceled`.
    state: Option<String>,
    /// At most as many, 1 to 1000.
    #[param(default = 100, minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

/// Operations.
#[derive(Debug, Serialize, ToSchema)]
pub struct ListOperationsResponse {
    items: Vec<Operation>,
}

/// The caller's operations of the last 90 days, and those on the caller's sandboxes; administrators' all. The latest
/// first.
#[utoipa::path(get, path = "/operations", tag = "sandboxes", params(OperationsQuery),
    responses((status = 200, body = ListOperationsResponse), Failures))]
pub async fn list(
    State(app): State<Arc<App>>,
    caller: Reader,
    Query(query): Query<OperationsQuery>,
) -> Result<Json<ListOperationsResponse>> {
    const STATES: [&str; 4] = ["running", "succeeded", "failed", "canceled"];
    let limit = super::paging::limit(query.limit, 100)?;
    let state = query.state.as_deref();
    if state.is_some_and(|state| !STATES.contains(&state)) {
        let message = format!("state is one of {}", STATES.join(", "));
        return Err(ApiError::field("state", message));
    }
    let of = (!caller.is_admin()).then_some(caller.user.id.as_str());
    let rows = app.store.operations(of, state, limit).await?;
    let items = rows.into_iter().map(Operation::from).collect();
    Ok(Json(ListOperationsResponse { items }))
}

/// One operation. Who accepts `text/event-stream` is told each step (`step`), those that were before too, and at last how
/// it ended (`operation`).
#[utoipa::path(get, path = "/operations/{id}", tag = "sandboxes",
    params(("id" = String, Path), ("Last-Event-ID" = Option<i64>, Header, description = "The step that was told last.")),
    responses((status = 200, content((Operation = "application/json"), (String = "text/event-stream"))), Failures))]
pub async fn operation(
    State(app): State<Arc<App>>,
    caller: Reader,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response> {
    if !sse::is_wanted(&headers) {
        let row = own(&app, &caller, &id).await?;
        return Ok(Json(Operation::from(row)).into_response());
    }
    // What happens while what was is read is not missed.
    let live = app.live.bus.follow(None).live;
    let row = own(&app, &caller, &id).await?;
    let after = sse::last_id(&headers).and_then(|id| id.parse().ok());
    let steps = app.store.steps(&row.id, after.unwrap_or(0)).await?;
    let mut last = steps.last().map_or(0, |step| step.id);
    let mut first: Vec<Bytes> = steps
        .into_iter()
        .map(|step| {
            let id = step.id.to_string();
            let step = serde_json::to_string(&OperationStep::new(&row, step));
            sse::event(Some(&id), Subject::Step.as_str(), &step.unwrap_or_default())
        })
        .collect();
    if row.state != "running" {
        let ended = serde_json::to_string(&Operation::from(row)).unwrap_or_default();
        first.push(sse::event(None, Subject::Operation.as_str(), &ended));
        return Ok(sse::of(first));
    }
    let next = move |told: &crate::sandboxes::bus::Told| {
        if told.id != row.id {
            return Next::Nothing;
        }
        let name = told.subject.as_str();
        match (told.subject, told.step) {
            (Subject::Operation, _) => Next::Last(sse::event(None, name, &told.data)),
            (Subject::Step, Some(step)) if step > last => {
                last = step;
                Next::Event(sse::event(Some(&step.to_string()), name, &told.data))
            }
            _ => Next::Nothing,
        }
    };
    Ok(sse::follow(&app, first, live, next))
}

async fn own(app: &App, caller: &Caller, id: &str) -> Result<OperationRow> {
    let row = app.store.operation(id).await?;
    let mine = Some(caller.user.id.as_str());
    let row = row.filter(|row| {
        caller.is_admin() || row.user_id.as_deref() == mine || row.owner_id.as_deref() == mine
    });
    row.ok_or_else(|| ApiError::not_found("there is no such operation"))
}

/// Asks an operation to end; what a create made is unmade.
#[utoipa::path(delete, path = "/operations/{id}", tag = "sandboxes", params(("id" = String, Path)),
    responses((status = 200, body = OkStatus), Failures))]
pub async fn cancel(
    State(app): State<Arc<App>>,
    caller: Writer,
    Path(id): Path<String>,
) -> Result<Json<OkStatus>> {
    let operation = own(&app, &caller, &id).await?;
    if app.operations.cancel(&operation.id) {
        return Ok(Json(OkStatus { ok: true }));
    }
    Err(ApiError::conflict(format!(
        "the operation is over: {}",
        operation.state
    )))
}
