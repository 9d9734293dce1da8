//! `amika sandbox delete --remote`.

use amika_remote::client::Call;
use serde::Deserialize;

use super::Server;
use super::failure::told;
use super::unsupported;
use crate::App;
use crate::args::sandbox::DeleteArgs;
use crate::commands::sandbox::each::{self, Done};
use crate::error::{Error, Kind, Result};

#[derive(Deserialize)]
struct Deleted {
    kept_volumes: Vec<Kept>,
}

#[derive(Deserialize)]
struct Kept {
    name: String,
}

/// What to do instead.
pub(super) const UNRESCUED: &str =
    "a server keeps the work of a sandbox as volumes unless `--volumes` is said";

pub(super) async fn run(args: &DeleteArgs, server: &Server, app: &App) -> Result<()> {
    if args.rescue {
        return Err(unsupported::option("--rescue", UNRESCUED));
    }
    let names = server.names(&args.names, args.all, |_| true).await?;
    if !args.force && app.out.can_ask() {
        confirm(&names, args, server, app).await?;
    }
    each::run(&names, app, async |name| {
        let path = ["sandboxes", name];
        let call = Call::delete(&path);
        // Without `--force`, what holds work is a reason to ask first; with it, it stays as volumes unless they go too.
        let call = match (args.force, args.volumes) {
            (true, true) => call.with("force", &true),
            (true, false) => call,
            (false, _) => call.with("if_clean", &true),
        };
        let deleted: Deleted = server.client.ask(call).await.map_err(|failure| {
            let error = told(failure);
            match error.kind {
                Kind::Conflict if !args.force && !args.volumes => {
                    error.hint("`--force` deletes it, and keeps what holds work as volumes")
                }
                _ => error,
            }
        })?;
        let mut kept: Vec<String> = deleted.kept_volumes.into_iter().map(|it| it.name).collect();
        if args.volumes {
            // There is no work in them.
            for volume in std::mem::take(&mut kept) {
                let path = ["volumes", volume.as_str()];
                let _: serde_json::Value =
                    server.client.ask(Call::delete(&path)).await.map_err(told)?;
            }
        }
        Ok(Done {
            kept_volumes: kept,
            ..Done::new(name, "deleted")
        })
    })
    .await
}

async fn confirm(names: &[String], args: &DeleteArgs, server: &Server, app: &App) -> Result<()> {
    let running = server.list().await?;
    let running: Vec<String> = running
        .into_iter()
        .filter(|(sandbox, _)| names.contains(&sandbox.name) && sandbox.state == "started")
        .map(|(sandbox, _)| {
            let rest = if args.volumes {
                ", and all its volumes go"
            } else {
                ""
            };
            format!("  {} (running){rest}", sandbox.name)
        })
        .collect();
    if running.is_empty() || app.out.confirmed(&running, "Delete?").await {
        return Ok(());
    }
    Err(Error::new(Kind::Conflict, "nothing was deleted").hint("answer y, or pass `--force`"))
}
