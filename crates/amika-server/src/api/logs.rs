//! Logs of sandboxes.

use std::sync::Arc;

use amika_engine::ExecOutput;
use amika_sandbox::logs::{Log, LogRequest, Pieces};
use axum::body::Body;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt as _;
use serde::Deserialize;
use utoipa::IntoParams;

use super::error::{ApiError, Failures, Result};
use super::extract::{Path, Query};
use super::sandboxes::find;
use crate::auth::caller::Reader;
use crate::state::App;
use crate::streams::over;

/// Which log: `container`, `setup`, `opencode`, `amikad`, `job:<id>`, or `service:<name>`.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Source {
    Kept(Log),
    Job(String),
    Service(String),
}

fn source(text: Option<&str>) -> Result<Source> {
    Ok(Source::Kept(match text.unwrap_or("container") {
        // What its command writes, and setup's output with it.
        "container" => Log::Container,
        "setup" => Log::Setup,
        "opencode" => Log::OpenCode,
        "amikad" => Log::Amikad,
        other => {
            let named = other.split_once(':').filter(|(_, name)| !name.is_empty());
            return match named {
                Some(("job", id)) => Ok(Source::Job(id.to_owned())),
                Some(("service", name)) => Ok(Source::Service(name.to_owned())),
                _ => {
                    let message = "source is one of container, setup, opencode, amikad, job:<id>, service:<name>";
                    Err(ApiError::field("source", message))
                }
            };
        }
    }))
}

/// What of a log.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct LogsQuery {
    /// `container` (left out: this), `setup`, `opencode`, `amikad`, `job:<id>`, or `service:<name>` of one that Amika runs.
    source: Option<String>,
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
    let pieces = match source(query.source.as_deref())? {
        Source::Job(id) => {
            engine
                .job_log(found.there()?, &id, query.follow, query.tail)
                .await?
        }
        Source::Service(name) => {
            let there = found.there()?;
            engine
                .service_log(there, Some(&name), query.follow, query.tail)
                .await?
        }
        Source::Kept(log) => {
            let request = LogRequest {
                log,
                follow: query.follow,
                tail: query.tail,
                since: None,
            };
            engine.logs(found.there()?, request).await?
        }
    };
    Ok(answer(&app, pieces))
}

/// A log as an answer, as it comes.
pub fn answer(app: &App, pieces: Pieces) -> Response {
    // A log that is followed ends with the server.
    let pieces = pieces.take_until(Box::pin(over(app.ending.subscribe())));
    let bytes = pieces.map(|piece| match piece {
        Ok(ExecOutput::Stdout(bytes) | ExecOutput::Stderr(bytes)) => Ok(bytes),
        // The answer has begun: all that is left is to break it off.
        Err(error) => Err(std::io::Error::other(error.message)),
    });
    let kind = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
    (kind, Body::from_stream(bytes)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_named_by_its_word_its_job_or_its_service() {
        assert_eq!(source(None).unwrap(), Source::Kept(Log::Container));
        assert_eq!(source(Some("setup")).unwrap(), Source::Kept(Log::Setup));
        assert_eq!(source(Some("job:7")).unwrap(), Source::Job("7".to_owned()));
        assert_eq!(
            source(Some("service:web")).unwrap(),
            Source::Service("web".to_owned())
        );
        for bad in ["", "job:", "jobs:7", "service:", "Setup"] {
            assert_eq!(source(Some(bad)).unwrap_err().details[0].field, "source");
        }
    }
}
