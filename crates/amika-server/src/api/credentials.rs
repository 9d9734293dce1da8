//! Sign-ins of agents and of git hosts: secrets of kinds of their own.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::check;
use super::error::{ApiError, Failures, Result};
use super::extract::{Body, Path};
use super::secrets::{self, New, RevealedSecret, SecretScope, SecretSummary};
use crate::auth::caller::{Caller, Reader, Writer};
use crate::state::App;
use crate::store::{Secret, SecretChange};

/// What kind of sign-in it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CredentialType {
    /// The file that the agent's own sign-in writes.
    Oauth,
    /// A key.
    ApiKey,
}

impl CredentialType {
    fn as_str(self) -> &'static str {
        match self {
            Self::Oauth => "oauth",
            Self::ApiKey => "api_key",
        }
    }

    fn of(secret: &Secret) -> Self {
        match secret.r#type.as_deref() {
            Some("oauth") => Self::Oauth,
            _ => Self::ApiKey,
        }
    }
}

/// A sign-in to keep.
#[derive(Debug, Deserialize, ToSchema)]
pub struct CreateCredential {
    #[schema(min_length = 1, max_length = 255, pattern = "^[A-Za-z0-9_.-]+$")]
    name: String,
    /// What it is: up to 64 KiB.
    #[schema(min_length = 1)]
    value: String,
    r#type: CredentialType,
    /// Left out: `user`.
    scope: Option<SecretScope>,
}

/// A sign-in, without what it is.
#[derive(Debug, Serialize, ToSchema)]
pub struct CredentialSummary {
    id: String,
    name: String,
    r#type: CredentialType,
    scope: SecretScope,
}

/// Sign-ins.
#[derive(Debug, Serialize, ToSchema)]
pub struct ListCredentialsResponse(Vec<CredentialSummary>);

async fn list(app: &App, caller: &Caller, kind: &str) -> Result<Json<ListCredentialsResponse>> {
    let secrets = app.store.secrets(&caller.user.id, kind).await?;
    let all = secrets.into_iter().map(|secret| CredentialSummary {
        r#type: CredentialType::of(&secret),
        scope: if secret.is_org {
            SecretScope::Org
        } else {
            SecretScope::User
        },
        id: secret.id,
        name: secret.name,
    });
    Ok(Json(ListCredentialsResponse(all.collect())))
}

async fn create(
    app: &App,
    caller: &Caller,
    kind: &str,
    body: CreateCredential,
) -> Result<(StatusCode, Json<SecretSummary>)> {
    check::secret_name("/name", &body.name)?;
    check::secret_value("/value", &body.value)?;
    let new = New {
        kind,
        name: &body.name,
        value: &body.value,
        description: None,
        r#type: Some(body.r#type.as_str()),
        scope: body.scope.unwrap_or_default(),
    };
    let secret = secrets::add(app, caller, new).await?;
    Ok((StatusCode::CREATED, Json(secret.into())))
}

/// The four routes of a kind, each with its line in the document.
macro_rules! kind {
    ($module:ident, $kind:literal, $what:literal) => {
        #[doc = $what]
        pub mod $module {
            use super::*;

            #[doc = concat!("The caller's own, and everybody's: ", $what)]
            #[utoipa::path(get,
                summary = concat!("The caller's own, and everybody's: ", $what), path = concat!("/secrets/", $kind), tag = "sign-ins",
                responses((status = 200, body = ListCredentialsResponse), Failures))]
            pub async fn list(
                State(app): State<Arc<App>>,
                caller: Reader,
            ) -> Result<Json<ListCredentialsResponse>> {
                super::list(&app, &caller, $kind).await
            }

            #[doc = concat!("Keeps one: ", $what)]
            #[utoipa::path(post,
                summary = concat!("Keeps one: ", $what), path = concat!("/secrets/", $kind), tag = "sign-ins",
                request_body = CreateCredential,
                responses((status = 201, body = SecretSummary), Failures))]
            pub async fn create(
                State(app): State<Arc<App>>,
                caller: Writer,
                Body(body): Body<CreateCredential>,
            ) -> Result<(StatusCode, Json<SecretSummary>)> {
                super::create(&app, &caller, $kind, body).await
            }

            #[doc = concat!("Removes one: ", $what)]
            #[utoipa::path(delete,
                summary = concat!("Removes one: ", $what), path = concat!("/secrets/", $kind, "/{id}"), tag = "sign-ins",
                params(("id" = String, Path)), responses((status = 204), Failures))]
            pub async fn delete(
                State(app): State<Arc<App>>,
                caller: Writer,
                Path(id): Path<String>,
            ) -> Result<StatusCode> {
                secrets::remove(&app, &caller, &id, &[$kind]).await
            }

            #[doc = concat!("Shows what one is, which is noted in the audit: ", $what)]
            #[utoipa::path(post,
                summary = concat!("Shows what one is, which is noted in the audit: ", $what), path = concat!("/secrets/", $kind, "/{id}/reveal"), tag = "sign-ins",
                params(("id" = String, Path)),
                responses((status = 200, body = RevealedSecret), Failures))]
            pub async fn reveal(
                State(app): State<Arc<App>>,
                caller: Writer,
                Path(id): Path<String>,
            ) -> Result<Json<RevealedSecret>> {
                let secret = secrets::own(&app, &caller, &id, &[$kind]).await?;
                secrets::revealed(&app, secret).await.map(Json)
            }
        }
    };
}

kind!(claude, "claude", "sign-ins of Claude Code");
kind!(codex, "codex", "sign-ins of Codex");
kind!(github, "github", "sign-ins of GitHub");
kind!(opencode_auth, "opencode-auth", "sign-ins of OpenCode");

/// Kind of OpenCode's web password, of which each user has one.
const OPENCODE: &str = "opencode";

/// OpenCode's web password.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct OpenCodePassword {
    /// Whether one is kept.
    configured: bool,
    /// Its id; null where there is none.
    secret_id: Option<String>,
    /// Whether sandboxes get it, and not one of their own.
    password_enabled: bool,
}

/// A password to keep.
#[derive(Debug, Deserialize, ToSchema)]
pub struct SetOpenCodePassword {
    /// The password.
    #[schema(min_length = 1)]
    value: String,
}

async fn password(app: &App, caller: &Caller) -> Result<Option<Secret>> {
    let all = app.store.secrets(&caller.user.id, OPENCODE).await?;
    Ok(all.into_iter().next())
}

/// The caller's, which his sandboxes get.
pub async fn web_password(app: &App, caller: &Caller) -> Result<Option<String>> {
    match password(app, caller).await? {
        Some(secret) => secrets::opened(app, &secret).await.map(Some),
        None => Ok(None),
    }
}

/// Whether the caller has one.
#[utoipa::path(get, path = "/secrets/opencode", tag = "sign-ins",
    responses((status = 200, body = OpenCodePassword), Failures))]
pub async fn opencode(
    State(app): State<Arc<App>>,
    caller: Reader,
) -> Result<Json<OpenCodePassword>> {
    let secret = password(&app, &caller).await?;
    Ok(Json(OpenCodePassword {
        configured: secret.is_some(),
        password_enabled: secret.is_some(),
        secret_id: secret.map(|secret| secret.id),
    }))
}

/// Keeps one, in place of what there was.
#[utoipa::path(post, path = "/secrets/opencode", tag = "sign-ins", request_body = SetOpenCodePassword,
    responses((status = 201, body = OpenCodePassword), Failures))]
pub async fn set_opencode(
    State(app): State<Arc<App>>,
    caller: Writer,
    Body(body): Body<SetOpenCodePassword>,
) -> Result<(StatusCode, Json<OpenCodePassword>)> {
    check::secret_value("/value", &body.value)?;
    let secret = if let Some(secret) = password(&app, &caller).await? {
        let sealed = app.seal.seal(&secret.id, body.value.as_bytes());
        let change = SecretChange {
            sealed: Some(&sealed),
            ..SecretChange::default()
        };
        let now = app.clock.now();
        app.store.change_secret(&secret.id, change, now).await?;
        secret
    } else {
        let new = New {
            kind: OPENCODE,
            name: "web-password",
            value: &body.value,
            description: None,
            r#type: None,
            scope: SecretScope::User,
        };
        secrets::add(&app, &caller, new).await?
    };
    let answer = OpenCodePassword {
        configured: true,
        secret_id: Some(secret.id),
        password_enabled: true,
    };
    Ok((StatusCode::CREATED, Json(answer)))
}

/// Removes the caller's: sandboxes make their own then.
#[utoipa::path(delete, path = "/secrets/opencode", tag = "sign-ins", responses((status = 204), Failures))]
pub async fn delete_opencode(State(app): State<Arc<App>>, caller: Writer) -> Result<StatusCode> {
    let secret = password(&app, &caller).await?.ok_or_else(no_password)?;
    app.store.remove_secret(&secret.id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Shows the caller's, which is noted in the audit.
#[utoipa::path(post, path = "/secrets/opencode/reveal", tag = "sign-ins",
    responses((status = 200, body = RevealedSecret), Failures))]
pub async fn reveal_opencode(
    State(app): State<Arc<App>>,
    caller: Writer,
) -> Result<Json<RevealedSecret>> {
    let secret = password(&app, &caller).await?.ok_or_else(no_password)?;
    secrets::revealed(&app, secret).await.map(Json)
}

fn no_password() -> ApiError {
    ApiError::not_found("you keep no password of OpenCode's")
}
