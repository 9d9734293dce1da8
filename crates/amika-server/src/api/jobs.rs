//! Jobs: programs that run in a sandbox without anybody who waits for them.

use std::collections::BTreeMap;
use std::sync::Arc;

use amika_core::wire::{self, JobRequest, TaskState};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::error::{ApiError, Failures, Result};
use super::exec::user;
use super::extract::{Body, Path, Query};
use super::logs::answer;
use super::sandboxes::find;
use crate::auth::caller::{Reader, Writer};
use crate::clock::shown;
use crate::state::App;

/// A program to start.
#[derive(Debug, Deserialize, ToSchema)]
pub struct CreateJob {
    /// Program and arguments; this or `shell`.
    cmd: Option<Vec<String>>,
    /// A line for `sh -c`.
    shell: Option<String>,
    /// Directory; left out: the agent's.
    cwd: Option<String>,
    /// Further variables.
    #[serde(default)]
    env: BTreeMap<String, String>,
    /// All that it reads; left out: nothing.
    input: Option<String>,
    /// Whether it runs as root; wants the scope `admin`.
    #[serde(default)]
    root: bool,
    /// Whom it runs as, by name or number, in place of the agent; wants the scope `admin`.
    user: Option<String>,
}

/// A program that runs, or ran, without anybody who waits for it.
#[derive(Debug, Serialize, ToSchema)]
pub struct Job {
    id: String,
    /// `running` or `ended`.
    state: String,
    /// What was started, in one line of at most 256 characters.
    command: String,
    /// Its process id in the sandbox, while it runs.
    pid: Option<i32>,
    /// Its exit code, where it exited by itself; 126 and 127 where it could not be run.
    exit_code: Option<i32>,
    /// Number of the signal that ended it.
    signal: Option<i32>,
    started_at: String,
    ended_at: Option<String>,
    /// Bytes that it wrote, kept or not.
    log_bytes: u64,
    /// Whether some of that was dropped from the middle.
    log_truncated: bool,
    /// Processes of the sandbox that were ended for want of memory while it ran.
    out_of_memory_kills: u64,
}

impl From<wire::Job> for Job {
    fn from(job: wire::Job) -> Self {
        let at = |millis: u64| shown(i64::try_from(millis).unwrap_or(i64::MAX));
        let state = match job.task.state {
            TaskState::Running => "running",
            TaskState::Ended => "ended",
        };
        Self {
            id: job.id,
            state: state.to_owned(),
            command: job.task.command,
            pid: job.task.pid,
            exit_code: job.task.exit_code,
            signal: job.task.signal,
            started_at: at(job.task.started_at),
            ended_at: job.task.ended_at.map(at),
            log_bytes: job.log_bytes,
            log_truncated: job.log_truncated,
            out_of_memory_kills: job.task.out_of_memory_kills,
        }
    }
}

/// A sandbox's jobs.
#[derive(Debug, Serialize, ToSchema)]
pub struct ListJobsResponse {
    items: Vec<Job>,
}

/// What of a job's log.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct JobLogQuery {
    /// Its last lines.
    tail: Option<usize>,
    /// Whether what is yet to come is wanted too, until it ends.
    #[serde(default)]
    follow: bool,
}

/// A signal to send.
#[derive(Debug, Deserialize, ToSchema)]
pub struct SignalJob {
    /// A name with or without `SIG`, or a number from 1 to 64.
    signal: String,
}

/// Jobs that run in a sandbox, and the last 32 that ended, the oldest first. None outlives a stop.
#[utoipa::path(get, path = "/sandboxes/{ref}/jobs", tag = "sandboxes",
    params(("ref" = String, Path, description = "Id or name.")),
    responses((status = 200, body = ListJobsResponse), Failures))]
pub async fn list(
    State(app): State<Arc<App>>,
    caller: Reader,
    Path(reference): Path<String>,
) -> Result<Json<ListJobsResponse>> {
    let found = find(&app, &caller, &reference).await?;
    let jobs = app.engines.get().await?.jobs(found.there()?).await?;
    let items = jobs.into_iter().map(Job::from).collect();
    Ok(Json(ListJobsResponse { items }))
}

/// Starts a program in a sandbox; it runs whatever becomes of who asked, until the sandbox stops. The sandbox is not idle
/// while it runs.
#[utoipa::path(post, path = "/sandboxes/{ref}/jobs", tag = "sandboxes",
    params(("ref" = String, Path, description = "Id or name.")), request_body = CreateJob,
    responses((status = 201, body = Job), Failures))]
pub async fn create(
    State(app): State<Arc<App>>,
    caller: Writer,
    Path(reference): Path<String>,
    Body(body): Body<CreateJob>,
) -> Result<(StatusCode, Json<Job>)> {
    let user = user(&caller, body.root, body.user.as_deref())?;
    super::repositories::variables("/env", &body.env)?;
    let job = JobRequest {
        cmd: body.cmd,
        shell: body.shell,
        cwd: body.cwd,
        env: body.env,
        user,
        input: body.input,
    };
    let program = job.clone().program();
    program.map_err(|error| ApiError::usage(error.to_string()))?;
    let found = find(&app, &caller, &reference).await?;
    let engine = app.engines.get().await?;
    let job = engine.start_job(found.there()?, job).await?;
    Ok((StatusCode::CREATED, Json(job.into())))
}

/// How a job fares.
#[utoipa::path(get, path = "/sandboxes/{ref}/jobs/{id}", tag = "sandboxes",
    params(("ref" = String, Path, description = "Id or name."), ("id" = String, Path)),
    responses((status = 200, body = Job), Failures))]
pub async fn show(
    State(app): State<Arc<App>>,
    caller: Reader,
    Path((reference, id)): Path<(String, String)>,
) -> Result<Json<Job>> {
    let found = find(&app, &caller, &reference).await?;
    let job = app.engines.get().await?.job(found.there()?, &id).await?;
    Ok(Json(job.into()))
}

/// What a job wrote.
#[utoipa::path(get, path = "/sandboxes/{ref}/jobs/{id}/log", tag = "sandboxes",
    params(("ref" = String, Path, description = "Id or name."), ("id" = String, Path), JobLogQuery),
    responses((status = 200, body = String, content_type = "text/plain; charset=utf-8"), Failures))]
pub async fn log(
    State(app): State<Arc<App>>,
    caller: Reader,
    Path((reference, id)): Path<(String, String)>,
    Query(query): Query<JobLogQuery>,
) -> Result<Response> {
    let found = find(&app, &caller, &reference).await?;
    let engine = app.engines.get().await?;
    let (there, follow, tail) = (found.there()?, query.follow, query.tail);
    let pieces = engine.job_log(there, &id, follow, tail).await?;
    Ok(answer(&app, pieces))
}

/// Ends a job, unless it has ended: SIGTERM to all its processes, and SIGKILL to what is left after a grace. The answer
/// comes at once; what it wrote can still be read.
#[utoipa::path(delete, path = "/sandboxes/{ref}/jobs/{id}", tag = "sandboxes",
    params(("ref" = String, Path, description = "Id or name."), ("id" = String, Path)),
    responses((status = 202, body = Job), Failures))]
pub async fn end(
    State(app): State<Arc<App>>,
    caller: Writer,
    Path((reference, id)): Path<(String, String)>,
) -> Result<(StatusCode, Json<Job>)> {
    let found = find(&app, &caller, &reference).await?;
    let engine = app.engines.get().await?;
    let job = engine.end_job(found.there()?, &id).await?;
    Ok((StatusCode::ACCEPTED, Json(job.into())))
}

/// Sends a signal to all processes of a job.
#[utoipa::path(post, path = "/sandboxes/{ref}/jobs/{id}/signal", tag = "sandboxes",
    params(("ref" = String, Path, description = "Id or name."), ("id" = String, Path)), request_body = SignalJob,
    responses((status = 202, body = Job), Failures))]
pub async fn signal(
    State(app): State<Arc<App>>,
    caller: Writer,
    Path((reference, id)): Path<(String, String)>,
    Body(body): Body<SignalJob>,
) -> Result<(StatusCode, Json<Job>)> {
    let found = find(&app, &caller, &reference).await?;
    let engine = app.engines.get().await?;
    let job = engine.signal_job(found.there()?, &id, &body.signal).await?;
    Ok((StatusCode::ACCEPTED, Json(job.into())))
}
