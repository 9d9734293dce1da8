//! `amika sandbox push --remote`: new commits of this machine, in a sandbox of a server's.

use super::Server;
use crate::App;
use crate::args::sandbox::PushArgs;
use crate::commands::sandbox::pull::named_at;
use crate::commands::sandbox::push::PushedView;
use crate::commits;
use crate::error::Result;

pub(super) async fn run(args: &PushArgs, server: &Server, app: &App) -> Result<()> {
    let name = args.name.as_str();
    let from = args.from.as_deref();
    let (host, git) = server.repository(name, from, "--from", app).await?;
    let sent = commits::push(&host, &git, args.branch.as_ref(), args.checkout).await;
    let sent = sent.map_err(|error| named_at(error, "--remote ", name))?;
    PushedView::of(name, &host, sent, args.checkout).show(app)
}
