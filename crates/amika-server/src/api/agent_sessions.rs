//! Conversations with agents, wherever they are: a message finds or makes its sandbox.

use std::sync::Arc;

use amika_core::untrusted::Untrusted;
use axum::Json;
use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::{broadcast, mpsc};
use utoipa::{IntoParams, ToSchema};

use super::agent_send::{begin, late};
use super::error::{ApiError, Failures, Result};
use super::extract::{Body, Path, Query};
use super::sandboxes::{self, Found, find};
use crate::auth::caller::{Caller, Reader, Writer};
use crate::clock::shown;
use crate::sandboxes::conversation::Asked;
use crate::sandboxes::request::CreateSandbox;
use crate::sandboxes::turns::Ended;
use crate::state::App;
use crate::store::SessionRow;
use crate::streams::over;

/// What is kept for a client that reads slowly: then the agent's words wait, and no others.
const BUFFER: usize = 16;

/// A message to an agent somewhere.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct SendMessage {
    /// What is said to it: up to 512 KiB.
    #[schema(min_length = 1)]
    message: String,
    /// `claude`, `codex` or `opencode`.
    agent: Option<String>,
    /// The session that goes on.
    session_id: Option<String>,
    /// The sandbox; left out: the session's, else one is made.
    sandbox_id: Option<String>,
    /// Whether a new session begins.
    #[serde(default)]
    new_session: bool,
    /// The repository of a sandbox that is made.
    repo_url: Option<String>,
}

/// What an agent answered.
#[derive(Debug, Serialize, ToSchema)]
pub struct AgentSessionResponse {
    session_id: String,
    sandbox_id: String,
    agent: String,
    response: String,
    /// Whether the agent failed, or is signed out.
    is_error: bool,
    is_new_session: bool,
    /// Whether the sandbox was made for it.
    created_sandbox: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Usage>,
}

/// What a turn took.
#[derive(Debug, Serialize, ToSchema)]
pub struct Usage {
    /// What the agent says that it cost, in US dollars.
    cost_usd: f64,
}

impl SendMessage {
    fn asked(&self) -> Asked<'_> {
        Asked {
            message: &self.message,
            agent: self.agent.as_deref(),
            session_id: self.session_id.as_deref(),
            new_session: self.new_session,
        }
    }

    fn check(&self) -> Result<()> {
        self.asked().check()?;
        if self.repo_url.is_some() && (self.sandbox_id.is_some() || self.session_id.is_some()) {
            let message = "repo_url is of a sandbox that is made";
            return Err(ApiError::field("/repo_url", message));
        }
        Ok(())
    }
}

/// What happens meanwhile, for whoever reads along.
enum Step {
    Status(&'static str, Option<String>),
    Delta(String),
}

/// Has the message answered; each step is told.
async fn answer(
    app: &Arc<App>,
    caller: &Caller,
    body: &SendMessage,
    told: Option<&mpsc::Sender<Step>>,
) -> Result<AgentSessionResponse> {
    let tell = async |step| {
        if let Some(told) = told {
            // Whoever left hears no more; the turn goes on.
            let _ = told.send(step).await;
        }
    };
    let (found, created_sandbox) = if let Some(reference) = reference(app, caller, body).await? {
        (find(app, caller, &reference).await?, false)
    } else {
        tell(Step::Status("creating_sandbox", None)).await;
        (make(app, caller, body).await?, true)
    };
    let sandbox_id = found.id();
    tell(Step::Status("running", Some(sandbox_id.clone()))).await;
    let (session, is_new_session, mut going) = begin(app, caller, &found, body.asked()).await?;
    let mut said = going.said.resubscribe();
    let id = going.id.clone();
    let ended = {
        let mut ended = std::pin::pin!(tokio::time::timeout(
            app.config.holds.agent_send,
            going.ended()
        ));
        loop {
            tokio::select! {
                ended = &mut ended => break ended.map_err(|_| late(app, &id))?,
                piece = said.recv(), if told.is_some() => match piece {
                    Ok(text) => tell(Step::Delta(text)).await,
                    // Some were missed: the answer as a whole comes at the end.
                    Err(broadcast::error::RecvError::Lagged(_)) => {}
                    Err(broadcast::error::RecvError::Closed) => break ended.await.map_err(|_| late(app, &id))?,
                },
            }
        }
    };
    while let Ok(text) = said.try_recv() {
        tell(Step::Delta(text)).await;
    }
    response(session, sandbox_id, ended, is_new_session, created_sandbox)
}

fn response(
    session: SessionRow,
    sandbox_id: String,
    ended: Ended,
    is_new_session: bool,
    created_sandbox: bool,
) -> Result<AgentSessionResponse> {
    if let Some(error) = ended.failure {
        return Err(error);
    }
    Ok(AgentSessionResponse {
        session_id: session.id,
        sandbox_id,
        agent: session.agent,
        response: ended.text,
        is_error: ended.is_error,
        is_new_session,
        created_sandbox,
        usage: ended.cost_usd.map(|cost_usd| Usage { cost_usd }),
    })
}

/// The sandbox that is meant; none where one is to be made.
async fn reference(app: &App, caller: &Caller, body: &SendMessage) -> Result<Option<String>> {
    if body.sandbox_id.is_some() {
        return Ok(body.sandbox_id.clone());
    }
    let Some(id) = &body.session_id else {
        return Ok(None);
    };
    own(app, caller, id).await.map(|it| Some(it.sandbox_id))
}

async fn own(app: &App, caller: &Caller, id: &str) -> Result<SessionRow> {
    let session = app.store.agent_session(id).await?;
    let session = session.filter(|it| caller.is_admin() || it.user_id == caller.user.id);
    session.ok_or_else(|| ApiError::not_found("there is no such session of yours"))
}

/// Makes a sandbox and waits until it is ready.
async fn make(app: &Arc<App>, caller: &Caller, body: &SendMessage) -> Result<Found> {
    let wish = CreateSandbox {
        repo_url: body.repo_url.clone(),
        agent: body.agent.clone(),
        ..CreateSandbox::signed_in()
    };
    let (id, mut begun) = sandboxes::make(app, caller, wish).await?;
    let ended = tokio::time::timeout(app.config.holds.agent_send, begun.ended()).await;
    match ended.ok().and_then(|ended| ended.error) {
        Some(error) => Err(error),
        None => find(app, caller, &id).await,
    }
}

/// Says something to an agent and waits for its answer: in the session's sandbox, in the one that is named, else in one
/// that is made. An agent that is signed out is no failure of this: `is_error` says so.
#[utoipa::path(post, path = "/agent-sessions", tag = "agents", request_body = SendMessage,
    responses((status = 200, body = AgentSessionResponse), (status = 502, body = super::error::ErrorBody),
        (status = 504, body = super::error::ErrorBody), Failures))]
pub async fn send(
    State(app): State<Arc<App>>,
    caller: Writer,
    Body(body): Body<SendMessage>,
) -> Result<Json<AgentSessionResponse>> {
    body.check()?;
    // By itself: a client that leaves meanwhile ends nothing.
    let caller = caller.0.clone();
    let task = tokio::spawn(async move { answer(&app, &caller, &body, None).await });
    let answered = task.await.map_err(|_| ApiError::internal())?;
    answered.map(Json)
}

/// The same with what happens as events: `status {phase, sandbox_id}`, `delta {text}`, at last `done` with the answer or
/// `error {error}`.
#[utoipa::path(post, path = "/agent-sessions/stream", tag = "agents", request_body = SendMessage,
    responses((status = 200, body = String, content_type = "text/event-stream"), Failures))]
pub async fn stream(
    State(app): State<Arc<App>>,
    caller: Writer,
    Body(body): Body<SendMessage>,
) -> Result<Response> {
    body.check()?;
    let (to, mut told) = mpsc::channel(BUFFER);
    let (done, mut end) = tokio::sync::oneshot::channel();
    let caller = caller.0.clone();
    let ending = app.ending.subscribe();
    tokio::spawn(async move {
        let answered = answer(&app, &caller, &body, Some(&to)).await;
        drop(to);
        let _ = done.send(answered);
    });
    let (out, events) = mpsc::channel::<Result<Event, std::convert::Infallible>>(1);
    tokio::spawn(async move {
        let passed_on = async {
            while let Some(step) = told.recv().await {
                if out.send(Ok(event(step))).await.is_err() {
                    // Nobody reads any more: what is left to be told is taken in, so that the turn waits for nobody.
                    while told.recv().await.is_some() {}
                    return;
                }
            }
            let last = (&mut end)
                .await
                .unwrap_or_else(|_| Err(ApiError::internal()));
            let _ = out.send(Ok(last_event(last))).await;
        };
        tokio::select! {
            () = passed_on => {}
            // A turn may take longer than a server's end.
            () = over(ending) => {}
        }
    });
    let events = stream::unfold(events, async |mut events| {
        Some((events.recv().await?, events))
    });
    Ok(Sse::new(events)
        .keep_alive(KeepAlive::default())
        .into_response())
}

fn event(step: Step) -> Event {
    let (name, data) = match step {
        Step::Status(phase, sandbox_id) => (
            "status",
            json!({ "phase": phase, "sandbox_id": sandbox_id }),
        ),
        Step::Delta(text) => ("delta", json!({ "text": text })),
    };
    Event::default().event(name).data(data.to_string())
}

fn last_event(answered: Result<AgentSessionResponse>) -> Event {
    let (name, data) = match answered {
        Ok(answer) => ("done", serde_json::to_value(&answer).unwrap_or(Value::Null)),
        Err(error) => {
            let message = Untrusted::new(&error.message).to_string();
            ("error", json!({ "error": message, "code": error.code }))
        }
    };
    Event::default().event(name).data(data.to_string())
}

/// How many.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// At most as many, 1 to 1000; left out: 50.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

/// A conversation in a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct AgentSessionSummary {
    session_id: String,
    sandbox_id: String,
    sandbox_name: String,
    agent: String,
    status: String,
    created_at: String,
    updated_at: String,
}

/// Conversations, the last used first.
#[derive(Debug, Serialize, ToSchema)]
pub struct ListAgentSessionsResponse {
    sessions: Vec<AgentSessionSummary>,
    /// How many there are in all.
    total: i64,
}

fn summary(row: SessionRow) -> AgentSessionSummary {
    AgentSessionSummary {
        session_id: row.id,
        sandbox_id: row.sandbox_id,
        sandbox_name: row.sandbox_name,
        agent: row.agent,
        status: row.status,
        created_at: shown(row.created_at),
        updated_at: shown(row.updated_at),
    }
}

/// The caller's conversations, the last used first.
#[utoipa::path(get, path = "/agent-sessions", tag = "agents", params(ListQuery),
    responses((status = 200, body = ListAgentSessionsResponse), Failures))]
pub async fn list(
    State(app): State<Arc<App>>,
    caller: Reader,
    Query(query): Query<ListQuery>,
) -> Result<Json<ListAgentSessionsResponse>> {
    let limit = super::paging::limit(query.limit, 50)?;
    let (rows, total) = app.store.sessions_of_user(&caller.user.id, limit).await?;
    let sessions = rows.into_iter().map(summary).collect();
    Ok(Json(ListAgentSessionsResponse { sessions, total }))
}

/// Something that was said.
#[derive(Debug, Serialize, ToSchema)]
pub struct AgentMessage {
    /// `user` or `assistant`.
    role: &'static str,
    content: String,
    timestamp: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    is_error: Option<bool>,
}

/// A conversation with all that was said.
#[derive(Debug, Serialize, ToSchema)]
pub struct AgentSessionDetail {
    #[serde(flatten)]
    session: AgentSessionSummary,
    messages: Vec<AgentMessage>,
}

/// One conversation with all that was said, the first first.
#[utoipa::path(get, path = "/agent-sessions/{id}", tag = "agents", params(("id" = String, Path)),
    responses((status = 200, body = AgentSessionDetail), Failures))]
pub async fn show(
    State(app): State<Arc<App>>,
    caller: Reader,
    Path(id): Path<String>,
) -> Result<Json<AgentSessionDetail>> {
    let session = own(&app, &caller, &id).await?;
    let mut messages = Vec::new();
    for turn in app.store.turns(&session.id).await? {
        messages.push(AgentMessage {
            role: "user",
            content: turn.message,
            timestamp: shown(turn.created_at),
            is_error: None,
        });
        if let (Some(content), Some(ended_at)) = (turn.result, turn.ended_at) {
            messages.push(AgentMessage {
                role: "assistant",
                content,
                timestamp: shown(ended_at),
                is_error: turn.is_error.filter(|is_error| *is_error),
            });
        }
    }
    Ok(Json(AgentSessionDetail {
        session: summary(session),
        messages,
    }))
}
