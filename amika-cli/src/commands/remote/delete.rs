//! `amika sandbox delete --remote`.

use amika_remote::client::Call;
use serde::Deserialize;

use super::Server;
use super::failure::told;
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

pub(super) async fn run(args: &DeleteArgs, server: &Server, app: &App) -> Result<()> {
    let names = server.names(&args.names, args.all, |_| true).await?;
    if !args.force && app.out.can_ask() {
        confirm(&names, args, server, app).await?;
    }
    each::run(&names, app, async |name| {
        let path = ["sandboxes", name];
        let mut call = Call::delete(&path);
        if args.volumes {
            call = call.with("force", &true);
        }
        // Without either, what holds work stays as a volume; here it is a reason to ask first.
        if !args.force {
            call = call.with("if_clean", &true);
        }
        let deleted: Deleted = server.client.ask(call).await.map_err(|failure| {
            let error = told(failure);
            match error.kind {
                Kind::Conflict if !args.force => {
                    error.hint("`--force` deletes it, and keeps what holds work as volumes")
                }
                _ => error,
            }
        })?;
        let kept = deleted.kept_volumes.into_iter().map(|kept| kept.name);
        Ok(Done {
            kept_volumes: kept.collect(),
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
