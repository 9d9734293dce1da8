//! Whether the server is there, and what it counts.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::error::{ApiError, Failures, Result};
use super::users::OkStatus;
use crate::auth::caller::Reader;
use crate::sandboxes::snapshot::Live;
use crate::state::App;

/// Whether requests can be answered.
#[derive(Debug, Serialize, ToSchema)]
pub struct Readiness {
    /// Always true in an answer of 200.
    ok: bool,
}

/// Whether the process answers.
#[utoipa::path(get, path = "/healthz", tag = "health", responses((status = 200, body = OkStatus)), security(()))]
pub async fn healthz() -> Json<OkStatus> {
    Json(OkStatus { ok: true })
}

/// Whether store and container engine answer.
#[utoipa::path(get, path = "/readyz", tag = "health",
    responses((status = 200, body = Readiness), Failures), security(()))]
pub async fn readyz(State(app): State<Arc<App>>) -> Result<Json<Readiness>> {
    app.store.answers().await?;
    app.engines.answers().await.map_err(|error| {
        ApiError::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "engine_unreachable",
            error.message,
        )
    })?;
    Ok(Json(Readiness { ok: true }))
}

/// What the server counts, in Prometheus' text form.
#[utoipa::path(get, path = "/metrics", tag = "health",
    responses((status = 200, body = String, content_type = "text/plain; version=0.0.4"), Failures))]
pub async fn metrics(State(app): State<Arc<App>>, _: Reader) -> Response {
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4")];
    let mut text = app.metrics.text();
    // While the engine is away nobody knows.
    if let Ok(all) = Live::get(&app).await {
        let mut states: BTreeMap<&str, usize> = BTreeMap::new();
        for entry in &all.all {
            *states.entry(entry.sandbox.state.as_str()).or_default() += 1;
        }
        text.push_str("# TYPE amika_sandboxes gauge\n");
        for (state, count) in states {
            // Writing to a string does not fail.
            let _ = writeln!(text, "amika_sandboxes{{state=\"{state}\"}} {count}");
        }
    }
    (kind, text).into_response()
}
