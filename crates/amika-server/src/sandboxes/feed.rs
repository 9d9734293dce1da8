//! Keeps what is known of the engine up to date: whatever the engine tells of a sandbox, and amikad of one whose setup
//! runs, leads to a new look.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use amika_engine::EventQuery;
use amika_sandbox::error::Result;
use amika_sandbox::sandbox::{Sandbox, State};
use amika_sandbox::sandboxes::Sandboxes;
use futures_util::StreamExt as _;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::look::{Look, Seen};
use crate::state::App;

/// How long it is waited for what comes together with something.
const GATHER: Duration = Duration::from_millis(50);

/// After how long it is looked again while a sandbox is on its way from one state to another.
const PASSING: Duration = Duration::from_millis(1_500);

/// The same while one does not answer.
const SILENT: Duration = Duration::from_secs(10);

/// The same while nothing is told: what is lost on the way is found then.
const QUIET: Duration = Duration::from_secs(30);

/// When it is looked again after something was told: the engine tells of an end before its list knows of it.
const AFTER: [Duration; 2] = [Duration::from_millis(1_000), Duration::from_millis(300)];

/// How long is waited after the engine was lost.
const AGAIN: Duration = Duration::from_secs(1);

/// How far back it is listened, so that nothing is missed between two connections.
const BACK: Duration = Duration::from_secs(10);

/// Follows the engine until the server ends. While it is away, whoever asks looks for himself.
pub async fn feed(app: Arc<App>) {
    let mut was_lost = false;
    loop {
        let lost = follow(&app, &mut was_lost).await;
        app.looks.fed(false);
        if !was_lost {
            let why = lost.err().map(|error| error.message);
            tracing::warn!(
                why,
                "the engine's events are not heard: what is there is looked at by the second"
            );
            was_lost = true;
        }
        tokio::time::sleep(AGAIN).await;
    }
}

async fn follow(app: &App, was_lost: &mut bool) -> Result<()> {
    let engine = app.engines.get().await?;
    let now = Duration::from_millis(amika_host::clock::now_millis());
    let query = EventQuery {
        since: Some(now.saturating_sub(BACK)),
        until: None,
    };
    let mut events = engine.events(query);
    let mut insides = Insides::default();
    // How many of the looks after something was told are yet to come.
    let mut after = 0;
    loop {
        let look = app.looks.renew(&app.engines).await?;
        app.looks.fed(true);
        if std::mem::take(was_lost) {
            tracing::info!("the engine's events are heard again");
        }
        insides.follow(&engine, &look);
        let patience = match after {
            0 => patience(&look),
            left => AFTER[left - 1],
        };
        tokio::select! {
            event = events.next() => match event {
                Some(event) => {
                    drop(event?);
                    after = AFTER.len();
                }
                None => return Ok(()),
            },
            () = insides.told() => after = AFTER.len(),
            () = tokio::time::sleep(patience) => {
                after = after.saturating_sub(1);
                continue;
            }
        }
        // What belongs together, such as the end of many, is one look.
        let gathered = tokio::time::sleep(GATHER);
        tokio::pin!(gathered);
        loop {
            tokio::select! {
                event = events.next() => match event {
                    Some(event) => drop(event?),
                    None => return Ok(()),
                },
                () = &mut gathered => break,
            }
        }
    }
}

/// When to look again though nothing is told.
fn patience(look: &Look) -> Duration {
    let states = || look.values().map(|seen| seen.view.state);
    if states().any(|it| matches!(it, State::Creating | State::Setup | State::Stopping)) {
        PASSING
    } else if states().any(|it| it == State::Unresponsive) {
        SILENT
    } else {
        QUIET
    }
}

/// Those whose setup runs, which only their amikad knows.
#[derive(Default)]
struct Insides {
    followed: BTreeMap<String, tokio::task::AbortHandle>,
    tasks: JoinSet<()>,
    told: Arc<Notify>,
}

impl Insides {
    async fn told(&self) {
        self.told.notified().await;
    }

    fn follow(&mut self, engine: &Sandboxes, look: &Look) {
        while self.tasks.try_join_next().is_some() {}
        let in_setup = |seen: &&Arc<Seen>| seen.view.state == State::Setup;
        let wanted: Vec<&Arc<Seen>> = look.values().filter(in_setup).collect();
        let ids: BTreeSet<&str> = wanted.iter().map(|seen| seen.container.as_str()).collect();
        self.followed.retain(|id, task| {
            let stays = ids.contains(id.as_str()) && !task.is_finished();
            if !stays {
                task.abort();
            }
            stays
        });
        for seen in wanted {
            if !self.followed.contains_key(&seen.container) {
                let inside = inside(engine.clone(), Arc::clone(seen), Arc::clone(&self.told));
                let task = self.tasks.spawn(inside);
                self.followed.insert(seen.container.clone(), task);
            }
        }
    }
}

/// Passes on that something happened in a sandbox, until it ends or is left alone.
async fn inside(engine: Sandboxes, seen: Arc<Seen>, told: Arc<Notify>) {
    let followed = async {
        let sandbox = Sandbox::find_any(&engine, &seen.view.name).await.ok()?;
        if sandbox.container.id != seen.container {
            return None;
        }
        let client = sandbox.client(&engine).ok()?;
        client.follow_events().await.ok()
    };
    let Some(events) = followed.await else { return };
    let mut events = std::pin::pin!(events);
    while let Some(Ok(())) = events.next().await {
        told.notify_one();
        // However much it tells, it is not looked oftener than that.
        tokio::time::sleep(GATHER).await;
    }
}
