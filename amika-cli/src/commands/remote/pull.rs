//! `amika sandbox pull --remote`: commits of a sandbox of a server's, in a repository of this machine.

use super::Server;
use super::unsupported::option;
use crate::App;
use crate::args::sandbox::PullArgs;
use crate::commands::sandbox::pull::view::{count, show};
use crate::commands::sandbox::pull::{Pull, named_at};
use crate::commits;
use crate::error::Result;

pub(super) async fn run(args: &PullArgs, server: &Server, app: &App) -> Result<()> {
    let Some(name) = args.name.as_deref().filter(|_| !args.all) else {
        return Err(option("--all", "name one sandbox"));
    };
    if args.patch.is_some() {
        let hint = format!("`amika sandbox diff --remote {name} >FILE` is a patch for `git apply`");
        return Err(option("--patch", &hint));
    }
    let (host, git) = server
        .repository(name, args.into.as_deref(), "--into", app)
        .await?;
    let mut steps = app.out.steps_on_terminal();
    steps.begin("pull");
    let pull = Pull {
        args,
        name,
        id: git.sandbox(),
        since: None,
        host: &host,
    };
    let pulled = pull.from(&git).await.map_err(|error| {
        steps.fail("");
        named_at(error, "--remote ", name)
    })?;
    steps.finish(&format!(
        "{} to {}",
        count(pulled.branches.len(), "branch", "branches"),
        commits::directory(name)
    ));
    show(&pulled, app)
}
