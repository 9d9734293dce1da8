//! What a sandbox is given at each start: its user's secrets as variables, its user's sign-ins, and what the server's
//! configuration has for agents.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use amika_sandbox::error::{Error, Kind as Why};
use amika_sandbox::given::{Given, Secrets};
use futures_util::future::BoxFuture;

use super::request::{AgentCredential, CreateSandbox};
use super::sign_ins::{Kind, ResolvedAgentCredential, choose, has_expired, put};
use crate::api::error::{ApiError, Result};
use crate::api::secrets::{VALUE, opened};
use crate::state::App;
use crate::store::{SandboxRow, Secret};

/// Refuses what cannot be given: variables that cannot be, secrets that are not the user's, sign-ins of nothing.
///
/// # Errors
/// 400 with the member.
pub async fn check(app: &App, user_id: &str, body: &CreateSandbox) -> Result<()> {
    let secrets = app.store.secrets(user_id, VALUE).await?;
    for (variable, secret) in &body.secret_env_vars {
        let place = format!("/secret_env_vars/{variable}");
        amika_core::env::check_name(variable)
            .map_err(|error| ApiError::field(&place, error.to_string()))?;
        if body.env_vars.contains_key(variable) {
            let message = format!("{variable} stands in env_vars too");
            return Err(ApiError::field(place, message));
        }
        if !secrets.iter().any(|it| it.name == *secret) {
            let shown: String = secret.chars().take(255).collect();
            let message = format!("you have no secret \"{}\"", shown.escape_debug());
            return Err(ApiError::field(place, message));
        }
    }
    let mut kinds = BTreeSet::new();
    for (index, asked) in body.agent_credentials.iter().enumerate() {
        let place = |member: &str| format!("/agent_credentials/{index}/{member}");
        let kind = Kind::parse(&asked.kind).ok_or_else(|| {
            let message = "kind is claude, codex, github or opencode";
            ApiError::field(place("kind"), message)
        })?;
        if !kinds.insert(kind) {
            let message = format!("{} is asked for twice", kind.as_str());
            return Err(ApiError::field(place("kind"), message));
        }
        let is_type = |it: &str| matches!(it, "oauth" | "api_key");
        if !asked.r#type.as_deref().is_none_or(is_type) {
            return Err(ApiError::field(place("type"), "type is oauth or api_key"));
        }
    }
    Ok(())
}

/// What one is given, in which each of these variables is the user's secret with that name, or everybody's.
async fn collect(
    app: &App,
    user_id: &str,
    wanted: &BTreeMap<String, String>,
    asked: &[AgentCredential],
) -> Result<(Given, Vec<ResolvedAgentCredential>)> {
    let mut given = Given::default();
    given.variables.agents = app.config.agent_env.clone();
    let secrets = app.store.secrets(user_id, VALUE).await?;
    let mut resolved = Vec::new();
    for asked in asked {
        let Some(kind) = Kind::parse(&asked.kind) else {
            continue;
        };
        let have = app.store.secrets(user_id, kind.in_store()).await?;
        resolved.push(sign_in(app, &mut given, kind, asked, &have).await?);
    }
    for (variable, name) in wanted {
        // One's own stand before everybody's.
        if let Some(secret) = secrets.iter().find(|it| it.name == *name) {
            let value = opened(app, secret).await?;
            given.variables.everybody.insert(variable.clone(), value);
        }
    }
    Ok((given, resolved))
}

async fn sign_in(
    app: &App,
    given: &mut Given,
    kind: Kind,
    asked: &AgentCredential,
    have: &[Secret],
) -> Result<ResolvedAgentCredential> {
    let secret = match choose(asked, have) {
        Ok(secret) => secret,
        Err(reason) => return Ok(ResolvedAgentCredential::skipped(kind, reason)),
    };
    let value = opened(app, secret).await?;
    if has_expired(kind, &value, app.clock.now()) {
        return Ok(ResolvedAgentCredential::skipped(kind, "expired"));
    }
    put(given, kind, secret, &value);
    Ok(ResolvedAgentCredential::resolved(kind, secret))
}

/// Answers for a sandbox that is being made, and notes what it was asked.
pub struct Keeper {
    /// The server.
    pub app: Arc<App>,
    /// The sandbox's id in the API.
    pub sandbox_id: String,
    /// Whose it is.
    pub user_id: String,
    /// The sign-ins that were asked for.
    pub asked: Vec<AgentCredential>,
}

impl Secrets for Keeper {
    fn given<'a>(
        &'a self,
        wanted: &'a BTreeMap<String, String>,
    ) -> BoxFuture<'a, amika_sandbox::error::Result<Given>> {
        Box::pin(async move {
            let (given, resolved) = collect(&self.app, &self.user_id, wanted, &self.asked)
                .await
                .map_err(failed)?;
            let noted = self
                .app
                .store
                .note_given(&self.sandbox_id, wanted, &resolved);
            noted.await.map_err(|error| failed(error.into()))?;
            Ok(given)
        })
    }
}

fn failed(error: ApiError) -> Error {
    Error::new(Why::Failure, "the secrets cannot be read").cause(error.message)
}

/// What one that is there is given at its next start; what came of its sign-ins is noted.
///
/// # Errors
/// Where the store does not answer, or a secret cannot be opened.
pub async fn again(app: &App, row: &SandboxRow) -> amika_sandbox::error::Result<Given> {
    let asked = row.request.get("agent_credentials").cloned();
    let asked: Vec<AgentCredential> = asked
        .and_then(|asked| serde_json::from_value(asked).ok())
        .unwrap_or_default();
    let (given, resolved) = collect(app, &row.user_id, &row.secret_env, &asked)
        .await
        .map_err(failed)?;
    if resolved != row.credentials {
        let noted = app.store.note_given(&row.id, &row.secret_env, &resolved);
        noted.await.map_err(|error| failed(error.into()))?;
    }
    Ok(given)
}
