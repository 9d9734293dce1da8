//! `amika sandbox push`: new commits of this machine's repository, as refs of a sandbox's.

use amika_core::contract::path::WORKSPACE;
use schemars::JsonSchema;
use serde::Serialize;

use super::pull::named;
use crate::App;
use crate::args::sandbox::PushArgs;
use crate::commits::{self, Host, Inside, Sent};
use crate::error::Result;
use crate::sandbox::Sandbox;

/// What `push` did.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::commands) struct PushedView {
    /// The sandbox.
    sandbox: String,
    /// The repository of this machine.
    repository: String,
    /// The branch; what steers terminals is escaped.
    branch: String,
    /// The ref that it is in the sandbox.
    #[serde(rename = "ref")]
    name: String,
    /// The commit that the ref led to.
    old: Option<String>,
    /// The commit that it leads to now.
    new: String,
    /// Whether the sandbox's branch of that name is checked out and leads there too.
    checked_out: bool,
}

pub(super) async fn run(args: &PushArgs, app: &App) -> Result<()> {
    let engine = crate::engine::connect(&app.user).await?;
    let name = args.name.as_str();
    let sandbox = Sandbox::find_made(&engine, name).await?;
    let repository = sandbox.repository()?;
    let believed = sandbox.trust(&engine)?.follows_host_paths();
    let host = Host::of(
        &app.machine,
        args.from.as_deref(),
        name,
        repository,
        believed,
    )?;
    sandbox.must_run()?;
    let directory = format!("{WORKSPACE}/{}", repository.name);
    let inside = Inside::new(&engine, &sandbox, &directory);
    let sent = commits::push(&host, &inside, args.branch.as_ref(), args.checkout)
        .await
        .map_err(|error| named(error, name))?;
    let view = PushedView::of(name, &host, sent, args.checkout);
    view.show(app)
}

impl PushedView {
    /// Of what went in from a repository.
    pub(in crate::commands) fn of(
        sandbox: &str,
        host: &Host,
        sent: Sent,
        checked_out: bool,
    ) -> Self {
        Self {
            sandbox: sandbox.to_owned(),
            repository: host.top.display().to_string(),
            branch: sent.branch.to_string(),
            name: sent.name,
            old: sent.old.map(|oid| oid.as_str().to_owned()),
            new: sent.new.as_str().to_owned(),
            checked_out,
        }
    }

    /// Shows it.
    pub(in crate::commands) fn show(&self, app: &App) -> Result<()> {
        app.out.result(self, |out| {
            let short = |oid: &str| oid.chars().take(10).collect::<String>();
            let from = self.old.as_deref().map_or_else(String::new, short);
            writeln!(out, "{} {from}..{}", self.name, short(&self.new))
        })?;
        if !self.checked_out {
            app.out.note(
                "the sandbox's branches and work tree are as they were: its agent merges it, or `--checkout` does",
            );
        }
        Ok(())
    }
}
