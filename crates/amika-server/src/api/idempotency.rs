//! `Idempotency-Key`: a request that comes again is answered as it was the first time, and nothing is done twice.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt as _;
use sha2::{Digest as _, Sha256};

use super::error::{ApiError, Result};
use super::extract::{BODY, bytes};
use crate::auth::caller::Caller;
use crate::state::App;
use crate::store::Claim;

/// The header.
const KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Header of an answer that was given before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// Routes whose requests are done each time that they come, by the end of their path.
const EACH_TIME: [&str; 3] = ["/exec", "/reveal", "/agent-send"];

/// Routes whose answers hold a secret: it is not kept.
const SECRET: [&str; 2] = ["/api-keys", "/users"];

/// The largest answer that is kept, in bytes.
const ANSWER: usize = 1 << 20;

/// Requests with a key that are being answered by this process.
#[derive(Debug, Default)]
pub struct UnderWay(Mutex<HashSet<(String, String)>>);

impl UnderWay {
    fn all(&self) -> std::sync::MutexGuard<'_, HashSet<(String, String)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The layer.
pub async fn once(State(app): State<Arc<App>>, request: Request, next: Next) -> Result<Response> {
    let route = request.extensions().get::<MatchedPath>();
    let route = route.map(|it| it.as_str().to_owned()).unwrap_or_default();
    let is_done_each_time = EACH_TIME.iter().any(|end| route.ends_with(end));
    let key = key(request.headers())?.filter(|_| request.method() == Method::POST);
    let caller = request.extensions().get::<Caller>().cloned();
    let (Some(key), Some(caller), false) = (
        key,
        caller,
        is_done_each_time || !is_json(request.headers()),
    ) else {
        return Ok(next.run(request).await);
    };
    let (head, body) = request.into_parts();
    // Below the prefix, whichever of the two it is.
    let target = head.uri.path_and_query().map_or("", |it| it.as_str());
    let target = target.to_owned();
    let body = bytes(Request::from_parts(head.clone(), body), BODY).await?;
    let mut fingerprint = Sha256::new();
    fingerprint.update(target.as_bytes());
    fingerprint.update([0]);
    fingerprint.update(&body);
    let fingerprint = fingerprint.finalize();
    let user = caller.user.id;
    let mine = (user.clone(), key.clone());
    // It is noted before anybody can find the key taken.
    let is_first = app.idempotent.all().insert(mine.clone());
    let claimed = app
        .store
        .claim_key(&user, &key, &fingerprint, app.clock.now())
        .await;
    if !matches!(claimed, Ok(Claim::Mine)) && is_first {
        app.idempotent.all().remove(&mine);
    }
    match claimed? {
        Claim::Mine => {}
        Claim::Other => {
            return Err(ApiError::conflict(
                "another request was made with this Idempotency-Key: a new request needs a new one",
            ));
        }
        Claim::Unanswered if !is_first => {
            return Err(ApiError::conflict(
                "the first request with this Idempotency-Key is not answered yet",
            )
            .retry_after(1));
        }
        Claim::Unanswered => {
            return Err(already_used(
                "the server ended while it was at the first request with this Idempotency-Key",
            ));
        }
        Claim::Answered { .. } if SECRET.iter().any(|end| route.ends_with(end)) => {
            return Err(already_used(
                "the answer to this Idempotency-Key had a secret, which is not kept",
            ));
        }
        Claim::Answered { status, body } => {
            app.metrics.replayed();
            return Ok(replayed(status, body));
        }
    }
    let request = Request::from_parts(head, axum::body::Body::from(body));
    let keeps_secret = SECRET.iter().any(|end| route.ends_with(end));
    // Who leaves does not leave the key behind without an answer.
    let answering = tokio::spawn(async move {
        let answer = next.run(request).await;
        let kept = keep(&app, &user, &key, answer, keeps_secret).await;
        app.idempotent.all().remove(&mine);
        kept
    });
    answering
        .await
        .unwrap_or_else(|_| Err(ApiError::internal()))
}

fn already_used(message: &str) -> ApiError {
    ApiError::new(StatusCode::CONFLICT, "already_used", message)
        .hint("look whether what was asked for is there, and ask with a new key where it is not")
}

/// The key of a request; one that cannot be is refused.
fn key(headers: &HeaderMap) -> Result<Option<String>> {
    let Some(value) = headers.get(KEY) else {
        return Ok(None);
    };
    let text = value.to_str().unwrap_or_default();
    if (1..=255).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(Some(text.to_owned()));
    }
    Err(ApiError::field(
        "Idempotency-Key",
        "Idempotency-Key is 1 to 255 visible characters of ASCII",
    ))
}

/// Whether the body is one that may be read at once.
fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE);
    kind.is_none_or(|kind| {
        let kind = kind.to_str().unwrap_or_default().split(';').next();
        kind.is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
    })
}

/// Keeps an answer that is one. Where nothing was done, the key is free again.
async fn keep(
    app: &App,
    user: &str,
    key: &str,
    answer: Response,
    is_secret: bool,
) -> Result<Response> {
    let status = answer.status();
    let is_to_be_tried_again = status.is_server_error()
        || status == StatusCode::TOO_MANY_REQUESTS
        || answer.extensions().get::<ApiError>().is_some();
    let kind = answer.headers().get(header::CONTENT_TYPE);
    let is_document = kind.is_none_or(|kind| kind == "application/json");
    if is_to_be_tried_again || !is_document {
        app.store.release_key(user, key).await?;
        return Ok(answer);
    }
    let (head, body) = answer.into_parts();
    let body = http_body_util::Limited::new(body, ANSWER).collect().await;
    let body = body.map_err(|_| ApiError::internal())?.to_bytes();
    let text = String::from_utf8_lossy(&body);
    let kept = if is_secret {
        id_of(&text)
    } else {
        text.into_owned()
    };
    app.store
        .answer_key(user, key, status.as_u16(), &kept)
        .await?;
    Ok(Response::from_parts(head, body.into()))
}

/// Of an answer that holds a secret its id alone.
fn id_of(body: &str) -> String {
    let body: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
    serde_json::json!({ "id": body["id"] }).to_string()
}

fn replayed(status: u16, body: String) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    let headers = [
        (REPLAYED, HeaderValue::from_static("true")),
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        ),
    ];
    (status, headers, body).into_response()
}

#[cfg(test)]
mod tests {
    use pretty_assertions::assert_eq;

    use super::*;

    #[test]
    fn of_an_answer_with_a_secret_its_id_alone_is_kept() {
        assert_eq!(id_of(r#"{"id":"7","value":"CANARY"}"#), r#"{"id":"7"}"#);
        assert_eq!(id_of("CANARY"), r#"{"id":null}"#);
    }

    #[test]
    fn a_key_is_short_and_can_be_seen() {
        let of = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(KEY, value.parse().unwrap());
            key(&headers)
        };
        assert_eq!(of("a-1").unwrap().as_deref(), Some("a-1"));
        assert_eq!(key(&HeaderMap::new()).unwrap(), None);
        for bad in ["", "a b", &"x".repeat(256)] {
            assert!(of(bad).is_err(), "{bad}");
        }
    }
}
