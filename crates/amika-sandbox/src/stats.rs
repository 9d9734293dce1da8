//! What sandboxes use, in samples of the engine.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::{BoxStream, SelectAll};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use crate::error::Result;
use crate::fan_out;
use crate::sandbox::{self, Sandbox};
use crate::sandboxes::Sandboxes;
use amika_engine::{ContainerState, EngineError, Usage};

/// How often new sandboxes are looked for.
const LOOK: Duration = Duration::from_secs(2);
/// Samples that may wait for who reads them.
const WAITING: usize = 16;

/// What one sandbox uses.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
pub struct Sample {
    /// The sandbox.
    pub sandbox: String,
    /// When, in milliseconds since the Unix epoch.
    pub time: u64,
    /// What.
    #[serde(flatten)]
    pub usage: Usage,
}

/// What is seen while sandboxes are watched.
#[derive(Clone, Debug)]
pub enum Seen {
    /// A sample, and the engine's id of the container that it is of.
    Sample(String, Sample),
    /// That container runs no more.
    Ended(String),
}

/// A container's next sample, or its end.
type Piece = (String, Option<Result<Sample, EngineError>>);
/// A container to watch: its id and its sandbox's name.
type Watched = (String, String);

impl Sandboxes {
    /// What these sandboxes use now; without names, all that run.
    ///
    /// # Errors
    /// [`crate::error::Kind::NotFound`], [`crate::error::Kind::Conflict`] for one that does not run; those of the engine.
    pub async fn stats(&self, names: &[String]) -> Result<Vec<Sample>> {
        let watched = watched(self, names).await?;
        let looks = watched.into_iter().map(|(id, sandbox)| async move {
            let mut samples = std::pin::pin!(self.usage(&id, false));
            match samples.next().await.transpose() {
                Ok(usage) => Ok(usage.map(|usage| Sample::now(sandbox, usage))),
                // It was deleted meanwhile: then it uses nothing.
                Err(EngineError::NotFound(_)) => Ok(None),
                Err(error) => Err(error),
            }
        });
        let samples = fan_out::in_order(looks).await.into_iter();
        let samples: Result<Vec<Sample>, EngineError> =
            samples.filter_map(Result::transpose).collect();
        Ok(samples?)
    }

    /// Watches what these sandboxes use, until all of them ended; without names, all that run or come to run, without an
    /// end.
    ///
    /// # Errors
    /// As [`Sandboxes::stats`].
    pub async fn watch_stats(&self, names: &[String]) -> Result<BoxStream<'static, Result<Seen>>> {
        let first = watched(self, names).await?;
        let (to, seen) = mpsc::channel(WAITING);
        let live = Live {
            engine: self.clone(),
            all: names.is_empty(),
            samples: SelectAll::new(),
            known: BTreeSet::new(),
            to,
        };
        tokio::spawn(live.run(first));
        let next = async |mut seen: mpsc::Receiver<_>| Some((seen.recv().await?, seen));
        Ok(futures_util::stream::unfold(seen, next).boxed())
    }
}

async fn watched(engine: &Sandboxes, names: &[String]) -> Result<Vec<Watched>> {
    if names.is_empty() {
        running(engine).await
    } else {
        named(engine, names).await
    }
}

async fn named(engine: &Sandboxes, names: &[String]) -> Result<Vec<Watched>> {
    let mut watched: Vec<Watched> = Vec::new();
    for name in names {
        let sandbox = Sandbox::find_whole(engine, name).await?;
        sandbox.must_run()?;
        if watched.iter().all(|(id, _)| *id != sandbox.container.id) {
            watched.push((sandbox.container.id, sandbox.name));
        }
    }
    Ok(watched)
}

async fn running(engine: &Sandboxes) -> Result<Vec<Watched>> {
    let list = sandbox::list(engine).await?;
    Ok(list
        .into_iter()
        .filter(|(container, _)| container.state == ContainerState::Running)
        .map(|(container, _)| (container.id, container.name))
        .collect())
}

/// Samples as they come.
struct Live {
    engine: Sandboxes,
    /// Whether those that come to run are watched too.
    all: bool,
    /// One stream for each sandbox that is watched, as `docker stats` has it: the engine tells of one at a time.
    samples: SelectAll<BoxStream<'static, Piece>>,
    /// The containers that are watched.
    known: BTreeSet<String>,
    to: mpsc::Sender<Result<Seen>>,
}

impl Live {
    fn watch(&mut self, (id, name): Watched) {
        if !self.known.insert(id.clone()) {
            return;
        }
        let end = id.clone();
        let samples = self
            .engine
            .usage(&id, true)
            .map(move |usage| {
                let sample = usage.map(|usage| Sample::now(name.clone(), usage));
                (id.clone(), Some(sample))
            })
            .chain(futures_util::stream::once(async move { (end, None) }));
        self.samples.push(samples.boxed());
    }

    /// Tells samples until nobody reads any more, or all that were named have ended.
    async fn run(mut self, first: Vec<Watched>) {
        for container in first {
            self.watch(container);
        }
        let to = self.to.clone();
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Skip);
        while self.all || !self.known.is_empty() {
            let seen = tokio::select! {
                () = to.closed() => return,
                Some((id, sample)) = self.samples.next() => self.take(id, sample),
                _ = look.tick(), if self.all => match running(&self.engine).await {
                    Ok(running) => {
                        for container in running {
                            self.watch(container);
                        }
                        continue;
                    }
                    Err(error) => Err(error),
                }
            };
            let is_end = seen.is_err();
            if to.send(seen).await.is_err() || is_end {
                return;
            }
        }
    }

    fn take(&mut self, id: String, sample: Option<Result<Sample, EngineError>>) -> Result<Seen> {
        match sample {
            Some(Ok(sample)) => Ok(Seen::Sample(id, sample)),
            None | Some(Err(EngineError::NotFound(_))) => {
                self.known.remove(&id);
                Ok(Seen::Ended(id))
            }
            Some(Err(error)) => Err(error.into()),
        }
    }
}

impl Sample {
    fn now(sandbox: String, usage: Usage) -> Self {
        Self {
            sandbox,
            time: amika_host::clock::now_millis(),
            usage,
        }
    }
}
