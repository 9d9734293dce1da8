//! `amika sandbox delete`.

use std::io::IsTerminal as _;

use amika_core::label::Kind;

use super::each::{self, Done};
use crate::App;
use crate::args::sandbox::DeleteArgs;
use crate::broken_off::nothing_done;
use crate::delete::DeleteRequest;
use crate::error::{self, Error, Result};
use crate::rescue::Rescue;
use crate::sandbox::Sandbox;
use crate::sandboxes::Sandboxes;

pub(super) async fn run(args: &DeleteArgs, app: &App) -> Result<()> {
    let asked = async {
        let engine = crate::engine::connect(&app.user).await?;
        let names = each::names(&engine, &args.names, args.all, |_| true).await?;
        if !args.force && !app.out.is_json() && std::io::stdin().is_terminal() {
            confirm(&engine, &names, args.volumes, app).await?;
        }
        Ok((engine, names))
    };
    let cancel = app.interrupt.cancel();
    let (engine, names) = nothing_done(cancel, asked, "nothing was deleted").await?;
    let request = DeleteRequest {
        force: args.force,
        volumes: args.volumes,
    };
    each::run(&names, app, async |name| {
        let progress = app.out.progress();
        let removed = if args.rescue {
            let rescue = Rescue {
                into: args.into.clone(),
            };
            engine
                .delete_rescued(name, args.volumes, rescue, progress, cancel)
                .await?
        } else {
            engine.delete(name, request, progress, cancel).await?
        };
        for line in removed.rescued.lines() {
            app.out.note(&line);
        }
        Ok(Done {
            kept_volumes: [removed.kept, removed.kept_data].concat(),
            are_here: true,
            rescued: Some(removed.rescued).filter(|_| args.rescue),
            ..Done::new(name, "deleted")
        })
    })
    .await
}

/// Asks before running sandboxes go, and says what becomes of each; a script that cannot answer is not
/// asked.
async fn confirm(engine: &Sandboxes, names: &[String], git_too: bool, app: &App) -> Result<()> {
    let mut found = Vec::new();
    for name in names {
        // One that is lost has nothing that runs; one that is not there is told of later.
        if let Ok(sandbox) = Sandbox::find_any(engine, name).await {
            found.push(sandbox);
        }
    }
    if !found.iter().any(Sandbox::is_running) {
        return Ok(());
    }
    let mut lines = Vec::new();
    for sandbox in &found {
        let volumes =
            crate::belongings::volumes(engine, &sandbox.container.id, &sandbox.record).await?;
        let git = volumes.into_iter().filter(|(kind, _)| *kind == Kind::Git);
        let git: Vec<String> = git.map(|(_, volume)| volume.name).collect();
        lines.push(fate(&sandbox.name, sandbox.is_running(), &git, git_too));
    }
    if app.out.confirmed(&lines, "Delete?").await {
        return Ok(());
    }
    Err(Error::new(error::Kind::Conflict, "nothing was deleted")
        .hint("answer y, or pass `--force`"))
}

/// What becomes of a sandbox with these git volumes.
fn fate(name: &str, runs: bool, git: &[String], git_too: bool) -> String {
    let runs = if runs { " (running)" } else { "" };
    let volumes = git.join(", ");
    let (goes, rest) = match (git.is_empty(), git_too) {
        (true, _) => ("its container and home go", String::new()),
        (false, false) => (
            "its container and home go",
            format!("; its git volume {volumes} stays"),
        ),
        (false, true) => (
            "its container, its home",
            format!(" and its git volume {volumes} go, with the work in it"),
        ),
    };
    format!("  {name}{runs}: {goes}{rest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_and_what_stays_is_told() {
        let git = ["amika-git-a".to_owned()];
        for (runs, git, git_too, told) in [
            (
                true,
                &[][..],
                true,
                "  a (running): its container and home go",
            ),
            (
                true,
                &git,
                false,
                "  a (running): its container and home go; its git volume amika-git-a stays",
            ),
            (
                false,
                &git,
                true,
                "  a: its container, its home and its git volume amika-git-a go, with the work in it",
            ),
        ] {
            assert_eq!(fate("a", runs, git, git_too), told);
        }
    }
}
