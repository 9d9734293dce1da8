//! `amika sandbox stats --remote`.

use std::time::Duration;

use amika_remote::client::Call;

use super::Server;
use super::failure::told;
use crate::App;
use crate::args::sandbox::StatsArgs;
use crate::commands::sandbox::stats::{Sample, table};
use crate::commands::{follow, interruptible};
use crate::error::{Kind, Result};

/// Between two samples.
const PAUSE: Duration = Duration::from_secs(1);

pub(super) async fn run(args: &StatsArgs, server: &Server, app: &App) -> Result<u8> {
    if args.no_stream {
        let once = async {
            let samples = samples(args, server).await?;
            app.out.result(&samples, |out| table(&samples).write(out))
        };
        return interruptible(app, once).await.map(|()| 0);
    }
    let shown = async {
        loop {
            let samples = samples(args, server).await?;
            let mut is_read = true;
            if app.out.is_json() {
                for sample in &samples {
                    is_read &= app.out.item(sample, |_| Ok(()))?;
                }
            } else {
                is_read = app.out.screen(|out| table(&samples).write(out))?;
            }
            if !is_read {
                return Ok(());
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    follow(app, shown).await
}

/// One of each that was named, or of each that runs.
async fn samples(args: &StatsArgs, server: &Server) -> Result<Vec<Sample>> {
    let all = args.names.is_empty();
    let names = server
        .names(&args.names, all, |state| state == "started")
        .await?;
    let asked = names.iter().map(async |name| {
        let path = ["sandboxes", name.as_str(), "stats"];
        server
            .client
            .ask::<Sample>(Call::get(&path))
            .await
            .map_err(told)
    });
    let mut samples = Vec::new();
    for sample in crate::fan_out::in_order(asked).await {
        match sample {
            Ok(sample) => samples.push(sample),
            // It ended since it was listed.
            Err(error) if all && matches!(error.kind, Kind::Conflict | Kind::NotFound) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(samples)
}
