//! All sandboxes anew each time that something happens to one: the engine's events say when to look, and amikad's own
//! while a setup runs, which the engine sees only at its next health check.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{BoxStream, SelectAll};
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::sync::mpsc;

use super::{ListRequest, Listed};
use crate::error::Result;
use crate::progress::{Event, Progress};
use crate::sandbox::{Sandbox, State};
use crate::sandboxes::Sandboxes;
use amika_engine::EventQuery;

/// Events come in groups: those of a stop or of a delete are looked at together.
const SETTLE: Duration = Duration::from_millis(100);
/// The engine's clock may be behind ours by so much; an event of before only has us look once more.
const BEFORE: Duration = Duration::from_secs(2);
/// Lists that may wait for who reads them.
const WAITING: usize = 1;

impl Sandboxes {
    /// All sandboxes as [`Sandboxes::list`] has them, now and after each thing that happens to one, without an end. Two
    /// in a row may be the same.
    pub fn watch_list(
        &self,
        request: ListRequest,
        out: Arc<dyn Progress>,
    ) -> BoxStream<'static, Result<Vec<Listed>>> {
        let (to, lists) = mpsc::channel(WAITING);
        let watch = Watch {
            engine: self.clone(),
            phases: SelectAll::new(),
            followed: BTreeSet::new(),
            to,
        };
        tokio::spawn(watch.run(request, out));
        let next = async |mut lists: mpsc::Receiver<_>| Some((lists.recv().await?, lists));
        futures_util::stream::unfold(lists, next).boxed()
    }
}

/// What a followed sandbox tells: its name, and whether it tells no more.
type Told = (String, bool);

struct Watch {
    engine: Sandboxes,
    /// One stream for each sandbox whose setup runs.
    phases: SelectAll<BoxStream<'static, Told>>,
    followed: BTreeSet<String>,
    to: mpsc::Sender<Result<Vec<Listed>>>,
}

impl Watch {
    async fn run(mut self, request: ListRequest, mut out: Arc<dyn Progress>) {
        let now = Duration::from_millis(amika_host::clock::now_millis());
        let query = EventQuery {
            since: Some(now.saturating_sub(BEFORE)),
            until: None,
        };
        let mut events = self.engine.events(query);
        let to = self.to.clone();
        loop {
            let listed = self.engine.list(request, &*out).await;
            // What cannot be read of labels was said.
            out = Arc::new(Unheard);
            let setups = listed.iter().flatten().filter_map(|listed| {
                let sandbox = &listed.sandbox;
                (sandbox.state == State::Setup).then(|| sandbox.name.clone())
            });
            let setups: Vec<String> = setups.collect();
            let is_end = listed.is_err();
            if to.send(listed).await.is_err() || is_end {
                return;
            }
            for name in setups {
                self.follow(name).await;
            }
            tokio::select! {
                () = to.closed() => return,
                event = events.next() => match event {
                    Some(Ok(_)) => {}
                    Some(Err(error)) => {
                        let _ = to.send(Err(error)).await;
                        return;
                    }
                    None => return,
                },
                Some((name, is_end)) = self.phases.next() => {
                    if is_end {
                        self.followed.remove(&name);
                    }
                }
            }
            tokio::time::sleep(SETTLE).await;
            while let Some(Some(Ok(_))) = events.next().now_or_never() {}
        }
    }

    /// Has a sandbox tell when its phase changes. One that cannot be asked is looked at with the others.
    async fn follow(&mut self, name: String) {
        if self.followed.contains(&name) {
            return;
        }
        let client = Sandbox::find(&self.engine, &name)
            .await
            .and_then(|sandbox| sandbox.client(&self.engine));
        let Ok(client) = client else { return };
        let Ok(changes) = client.follow_events().await else {
            return;
        };
        self.followed.insert(name.clone());
        let end = (name.clone(), true);
        let changes = changes.map(move |_| (name.clone(), false));
        let end = futures_util::stream::once(async move { end });
        self.phases.push(changes.chain(end).boxed());
    }
}

/// Hears nothing.
struct Unheard;

impl Progress for Unheard {
    fn tell(&self, _: Event<'_>) {}

    fn shows_steps(&self) -> bool {
        false
    }
}
