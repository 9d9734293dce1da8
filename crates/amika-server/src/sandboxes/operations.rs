//! What is done to sandboxes: each a task with an id, steps that are noted, and a token that ends it. Who asked for
//! it may leave.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use amika_core::untrusted::Untrusted;
use amika_sandbox::cancel::{self, Cancel, Canceler};
use amika_sandbox::create::CreateRequest;
use amika_sandbox::delete::{DeleteRequest, Removed};
use amika_sandbox::error::{Error, Kind as Why};
use amika_sandbox::progress::{Event, Progress};
use amika_sandbox::sandbox::{Sandbox, State};
use amika_sandbox::sandboxes::{Sandboxes, User};
use amika_sandbox::start::StartRequest;
use tokio::sync::{mpsc, watch};

use super::cloning::Keys;
use super::look::Seen;
use crate::api::error::ApiError;
use crate::state::App;
use crate::store::{self, Failure, LifecycleRow, OperationRow};

/// How long operations may take for their end once the server is asked to end.
const DRAIN: Duration = Duration::from_secs(20);

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A sandbox is made.
    Create,
    /// One is started.
    Start,
    /// One is stopped.
    Stop,
    /// One is stopped and started.
    Restart,
    /// One is deleted.
    Delete,
}

impl Kind {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
            Self::Delete => "delete",
        }
    }
}

/// What is to be done.
pub enum Work {
    /// Makes one, as the user of this machine, with the key that its repository is cloned with.
    Create(Box<CreateRequest>, Arc<User>, Option<Keys>),
    /// Starts one.
    Start(StartRequest),
    /// Stops one.
    Stop,
    /// Stops and starts one.
    Restart(StartRequest),
    /// Deletes one.
    Delete(Deletion),
}

/// How much goes with a sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deletion {
    /// What holds work stays, the git volume always.
    KeepWork,
    /// Nothing, where there is work.
    IfClean,
    /// All.
    Everything,
}

impl Work {
    fn kind(&self) -> Kind {
        match self {
            Self::Create(..) => Kind::Create,
            Self::Start(_) => Kind::Start,
            Self::Stop => Kind::Stop,
            Self::Restart(_) => Kind::Restart,
            Self::Delete(_) => Kind::Delete,
        }
    }
}

/// A volume that stays, and why.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct KeptVolume {
    /// Its name on the engine.
    pub name: String,
    /// Why it stays.
    pub reason: String,
}

/// How an operation ended.
#[derive(Clone, Debug, Default)]
pub struct Ended {
    /// Why it failed.
    pub error: Option<ApiError>,
    /// What stays of a sandbox that was deleted.
    pub kept: Vec<KeptVolume>,
}

/// One that was begun.
#[derive(Clone)]
pub struct Begun {
    /// Its id.
    pub id: String,
    ended: watch::Receiver<Option<Ended>>,
}

impl Begun {
    /// Waits for its end.
    pub async fn ended(&mut self) -> Ended {
        match self.ended.wait_for(Option::is_some).await {
            Ok(ended) => ended.clone().unwrap_or_default(),
            Err(_) => Ended::default(),
        }
    }
}

struct Running {
    id: String,
    kind: Kind,
    canceler: Canceler,
    ended: watch::Receiver<Option<Ended>>,
}

/// Those that run, by their sandbox's id.
#[derive(Default)]
pub struct Operations(Mutex<HashMap<String, Running>>);

impl Operations {
    fn all(&self) -> std::sync::MutexGuard<'_, HashMap<String, Running>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is being done to a sandbox.
    pub fn of(&self, sandbox_id: &str) -> Option<(String, Kind)> {
        let all = self.all();
        all.get(sandbox_id)
            .map(|running| (running.id.clone(), running.kind))
    }

    /// Asks one to end; whether it runs.
    pub fn cancel(&self, id: &str) -> bool {
        let all = self.all();
        let running = all.values().find(|running| running.id == id);
        running.inspect(|running| running.canceler.ask()).is_some()
    }

    /// Asks what is being done to a sandbox to end, and waits for that.
    async fn make_way(&self, sandbox_id: &str) {
        let ended = self.all().get(sandbox_id).map(|running| {
            running.canceler.ask();
            running.ended.clone()
        });
        if let Some(mut ended) = ended {
            let _ = ended.wait_for(Option::is_some).await;
        }
    }

    /// Asks all to end, and waits for that for a while.
    pub async fn end(&self) {
        let ids: Vec<String> = self.all().keys().cloned().collect();
        let ends = ids.iter().map(|id| self.make_way(id));
        let all = async {
            for end in ends {
                end.await;
            }
        };
        // All are asked before any is waited for.
        for running in self.all().values() {
            running.canceler.ask();
        }
        if tokio::time::timeout(DRAIN, all).await.is_err() {
            tracing::warn!("operations were cut off; the next start finishes or unmakes them");
        }
    }
}

/// Who asks for what on which sandbox.
pub struct Order<'a> {
    /// The sandbox's id in the API.
    pub sandbox_id: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Who asks; none is a timer.
    pub user_id: Option<&'a str>,
}

/// Begins one. It is noted before it begins; what is being done to the sandbox meanwhile ends first where it is
/// deleted.
///
/// # Errors
/// 409 while something else is done to it.
pub async fn begin(app: &Arc<App>, order: Order<'_>, work: Work) -> Result<Begun, ApiError> {
    let kind = work.kind();
    if kind == Kind::Delete {
        app.operations.make_way(order.sandbox_id).await;
    }
    let (canceler, cancel) = cancel::new();
    let (end, ended) = watch::channel(None);
    let row = OperationRow {
        id: crate::id::new(),
        kind: kind.as_str().to_owned(),
        sandbox_id: order.sandbox_id.to_owned(),
        sandbox_name: order.name.to_owned(),
        user_id: order.user_id.map(str::to_owned),
        state: "running".to_owned(),
        error: None,
        created_at: app.clock.now(),
        ended_at: None,
    };
    {
        let mut all = app.operations.all();
        if let Some(other) = all.get(order.sandbox_id) {
            let message = format!(
                "sandbox \"{}\" is busy: {} is under way",
                order.name,
                other.kind.as_str()
            );
            return Err(ApiError::conflict(message));
        }
        let running = Running {
            id: row.id.clone(),
            kind,
            canceler,
            ended: ended.clone(),
        };
        all.insert(order.sandbox_id.to_owned(), running);
    }
    if let Err(error) = app.store.begin_operation(&row).await {
        app.operations.all().remove(order.sandbox_id);
        return Err(error.into());
    }
    let id = row.id.clone();
    tokio::spawn(carry_out(Arc::clone(app), row, work, cancel, end));
    Ok(Begun { id, ended })
}

async fn carry_out(
    app: Arc<App>,
    row: OperationRow,
    work: Work,
    cancel: Cancel,
    end: watch::Sender<Option<Ended>>,
) {
    let kind = work.kind();
    let (steps, mut told) = mpsc::unbounded_channel();
    let sink: Arc<dyn Progress> = Arc::new(Steps { to: steps, kind });
    let done = do_it(&app, &row, work, sink, &cancel);
    let noted = async {
        while let Some((step, status, detail)) = told.recv().await {
            note(&app, &row, step, status, detail).await;
        }
    };
    let (done, ()) = tokio::join!(done, noted);
    app.looks.changed().await;
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
    app.operations.all().remove(&row.sandbox_id);
    let _ = end.send(Some(ended));
}

/// Notes how one ended.
async fn settle(app: &App, row: &OperationRow, kind: Kind, ended: &Ended) -> store::Result<()> {
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
    app.store
        .end_operation(&row.id, state, failure.as_ref(), now)
        .await?;
    let status = if failure.is_none() {
        "succeeded"
    } else {
        "failed"
    };
    let detail = failure.as_ref().map(|failure| failure.message.clone());
    note(app, row, kind.as_str().to_owned(), status, detail).await;
    match kind {
        Kind::Delete if failure.is_none() => app.store.remove_sandbox(&row.sandbox_id).await,
        // A sandbox that could not be stopped or deleted is what it was.
        Kind::Delete | Kind::Stop => Ok(()),
        Kind::Create | Kind::Start | Kind::Restart => {
            app.store
                .note_failure(&row.sandbox_id, failure.as_ref())
                .await
        }
    }
}

async fn note(app: &App, row: &OperationRow, step: String, status: &str, detail: Option<String>) {
    let event = LifecycleRow {
        id: 0,
        run_kind: row.kind.clone(),
        step,
        status: status.to_owned(),
        detail,
        created_at: app.clock.now(),
    };
    let noted = app
        .store
        .add_lifecycle(&row.sandbox_id, row.user_id.as_deref(), &event)
        .await;
    if let Err(error) = noted {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "a step is not noted"
        );
    }
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

type Told = (String, &'static str, Option<String>);

struct Steps {
    to: mpsc::UnboundedSender<Told>,
    kind: Kind,
}

impl Progress for Steps {
    fn tell(&self, event: Event<'_>) {
        let told = match event {
            Event::Begun { step } => (step.to_owned(), "started", None),
            Event::Ended {
                step,
                result,
                succeeded,
                ..
            } => {
                let detail = (!result.is_empty()).then(|| result.to_owned());
                (
                    step.to_owned(),
                    if succeeded { "succeeded" } else { "failed" },
                    detail,
                )
            }
            Event::Warning(message) => (
                self.kind.as_str().to_owned(),
                "warning",
                Some(message.to_owned()),
            ),
            _ => return,
        };
        // Nobody listens any more once the operation is over.
        let _ = self.to.send(told);
    }

    fn shows_steps(&self) -> bool {
        true
    }
}

/// A start with what the sandbox is given by now.
async fn giving(app: &App, id: &str, request: StartRequest) -> Result<StartRequest, Error> {
    let failed = |error| Error::new(Why::Failure, "the store does not answer").caused_by(&error);
    let row = app
        .store
        .sandbox(id)
        .await
        .map_err(|error: store::StoreError| failed(error))?;
    let given = match row {
        Some(row) => Some(super::given::again(app, &row).await?),
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
        Work::Delete(deletion) => return delete(&engine, name, deletion, sink, cancel).await,
    }
    Ok(Vec::new())
}

async fn delete(
    engine: &Sandboxes,
    name: &str,
    deletion: Deletion,
    sink: Arc<dyn Progress>,
    cancel: &Cancel,
) -> Result<Vec<KeptVolume>, Error> {
    let all = deletion == Deletion::Everything;
    let request = DeleteRequest {
        force: all,
        volumes: all,
    };
    match engine.delete(name, request, sink, cancel).await {
        Ok(Removed { kept, .. }) => Ok(kept_for(kept, "it is the clone's")),
        // There never was one, or it is gone already.
        Err(error) if error.kind == Why::NotFound => Ok(Vec::new()),
        Err(error) if error.kind == Why::Conflict && deletion == Deletion::KeepWork => {
            keep_volumes(engine, name, &error.message).await
        }
        Err(error) => Err(error),
    }
}

fn kept_for(names: Vec<String>, reason: &str) -> Vec<KeptVolume> {
    let kept = names.into_iter().map(|name| KeptVolume {
        name,
        reason: reason.to_owned(),
    });
    kept.collect()
}

/// Removes the container alone: there is work, and which volume has it the state volume tells.
async fn keep_volumes(engine: &Sandboxes, name: &str, why: &str) -> Result<Vec<KeptVolume>, Error> {
    let sandbox = Sandbox::find_any(engine, name).await?;
    let volumes =
        amika_sandbox::belongings::volumes(engine, &sandbox.container.id, &sandbox.record).await?;
    engine.remove_container(&sandbox.container.id).await?;
    let names = volumes.into_iter().map(|(_, volume)| volume.name);
    Ok(kept_for(names.collect(), why))
}

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
    app.looks.changed().await;
    let look = app.looks.get(&app.engines, &app.server_id).await?;
    let seen = look.values().find(|seen| seen.id() == row.sandbox_id);
    let (kind, error) = match row.kind.as_str() {
        "create" => (Kind::Create, created(&engine, seen).await?),
        "start" => (Kind::Start, is_up(seen)),
        "restart" => (Kind::Restart, is_up(seen)),
        "stop" => {
            let is_up = is_up(seen).is_none();
            (
                Kind::Stop,
                is_up.then(|| interrupted("the server ended before it was stopped")),
            )
        }
        _ => {
            if let Some(seen) = seen {
                let (_canceler, cancel) = cancel::new();
                let sink = crate::engine::silent();
                delete(&engine, &seen.view.name, Deletion::KeepWork, sink, &cancel).await?;
            }
            (Kind::Delete, None)
        }
    };
    app.looks.changed().await;
    let ended = Ended {
        error,
        kept: Vec::new(),
    };
    settle(app, row, kind, &ended)
        .await
        .map_err(|error| Error::new(Why::Failure, "the store does not answer").caused_by(&error))
}

fn interrupted(message: &str) -> ApiError {
    ApiError::new(axum::http::StatusCode::CONFLICT, "failure", message)
}

fn is_up(seen: Option<&Seen>) -> Option<ApiError> {
    let is_up = seen.is_some_and(|seen| {
        matches!(
            seen.view.state,
            State::Running | State::Setup | State::Unresponsive
        )
    });
    (!is_up).then(|| interrupted("the server ended before it was started"))
}

/// Of a create: one that was started is made, one that was not is unmade.
async fn created(engine: &Sandboxes, seen: Option<&Seen>) -> Result<Option<ApiError>, Error> {
    let unmade = || {
        Some(interrupted(
            "the server ended before it was made; what there was of it was unmade",
        ))
    };
    let Some(seen) = seen else {
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
    let request = StartRequest {
        setup: None,
        skip_setup: false,
        given: None,
        reassign_ports: false,
        wait: amika_sandbox::create::Wait::No,
    };
    engine.start(name, request, sink, &cancel).await?;
    Ok(None)
}
