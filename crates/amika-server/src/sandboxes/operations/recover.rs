//! What a server that was killed was at: finished or unmade, and noted which.

use std::sync::Arc;
use std::time::Duration;

use amika_sandbox::cancel::{self, Cancel};
use amika_sandbox::create::Wait;
use amika_sandbox::delete::DeleteRequest;
use amika_sandbox::error::{Error, Kind as Why};
use amika_sandbox::keep::Going;
use amika_sandbox::lost::Lost;
use amika_sandbox::progress::Progress;
use amika_sandbox::sandbox::State;
use amika_sandbox::sandboxes::Sandboxes;
use amika_sandbox::start::StartRequest;

use super::delete::delete;
use super::run::{giving, seen, settle};
use super::{Deletion, Ended, KeptVolume, Kind};
use crate::api::error::ApiError;
use crate::sandboxes::look::{ID, Seen};
use crate::state::App;
use crate::store::OperationRow;

/// For how long a start or stop is meant that nobody carried out, in milliseconds: later on somebody else may have said
/// something else.
const STILL_MEANT_MS: i64 = 2 * 60 * 1000;

/// A start that changes nothing and waits for nobody.
const AS_IT_IS: StartRequest = StartRequest {
    setup: None,
    skip_setup: false,
    given: None,
    reassign_ports: false,
    wait: Wait::No,
};

/// Brings to an end what a server was at when it ended: finished or unmade, and noted which.
pub async fn recover(app: &Arc<App>) {
    let unfinished = match app.store.unfinished_operations().await {
        Ok(unfinished) => unfinished,
        Err(error) => {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "what was under way is not known"
            );
            return;
        }
    };
    for row in unfinished {
        while let Err(error) = recover_one(app, &row).await {
            tracing::warn!(
                "{}: {} of {} is looked at later",
                error.message,
                row.kind,
                row.sandbox_name
            );
            tokio::time::sleep(Duration::from_secs(5)).await;
        }
    }
}

async fn recover_one(app: &Arc<App>, row: &OperationRow) -> Result<(), Error> {
    let engine = app.engines.get().await?;
    let look = app.looks.renew(&app.engines).await?;
    let found = look.values().find(|seen| seen.id() == row.sandbox_id);
    let found = found.map(|seen| &**seen);
    let mut kept = Ok(Vec::new());
    let (kind, error) = match row.kind.as_str() {
        "create" => (Kind::Create, created(&engine, row, found).await?),
        "start" => (Kind::Start, started(app, &engine, row, found).await?),
        "restart" => (Kind::Restart, restarted(app, &engine, row, found).await?),
        "stop" => (Kind::Stop, stopped(app, &engine, row, found).await?),
        _ => {
            let (_canceler, cancel) = cancel::new();
            let sink = crate::engine::silent();
            kept = match found {
                Some(seen) => finished(&engine, &seen.view.name, row, sink, &cancel).await?,
                None => Ok(left(&engine, row, Deletion::of(row.detail.as_deref())).await?),
            };
            (Kind::Delete, kept.as_ref().err().cloned())
        }
    };
    seen(app).await;
    let ended = Ended {
        error,
        kept: kept.unwrap_or_default(),
    };
    settle(app, row, kind, &ended)
        .await
        .map_err(|error| Error::new(Why::Failure, "the store does not answer").caused_by(&error))
}

/// A deletion that is brought to its end as it was asked for. That there is work now is an answer too.
async fn finished(
    engine: &Sandboxes,
    name: &str,
    row: &OperationRow,
    sink: Arc<dyn Progress>,
    cancel: &Cancel,
) -> Result<Result<Vec<KeptVolume>, ApiError>, Error> {
    let deletion = Deletion::of(row.detail.as_deref());
    match delete(engine, name, deletion, sink, cancel).await {
        Ok(kept) => Ok(Ok(kept)),
        Err(error) if error.kind == Why::Conflict => Ok(Err(error.into())),
        Err(error) => Err(error),
    }
}

/// Removes what is left of a sandbox whose container is gone already.
async fn left(
    engine: &Sandboxes,
    row: &OperationRow,
    deletion: Deletion,
) -> Result<Vec<KeptVolume>, Error> {
    let going = match deletion {
        Deletion::Everything => Going::Everything,
        Deletion::KeepWork | Deletion::IfClean => Going::NoWork,
    };
    // It bears the server's id of it, and one that was adopted its own.
    let is_it = |lost: &Lost| {
        let stamp = lost.stamp();
        stamp.get(ID).unwrap_or(&lost.id) == &row.sandbox_id
    };
    let kept = engine.delete_left(is_it, going).await?;
    Ok(kept.into_iter().map(KeptVolume::from).collect())
}

fn interrupted(message: &str) -> ApiError {
    ApiError::new(axum::http::StatusCode::CONFLICT, "failure", message)
}

/// Whether what was asked for then is still meant.
fn is_meant(app: &App, row: &OperationRow) -> bool {
    app.clock.now().saturating_sub(row.created_at) <= STILL_MEANT_MS
}

fn is_up(seen: &Seen) -> bool {
    matches!(
        seen.view.state,
        State::Running | State::Setup | State::Unresponsive | State::Paused
    )
}

/// Of a start: the engine may be at it yet, so it is asked again rather than looked at.
async fn started(
    app: &App,
    engine: &Sandboxes,
    row: &OperationRow,
    seen: Option<&Seen>,
) -> Result<Option<ApiError>, Error> {
    let not_started = || Some(interrupted("the server ended before it was started"));
    let Some(seen) = seen else {
        return Ok(not_started());
    };
    if !is_up(seen) && !is_meant(app, row) {
        return Ok(not_started());
    }
    let (_canceler, cancel) = cancel::new();
    let started = async {
        let request = giving(app, &row.sandbox_id, AS_IT_IS).await?;
        let (name, sink) = (&seen.view.name, crate::engine::silent());
        engine.start(name, request, sink, &cancel).await.map(drop)
    };
    answered(started.await)
}

/// Of a restart: how far it was is not known, and so it is done again.
async fn restarted(
    app: &App,
    engine: &Sandboxes,
    row: &OperationRow,
    seen: Option<&Seen>,
) -> Result<Option<ApiError>, Error> {
    let Some(seen) = seen.filter(|_| is_meant(app, row)) else {
        let message = "the server ended before it was restarted";
        return Ok(Some(interrupted(message)));
    };
    let (_canceler, cancel) = cancel::new();
    let restarted = async {
        let request = giving(app, &row.sandbox_id, AS_IT_IS).await?;
        let (name, sink) = (&seen.view.name, crate::engine::silent());
        let restarted = engine.restart(name, None, request, sink, &cancel);
        restarted.await.map(drop)
    };
    answered(restarted.await)
}

/// Of a stop: the engine may be at it yet, so it is asked again, too.
async fn stopped(
    app: &App,
    engine: &Sandboxes,
    row: &OperationRow,
    seen: Option<&Seen>,
) -> Result<Option<ApiError>, Error> {
    let Some(seen) = seen.filter(|seen| is_up(seen)) else {
        return Ok(None);
    };
    if !is_meant(app, row) {
        return Ok(Some(interrupted("the server ended before it was stopped")));
    }
    let (_canceler, cancel) = cancel::new();
    let sink = crate::engine::silent();
    answered(engine.stop(&seen.view.name, None, sink, &cancel).await)
}

/// What came of it. An engine that is away has not answered: it is asked later.
fn answered(done: Result<(), Error>) -> Result<Option<ApiError>, Error> {
    match done {
        Ok(()) => Ok(None),
        Err(error) if error.kind == Why::EngineUnreachable => Err(error),
        Err(error) => Ok(Some(error.into())),
    }
}

/// Of a create: one that was started is made, one that was not is unmade.
async fn created(
    engine: &Sandboxes,
    row: &OperationRow,
    seen: Option<&Seen>,
) -> Result<Option<ApiError>, Error> {
    let unmade = || {
        Some(interrupted(
            "the server ended before it was made; what there was of it was unmade",
        ))
    };
    let Some(seen) = seen else {
        left(engine, row, Deletion::Everything).await?;
        return Ok(unmade());
    };
    let (_canceler, cancel) = cancel::new();
    let (name, sink) = (&seen.view.name, crate::engine::silent());
    if matches!(seen.view.state, State::Creating | State::Interrupted) {
        let all = DeleteRequest {
            force: true,
            volumes: true,
        };
        return engine
            .delete(name, all, sink, &cancel)
            .await
            .map(|_| unmade());
    }
    // It says that somebody knows of it now.
    let started = engine.start(name, AS_IT_IS, sink, &cancel).await;
    answered(started.map(drop))
}
