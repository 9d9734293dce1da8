//! Secrets: values that sandboxes are given, listed without what they are.

use std::sync::Arc;

use axum::Json;
use axum::extract::{OriginalUri, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::check;
use super::error::{ApiError, Failures, Result};
use super::extract::{Body, Path};
use crate::auth::caller::{Caller, Reader, Writer};
use crate::clock::shown;
use crate::state::{App, ORG};
use crate::store::{NewSecret, Secret, SecretChange};

/// Kind of the secrets that variables get their values from.
pub const VALUE: &str = "value";

/// Who has a secret.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SecretScope {
    /// Its user alone.
    #[default]
    User,
    /// Everybody; administrators make, change and read it.
    Org,
}

/// A secret, without what it is.
#[derive(Debug, Serialize, ToSchema)]
pub struct SecretSummary {
    pub(super) id: String,
    org_id: &'static str,
    user_id: String,
    pub(super) name: String,
    description: Option<String>,
    pub(super) scope: SecretScope,
    created_at: String,
    updated_at: String,
}

impl From<Secret> for SecretSummary {
    fn from(secret: Secret) -> Self {
        Self {
            id: secret.id,
            org_id: ORG,
            user_id: secret.user_id,
            name: secret.name,
            description: secret.description,
            scope: if secret.is_org {
                SecretScope::Org
            } else {
                SecretScope::User
            },
            created_at: shown(secret.created_at),
            updated_at: shown(secret.updated_at),
        }
    }
}

/// A secret to keep.
#[derive(Debug, Deserialize, ToSchema)]
pub struct CreateSecret {
    /// 1 to 255 of `A-Z`, `a-z`, `0-9`, `_`, `.` and `-`; one for each scope.
    #[schema(min_length = 1, max_length = 255, pattern = "^[A-Za-z0-9_.-]+$")]
    name: String,
    /// What it is: up to 64 KiB.
    #[schema(min_length = 1)]
    value: String,
    description: Option<String>,
    /// Left out: `user`.
    scope: Option<SecretScope>,
}

/// A change; a member that is left out or null stays.
#[derive(Debug, Deserialize, ToSchema)]
pub struct ChangeSecret {
    name: Option<String>,
    value: Option<String>,
    description: Option<String>,
}

/// What a secret is.
#[derive(Debug, Serialize, ToSchema)]
pub struct RevealedSecret {
    id: String,
    name: String,
    /// What it is.
    value: String,
}

/// The caller's own, and everybody's, by name.
#[utoipa::path(get, path = "/secrets", tag = "secrets", params(super::paging::Page),
    responses((status = 200, body = Vec<SecretSummary>), Failures))]
pub async fn list(
    State(app): State<Arc<App>>,
    caller: Reader,
    OriginalUri(uri): OriginalUri,
    super::extract::Query(page): super::extract::Query<super::paging::Page>,
) -> Result<axum::response::Response> {
    let secrets = app.store.secrets(&caller.user.id, VALUE).await?;
    let secrets: Vec<SecretSummary> = secrets.into_iter().map(Into::into).collect();
    // By name, everybody's behind one's own: as the store sorts them.
    super::paging::answer(&uri, &page, &secrets, |secret| {
        format!(
            "{} {}",
            secret.name,
            u8::from(secret.scope == SecretScope::Org)
        )
    })
}

/// Keeps a secret.
#[utoipa::path(post, path = "/secrets", tag = "secrets", request_body = CreateSecret,
    responses((status = 201, body = SecretSummary), Failures))]
pub async fn create(
    State(app): State<Arc<App>>,
    caller: Writer,
    Body(body): Body<CreateSecret>,
) -> Result<(StatusCode, Json<SecretSummary>)> {
    check::secret_name("/name", &body.name)?;
    check::secret_value("/value", &body.value)?;
    described(body.description.as_deref())?;
    let new = New {
        kind: VALUE,
        name: &body.name,
        value: &body.value,
        description: body.description.as_deref(),
        r#type: None,
        scope: body.scope.unwrap_or_default(),
    };
    let secret = add(&app, &caller, new).await?;
    Ok((StatusCode::CREATED, Json(secret.into())))
}

pub(super) fn described(text: Option<&str>) -> Result<()> {
    text.filter(|text| !text.is_empty())
        .map_or(Ok(()), |text| check::text("/description", text, 1000))
}

/// A secret to keep, of any kind.
pub(super) struct New<'a> {
    pub kind: &'a str,
    pub name: &'a str,
    pub value: &'a str,
    pub description: Option<&'a str>,
    pub r#type: Option<&'a str>,
    pub scope: SecretScope,
}

/// Seals and keeps one.
pub(super) async fn add(app: &App, caller: &Caller, new: New<'_>) -> Result<Secret> {
    if new.scope == SecretScope::Org && !caller.is_admin() {
        return Err(ApiError::forbidden(
            "only administrators keep secrets that everybody has",
        ));
    }
    let now = app.clock.now();
    let secret = Secret {
        id: crate::id::new(),
        user_id: caller.user.id.clone(),
        kind: new.kind.to_owned(),
        is_org: new.scope == SecretScope::Org,
        name: new.name.to_owned(),
        description: new.description.map(str::to_owned),
        r#type: new.r#type.map(str::to_owned),
        created_at: now,
        updated_at: now,
    };
    let sealed = app.seal.seal(&secret.id, new.value.as_bytes());
    let new = NewSecret {
        secret: &secret,
        sealed: &sealed,
    };
    app.store.add_secret(new).await.map_err(taken)?;
    Ok(secret)
}

pub(super) fn taken(error: crate::store::StoreError) -> ApiError {
    match error {
        crate::store::StoreError::Taken => {
            ApiError::conflict("there is a secret with this name already")
        }
        other => other.into(),
    }
}

/// One that the caller may change: of those that everybody has an administrator alone.
pub(super) async fn own(app: &App, caller: &Caller, id: &str, kinds: &[&str]) -> Result<Secret> {
    let secret = app.store.secret(&caller.user.id, id).await?;
    let secret = secret.filter(|secret| kinds.contains(&secret.kind.as_str()));
    let secret = secret.ok_or_else(|| ApiError::not_found("there is no such secret of yours"))?;
    if secret.is_org && !caller.is_admin() {
        return Err(ApiError::forbidden(
            "only administrators may do this with what everybody has",
        ));
    }
    Ok(secret)
}

/// Changes a secret.
#[utoipa::path(put, path = "/secrets/{id}", tag = "secrets", params(("id" = String, Path)),
    request_body = ChangeSecret, responses((status = 200, body = SecretSummary), Failures))]
pub async fn change(
    State(app): State<Arc<App>>,
    caller: Writer,
    Path(id): Path<String>,
    Body(body): Body<ChangeSecret>,
) -> Result<Json<SecretSummary>> {
    body.name
        .as_deref()
        .map_or(Ok(()), |name| check::secret_name("/name", name))?;
    body.value
        .as_deref()
        .map_or(Ok(()), |value| check::secret_value("/value", value))?;
    described(body.description.as_deref())?;
    let secret = own(&app, &caller, &id, &[VALUE]).await?;
    let sealed = body
        .value
        .map(|value| app.seal.seal(&secret.id, value.as_bytes()));
    let change = SecretChange {
        name: body.name.as_deref(),
        description: body.description.as_deref(),
        r#type: None,
        sealed: sealed.as_deref(),
    };
    let now = app.clock.now();
    let changed = app
        .store
        .change_secret(&secret.id, change, now)
        .await
        .map_err(taken)?;
    let changed = changed.ok_or_else(|| ApiError::not_found("there is no such secret of yours"))?;
    Ok(Json(changed.into()))
}

/// Removes a secret.
#[utoipa::path(delete, path = "/secrets/{id}", tag = "secrets", params(("id" = String, Path)),
    responses((status = 204), Failures))]
pub async fn delete(
    State(app): State<Arc<App>>,
    caller: Writer,
    Path(id): Path<String>,
) -> Result<StatusCode> {
    remove(&app, &caller, &id, &[VALUE]).await
}

pub(super) async fn remove(
    app: &App,
    caller: &Caller,
    id: &str,
    kinds: &[&str],
) -> Result<StatusCode> {
    let secret = own(app, caller, id, kinds).await?;
    app.store.remove_secret(&secret.id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Shows what a secret is. It is noted in the audit.
#[utoipa::path(post, path = "/secrets/{id}/reveal", tag = "secrets", params(("id" = String, Path)),
    responses((status = 200, body = RevealedSecret), Failures))]
pub async fn reveal(
    State(app): State<Arc<App>>,
    caller: Writer,
    Path(id): Path<String>,
) -> Result<Json<RevealedSecret>> {
    let secret = own(&app, &caller, &id, &[VALUE]).await?;
    revealed(&app, secret).await.map(Json)
}

pub(super) async fn revealed(app: &App, secret: Secret) -> Result<RevealedSecret> {
    let value = opened(app, &secret).await?;
    Ok(RevealedSecret {
        id: secret.id,
        name: secret.name,
        value,
    })
}

/// What a secret is.
pub(crate) async fn opened(app: &App, secret: &Secret) -> Result<String> {
    let sealed = app.store.sealed(&secret.id).await?;
    let sealed = sealed.ok_or_else(|| ApiError::not_found("there is no such secret of yours"))?;
    let opened = app.seal.open(&secret.id, &sealed);
    opened
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or_else(|| {
            tracing::error!(
                id = secret.id,
                "a secret cannot be opened: it was sealed with another key"
            );
            ApiError::internal()
        })
}
