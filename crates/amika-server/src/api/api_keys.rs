//! The caller's API keys.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::error::{ApiError, Failures, Result};
use super::extract::{Body, Path, Query};
use super::{check, paging};
use crate::auth::caller::{Reader, Writer};
use crate::auth::scope::Scope;
use crate::auth::token::{KEY_PREFIX, Token};
use crate::clock::shown;
use crate::state::App;
use crate::store::{self, NewKey, Store};

/// A key, without what it is.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApiKey {
    id: String,
    name: String,
    /// Its ends.
    obfuscated_value: String,
    /// To the minute; null where it was never used.
    last_used_at: Option<String>,
    created_at: String,
    updated_at: String,
    scopes: Vec<Scope>,
}

impl From<store::ApiKey> for ApiKey {
    fn from(key: store::ApiKey) -> Self {
        Self {
            id: key.id,
            name: key.name,
            obfuscated_value: key.shown,
            last_used_at: key.last_used_at.map(shown),
            created_at: shown(key.created_at),
            updated_at: shown(key.updated_at),
            scopes: key.scopes,
        }
    }
}

/// A key that was made, with what it is: it is shown this once.
#[derive(Debug, Serialize, ToSchema)]
pub struct CreatedApiKey {
    #[serde(flatten)]
    key: ApiKey,
    /// The key.
    value: String,
}

/// Keys.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListApiKeysResponse {
    data: Vec<ApiKey>,
    page_info: PageInfo,
}

/// Where the next part is.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PageInfo {
    /// `after` for the next part; null where there is none.
    after: Option<String>,
    has_next_page: bool,
}

/// Which part.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// At most as many, 1 to 1000.
    #[param(default = 100, minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// After the key with this id.
    after: Option<String>,
}

/// A key to make.
#[derive(Debug, Deserialize, ToSchema)]
pub struct CreateApiKey {
    /// What its owner calls it.
    #[schema(min_length = 1, max_length = 255)]
    name: String,
    /// What it may be used for; left out: `read` and `write`. No more than the caller may.
    scopes: Option<Vec<Scope>>,
}

/// The caller's keys, the newest first.
#[utoipa::path(get, path = "/api-keys", tag = "keys", params(ListQuery),
    responses((status = 200, body = ListApiKeysResponse), Failures))]
pub async fn list(
    State(app): State<Arc<App>>,
    caller: Reader,
    Query(query): Query<ListQuery>,
) -> Result<Json<ListApiKeysResponse>> {
    let limit = paging::limit(query.limit, 100)?;
    let after = query.after.as_deref();
    let mut keys = app.store.keys(&caller.user.id, limit + 1, after).await?;
    let has_next_page = keys.len() > limit as usize;
    keys.truncate(limit as usize);
    Ok(Json(ListApiKeysResponse {
        page_info: PageInfo {
            after: keys
                .last()
                .filter(|_| has_next_page)
                .map(|key| key.id.clone()),
            has_next_page,
        },
        data: keys.into_iter().map(Into::into).collect(),
    }))
}

/// Makes a key of the caller's.
#[utoipa::path(post, path = "/api-keys", tag = "keys", request_body = CreateApiKey,
    responses((status = 201, body = CreatedApiKey), Failures))]
pub async fn create(
    State(app): State<Arc<App>>,
    caller: Writer,
    Body(body): Body<CreateApiKey>,
) -> Result<(StatusCode, Json<CreatedApiKey>)> {
    check::text("/name", &body.name, 255)?;
    let scopes = body
        .scopes
        .unwrap_or_else(|| vec![Scope::Read, Scope::Write]);
    let Some(most) = scopes.iter().max() else {
        return Err(ApiError::field(
            "/scopes",
            "a key without a scope is of no use",
        ));
    };
    if *most > caller.scope {
        return Err(ApiError::forbidden(format!(
            "you lack the scope {most} with this key, and so cannot give it to another"
        )));
    }
    let now = app.clock.now();
    let (key, token) = make(&app.store, &caller.user.id, &body.name, &scopes, now).await?;
    let value = token.reveal().to_owned();
    let key = key.into();
    Ok((StatusCode::CREATED, Json(CreatedApiKey { key, value })))
}

/// Makes a key of a user's.
///
/// # Errors
/// Those of the store.
pub async fn make(
    store: &Store,
    user_id: &str,
    name: &str,
    scopes: &[Scope],
    now: i64,
) -> store::Result<(store::ApiKey, Token)> {
    let token = Token::new(KEY_PREFIX);
    let mut scopes = scopes.to_vec();
    scopes.sort_unstable();
    scopes.dedup();
    let key = store::ApiKey {
        id: crate::id::new(),
        name: name.to_owned(),
        shown: token.shown(),
        scopes,
        last_used_at: None,
        created_at: now,
        updated_at: now,
    };
    let hash = token.hash();
    let new = NewKey {
        id: &key.id,
        user_id,
        name,
        hash: &hash,
        shown: &key.shown,
        scopes: &key.scopes,
        now,
    };
    store.add_key(new).await?;
    Ok((key, token))
}

/// Removes a key of the caller's: it holds no more.
#[utoipa::path(delete, path = "/api-keys/{id}", tag = "keys", params(("id" = String, Path)),
    responses((status = 204), Failures))]
pub async fn delete(
    State(app): State<Arc<App>>,
    caller: Writer,
    Path(id): Path<String>,
) -> Result<StatusCode> {
    if app.store.remove_key(&caller.user.id, &id).await? {
        return Ok(StatusCode::NO_CONTENT);
    }
    Err(ApiError::not_found("there is no such key of yours"))
}
