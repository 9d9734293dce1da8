//! `amika sandbox stats`.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use tokio::time::MissedTickBehavior;

use crate::App;
use crate::args::sandbox::StatsArgs;
use crate::commands::{follow, interruptible};
use crate::error::Result;
use crate::output::Table;
pub(in crate::commands) use crate::stats::Sample;
use crate::stats::Seen;
use amika_core::text::{human_memory, human_size};

/// How often the table is drawn.
const DRAW: Duration = Duration::from_secs(1);

pub(super) async fn run(args: &StatsArgs, app: &App) -> Result<u8> {
    if args.no_stream {
        let once = interruptible(app, async {
            let engine = crate::engine::connect(&app.user).await?;
            let samples = engine.stats(&args.names).await?;
            app.out.result(&samples, |out| table(&samples).write(out))
        });
        return once.await.map(|()| 0);
    }
    let samples = interruptible(app, async {
        let engine = crate::engine::connect(&app.user).await?;
        engine.watch_stats(&args.names).await
    })
    .await?;
    follow(app, show(samples, app)).await
}

/// Shows samples until nobody reads any more, or there are no more.
async fn show(mut samples: BoxStream<'static, Result<Seen>>, app: &App) -> Result<()> {
    // What is shown, by container.
    let mut latest: BTreeMap<String, Sample> = BTreeMap::new();
    let mut ticks = tokio::time::interval(DRAW);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let json = app.out.is_json();
    loop {
        let read = tokio::select! {
            seen = samples.next() => match seen.transpose()? {
                None => return Ok(()),
                Some(Seen::Sample(container, sample)) => {
                    let read = !json || app.out.item(&sample, |_| Ok(()))?;
                    latest.insert(container, sample);
                    read
                }
                Some(Seen::Ended(container)) => {
                    latest.remove(&container);
                    true
                }
            },
            _ = ticks.tick(), if !json => draw(&latest, app)?,
        };
        if !read {
            return Ok(());
        }
    }
}

fn draw(latest: &BTreeMap<String, Sample>, app: &App) -> Result<bool> {
    let mut samples: Vec<Sample> = latest.values().cloned().collect();
    samples.sort_by(|a, b| a.sandbox.cmp(&b.sandbox));
    app.out.screen(|out| table(&samples).write(out))
}

pub(in crate::commands) fn table(samples: &[Sample]) -> Table {
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
