//! Signing the page in and out.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Json, RequestExt as _};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::error::{ApiError, Failures, Result};
use super::extract::Body;
use super::users::OkStatus;
use crate::auth::caller::{From, Peer};
use crate::auth::session;
use crate::auth::token::{Hash, Token, is_key};
use crate::clock::shown;
use crate::state::App;
use crate::store::User;

/// What signs in: one of both.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = SignIn)]
pub struct CreateSession {
    /// The token of a sign-in link.
    token: Option<String>,
    /// An API key.
    api_key: Option<String>,
}

/// A session, whose cookie the answer sets.
#[derive(Debug, Serialize, ToSchema)]
pub struct SessionCreated {
    user_id: String,
    name: String,
    /// The second secret: each request gives it as `X-Amika-Session`.
    secret: String,
    /// When it ends whatever is done; it ends sooner when nothing is asked for 12 hours.
    expires_at: String,
}

/// Signs the page in.
#[utoipa::path(post, path = "/session", tag = "session", request_body = CreateSession,
    responses((status = 200, body = SessionCreated), Failures), security(()))]
pub async fn create(State(app): State<Arc<App>>, request: Request) -> Result<Response> {
    let extensions = request.extensions();
    let is_tls = extensions.get::<Peer>().is_some_and(|peer| peer.is_tls);
    let address = extensions.get::<From>().copied();
    let Body(body): Body<CreateSession> = request.extract().await?;
    let now = app.clock.now();
    let Some(user) = signed_in(&app, &body, now).await? else {
        if let Some(From(address)) = address
            && let Some(seconds) = app.failures.count(address, now)
        {
            let message = "too many sign-ins that failed came from your address";
            let error = ApiError::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", message);
            return Err(error.retry_after(seconds));
        }
        return Err(ApiError::unauthorized(
            "the link or key does not hold: links are good once, for 10 minutes",
        ));
    };
    let (cookie, second) = (Token::new("ams_"), Token::new("amt_"));
    let (cookie_hash, second_hash) = (cookie.hash(), second.hash());
    app.store
        .begin_session(&user.id, &cookie_hash, &second_hash, now)
        .await?;
    let session = app.store.session(&cookie_hash, &second_hash, now).await?;
    let ends_at = session.ok_or_else(ApiError::internal)?.ends_at;
    let body = SessionCreated {
        user_id: user.id,
        name: user.name,
        secret: second.reveal().to_owned(),
        expires_at: shown(ends_at),
    };
    let cookie = session::set_cookie(Some(cookie.reveal()), is_tls);
    Ok(([(header::SET_COOKIE, cookie)], Json(body)).into_response())
}

async fn signed_in(app: &App, body: &CreateSession, now: i64) -> Result<Option<User>> {
    match (&body.token, &body.api_key) {
        (Some(token), None) => {
            let Some(id) = app.store.take_link(&Hash::of(token), now).await? else {
                return Ok(None);
            };
            let user = app.store.user(&id).await?;
            Ok(user.filter(|user| !user.is_disabled))
        }
        (None, Some(key)) if is_key(key) => {
            let found = app.store.who_has(&Hash::of(key)).await?;
            // A session may do all that its user may: a lesser key must not lead there.
            Ok(found
                .filter(|holder| holder.scopes.contains(&holder.user.role.most()))
                .map(|holder| holder.user))
        }
        (None, Some(_)) => Ok(None),
        _ => Err(ApiError::usage("give one of both: token, or api_key")),
    }
}

/// Signs the page out.
#[utoipa::path(delete, path = "/session", tag = "session",
    responses((status = 200, body = OkStatus), Failures), security(()))]
pub async fn delete(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    request: Request,
) -> Result<Response> {
    let is_tls = request
        .extensions()
        .get::<Peer>()
        .is_some_and(|peer| peer.is_tls);
    if let (Some(cookie), Some(second)) = (
        session::cookie(&headers),
        headers.get(session::SECOND_HEADER),
    ) {
        let (cookie, second) = (
            Hash::of(cookie),
            Hash::of(second.to_str().unwrap_or_default()),
        );
        if app
            .store
            .session(&cookie, &second, app.clock.now())
            .await?
            .is_some()
        {
            app.store.end_session(&cookie).await?;
        }
    }
    let gone = session::set_cookie(None, is_tls);
    Ok(([(header::SET_COOKIE, gone)], Json(OkStatus { ok: true })).into_response())
}
