//! Doing one: by the library, with its steps noted, and its end.

use std::sync::Arc;

use amika_core::untrusted::Untrusted;
use amika_sandbox::cancel::Cancel;
use amika_sandbox::error::{Error, Kind as Why};
use amika_sandbox::progress::Progress;
use amika_sandbox::sandboxes::Sandboxes;
use amika_sandbox::start::StartRequest;
use serde_json::json;
use tokio::sync::watch;

use super::steps::{Steps, note};
use super::{Ended, KeptVolume, Kind, Work, delete};
use crate::api::error::ApiError;
use crate::api::operations::Operation;
use crate::sandboxes::bus::Subject;
use crate::sandboxes::given;
use crate::state::App;
use crate::store::{self, Failure, Meaning, OperationRow};

/// Does it, notes its steps and its end, and tells whoever waits.
pub(super) async fn carry_out(
    app: Arc<App>,
    row: OperationRow,
    work: Work,
    cancel: Cancel,
    end: watch::Sender<Option<Ended>>,
) {
    let kind = work.kind();
    let (sink, mut told) = Steps::channel(kind);
    let done = do_it(&app, &row, work, sink, &cancel);
    let noted = async {
        while let Some((step, status, detail)) = told.recv().await {
            note(&app, &row, step, status, detail).await;
        }
    };
    let (done, ()) = tokio::join!(done, noted);
    seen(&app).await;
    let ended = match done {
        Ok(kept) => Ended { error: None, kept },
        Err(error) => Ended {
            error: Some(failed(error)),
            kept: Vec::new(),
        },
    };
    if let Err(error) = settle(&app, &row, kind, &ended).await {
        tracing::error!(
            error = &error as &dyn std::error::Error,
            id = row.id,
            "how an operation ended is not noted"
        );
    }
    app.operations.remove(&row.sandbox_id);
    let _ = end.send(Some(ended));
}

/// Has what was done seen by whoever asks from now on. The engine may be away: then nothing is seen at all.
pub async fn seen(app: &App) {
    if let Err(error) = app.looks.renew(&app.engines).await {
        tracing::debug!(error.message, "what was done is not seen");
    }
}

/// Notes how one ended.
pub(super) async fn settle(
    app: &App,
    row: &OperationRow,
    kind: Kind,
    ended: &Ended,
) -> store::Result<()> {
    let now = app.clock.now();
    let failure = ended.error.as_ref().map(|error| Failure {
        code: error.code.to_owned(),
        message: error.message.clone(),
    });
    let state = match &failure {
        None => "succeeded",
        Some(failure) if failure.code == Why::Canceled.word() => "canceled",
        Some(_) => "failed",
    };
    let result = (!ended.kept.is_empty()).then(|| json!({ "kept_volumes": ended.kept }));
    let row = OperationRow {
        state: state.to_owned(),
        error: failure.clone(),
        result: result.map(|it| it.to_string()),
        ended_at: Some(now),
        ..row.clone()
    };
    let meaning = match kind {
        Kind::Delete if failure.is_none() => Meaning::Gone,
        // A sandbox that could not be stopped or deleted is what it was.
        Kind::Delete | Kind::Stop => Meaning::Nothing,
        Kind::Create | Kind::Start | Kind::Restart => Meaning::Failure(failure.as_ref()),
    };
    app.store.end_operation(&row, meaning).await?;
    app.metrics.ended(kind.as_str(), state);
    let status = if failure.is_none() {
        "succeeded"
    } else {
        "failed"
    };
    let detail = failure.as_ref().map(|failure| failure.message.clone());
    note(app, &row, kind.as_str().to_owned(), status, detail).await;
    let data = serde_json::to_string(&Operation::from(row.clone())).unwrap_or_default();
    let owner = row.owner_id.as_deref();
    app.live
        .bus
        .tell(owner, Subject::Operation, &row.id, None, data);
    Ok(())
}

/// A failure with the last words of what failed.
fn failed(mut error: Error) -> ApiError {
    let told = error.last_output.take().map(|last| last.lines);
    let tail = error.details.remove("setup_tail");
    let tail = tail.and_then(|tail| serde_json::from_value::<Vec<String>>(tail).ok());
    let mut answer = ApiError::from(error);
    let lines = told.or(tail).unwrap_or_default();
    let words = lines.iter().map(|line| Untrusted::new(line).to_string());
    let words: Vec<String> = words.collect();
    if !words.is_empty() {
        answer.message = format!("{}; its last words: {}", answer.message, words.join(" | "));
    }
    answer
}

/// A start with what the sandbox is given by now.
pub(super) async fn giving(
    app: &App,
    id: &str,
    request: StartRequest,
) -> Result<StartRequest, Error> {
    let row =
        app.store.sandbox(id).await.map_err(|error| {
            Error::new(Why::Failure, "the store does not answer").caused_by(&error)
        })?;
    let given = match row {
        Some(row) => Some(given::again(app, &row).await?),
        None => None,
    };
    Ok(StartRequest { given, ..request })
}

async fn do_it(
    app: &App,
    row: &OperationRow,
    work: Work,
    sink: Arc<dyn Progress>,
    cancel: &Cancel,
) -> Result<Vec<KeptVolume>, Error> {
    let engine = app.engines.get().await?;
    let (id, name) = (&row.sandbox_id, row.sandbox_name.as_str());
    match work {
        // The key is there for as long as it takes.
        Work::Create(request, user, _keys) => {
            let engine = Sandboxes::new(engine.engine().clone(), &user);
            let created = engine.create(*request, sink, cancel).await?;
            created.told();
        }
        Work::Start(request) => {
            let request = giving(app, id, request).await?;
            engine.start(name, request, sink, cancel).await?;
        }
        Work::Stop => engine.stop(name, None, sink, cancel).await?,
        Work::Restart(request) => {
            let request = giving(app, id, request).await?;
            engine.restart(name, None, request, sink, cancel).await?;
        }
        Work::Delete(deletion) => {
            return delete::delete(&engine, name, deletion, sink, cancel).await;
        }
    }
    Ok(Vec::new())
}
