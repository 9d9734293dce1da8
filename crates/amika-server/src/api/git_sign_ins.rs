//! Sign-ins of git hosts, with which repositories are cloned: tokens for HTTPS, and SSH keys.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::check;
use super::error::{ApiError, Failures, Result};
use super::extract::{Body, Path};
use super::secrets::{self, New, SecretScope};
use crate::auth::caller::{Reader, Writer};
use crate::sandboxes::cloning::{Kept, SSH_KEY, TOKEN, is_host};
use crate::state::App;
use crate::store::Secret;

/// The most bytes of lines of `known_hosts`.
const KNOWN_HOSTS: usize = 16 << 10;

/// What signs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum GitSignInType {
    /// A token or a password, for HTTPS.
    Token,
    /// A private key without a passphrase, for SSH.
    SshKey,
}

impl GitSignInType {
    fn kind(self) -> &'static str {
        match self {
            Self::Token => TOKEN,
            Self::SshKey => SSH_KEY,
        }
    }
}

/// A sign-in to keep; one for each host and type.
#[derive(Debug, Deserialize, ToSchema)]
pub struct CreateGitSignIn {
    /// Whose host it is, with its port where that is not the usual one.
    host: String,
    r#type: GitSignInType,
    /// A token, or `USER:TOKEN`; or the text of a private key.
    #[schema(min_length = 1)]
    value: String,
    /// Lines of `known_hosts`, by which an SSH host is known; any other is refused.
    known_hosts: Option<String>,
    /// Left out: `user`.
    scope: Option<SecretScope>,
}

/// A sign-in, without what it is.
#[derive(Debug, Serialize, ToSchema)]
pub struct GitSignIn {
    id: String,
    host: String,
    r#type: GitSignInType,
    scope: SecretScope,
}

impl From<Secret> for GitSignIn {
    fn from(secret: Secret) -> Self {
        Self {
            r#type: match secret.kind.as_str() {
                SSH_KEY => GitSignInType::SshKey,
                _ => GitSignInType::Token,
            },
            scope: if secret.is_org {
                SecretScope::Org
            } else {
                SecretScope::User
            },
            id: secret.id,
            host: secret.name,
        }
    }
}

/// The caller's own, and everybody's: sign-ins of git hosts.
#[utoipa::path(get, path = "/secrets/git", tag = "sign-ins",
    responses((status = 200, body = Vec<GitSignIn>), Failures))]
pub async fn list(State(app): State<Arc<App>>, caller: Reader) -> Result<Json<Vec<GitSignIn>>> {
    let mut all = app.store.secrets(&caller.user.id, TOKEN).await?;
    all.extend(app.store.secrets(&caller.user.id, SSH_KEY).await?);
    Ok(Json(all.into_iter().map(Into::into).collect()))
}

/// Keeps one: a sign-in of a git host.
#[utoipa::path(post, path = "/secrets/git", tag = "sign-ins", request_body = CreateGitSignIn,
    responses((status = 201, body = GitSignIn), Failures))]
pub async fn create(
    State(app): State<Arc<App>>,
    caller: Writer,
    Body(body): Body<CreateGitSignIn>,
) -> Result<(StatusCode, Json<GitSignIn>)> {
    let host = body.host.to_ascii_lowercase();
    if !is_host(&host) {
        let message = "host is the name of a host, with :PORT where that is not the usual one";
        return Err(ApiError::field("/host", message));
    }
    check::secret_value("/value", &body.value)?;
    match body.r#type {
        GitSignInType::Token if body.value.contains(char::is_control) => {
            return Err(ApiError::field("/value", "a token is one line"));
        }
        GitSignInType::SshKey if !body.value.starts_with("-----BEGIN ") => {
            let message = "value is the text of a private key, which begins with -----BEGIN";
            return Err(ApiError::field("/value", message));
        }
        _ => {}
    }
    if let Some(lines) = &body.known_hosts {
        let is_bad = |found: char| found.is_control() && !matches!(found, '\n' | '\r' | '\t');
        if body.r#type == GitSignInType::Token
            || lines.len() > KNOWN_HOSTS
            || lines.contains(is_bad)
        {
            let message = "known_hosts are lines of text for an ssh_key, at most 16 KiB";
            return Err(ApiError::field("/known_hosts", message));
        }
    }
    let kept = Kept {
        value: body.value,
        known_hosts: body.known_hosts.unwrap_or_default(),
    };
    let new = New {
        kind: body.r#type.kind(),
        name: &host,
        value: &serde_json::to_string(&kept).map_err(|_| ApiError::internal())?,
        description: None,
        r#type: None,
        scope: body.scope.unwrap_or_default(),
    };
    let secret = secrets::add(&app, &caller, new).await?;
    Ok((StatusCode::CREATED, Json(secret.into())))
}

/// Removes one: a sign-in of a git host.
#[utoipa::path(delete, path = "/secrets/git/{id}", tag = "sign-ins", params(("id" = String, Path)),
    responses((status = 204), Failures))]
pub async fn delete(
    State(app): State<Arc<App>>,
    caller: Writer,
    Path(id): Path<String>,
) -> Result<StatusCode> {
    secrets::remove(&app, &caller, &id, &[TOKEN, SSH_KEY]).await
}
