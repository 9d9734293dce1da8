//! What a request brings with it.
#![allow(
    clippy::result_large_err,
    reason = "a refusal is an answer like any other, made once a request"
)]

use std::time::Duration;

use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::http::request::Parts;
use hyper::{StatusCode, header};
use serde::de::DeserializeOwned;

use super::answer::{Answer, error};

/// Size of a request's body, where it has no other.
pub(super) const BODY_LIMIT: usize = 64 << 10;
/// How long it may take: a connection that waits for one keeps its place.
const BODY_TIMEOUT: Duration = Duration::from_secs(5);

/// A body is too large.
pub(super) fn too_large(most: usize) -> Answer {
    let message = format!("a body may have {} KiB at most", most >> 10);
    error(StatusCode::PAYLOAD_TOO_LARGE, "too_large", &message)
}

/// A body is not what it should be.
pub(super) fn bad(message: impl Into<String>) -> Answer {
    error(StatusCode::BAD_REQUEST, "bad_body", message)
}

/// A request's body, if it says that it is JSON, is small and comes soon. It may be empty.
pub(super) async fn of_json_type(
    request: &Parts,
    body: Incoming,
    most: usize,
) -> Result<Bytes, Answer> {
    let kind = request
        .headers
        .get(header::CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    // A form of another site cannot send this type without asking first.
    let essence = kind.and_then(|kind| kind.split(';').next()).map(str::trim);
    if !essence.is_some_and(|kind| kind.eq_ignore_ascii_case("application/json")) {
        let message = "`Content-Type: application/json` is needed";
        return Err(error(StatusCode::BAD_REQUEST, "bad_content_type", message));
    }
    read(body, most).await
}

/// A document of this kind.
pub(super) async fn json<T: DeserializeOwned>(
    request: &Parts,
    body: Incoming,
) -> Result<T, Answer> {
    json_up_to(BODY_LIMIT, request, body).await
}

/// The same of another size.
pub(super) async fn json_up_to<T: DeserializeOwned>(
    most: usize,
    request: &Parts,
    body: Incoming,
) -> Result<T, Answer> {
    let bytes = of_json_type(request, body, most).await?;
    serde_json::from_slice(&bytes).map_err(|problem| bad(format!("the body: {problem}")))
}

async fn read(body: Incoming, most: usize) -> Result<Bytes, Answer> {
    let whole = Limited::new(body, most).collect();
    match tokio::time::timeout(BODY_TIMEOUT, whole).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(problem)) if problem.is::<LengthLimitError>() => Err(too_large(most)),
        Ok(Err(_)) => Err(bad("the body ended early")),
        Err(_) => Err(bad("the body did not come in time")),
    }
}
