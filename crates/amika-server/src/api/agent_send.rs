//! Messages to an agent in a sandbox: with the answer awaited, or as a job.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::error::{ApiError, Failures, Result};
use super::extract::{Body, Path};
use super::guard::TraceId;
use super::sandboxes::{Found, find};
use crate::auth::caller::{Caller, Reader, Writer};
use crate::clock::shown;
use crate::sandboxes::conversation::{Asked, Place, choose};
use crate::sandboxes::turns::{self, Ended, Going};
use crate::state::App;
use crate::store::SessionRow;

/// A message to an agent.
#[derive(Debug, Deserialize, ToSchema)]
pub struct AgentSend {
    /// What is said to it: up to 512 KiB.
    #[schema(min_length = 1)]
    message: String,
    /// `claude`, `codex` or `opencode`; left out: the session's, that of the sandbox, or the one that is signed in.
    agent: Option<String>,
    /// The session that goes on; left out: the last one.
    session_id: Option<String>,
    /// Whether a new one begins.
    #[serde(default)]
    new_session: bool,
}

impl AgentSend {
    fn asked(&self) -> Asked<'_> {
        Asked {
            message: &self.message,
            agent: self.agent.as_deref(),
            session_id: self.session_id.as_deref(),
            new_session: self.new_session,
        }
    }
}

/// What an agent answered.
#[derive(Debug, Serialize, ToSchema)]
pub struct AgentSessionSendResponse {
    session_id: String,
    response: String,
    /// Whether the agent failed.
    is_error: bool,
    is_new_session: bool,
    /// What the agent calls the session.
    #[serde(skip_serializing_if = "Option::is_none")]
    agent_session_id: Option<String>,
    /// What it says that it cost, in US dollars.
    #[serde(skip_serializing_if = "Option::is_none")]
    cost_usd: Option<f64>,
}

/// Begins a turn in a sandbox that is there.
pub(super) async fn begin(
    app: &Arc<App>,
    caller: &Caller,
    found: &Found,
    asked: Asked<'_>,
) -> Result<(SessionRow, bool, Going)> {
    asked.check()?;
    let (id, name) = (found.id(), found.there()?.to_owned());
    let place = Place {
        sandbox_id: &id,
        sandbox_name: &name,
        row: found.row.as_ref(),
        user_id: &caller.user.id,
    };
    let (session, is_new) = choose(app, place, asked).await?;
    let going = turns::begin(app, &session, is_new, asked.message).await?;
    Ok((session, is_new, going))
}

/// Says something to an agent and waits for its answer, at most 590 s: 504 names the job as which the turn goes on.
#[utoipa::path(post, path = "/sandboxes/{ref}/agent-send", tag = "agents",
    params(("ref" = String, Path, description = "Id or name.")), request_body = AgentSend,
    responses((status = 200, body = AgentSessionSendResponse),
        (status = 502, description = "The agent is signed out: `agent_auth`; `details` is a JSON text.", body = serde_json::Value),
        (status = 504, body = super::error::ErrorBody), Failures))]
pub async fn send(
    State(app): State<Arc<App>>,
    caller: Writer,
    Extension(trace_id): Extension<TraceId>,
    Path(reference): Path<String>,
    Body(body): Body<AgentSend>,
) -> Result<Response> {
    body.asked().check()?;
    let found = find(&app, &caller, &reference).await?;
    let (session, is_new, mut going) = begin(&app, &caller, &found, body.asked()).await?;
    let Ok(ended) = tokio::time::timeout(app.config.holds.agent_send, going.ended()).await else {
        return Err(late(&app, &going.id));
    };
    if ended.is_signed_out {
        return Ok(signed_out(&ended, &trace_id.0));
    }
    if let Some(error) = ended.failure {
        return Err(error);
    }
    let answer = AgentSessionSendResponse {
        session_id: session.id,
        response: ended.text,
        is_error: ended.is_error,
        is_new_session: is_new,
        agent_session_id: ended.agent_session_id.or(session.agent_session_id),
        cost_usd: ended.cost_usd,
    };
    Ok(Json(answer).into_response())
}

pub(super) fn late(app: &App, id: &str) -> ApiError {
    let message = format!(
        "the agent did not answer within {} s; the turn goes on as job {id}",
        app.config.holds.agent_send.as_secs()
    );
    ApiError::new(StatusCode::GATEWAY_TIMEOUT, "agent_timeout", message)
}

/// The answer for an agent that is signed out: its own words stand in a JSON text, as others' clients read them.
fn signed_out(ended: &Ended, trace_id: &str) -> Response {
    let message = "the agent is not signed in in this sandbox";
    let details = json!({ "is_error": true, "result": ended.text }).to_string();
    let hint = "ask for its sign-in by agent_credentials when the sandbox is made, or renew the one that is kept";
    let body = json!({
        "type": "error", "code": "agent_auth", "error_code": "agent_auth", "message": message, "error": message,
        "details": details, "hints": [hint], "trace_id": trace_id,
    });
    (StatusCode::BAD_GATEWAY, Json(body)).into_response()
}

/// A turn of an agent.
#[derive(Debug, Serialize, ToSchema)]
pub struct AgentSendJob {
    job_id: String,
    /// `running`, `completed`, `failed`.
    state: String,
    /// What the agent calls the session, once it said so.
    agent_session_id: Option<String>,
    session_id: String,
    is_new_session: bool,
    /// Whether the agent failed; null while it goes on.
    is_error: Option<bool>,
    /// What it answered.
    result_text: Option<String>,
    created_at: String,
    updated_at: String,
}

/// Says something to an agent, and does not wait.
#[utoipa::path(post, path = "/sandboxes/{ref}/agent-send-jobs", tag = "agents",
    params(("ref" = String, Path, description = "Id or name.")), request_body = AgentSend,
    responses((status = 202, body = AgentSendJob), Failures))]
pub async fn start(
    State(app): State<Arc<App>>,
    caller: Writer,
    Path(reference): Path<String>,
    Body(body): Body<AgentSend>,
) -> Result<(StatusCode, Json<AgentSendJob>)> {
    body.asked().check()?;
    let found = find(&app, &caller, &reference).await?;
    let (_, _, going) = begin(&app, &caller, &found, body.asked()).await?;
    let job = job(&app, &found, &going.id).await?;
    Ok((StatusCode::ACCEPTED, Json(job)))
}

/// How one fares.
#[utoipa::path(get, path = "/sandboxes/{ref}/agent-send-jobs/{job_id}", tag = "agents",
    params(("ref" = String, Path, description = "Id or name."), ("job_id" = String, Path)),
    responses((status = 200, body = AgentSendJob), Failures))]
pub async fn show(
    State(app): State<Arc<App>>,
    caller: Reader,
    Path((reference, id)): Path<(String, String)>,
) -> Result<Json<AgentSendJob>> {
    let found = find(&app, &caller, &reference).await?;
    job(&app, &found, &id).await.map(Json)
}

async fn job(app: &App, found: &Found, id: &str) -> Result<AgentSendJob> {
    let none = || ApiError::not_found("there is no such job in this sandbox");
    let turn = app.store.turn(id).await?.ok_or_else(none)?;
    let session = app.store.agent_session(&turn.session_id).await?;
    let session = session.filter(|session| session.sandbox_id == found.id());
    let session = session.ok_or_else(none)?;
    Ok(AgentSendJob {
        job_id: turn.id,
        state: turn.state,
        agent_session_id: session.agent_session_id,
        session_id: session.id,
        is_new_session: turn.is_new,
        is_error: turn.is_error,
        result_text: turn.result,
        created_at: shown(turn.created_at),
        updated_at: shown(turn.updated_at),
    })
}
