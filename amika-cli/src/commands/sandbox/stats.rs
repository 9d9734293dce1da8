//! `amika sandbox stats`.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::{BoxStream, SelectAll};
use schemars::JsonSchema;
use serde::Serialize;
use tokio::time::MissedTickBehavior;

use crate::App;
use crate::args::sandbox::StatsArgs;
use crate::commands::{follow, interruptible};
use crate::error::Result;
use crate::fan_out;
use crate::output::Table;
use crate::sandbox::{self, Sandbox};
use crate::sandboxes::Sandboxes;
use amika_core::text::{human_memory, human_size};
use amika_engine::{ContainerState, EngineError, Usage};

/// How often the table is drawn.
const DRAW: Duration = Duration::from_secs(1);
/// How often new sandboxes are looked for.
const LOOK: Duration = Duration::from_secs(2);

/// What one sandbox uses.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(super) struct Sample {
    /// The sandbox.
    sandbox: String,
    /// When, in milliseconds since the Unix epoch.
    time: u64,
    #[serde(flatten)]
    usage: Usage,
}

/// A container's next sample, or its end.
type Piece = (String, Option<Result<Sample, EngineError>>);
/// A container to watch: its id and its sandbox's name.
type Watched = (String, String);

pub(super) async fn run(args: &StatsArgs, app: &App) -> Result<u8> {
    let (engine, watched) = interruptible(app, async {
        let engine = crate::engine::connect(&app.user).await?;
        let watched = if args.names.is_empty() {
            running(&engine).await?
        } else {
            named(&engine, &args.names).await?
        };
        Ok((engine, watched))
    })
    .await?;
    if args.no_stream {
        let once = interruptible(app, once(&engine, watched, app));
        return once.await.map(|()| 0);
    }
    let mut live = Live {
        engine: &engine,
        app,
        samples: SelectAll::new(),
        latest: BTreeMap::new(),
    };
    for container in watched {
        live.watch(container);
    }
    follow(app, live.run(args.names.is_empty())).await
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

async fn once(engine: &Sandboxes, watched: Vec<Watched>, app: &App) -> Result<()> {
    let looks = watched.into_iter().map(|(id, sandbox)| async move {
        let mut samples = std::pin::pin!(engine.usage(&id, false));
        match samples.next().await.transpose() {
            Ok(usage) => Ok(usage.map(|usage| Sample::now(sandbox, usage))),
            // It was deleted meanwhile: then it uses nothing.
            Err(EngineError::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    });
    let samples = fan_out::in_order(looks).await.into_iter();
    let samples: Vec<Sample> = samples
        .filter_map(Result::transpose)
        .collect::<Result<_, _>>()?;
    app.out.result(&samples, |out| table(&samples).write(out))
}

/// Samples as they come.
struct Live<'a> {
    engine: &'a Sandboxes,
    app: &'a App,
    /// One stream for each sandbox that is shown, as `docker stats` has it: the engine tells of one at a time.
    samples: SelectAll<BoxStream<'a, Piece>>,
    /// What is shown, by container; none while its first sample is under way.
    latest: BTreeMap<String, Option<Sample>>,
}

impl Live<'_> {
    fn watch(&mut self, (id, name): Watched) {
        if self.latest.contains_key(&id) {
            return;
        }
        self.latest.insert(id.clone(), None);
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

    /// Shows samples until nobody reads any more, or all that were `named` have ended.
    async fn run(mut self, all: bool) -> Result<()> {
        let mut draw = tokio::time::interval(DRAW);
        let mut look = tokio::time::interval(LOOK);
        draw.set_missed_tick_behavior(MissedTickBehavior::Skip);
        look.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let json = self.app.out.is_json();
        loop {
            let read = tokio::select! {
                Some((id, sample)) = self.samples.next() => self.take(id, sample)?,
                _ = draw.tick(), if !json => self.draw()?,
                _ = look.tick(), if all => {
                    for container in running(self.engine).await? {
                        self.watch(container);
                    }
                    true
                }
            };
            if !read || (!all && self.latest.is_empty()) {
                return Ok(());
            }
        }
    }

    fn take(&mut self, id: String, sample: Option<Result<Sample, EngineError>>) -> Result<bool> {
        match sample {
            Some(Ok(sample)) => {
                let read = if self.app.out.is_json() {
                    self.app.out.item(&sample, |_| Ok(()))?
                } else {
                    true
                };
                self.latest.insert(id, Some(sample));
                Ok(read)
            }
            None | Some(Err(EngineError::NotFound(_))) => {
                self.latest.remove(&id);
                Ok(true)
            }
            Some(Err(error)) => Err(error.into()),
        }
    }

    fn draw(&self) -> Result<bool> {
        let mut samples: Vec<Sample> = self.latest.values().flatten().cloned().collect();
        samples.sort_by(|a, b| a.sandbox.cmp(&b.sandbox));
        self.app.out.screen(|out| table(&samples).write(out))
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

fn table(samples: &[Sample]) -> Table {
    let mut table = Table::new([
        "NAME",
        "CPU",
        "MEMORY",
        "NETWORK IN/OUT",
        "DISK READ/WRITTEN",
        "PIDS",
    ]);
    for Sample { sandbox, usage, .. } in samples {
        table.row(vec![
            sandbox.clone(),
            usage
                .cpu_percent
                .map_or_else(String::new, |percent| format!("{percent:.1}%")),
            format!(
                "{} / {}",
                human_memory(usage.memory_bytes),
                human_memory(usage.memory_limit_bytes)
            ),
            format!(
                "{} / {}",
                human_size(usage.network_received_bytes),
                human_size(usage.network_sent_bytes)
            ),
            format!(
                "{} / {}",
                human_size(usage.disk_read_bytes),
                human_size(usage.disk_written_bytes)
            ),
            usage.pids.to_string(),
        ]);
    }
    table
}
