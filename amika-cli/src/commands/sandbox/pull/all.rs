//! `amika sandbox pull --all`: the sandboxes of a repository, and which is ahead by what.

use std::path::Path;

use amika_core::contract::path::WORKSPACE;
use schemars::JsonSchema;
use serde::Serialize;

use super::view::{PulledView, State, short};
use super::{Pull, named};
use crate::App;
use crate::args::sandbox::PullArgs;
use crate::commits::{self, Host};
use crate::error::{Error, Kind, Result};
use crate::git_helper::GitPlace;
use crate::output::Table;
use crate::sandbox::Sandbox;
use crate::sandboxes::Sandboxes;

/// What came of the sandboxes of a repository.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct AllView {
    /// The repository of this machine.
    repository: String,
    /// Its sandboxes' branches.
    branches: Vec<Row>,
}

/// A branch of a sandbox.
#[derive(Debug, Serialize, JsonSchema)]
struct Row {
    /// The sandbox.
    sandbox: String,
    /// The branch; what steers terminals is escaped.
    branch: String,
    /// Commits of it that no branch of the repository's own has.
    ahead: u64,
    /// The commit that it leads to.
    commit: String,
    /// What became of its ref here.
    state: State,
    /// Files in the sandbox's work tree that are not committed; none when that is not known.
    uncommitted: Option<u64>,
}

pub(super) async fn run(args: &PullArgs, engine: &Sandboxes, app: &App) -> Result<()> {
    let start = args.into.as_deref().unwrap_or(Path::new("."));
    let host = Host::find(&app.machine, start)?;
    let mut rows = Vec::new();
    let mut first = None;
    for (container, reading) in crate::sandbox::list(engine).await? {
        let Some(repository) = &reading.record.repository else {
            continue;
        };
        let name = &container.name;
        if repository.source.is_none() || host.must_be_of(name, repository).is_err() {
            continue;
        }
        match one(args, engine, &host, name).await {
            Ok(view) => rows.extend(counted(&host, view).await?),
            Err(error) => {
                let error = named(error, name);
                app.out.warn(&format!("{name}: {}", error.message));
                first.get_or_insert(error);
            }
        }
    }
    if rows.is_empty() {
        return Err(first.unwrap_or_else(|| {
            Error::new(
                Kind::NotFound,
                format!("no sandbox was made from {}", host.top.display()),
            )
            .hint("`amika sandbox list` shows the sandboxes")
        }));
    }
    let view = AllView {
        repository: host.top.display().to_string(),
        branches: rows,
    };
    app.out.result(&view, |out| {
        let mut table = Table::new([
            "SANDBOX",
            "BRANCH",
            "AHEAD",
            "COMMIT",
            "STATE",
            "UNCOMMITTED",
        ]);
        for row in &view.branches {
            table.row(vec![
                row.sandbox.clone(),
                row.branch.clone(),
                row.ahead.to_string(),
                short(&row.commit),
                row.state.word().to_owned(),
                row.uncommitted
                    .map(|files| files.to_string())
                    .unwrap_or_default(),
            ]);
        }
        table.write(out)
    })?;
    first.map_or(Ok(()), Err)
}

async fn one(args: &PullArgs, engine: &Sandboxes, host: &Host, name: &str) -> Result<PulledView> {
    let sandbox = Sandbox::find_made(engine, name).await?;
    let directory = format!("{WORKSPACE}/{}", sandbox.repository()?.name);
    let place = GitPlace::of(engine, &sandbox, &directory).await?;
    let pull = Pull {
        args,
        name,
        id: sandbox.record.id.as_str(),
        since: None,
        host,
    };
    let pulled = pull.from(&place.inside).await;
    place.end().await;
    pulled
}

async fn counted(host: &Host, view: PulledView) -> Result<Vec<Row>> {
    let tips = view
        .branches
        .iter()
        .filter_map(|branch| host.oid(&branch.new));
    let tips: Vec<_> = tips.collect();
    let ahead = commits::ahead(host, &tips).await?;
    let rows = view.branches.into_iter().zip(ahead);
    Ok(rows
        .map(|(branch, ahead)| Row {
            sandbox: view.sandbox.clone(),
            branch: branch.branch,
            ahead,
            commit: branch.new,
            state: branch.state,
            uncommitted: view.uncommitted,
        })
        .collect())
}
