//! `amika sandbox delete`.

use std::io::{IsTerminal as _, Write as _};

use super::each::{self, Done};
use crate::App;
use crate::args::sandbox::DeleteArgs;
use crate::engine::Engine;
use crate::error::{CommandError, ExitCode, Result};
use crate::lock::FileLock;
use crate::lost;
use crate::sandbox::Sandbox;

pub(super) async fn run(args: &DeleteArgs, app: &App) -> Result<()> {
    let engine = Engine::connect().await?;
    let names = each::names(&engine, &args.names, args.all, |_| true).await?;
    if !args.force && !app.out.is_json() && std::io::stdin().is_terminal() {
        confirm(&engine, &names).await?;
    }
    each::run(&names, app, async |name| {
        // Others are told by it that this sandbox is on its way out. A create that still waits for
        // setup holds it too: that sandbox may be deleted all the same.
        let lock = FileLock::take_name(name);
        let sandbox = match Sandbox::find(&engine, name).await {
            Ok(sandbox) => sandbox,
            Err(error) => return delete_lost(&engine, name, args.volumes, error).await,
        };
        if !args.force {
            crate::delete::refuse_unsaved_work(&engine, &sandbox).await?;
        }
        let removed = crate::delete::remove(
            &engine,
            &sandbox.container.id,
            &sandbox.record,
            args.volumes,
        )
        .await?;
        if let Ok(lock) = &lock {
            crate::unreported::clear(lock);
        }
        Ok(Done {
            kept_volumes: removed.kept,
            ..Done::new(name, "deleted")
        })
    })
    .await
}

/// What is left of a sandbox without a container goes like the sandbox; where there is nothing, the
/// error stands.
async fn delete_lost(
    engine: &Engine,
    name: &str,
    git_too: bool,
    error: CommandError,
) -> Result<Done> {
    if error.code != ExitCode::NotFound {
        return Err(error);
    }
    let lost = lost::of(engine, name).await?;
    if lost.is_empty() {
        return Err(error);
    }
    let removed = lost::remove(engine, lost, git_too).await?;
    Ok(Done {
        kept_volumes: removed.kept,
        ..Done::new(name, "deleted")
    })
}

/// Asks before running sandboxes go; a script that cannot answer is not asked.
async fn confirm(engine: &Engine, names: &[String]) -> Result<()> {
    let mut running = Vec::new();
    for name in names {
        match Sandbox::find(engine, name).await {
            Ok(sandbox) if sandbox.is_running() => running.push(name.as_str()),
            _ => {}
        }
    }
    if running.is_empty() {
        return Ok(());
    }
    let _ = write!(
        anstream::stderr(),
        "running: {}. Delete? [y/N] ",
        running.join(", ")
    );
    let answer = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).map(|_| line)
    })
    .await;
    match answer {
        Ok(Ok(line)) if matches!(line.trim(), "y" | "Y" | "yes") => Ok(()),
        _ => Err(CommandError::new(ExitCode::Conflict, "nothing was deleted")
            .hint("answer y, or pass `--force`")),
    }
}
