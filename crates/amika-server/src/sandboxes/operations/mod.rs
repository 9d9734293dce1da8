//! What is done to sandboxes: each a task with an id, steps that are noted, and a token that ends it. Who asked for
//! it may leave.

mod delete;
mod recover;
mod run;
mod steps;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use amika_sandbox::cancel::{self, Canceler};
use amika_sandbox::create::CreateRequest;
use amika_sandbox::sandboxes::User;
use amika_sandbox::start::StartRequest;
use tokio::sync::watch;

pub use delete::{Deletion, KeptVolume};
pub use recover::recover;
pub use run::seen;

use super::cloning::Keys;
use crate::api::error::ApiError;
use crate::changes::Changes;
use crate::state::App;
use crate::store::OperationRow;

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

    /// What a server that takes it up after another one must know besides.
    fn detail(&self) -> Option<String> {
        match self {
            Self::Delete(deletion) => Some(deletion.as_str().to_owned()),
            _ => None,
        }
    }
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
pub struct Operations {
    running: Mutex<HashMap<String, Running>>,
    changes: Arc<Changes>,
}

impl Operations {
    /// None yet; that one begins or ends is told to `changes`.
    pub fn new(changes: Arc<Changes>) -> Self {
        Self {
            running: Mutex::default(),
            changes,
        }
    }

    fn all(&self) -> std::sync::MutexGuard<'_, HashMap<String, Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add_where_free(&self, order: &Order<'_>, running: Running) -> Result<(), ApiError> {
        let mut all = self.all();
        if let Some(other) = all.get(order.sandbox_id) {
            let message = format!(
                "sandbox \"{}\" is busy: {} is under way",
                order.name,
                other.kind.as_str()
            );
            return Err(ApiError::conflict(message));
        }
        all.insert(order.sandbox_id.to_owned(), running);
        drop(all);
        self.changes.doings();
        Ok(())
    }

    fn remove(&self, sandbox_id: &str) {
        self.all().remove(sandbox_id);
        self.changes.doings();
    }

    /// What is being done, by sandbox: the operation's id and what it is.
    pub fn doing(&self) -> HashMap<String, (String, Kind)> {
        let all = self.all();
        let doing = all
            .iter()
            .map(|(sandbox, running)| (sandbox.clone(), (running.id.clone(), running.kind)));
        doing.collect()
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

    /// Waits for the end of what is being done to a sandbox, if anything is.
    pub async fn settled(&self, sandbox_id: &str) {
        let ended = self.all().get(sandbox_id).map(|it| it.ended.clone());
        if let Some(mut ended) = ended {
            let _ = ended.wait_for(Option::is_some).await;
        }
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
    /// Whose the sandbox is; none is known of what no server made.
    pub owner_id: Option<&'a str>,
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
        owner_id: order.owner_id.map(str::to_owned),
        detail: work.detail(),
        state: "running".to_owned(),
        error: None,
        result: None,
        created_at: app.clock.now(),
        ended_at: None,
    };
    let running = Running {
        id: row.id.clone(),
        kind,
        canceler,
        ended: ended.clone(),
    };
    app.operations.add_where_free(&order, running)?;
    if let Err(error) = app.store.begin_operation(&row).await {
        app.operations.remove(order.sandbox_id);
        return Err(error.into());
    }
    let id = row.id.clone();
    tokio::spawn(run::carry_out(Arc::clone(app), row, work, cancel, end));
    Ok(Begun { id, ended })
}
