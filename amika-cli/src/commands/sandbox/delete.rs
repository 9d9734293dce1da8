//! `amika sandbox delete`.

use std::io::IsTerminal as _;

use amika_core::label::Kind;

use super::broken_off::{engine_goes_on, nothing_done};
use super::each::{self, Done};
use crate::App;
use crate::args::sandbox::DeleteArgs;
use crate::error::{self, Error, Result};
use crate::lost;
use crate::sandbox::{Sandbox, State};
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
    let (engine, names) = nothing_done(app, asked, "nothing was deleted").await?;
    each::run(&names, app, async |name| {
        let untouched = format!("sandbox \"{name}\" was not deleted");
        // Others are told by it that this sandbox is on its way out. A create that still waits for
        // setup holds it too: that sandbox may be deleted all the same.
        let lock = engine.locks().take_name(name);
        let sandbox = match nothing_done(app, Sandbox::find_any(&engine, name), &untouched).await {
            Ok(sandbox) => sandbox,
            Err(error) => return delete_lost(&engine, name, args, without_likeness(error)).await,
        };
        if !args.force {
            let checked = crate::unsaved::refuse(&engine, &sandbox, args.volumes);
            nothing_done(app, checked, &untouched).await?;
        }
        // The clone of a create that was interrupted is perhaps half there, and nobody worked in it.
        let git_too = args.volumes || sandbox.state_of_making() == Some(State::Interrupted);
        let removing =
            crate::delete::remove(&engine, &sandbox.container.id, &sandbox.record, git_too);
        let what = format!("sandbox \"{name}\" was being removed");
        let next = format!("`amika sandbox delete {name}` again removes what is left then");
        let removed = engine_goes_on(app, removing, &what, &next).await?;
        crate::setid::warn_of(&sandbox, engine.is_local(), &app.out).await;
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

/// Where it is about removing, a name that is alike is not put into anybody's hand.
fn without_likeness(mut error: Error) -> Error {
    let before = error.hints.len();
    error.hints.retain(|hint| !hint.starts_with("did you mean"));
    if error.hints.len() < before {
        return error.hint("`amika sandbox list` shows the sandboxes; nothing was deleted");
    }
    error
}

/// What is left of a sandbox without a container goes like the sandbox; where there is nothing, the
/// error stands.
async fn delete_lost(
    engine: &Sandboxes,
    name: &str,
    args: &DeleteArgs,
    error: Error,
) -> Result<Done> {
    if error.kind != error::Kind::NotFound {
        return Err(error);
    }
    let lost = lost::of(engine, name).await?;
    if lost.is_empty() {
        return Err(error);
    }
    let removing = async {
        if !args.force {
            for lost in &lost {
                lost.refuse(engine, args.volumes).await?;
            }
        }
        lost::remove(engine, lost.clone(), args.volumes).await
    };
    // That its container is not there was so before: what the engine refuses has another cause.
    let removed = removing.await.map_err(|mut error| {
        error.is_engines = false;
        error
    })?;
    Ok(Done {
        kept_volumes: removed.kept,
        ..Done::new(name, "deleted")
    })
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
            crate::delete::volumes(engine, &sandbox.container.id, &sandbox.record).await?;
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
