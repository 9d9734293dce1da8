//! All sandboxes as they are shown, made once for all who ask until something of it changes.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;

use super::bus::{Bus, Subject};
use super::idle::Heard;
use super::look::{Look, OWNER, Seen};
use super::operations::Kind;
use super::show::{Known, Sandbox, sandbox};
use crate::api::error::{ApiError, Result};
use crate::changes::Marks;
use crate::ports::name::origin;
use crate::state::App;
use crate::store::{SandboxRow, SandboxServiceRow};
use amika_core::canonical::canonical;

/// How often it is tried to see everything at one moment, where things change meanwhile.
const TRIES: u32 = 3;

/// What a sandbox is shown by.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Facts {
    row: Option<Arc<SandboxRow>>,
    seen: Option<Arc<Seen>>,
    doing: Option<(String, Kind)>,
    heard: Option<Heard>,
    /// The session of an agent's that goes on.
    session: Option<String>,
    /// Services that were added to it while it ran.
    added: Vec<SandboxServiceRow>,
    /// Name and address of its owner.
    person: Option<(String, Option<String>)>,
}

/// A sandbox as it is shown.
#[derive(Debug)]
pub struct Entry {
    facts: Facts,
    /// Whose it is; none is known of what no server made.
    pub owner: Option<String>,
    /// As it is shown.
    pub sandbox: Sandbox,
    /// The same, as it goes out.
    pub json: Bytes,
    /// The same without what changes all the time.
    lasting: Vec<u8>,
    /// The one name of its repository.
    pub repository: Option<String>,
    /// Where it stands in lists.
    pub order: String,
}

impl Entry {
    fn new(facts: Facts, app: &App) -> Self {
        let known = Known {
            row: facts.row.as_deref(),
            seen: facts.seen.as_deref(),
            doing: facts.doing.as_ref().map(|(id, kind)| (id.as_str(), *kind)),
            heard: facts.heard.as_ref(),
            session: facts.session.as_deref(),
        };
        let person = facts.person.as_ref();
        let person = person.map(|(name, email)| (name.as_str(), email.as_deref()));
        let is_far = !app.config.is_loopback_only();
        let sandbox = sandbox(known, person).routed(&facts.added, is_far, |id, port| {
            origin(&app.config, &app.address, id, port)
        });
        let owner = facts.row.as_ref().map(|row| row.user_id.clone());
        Self {
            owner: owner.or_else(|| facts.seen.as_ref()?.stamp.get(OWNER).cloned()),
            json: serde_json::to_vec(&sandbox).unwrap_or_default().into(),
            lasting: sandbox.lasting(),
            repository: sandbox
                .repo_url
                .as_deref()
                .and_then(|url| canonical(url).ok()),
            order: format!(
                "{} {}",
                sandbox.created_at.as_deref().unwrap_or_default(),
                sandbox.id
            ),
            sandbox,
            facts,
        }
    }

    /// What the store holds of it.
    pub fn row(&self) -> Option<&Arc<SandboxRow>> {
        self.facts.row.as_ref()
    }

    /// What is on the engine.
    pub fn seen(&self) -> Option<&Arc<Seen>> {
        self.facts.seen.as_ref()
    }
}

/// All of them at a moment.
#[derive(Debug)]
pub struct Snapshot {
    marks: Marks,
    look: Look,
    /// In the order of lists.
    pub all: Vec<Arc<Entry>>,
    by_id: HashMap<String, Arc<Entry>>,
    by_name: HashMap<String, Vec<Arc<Entry>>>,
}

impl Snapshot {
    /// The one with an id or name that `may_see` lets by; the id first.
    pub fn find(&self, reference: &str, may_see: impl Fn(&Entry) -> bool) -> Option<&Arc<Entry>> {
        let by_id = self.by_id.get(reference);
        by_id.filter(|entry| may_see(entry)).or_else(|| {
            let named = self.by_name.get(reference)?;
            named.iter().find(|entry| may_see(entry))
        })
    }
}

/// The last snapshot, and what is told of changes.
#[derive(Debug, Default)]
pub struct Live {
    current: RwLock<Option<Arc<Snapshot>>>,
    rows: tokio::sync::Mutex<Option<(u64, Rows)>>,
    /// Where changes are told.
    pub bus: Bus,
}

type Rows = Vec<Arc<SandboxRow>>;

impl Live {
    fn current(&self) -> Option<Arc<Snapshot>> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        current.clone()
    }

    /// All sandboxes as they are now.
    ///
    /// # Errors
    /// Those of the engine and of the store.
    pub async fn get(app: &App) -> Result<Arc<Snapshot>> {
        let live = &app.live;
        let (marks, look) = (app.changes.marks(), live.look(app).await?);
        let is_current = |it: &Arc<Snapshot>| it.marks == marks && Arc::ptr_eq(&it.look, &look);
        if let Some(current) = live.current().filter(is_current) {
            return Ok(current);
        }
        let mut rows = live.rows.lock().await;
        let mut tries = 0;
        loop {
            tries += 1;
            let before = live.current();
            let marks = app.changes.marks();
            // What is done before what is there: of something that ended meanwhile, what came of it is seen.
            let doing = app.operations.doing();
            let kept = kept(app, &mut rows, marks.rows).await?;
            let users = app.store.users().await?;
            let sessions = app.store.current_sessions(None).await?;
            let added = app.store.sandbox_services(None).await?;
            let look = live.look(app).await?;
            if let Some(before) = &before
                && before.marks == marks
                && Arc::ptr_eq(&before.look, &look)
            {
                return Ok(Arc::clone(before));
            }
            if app.changes.marks() != marks && tries < TRIES {
                continue;
            }
            let people = users
                .into_iter()
                .map(|user| (user.id, (user.name, user.email)));
            let people: HashMap<_, _> = people.collect();
            let facts = facts(&kept, &look, |row, id| Facts {
                row: None,
                seen: None,
                doing: doing.get(id).cloned(),
                heard: row.and_then(|row| app.idleness.of(&row.id)),
                session: sessions.get(id).cloned(),
                added: added
                    .iter()
                    .filter(|it| it.sandbox_id == id)
                    .cloned()
                    .collect(),
                person: row.and_then(|row| people.get(&row.user_id).cloned()),
            });
            let snapshot = Arc::new(built(app, facts, marks, look, before.as_deref()));
            if let Some(before) = &before {
                tell(&live.bus, before, &snapshot);
            }
            let mut current = live.current.write().unwrap_or_else(PoisonError::into_inner);
            *current = Some(Arc::clone(&snapshot));
            return Ok(snapshot);
        }
    }

    async fn look(&self, app: &App) -> Result<Look> {
        Ok(app.looks.get(&app.engines).await?)
    }
}

/// Tells what changes as it changes, also while nobody asks.
pub async fn watch(app: Arc<App>) {
    loop {
        app.changes.next().await;
        if let Err(error) = Live::get(&app).await {
            tracing::debug!(error.message, "what changed is not known");
        }
        // What changes all at once is told at once.
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

/// What the store holds, read again only where it was changed.
async fn kept(app: &App, rows: &mut Option<(u64, Rows)>, mark: u64) -> Result<Rows, ApiError> {
    if let Some((at, rows)) = rows
        && *at == mark
    {
        return Ok(rows.clone());
    }
    let read = app.store.sandboxes().await?;
    let read: Rows = read.into_iter().map(Arc::new).collect();
    *rows = Some((mark, read.clone()));
    Ok(read)
}

/// Each sandbox, of what the store holds and of what is on the engine.
fn facts(
    rows: &[Arc<SandboxRow>],
    look: &Look,
    rest: impl Fn(Option<&SandboxRow>, &str) -> Facts,
) -> Vec<(String, Facts)> {
    let by_id: BTreeMap<&str, &Arc<Seen>> = look.values().map(|seen| (seen.id(), seen)).collect();
    let ids: BTreeSet<&str> = rows.iter().map(|row| row.id.as_str()).collect();
    let own = rows.iter().map(|row| {
        let facts = Facts {
            row: Some(Arc::clone(row)),
            seen: by_id.get(row.id.as_str()).map(|seen| Arc::clone(seen)),
            ..rest(Some(row), &row.id)
        };
        (row.id.clone(), facts)
    });
    let others = look.values().filter(|seen| !ids.contains(seen.id()));
    let others = others.map(|seen| {
        let facts = Facts {
            seen: Some(Arc::clone(seen)),
            ..rest(None, seen.id())
        };
        (seen.id().to_owned(), facts)
    });
    own.chain(others).collect()
}

fn built(
    app: &App,
    facts: Vec<(String, Facts)>,
    marks: Marks,
    look: Look,
    before: Option<&Snapshot>,
) -> Snapshot {
    let entries = facts.into_iter().map(|(id, facts)| {
        let same = before.and_then(|before| before.by_id.get(&id));
        let same = same.filter(|before| before.facts == facts).cloned();
        same.unwrap_or_else(|| Arc::new(Entry::new(facts, app)))
    });
    let mut all: Vec<Arc<Entry>> = entries.collect();
    all.sort_by(|a, b| a.order.cmp(&b.order));
    let mut by_name: HashMap<String, Vec<Arc<Entry>>> = HashMap::new();
    for entry in &all {
        let named = by_name.entry(entry.sandbox.name.clone()).or_default();
        named.push(Arc::clone(entry));
    }
    Snapshot {
        marks,
        look,
        by_id: all
            .iter()
            .map(|entry| (entry.sandbox.id.clone(), Arc::clone(entry)))
            .collect(),
        by_name,
        all,
    }
}

/// Tells what is otherwise than it was.
fn tell(bus: &Bus, before: &Snapshot, now: &Snapshot) {
    for entry in &now.all {
        let was = before.by_id.get(&entry.sandbox.id);
        if was.is_none_or(|was| was.lasting != entry.lasting) {
            let data = String::from_utf8_lossy(&entry.json).into_owned();
            let (owner, id) = (entry.owner.as_deref(), &entry.sandbox.id);
            bus.tell(owner, Subject::Sandbox, id, None, data);
        }
    }
    for entry in &before.all {
        let id = &entry.sandbox.id;
        if !now.by_id.contains_key(id) {
            let data = serde_json::json!({ "id": id, "name": entry.sandbox.name }).to_string();
            bus.tell(entry.owner.as_deref(), Subject::SandboxGone, id, None, data);
        }
    }
}
