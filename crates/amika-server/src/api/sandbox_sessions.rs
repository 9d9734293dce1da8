//! Conversations with agents, as a sandbox has them.

use std::sync::Arc;

use amika_core::credential::Agent;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::error::{ApiError, Failures, Result};
use super::extract::{Body, Path, Query};
use super::paging::limit;
use super::sandboxes::{Found, find};
use crate::auth::caller::{Reader, Writer};
use crate::clock::shown;
use crate::sandboxes::conversation::{Place, agent, begin};
use crate::state::{App, ORG};
use crate::store::SessionRow;

/// The most that a session's own words may be, in bytes of JSON.
const METADATA: usize = 16 << 10;

/// A conversation with an agent.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AgentSession {
    pub(super) id: String,
    pub(super) sandbox_id: String,
    org_id: &'static str,
    agent_name: String,
    status: SessionStatus,
    started_at: String,
    ended_at: Option<String>,
    #[schema(value_type = Object)]
    metadata: Value,
    created_at: String,
    updated_at: String,
}

/// How a conversation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SessionStatus {
    /// It may go on.
    Active,
    /// It is over.
    Completed,
    /// It failed.
    Failed,
}

impl SessionStatus {
    fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Completed => "completed",
            Self::Failed => "failed",
        }
    }

    fn parse(text: &str) -> Self {
        match text {
            "completed" => Self::Completed,
            "failed" => Self::Failed,
            _ => Self::Active,
        }
    }
}

impl From<SessionRow> for AgentSession {
    fn from(row: SessionRow) -> Self {
        Self {
            id: row.id,
            sandbox_id: row.sandbox_id,
            org_id: ORG,
            agent_name: row.agent,
            status: SessionStatus::parse(&row.status),
            started_at: shown(row.started_at),
            ended_at: row.ended_at.map(shown),
            metadata: row.metadata,
            created_at: shown(row.created_at),
            updated_at: shown(row.updated_at),
        }
    }
}

/// Which conversations.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct SessionsQuery {
    /// Those that stand so.
    #[param(inline)]
    status: Option<SessionStatus>,
    /// At most as many, 1 to 1000; left out: 100.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// How many are passed over.
    #[serde(default)]
    offset: usize,
}

/// Conversations, the last used first.
#[derive(Debug, Serialize, ToSchema)]
pub struct ListSessionsResponse {
    sessions: Vec<AgentSession>,
    /// How many there are in all.
    total: usize,
}

/// The conversations of a sandbox, the last used first.
#[utoipa::path(get, path = "/sandboxes/{ref}/sessions", tag = "agents",
    params(("ref" = String, Path, description = "Id or name."), SessionsQuery),
    responses((status = 200, body = ListSessionsResponse), Failures))]
pub async fn list(
    State(app): State<Arc<App>>,
    caller: Reader,
    Path(reference): Path<String>,
    Query(query): Query<SessionsQuery>,
) -> Result<Json<ListSessionsResponse>> {
    let most = limit(query.limit, 100)? as usize;
    let found = find(&app, &caller, &reference).await?;
    let sessions = app.store.sessions_of_sandbox(&found.id()).await?;
    let is_wanted = |it: &AgentSession| query.status.is_none_or(|status| it.status == status);
    let sessions = sessions.into_iter().map(AgentSession::from);
    let sessions: Vec<AgentSession> = sessions.filter(is_wanted).collect();
    let total = sessions.len();
    let part = sessions.into_iter().skip(query.offset).take(most);
    Ok(Json(ListSessionsResponse {
        sessions: part.collect(),
        total,
    }))
}

/// A conversation to begin.
#[derive(Debug, Deserialize, ToSchema)]
pub struct CreateSession {
    /// `claude`, `codex` or `opencode`; left out: claude.
    agent_name: Option<String>,
    /// Words of the caller's own.
    #[schema(value_type = Option<Object>)]
    metadata: Option<Value>,
}

/// Begins a conversation, without a message.
#[utoipa::path(post, path = "/sandboxes/{ref}/sessions", tag = "agents",
    params(("ref" = String, Path, description = "Id or name.")), request_body = CreateSession,
    responses((status = 201, body = AgentSession), Failures))]
pub async fn create(
    State(app): State<Arc<App>>,
    caller: Writer,
    Path(reference): Path<String>,
    Body(body): Body<CreateSession>,
) -> Result<(StatusCode, Json<AgentSession>)> {
    let agent = agent(body.agent_name.as_deref()).map_err(|mut error| {
        for detail in &mut error.details {
            "/agent_name".clone_into(&mut detail.field);
        }
        error
    })?;
    let metadata = metadata(body.metadata)?.unwrap_or_else(|| serde_json::json!({}));
    let found = find(&app, &caller, &reference).await?;
    let (id, name) = (found.id(), found.name());
    let place = Place {
        sandbox_id: &id,
        sandbox_name: &name,
        row: found.row.as_ref(),
        user_id: &caller.user.id,
    };
    let session = begin(&app, place, agent.unwrap_or(Agent::Claude), metadata).await?;
    Ok((StatusCode::CREATED, Json(session.into())))
}

fn metadata(given: Option<Value>) -> Result<Option<Value>> {
    let Some(given) = given.filter(|it| !it.is_null()) else {
        return Ok(None);
    };
    if !given.is_object() {
        return Err(ApiError::field("/metadata", "metadata is an object"));
    }
    if given.to_string().len() > METADATA {
        let message = format!("metadata has more than {METADATA} bytes");
        return Err(ApiError::field("/metadata", message));
    }
    Ok(Some(given))
}

/// The conversation that was used last.
#[utoipa::path(get, path = "/sandboxes/{ref}/sessions/latest", tag = "agents",
    params(("ref" = String, Path, description = "Id or name.")),
    responses((status = 200, body = AgentSession), Failures))]
pub async fn latest(
    State(app): State<Arc<App>>,
    caller: Reader,
    Path(reference): Path<String>,
) -> Result<Json<AgentSession>> {
    let found = find(&app, &caller, &reference).await?;
    let sessions = app.store.sessions_of_sandbox(&found.id()).await?;
    let latest = sessions.into_iter().next();
    let latest = latest.ok_or_else(|| ApiError::not_found("the sandbox has no session yet"))?;
    Ok(Json(latest.into()))
}

async fn of(app: &App, found: &Found, id: &str) -> Result<SessionRow> {
    let session = app.store.agent_session(id).await?;
    let session = session.filter(|session| session.sandbox_id == found.id());
    session.ok_or_else(|| ApiError::not_found("there is no such session in this sandbox"))
}

/// One conversation.
#[utoipa::path(get, path = "/sandboxes/{ref}/sessions/{id}", tag = "agents",
    params(("ref" = String, Path, description = "Id or name."), ("id" = String, Path)),
    responses((status = 200, body = AgentSession), Failures))]
pub async fn show(
    State(app): State<Arc<App>>,
    caller: Reader,
    Path((reference, id)): Path<(String, String)>,
) -> Result<Json<AgentSession>> {
    let found = find(&app, &caller, &reference).await?;
    Ok(Json(of(&app, &found, &id).await?.into()))
}

/// A change; a member that is left out or null stays.
#[derive(Debug, Deserialize, ToSchema)]
pub struct ChangeSession {
    /// All words of the caller's own.
    #[schema(value_type = Option<Object>)]
    metadata: Option<Value>,
    /// One that is not active is not gone on with by itself.
    status: Option<SessionStatus>,
}

/// Changes what may change of a conversation.
#[utoipa::path(patch, path = "/sandboxes/{ref}/sessions/{id}", tag = "agents",
    params(("ref" = String, Path, description = "Id or name."), ("id" = String, Path)), request_body = ChangeSession,
    responses((status = 200, body = AgentSession), Failures))]
pub async fn change(
    State(app): State<Arc<App>>,
    caller: Writer,
    Path((reference, id)): Path<(String, String)>,
    Body(body): Body<ChangeSession>,
) -> Result<Json<AgentSession>> {
    let metadata = metadata(body.metadata)?;
    let found = find(&app, &caller, &reference).await?;
    let mut session = of(&app, &found, &id).await?;
    let now = app.clock.now();
    session.metadata = metadata.unwrap_or(session.metadata);
    if let Some(status) = body.status {
        status.as_str().clone_into(&mut session.status);
        session.ended_at = (status != SessionStatus::Active).then_some(now);
    }
    session.updated_at = now;
    app.store.change_session(&session).await?;
    Ok(Json(session.into()))
}
