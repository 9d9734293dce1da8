//! What a sandbox uses, and what listens in it.

use std::sync::Arc;

use amika_sandbox::sandbox::Sandbox;
use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::error::{ApiError, Failures, Result};
use super::extract::Path;
use super::sandboxes::find;
use crate::auth::caller::Reader;
use crate::clock::shown;
use crate::state::App;

/// What a sandbox uses now, as the engine counts it.
#[utoipa::path(get, path = "/sandboxes/{ref}/stats", tag = "sandboxes", params(("ref" = String, Path, description = "Id or name.")),
    responses((status = 200, body = serde_json::Value), Failures))]
pub async fn stats(
    State(app): State<Arc<App>>,
    caller: Reader,
    Path(reference): Path<String>,
) -> Result<Json<serde_json::Value>> {
    let found = find(&app, &caller, &reference).await?;
    let names = [found.there()?.to_owned()];
    let mut samples = app.engines.get().await?.stats(&names).await?;
    let sample = samples.pop();
    let sample = sample.ok_or_else(|| ApiError::conflict("the sandbox ended meanwhile"))?;
    let sample = serde_json::to_value(sample).map_err(|_| ApiError::internal())?;
    Ok(Json(sample))
}

/// Something that listens in a sandbox.
#[derive(Debug, Serialize, ToSchema)]
pub struct ListeningPort {
    port: u16,
    /// `tcp` or `udp`.
    protocol: String,
    address: String,
    /// Whether only the sandbox itself reaches it.
    loopback_only: bool,
    /// Whether it takes no IPv4.
    ipv6_only: bool,
    /// Whether the number is of those that the kernel gives to who asks for none: a client's, where it is UDP.
    ephemeral: bool,
    /// The process, where it can be seen.
    pid: Option<i32>,
    /// Its name, which it chose itself.
    program: Option<String>,
    user: Option<String>,
    /// Since when it is known.
    since: String,
}

/// What listens in a sandbox.
#[derive(Debug, Serialize, ToSchema)]
pub struct ListPortsResponse {
    items: Vec<ListeningPort>,
}

/// What listens in a sandbox, by port.
#[utoipa::path(get, path = "/sandboxes/{ref}/ports", tag = "sandboxes", params(("ref" = String, Path, description = "Id or name.")),
    responses((status = 200, body = ListPortsResponse), Failures))]
pub async fn ports(
    State(app): State<Arc<App>>,
    caller: Reader,
    Path(reference): Path<String>,
) -> Result<Json<ListPortsResponse>> {
    let found = find(&app, &caller, &reference).await?;
    let engine = app.engines.get().await?;
    let sandbox = Sandbox::find_made(&engine, found.there()?).await?;
    sandbox.must_run()?;
    let listeners = sandbox.client(&engine)?.ports().await;
    let listeners = listeners.map_err(|error| {
        let message = "the sandbox does not tell what listens in it";
        let error = amika_sandbox::error::Error::new(amika_sandbox::error::Kind::NotReady, message)
            .caused_by(&error);
        ApiError::from(error)
    })?;
    let items = listeners.into_iter().map(|it| ListeningPort {
        port: it.port,
        protocol: it.protocol.to_string(),
        address: it.address,
        loopback_only: it.loopback_only,
        ipv6_only: it.ipv6_only,
        ephemeral: it.ephemeral,
        pid: it.pid,
        program: it.program,
        user: it.user,
        since: shown(i64::try_from(it.since).unwrap_or(i64::MAX)),
    });
    Ok(Json(ListPortsResponse {
        items: items.collect(),
    }))
}
