//! What is on the engine: looked at anew where something happened, and kept for whoever asks.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use amika_core::label::{Labels, key, stamp};
use amika_core::service::Service;
use amika_sandbox::error::Result;
use amika_sandbox::list::ListRequest;
use amika_sandbox::sandbox::State;
use amika_sandbox::sandboxes::Sandboxes;
use amika_sandbox::view::SandboxView;

use crate::changes::Changes;
use crate::engine::Engines;

/// How old what is shown may be while nobody tells what happens on the engine.
const FRESH: Duration = Duration::from_secs(1);

/// The label of the sandbox's id in the API.
pub const ID: &str = "dev.amika.server.sandbox";

/// The label of its owner's id.
pub const OWNER: &str = "dev.amika.server.owner";

/// The label of its first `auto_stop_interval`.
pub const AUTO_STOP: &str = "dev.amika.server.auto-stop";

/// The label of its first `auto_delete_interval`; empty is never.
pub const AUTO_DELETE: &str = "dev.amika.server.auto-delete";

/// A sandbox on the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// As all are told of it.
    pub view: SandboxView,
    /// What a server stamped it with, where the signature is this one's.
    pub stamp: Labels,
    /// Whether any server stamped it.
    pub has_server: bool,
    /// The engine's id of its container.
    pub container: String,
    /// What its record says of its services.
    pub services: Vec<Service>,
}

impl Seen {
    /// Its id in the API: its own, or that of its record.
    pub fn id(&self) -> &str {
        self.stamp.get(ID).map_or(&self.view.id, String::as_str)
    }
}

/// What was there at a moment, by name.
pub type Look = Arc<BTreeMap<String, Arc<Seen>>>;

/// The last look.
#[derive(Debug)]
pub struct Looks {
    last: Mutex<Last>,
    /// One looks at a time.
    turn: tokio::sync::Mutex<()>,
    changes: Arc<Changes>,
}

#[derive(Debug, Default)]
struct Last {
    look: Option<(Instant, Look)>,
    /// Whether whatever happens on the engine leads to a new look.
    is_fed: bool,
    /// How often a new look was wanted.
    wanted: u64,
    /// How many of those the last look was begun after.
    answered: u64,
}

impl Looks {
    /// None yet; what is new is told to `changes`.
    pub fn new(changes: Arc<Changes>) -> Self {
        Self {
            last: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
            changes,
        }
    }

    fn last(&self) -> MutexGuard<'_, Last> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is there, as it is kept up to date by [`super::feed`], or not older than a moment.
    ///
    /// # Errors
    /// Those of the engine.
    pub async fn get(&self, engines: &Engines) -> Result<Look> {
        {
            let last = self.last();
            if let Some((at, look)) = &last.look
                && (last.is_fed || at.elapsed() < FRESH)
            {
                return Ok(Arc::clone(look));
            }
        }
        self.renew(engines).await
    }

    /// Looks anew: whatever was done before is in what is returned, and in all that [`Looks::get`] returns from then on.
    ///
    /// # Errors
    /// Those of the engine.
    pub async fn renew(&self, engines: &Engines) -> Result<Look> {
        let wanted = {
            let mut last = self.last();
            last.wanted += 1;
            last.wanted
        };
        let _turn = self.turn.lock().await;
        let (before, answers) = {
            let last = self.last();
            match &last.look {
                // Who had the turn before looked after this was wanted.
                Some((_, look)) if last.answered >= wanted => return Ok(Arc::clone(look)),
                look => (look.as_ref().map(|it| Arc::clone(&it.1)), last.wanted),
            }
        };
        let at = Instant::now();
        let look = look(&engines.get().await?, before.as_ref()).await?;
        let is_new = before.is_none_or(|before| !Arc::ptr_eq(&before, &look));
        {
            let mut last = self.last();
            last.look = Some((at, Arc::clone(&look)));
            last.answered = answers;
        }
        if is_new {
            self.changes.other();
        }
        Ok(look)
    }

    /// Notes whether what happens on the engine is followed.
    pub fn fed(&self, is_fed: bool) {
        self.last().is_fed = is_fed;
    }
}

/// What is there now. What is as it was stays the same value.
async fn look(engine: &Sandboxes, before: Option<&Look>) -> Result<Look> {
    let key = engine.record_key()?;
    let silent = crate::engine::silent();
    let request = ListRequest {
        ask_own_alone: true,
        ..ListRequest::default()
    };
    let listed = engine.list(request, &*silent).await?;
    let seen = listed
        .into_iter()
        .filter(|it| it.sandbox.state != State::Lost)
        .filter_map(|listed| {
            let container = listed.container?;
            let labels = &container.labels;
            let has_server = labels.get(key::SERVER).is_some_and(|it| !it.is_empty());
            // The key is this data directory's alone: also what a store that was lost since knew of is its own.
            let is_own = has_server && key.has_signed(labels);
            let seen = Seen {
                stamp: if is_own { stamp(labels) } else { Labels::new() },
                has_server,
                container: container.id,
                services: container.services,
                view: listed.sandbox,
            };
            let name = seen.view.name.clone();
            let same = before.and_then(|before| before.get(&name));
            let same = same.filter(|before| ***before == seen).cloned();
            Some((name, same.unwrap_or_else(|| Arc::new(seen))))
        });
    let seen: BTreeMap<String, Arc<Seen>> = seen.collect();
    let is_same = |before: &&Look| {
        before.len() == seen.len()
            && before
                .values()
                .zip(seen.values())
                .all(|(before, now)| Arc::ptr_eq(before, now))
    };
    Ok(before
        .filter(is_same)
        .cloned()
        .unwrap_or_else(|| Arc::new(seen)))
}
