//! What is written inside a sandbox: its logs.

use std::sync::Arc;

use amika_engine::ExecOutput;
use amika_sandbox::logs::{Log, LogRequest};
use axum::body::Body as Stream;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt as _;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::error::{Failures, Result};
use super::extract::{Path, Query};
use super::sandboxes::find;
use crate::auth::caller::Reader;
use crate::state::App;

/// Which log.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogSource {
    /// What its command writes, and setup's output with it.
    #[default]
    Container,
    /// The setup script's.
    Setup,
    /// The OpenCode web server's.
    Opencode,
    /// The daemon's own.
    Amikad,
}

/// What of a log.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct LogsQuery {
    /// Left out: `container`.
    #[param(inline)]
    source: Option<LogSource>,
    /// Its last lines.
    tail: Option<usize>,
    /// Whether what is yet to come is wanted too.
    #[serde(default)]
    follow: bool,
}

/// A log of a sandbox, as it was written.
#[utoipa::path(get, path = "/sandboxes/{ref}/logs", tag = "sandboxes",
    params(("ref" = String, Path, description = "Id or name."), LogsQuery),
    responses((status = 200, body = String, content_type = "text/plain; charset=utf-8"), Failures))]
pub async fn logs(
    State(app): State<Arc<App>>,
    caller: Reader,
    Path(reference): Path<String>,
    Query(query): Query<LogsQuery>,
) -> Result<Response> {
    let found = find(&app, &caller, &reference).await?;
    let engine = app.engines.get().await?;
    let request = LogRequest {
        log: match query.source.unwrap_or_default() {
            LogSource::Container => Log::Container,
            LogSource::Setup => Log::Setup,
            LogSource::Opencode => Log::OpenCode,
            LogSource::Amikad => Log::Amikad,
        },
        follow: query.follow,
        tail: query.tail,
        since: None,
    };
    let pieces = engine.logs(found.there()?, request).await?;
    let bytes = pieces.map(|piece| match piece {
        Ok(ExecOutput::Stdout(bytes) | ExecOutput::Stderr(bytes)) => Ok(bytes),
        // The answer has begun: all that is left is to break it off.
        Err(error) => Err(std::io::Error::other(error.message)),
    });
    let kind = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
    Ok((kind, Stream::from_stream(bytes)).into_response())
}
