//! Programs that are run in a sandbox.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use amika_sandbox::cancel;
use amika_sandbox::error::Kind;
use amika_sandbox::exec::ExecRequest;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::error::{ApiError, Failures, Result};
use super::extract::{Body, Path};
use super::sandboxes::find;
use crate::auth::caller::Writer;
use crate::state::App;

/// Bytes that are kept of each output.
const MOST: usize = 1 << 20;

/// A program to run.
#[derive(Debug, Deserialize, ToSchema)]
pub struct ExecBody {
    /// Program and arguments.
    #[schema(min_items = 1)]
    cmd: Vec<String>,
    /// Directory; left out: the agent's.
    cwd: Option<String>,
    /// Further variables.
    #[serde(default)]
    env: BTreeMap<String, String>,
    /// Seconds until it is ended, 1 to 600; left out: 60.
    #[schema(minimum = 1, maximum = 600, default = 60)]
    timeout_s: Option<u64>,
    /// All that it can read.
    stdin: Option<String>,
    /// Whether it runs as root; wants the scope `admin`.
    #[serde(default)]
    root: bool,
}

/// How a program ended.
#[derive(Debug, Serialize, ToSchema)]
pub struct ExecAnswer {
    exit_code: i64,
    /// Its first MiB, as UTF-8.
    stdout: String,
    /// Its first MiB, as UTF-8.
    stderr: String,
    /// Whether it wrote more than that.
    truncated: bool,
}

/// Runs a program in a sandbox to its end.
#[utoipa::path(post, path = "/sandboxes/{ref}/exec", tag = "sandboxes",
    params(("ref" = String, Path, description = "Id or name.")), request_body = ExecBody,
    responses((status = 200, body = ExecAnswer), (status = 504, body = super::error::ErrorBody), Failures))]
pub async fn exec(
    State(app): State<Arc<App>>,
    caller: Writer,
    Path(reference): Path<String>,
    Body(body): Body<ExecBody>,
) -> Result<Json<ExecAnswer>> {
    if body.root && !caller.is_admin() {
        return Err(ApiError::forbidden(
            "only administrators run programs as root, with a key of scope admin",
        ));
    }
    if body.cmd.first().is_none_or(String::is_empty) {
        return Err(ApiError::field("/cmd", "cmd names no program"));
    }
    let seconds = body.timeout_s.unwrap_or(60);
    if !(1..=600).contains(&seconds) {
        return Err(ApiError::field(
            "/timeout_s",
            "timeout_s is a number of seconds from 1 to 600",
        ));
    }
    super::repositories::variables("/env", &body.env)?;
    let found = find(&app, &caller, &reference).await?;
    let engine = app.engines.get().await?;
    let request = ExecRequest {
        command: body.cmd,
        env: body.env.into_iter().collect(),
        workdir: body.cwd,
        user: body.root.then(|| "0:0".to_owned()),
        input: body.stdin.unwrap_or_default().into(),
        most: MOST,
    };
    let (canceler, cancel) = cancel::new();
    let name = found.there()?.to_owned();
    // Who leaves ends the program as well: the other half is dropped only after it.
    let run = tokio::spawn(async move {
        let running = engine.exec(&name, request, &cancel);
        let mut running = std::pin::pin!(running);
        tokio::select! {
            ended = &mut running => ended,
            () = tokio::time::sleep(Duration::from_secs(seconds)) => {
                canceler.ask();
                running.await
            }
        }
    });
    let ended = run.await.map_err(|_| ApiError::internal())?;
    let ended = ended.map_err(|error| match error.kind {
        Kind::Canceled => ApiError::new(
            StatusCode::GATEWAY_TIMEOUT,
            "not_ready",
            format!("the program did not end within {seconds} s, and was ended"),
        ),
        _ => error.into(),
    })?;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ok(Json(ExecAnswer {
        exit_code: ended.exit_code,
        stdout: text(ended.stdout),
        stderr: text(ended.stderr),
        truncated: ended.is_cut,
    }))
}
