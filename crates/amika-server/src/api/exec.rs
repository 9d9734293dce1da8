//! Programs that are run in a sandbox: to their end, as a stream of events, or with a socket for their streams.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use amika_sandbox::cancel;
use amika_sandbox::error::Kind;
use amika_sandbox::exec::ExecRequest;
use amika_sandbox::program::ProgramRequest;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::check;
use super::error::{ApiError, Failures, Result};
use super::exec_events;
use super::exec_socket::{self, ExecStart};
use super::extract::{Body, Path};
use super::sandboxes::find;
use super::socket::Upgrade;
use super::sse;
use crate::auth::caller::{Caller, Writer};
use crate::state::App;

/// Bytes that are kept of each output.
const MOST: usize = 1 << 20;

/// Seconds until a program is ended whose answer comes whole.
const USUAL_TIME: u64 = 60;

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
    /// Seconds until it is ended, 1 to 600; left out: 60, and for an answer of events no end.
    #[schema(minimum = 1, maximum = 600)]
    timeout_s: Option<u64>,
    /// All that it can read.
    stdin: Option<String>,
    /// Whether it runs as root; wants the scope `admin`.
    #[serde(default)]
    root: bool,
    /// Whom it runs as, by name or number, in place of the agent; wants the scope `admin`.
    user: Option<String>,
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

/// Runs a program in a sandbox to its end. To who accepts `text/event-stream` its output comes as it is written, without a
/// bound: events `stdout` and `stderr` with `{"text"}`, or `{"base64"}` where it is no UTF-8, and at last `exit` with
/// `{"exit_code"}`, or `error` with `{"code","message"}`. Who leaves ends the program.
#[utoipa::path(post, path = "/sandboxes/{ref}/exec", tag = "sandboxes",
    params(("ref" = String, Path, description = "Id or name.")), request_body = ExecBody,
    responses((status = 200, content((ExecAnswer = "application/json"), (String = "text/event-stream"))),
        (status = 504, body = super::error::ErrorBody), Failures))]
pub async fn exec(
    State(app): State<Arc<App>>,
    caller: Writer,
    Path(reference): Path<String>,
    headers: HeaderMap,
    Body(body): Body<ExecBody>,
) -> Result<Response> {
    let user = user(&caller, body.root, body.user.as_deref())?;
    if body.cmd.first().is_none_or(String::is_empty) {
        return Err(ApiError::field("/cmd", "cmd names no program"));
    }
    if body.timeout_s.is_some_and(|it| !(1..=600).contains(&it)) {
        return Err(ApiError::field(
            "/timeout_s",
            "timeout_s is a number of seconds from 1 to 600",
        ));
    }
    super::repositories::variables("/env", &body.env)?;
    let found = find(&app, &caller, &reference).await?;
    let name = found.there()?.to_owned();
    if sse::is_wanted(&headers) {
        let place = app.streams.take(&caller.user.id)?;
        let request = ProgramRequest {
            command: body.cmd,
            env: body.env.into_iter().collect(),
            workdir: body.cwd,
            user,
            size: None,
        };
        let program = app
            .engines
            .get()
            .await?
            .start_program(&name, request)
            .await?;
        let input = body.stdin.unwrap_or_default();
        let time = body.timeout_s.map(Duration::from_secs);
        return Ok(exec_events::answer(program, input, time, place));
    }
    let answer = whole(&app, &name, user, body).await?;
    Ok(Json(answer).into_response())
}

/// Whom a program runs as; none is the agent. Anybody else is for administrators to ask.
///
/// # Errors
/// 403 for who may not ask that, 400 for what is nobody.
pub fn user(caller: &Caller, root: bool, user: Option<&str>) -> Result<Option<String>> {
    if (root || user.is_some()) && !caller.is_admin() {
        return Err(ApiError::forbidden(
            "only administrators run programs as root, or as anybody but the agent, with a key of scope admin",
        ));
    }
    if root && user.is_some() {
        let message = "give one of both: root, or user";
        return Err(ApiError::field("/user", message));
    }
    if let Some(user) = user {
        check::text("/user", user, 100)?;
        if user.is_empty() || user.starts_with('-') {
            return Err(ApiError::field("/user", "user is a name, or a number"));
        }
    }
    Ok(user
        .map(str::to_owned)
        .or_else(|| root.then(|| "0:0".to_owned())))
}

async fn whole(app: &App, name: &str, user: Option<String>, body: ExecBody) -> Result<ExecAnswer> {
    let seconds = body.timeout_s.unwrap_or(USUAL_TIME);
    let request = ExecRequest {
        command: body.cmd,
        env: body.env.into_iter().collect(),
        workdir: body.cwd,
        user,
        input: body.stdin.unwrap_or_default().into(),
        most: MOST,
    };
    let engine = app.engines.get().await?;
    let (canceler, cancel) = cancel::new();
    let name = name.to_owned();
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
        Kind::Canceled => late(Duration::from_secs(seconds)),
        _ => error.into(),
    })?;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ok(ExecAnswer {
        exit_code: ended.exit_code,
        stdout: text(ended.stdout),
        stderr: text(ended.stderr),
        truncated: ended.is_cut,
    })
}

/// 504 for a program that did not end in time.
pub fn late(time: Duration) -> ApiError {
    let seconds = time.as_secs();
    ApiError::new(
        StatusCode::GATEWAY_TIMEOUT,
        "not_ready",
        format!("the program did not end within {seconds} s, and was ended"),
    )
}

/// A program with its streams: a WebSocket. The first message is text, the program:
/// `{"cmd":[…],"cwd","env":{},"root","user","tty","columns","rows"}`; with `tty` no `cmd` is the login shell. Then binary messages
/// are bytes behind one that says of which stream: 0 standard input, 1 standard output, 2 standard error. Text messages
/// are `{"end":true}` (standard input ends), `{"resize":[columns,rows]}`, `{"signal":"INT"}`; from the server
/// `{"window":n}` once it runs: so many bytes of standard input may be under way; `{"taken":n}`: so many more may;
/// `{"exit_code":n}` as the last one, or `{"error":{"code","message","hints"}}`. It is closed with 1000 after the exit code,
/// 1008 for more input than the window, 4000 and the status for a failure, 1001 when the server ends. Who leaves ends the
/// program.
#[utoipa::path(get, path = "/sandboxes/{ref}/exec", tag = "sandboxes",
    params(("ref" = String, Path, description = "Id or name.")),
    responses((status = 101, description = "A WebSocket."), (status = 426, body = super::error::ErrorBody), Failures))]
pub async fn attached(
    State(app): State<Arc<App>>,
    caller: Writer,
    Path(reference): Path<String>,
    upgrade: Result<Upgrade>,
) -> Result<Response> {
    let found = find(&app, &caller, &reference).await?;
    let upgrade = upgrade?;
    let name = found.there()?.to_owned();
    let place = app.streams.take(&caller.user.id)?;
    let caller = caller.0;
    Ok(upgrade.0.on_upgrade(async move |socket| {
        let start = async |start: ExecStart| {
            let request = request(&caller, start)?;
            let engine = app.engines.get().await?;
            Ok(engine.start_program(&name, request).await?)
        };
        exec_socket::serve(socket, place, start).await;
    }))
}

/// What a program's first message asks for.
fn request(caller: &Caller, start: ExecStart) -> Result<ProgramRequest> {
    let user = user(caller, start.root, start.user.as_deref())?;
    if !start.tty && start.cmd.first().is_none_or(String::is_empty) {
        return Err(ApiError::field("/cmd", "cmd names no program"));
    }
    super::repositories::variables("/env", &start.env)?;
    let size = || {
        let (columns, rows) = (start.columns.unwrap_or(80), start.rows.unwrap_or(24));
        amika_core::terminal::bounded(columns, rows)
    };
    Ok(ProgramRequest {
        size: start.tty.then(size),
        command: start.cmd,
        env: start.env.into_iter().collect(),
        workdir: start.cwd,
        user,
    })
}
