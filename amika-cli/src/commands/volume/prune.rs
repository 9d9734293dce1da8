//! `amika volume prune`: git volumes whose sandbox is gone.

use std::io::IsTerminal as _;

use amika_core::name::SandboxName;

use super::delete;
use crate::App;
use crate::args::volume::PruneArgs;
use crate::error::{self, Error, Result};
use crate::rescue::Rescue;
use amika_core::text::shell_quote;

pub(super) async fn run(args: &PruneArgs, app: &App) -> Result<()> {
    let engine = crate::engine::connect(&app.user).await?;
    let made_for = args.sandbox_name.as_ref().map(SandboxName::as_str);
    let names = engine.orphaned_git_volumes(made_for).await?;
    let rescue = args.rescue.then(|| Rescue {
        into: args.into.clone(),
    });
    if !names.is_empty() && !args.force && rescue.is_none() {
        let can_ask = !app.out.is_json() && std::io::stdin().is_terminal();
        if !(can_ask && confirmed(&names, app).await) {
            return Err(refused(&names, made_for));
        }
    }
    delete::remove(&engine, &names, rescue.as_ref(), app).await
}

async fn confirmed(names: &[String], app: &App) -> bool {
    let lines: Vec<String> = names.iter().map(|name| format!("  {name}")).collect();
    let question = format!(
        "They may hold commits and changes that are nowhere else. Remove {}?",
        names.len()
    );
    app.out.confirmed(&lines, &question).await
}

fn refused(names: &[String], sandbox: Option<&str>) -> Error {
    let words: Vec<&str> = names.iter().map(String::as_str).collect();
    Error::new(
        error::Kind::Conflict,
        format!(
            "git volumes without a sandbox that may hold work: {}; nothing was removed",
            names.len()
        ),
    )
    .cause("whether they do cannot be told without running what is in them")
    .hint(format!(
        "`amika volume delete {}` removes them",
        words
            .iter()
            .map(|word| shell_quote(word))
            .collect::<Vec<_>>()
            .join(" ")
    ))
    .hint("with `--rescue` what is in them is stored in the repository that you stand in first")
    .hint(match sandbox {
        Some(name) => {
            let name = shell_quote(name);
            format!(
                "`amika volume prune --sandbox-name {name} --force` removes all such volumes of it"
            )
        }
        None => "`amika volume prune --force` removes all such volumes".to_owned(),
    })
    .detail("volumes", words)
}
