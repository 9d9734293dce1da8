//! Which conversation a message belongs to.

use std::sync::Arc;
use std::time::Duration;

use amika_core::credential::Agent;
use amika_sandbox::error::{Error, Kind as Why};
use amika_sandbox::wait::Condition;

use super::operations::Begun;
use super::sign_ins::first_agent;
use super::turns::{self, MESSAGE};
use crate::api::error::{ApiError, Result};
use crate::state::App;
use crate::store::{SandboxRow, SessionRow};

/// After how long it is looked again while the engine is away.
const AGAIN: Duration = Duration::from_secs(5);

/// A message to an agent.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// What is said to it.
    pub message: &'a str,
    /// Which agent.
    pub agent: Option<&'a str>,
    /// The conversation that goes on.
    pub session_id: Option<&'a str>,
    /// Whether it begins one.
    pub new_session: bool,
}

/// In which sandbox, and who asks.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The sandbox's id.
    pub sandbox_id: &'a str,
    /// Its name.
    pub sandbox_name: &'a str,
    /// What the store holds of it.
    pub row: Option<&'a SandboxRow>,
    /// Who asks.
    pub user_id: &'a str,
}

impl Asked<'_> {
    /// Refuses what cannot be meant.
    ///
    /// # Errors
    /// 400 with the member.
    pub fn check(&self) -> Result<()> {
        if self.message.trim().is_empty() {
            return Err(ApiError::field("/message", "message is empty"));
        }
        if self.message.len() > MESSAGE {
            let message = format!("message has more than {MESSAGE} bytes");
            return Err(ApiError::field("/message", message));
        }
        if self.new_session && self.session_id.is_some() {
            let message = "give one of both: session_id, or new_session";
            return Err(ApiError::field("/new_session", message));
        }
        agent(self.agent).map(drop)
    }
}

/// Reads an agent's word.
///
/// # Errors
/// 400 for any other.
pub fn agent(word: Option<&str>) -> Result<Option<Agent>> {
    let agent = word.map(str::parse::<Agent>).transpose();
    agent.map_err(|error| ApiError::field("/agent", error.to_string()))
}

/// The conversation that a message belongs to, and whether it begins it: the one that is named; a new one; the last one
/// of the sandbox, with that agent where one is named; else a new one.
///
/// # Errors
/// 404 for one that is not of this sandbox; 400 for another agent than its.
pub async fn choose(app: &App, place: Place<'_>, asked: Asked<'_>) -> Result<(SessionRow, bool)> {
    let wanted = agent(asked.agent)?;
    let sessions = app.store.sessions_of_sandbox(place.sandbox_id).await?;
    let is_wanted = |it: &SessionRow| wanted.is_none_or(|agent| agent.as_str() == it.agent);
    if let Some(id) = asked.session_id {
        let named = sessions.into_iter().find(|session| session.id == id);
        let named =
            named.ok_or_else(|| ApiError::not_found("there is no such session in this sandbox"))?;
        if !is_wanted(&named) {
            let message = format!("the session is one of {}", named.agent);
            return Err(ApiError::field("/agent", message));
        }
        let is_new = named.agent_session_id.is_none();
        return Ok((named, is_new));
    }
    let last = sessions
        .into_iter()
        .find(|it| is_wanted(it) && it.status == "active");
    if let Some(last) = last.filter(|_| !asked.new_session) {
        let is_new = last.agent_session_id.is_none();
        return Ok((last, is_new));
    }
    let of_request = place.row.and_then(|row| row.request.get("agent")?.as_str());
    let signed_in = place.row.and_then(|row| first_agent(&row.credentials));
    let word = (asked.agent).or(of_request).or(signed_in);
    let agent = agent(word)?.unwrap_or(Agent::Claude);
    begin(app, place, agent, serde_json::json!({}))
        .await
        .map(|session| (session, true))
}

/// Begins one.
///
/// # Errors
/// Those of the store.
pub async fn begin(
    app: &App,
    place: Place<'_>,
    agent: Agent,
    metadata: serde_json::Value,
) -> Result<SessionRow> {
    let now = app.clock.now();
    let session = SessionRow {
        id: crate::id::new(),
        sandbox_id: place.sandbox_id.to_owned(),
        sandbox_name: place.sandbox_name.to_owned(),
        user_id: place.user_id.to_owned(),
        agent: agent.as_str().to_owned(),
        agent_session_id: None,
        status: "active".to_owned(),
        metadata,
        started_at: now,
        ended_at: None,
        created_at: now,
        updated_at: now,
    };
    app.store.add_session(&session).await?;
    Ok(session)
}

/// Gives a new sandbox's agent its first message, once the sandbox is ready; one that failed is given none.
pub async fn once_ready(app: Arc<App>, mut begun: Begun, row: SandboxRow) {
    let ended = begun.ended().await;
    // A server that ends has it told by the next one.
    if !*app.ending.borrow() {
        tell(&app, &row.id, ended.error.is_none()).await;
    }
}

/// Gives the first messages that a server had not given when it ended; `untold` are the sandboxes of them as they were
/// before this start. Whatever was under way then was brought to its end.
pub fn recover(app: &Arc<App>, untold: Vec<SandboxRow>) {
    for row in untold {
        let app = Arc::clone(app);
        // Each waits for a setup of its own.
        tokio::spawn(async move {
            let is_ready = loop {
                match is_ready(&app, &row).await {
                    Err(error) if error.kind == Why::EngineUnreachable => {
                        tokio::time::sleep(AGAIN).await;
                    }
                    told => break told.is_ok(),
                }
            };
            if !*app.ending.borrow() {
                tell(&app, &row.id, is_ready).await;
            }
        });
    }
}

/// Waits until setup is over that another server began; an error where it failed, or the sandbox is not there.
async fn is_ready(app: &App, row: &SandboxRow) -> std::result::Result<(), Error> {
    let look = app.looks.renew(&app.engines).await?;
    let seen = look.values().find(|seen| seen.id() == row.id);
    let Some(name) = seen.map(|seen| seen.view.name.clone()) else {
        return Err(Error::new(Why::NotFound, "it was unmade"));
    };
    let engine = app.engines.get().await?;
    let (_canceler, cancel) = amika_sandbox::cancel::new();
    let silent = crate::engine::silent();
    let waited = engine.wait(&name, Condition::Ready, None, silent, &cancel);
    waited.await.map(drop)
}

/// Tells a new sandbox's agent its first message, or forgets it where there is nobody to be told.
async fn tell(app: &Arc<App>, sandbox_id: &str, is_ready: bool) {
    let told = async {
        // What came of its sign-ins is known by now.
        let row = app.store.sandbox(sandbox_id).await?;
        let Some((row, message)) = row.and_then(|row| {
            let message = row.initial_prompt.clone()?;
            Some((row, message))
        }) else {
            return Ok(());
        };
        if !is_ready {
            return Ok(app.store.forget_initial_prompt(sandbox_id).await?);
        }
        let asked = Asked {
            message: &message,
            agent: None,
            session_id: None,
            new_session: true,
        };
        let place = Place {
            sandbox_id: &row.id,
            sandbox_name: &row.name,
            row: Some(&row),
            user_id: &row.user_id,
        };
        let (session, _) = choose(app, place, asked).await?;
        turns::begin_first(app, &session, &message).await.map(drop)
    };
    let told: Result<()> = told.await;
    if let Err(error) = told {
        tracing::warn!(
            "an agent was not given its first message: {}",
            error.message
        );
    }
}
