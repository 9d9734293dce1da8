//! What `pull` shows.

use amika_host::archive::told_acted_on;
use schemars::JsonSchema;
use serde::Serialize;

use super::all::AllView;
use crate::App;
use crate::commits::{self, Change, Host, Pulled, Taken};
use crate::error::Result;
use crate::output::Table;

/// Digits of a commit that are shown.
const SHORT: usize = 10;

/// What came of one sandbox, or of all of a repository.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(untagged)]
#[allow(
    dead_code,
    reason = "its schema is what it is for: each of the two is printed by itself"
)]
pub(super) enum Document {
    /// Of one.
    One(Box<PulledView>),
    /// Of all.
    All(AllView),
}

/// What `pull` did.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::commands) struct PulledView {
    /// The sandbox.
    pub sandbox: String,
    /// The repository of this machine.
    pub repository: String,
    /// The branches that are mirrored.
    pub branches: Vec<BranchView>,
    /// The branch of the repository itself that was to lead to one of those.
    pub local: Option<BranchView>,
    /// The commit of what was not committed; none where it was not asked for, or there was nothing.
    pub wip: Option<WipView>,
    /// Whether what was not committed was laid on the work tree here.
    pub applied: bool,
    /// Of what was laid there, on what direnv, editors or agents of this machine act.
    pub acted_on: Vec<String>,
    /// The file that a patch was written into.
    pub patch: Option<String>,
    /// Files in the sandbox's work tree that are not committed, and did not come; none when that is not
    /// known.
    pub uncommitted: Option<u64>,
    /// Whether what is checked out in the sandbox is no branch: its commits did not come unless a branch has
    /// them.
    pub detached: bool,
}

/// What was not committed.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::commands) struct WipView {
    /// The ref that leads to it.
    #[serde(rename = "ref")]
    name: String,
    /// The commit.
    commit: String,
    /// Whether it was there already.
    unchanged: bool,
}

/// A branch.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::commands) struct BranchView {
    /// Its name; what steers terminals is escaped.
    pub branch: String,
    /// The ref that it is here.
    #[serde(rename = "ref")]
    name: String,
    /// The commit that the ref led to.
    old: Option<String>,
    /// The commit that it leads to now.
    pub new: String,
    /// What became of the ref.
    pub state: State,
}

/// What became of a ref.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::commands) enum State {
    /// It was made.
    New,
    /// It goes on from where it was.
    Updated,
    /// It does not go on from where it was: the sandbox's branch was rewritten.
    Forced,
    /// It is as it was.
    Unchanged,
}

impl State {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Updated => "updated",
            Self::Forced => "forced",
            Self::Unchanged => "unchanged",
        }
    }
}

impl PulledView {
    /// Of what came into a repository.
    pub(in crate::commands) fn of(sandbox: &str, host: &Host, taken: Taken) -> Self {
        let directory = commits::directory(sandbox);
        let kept = taken.kept.into_iter().next();
        Self {
            sandbox: sandbox.to_owned(),
            repository: host.top.display().to_string(),
            branches: taken
                .branches
                .iter()
                .map(|one| view(one, &directory))
                .collect(),
            local: taken.local.map(|one| view(&one, "refs/heads")),
            wip: kept.map(|kept| WipView {
                name: commits::shown(&kept.name),
                commit: kept.commit.as_str().to_owned(),
                unchanged: kept.is_old,
            }),
            applied: false,
            acted_on: taken.acted_on,
            patch: None,
            uncommitted: None,
            detached: false,
        }
    }
}

/// Shows it.
pub(in crate::commands) fn show(view: &PulledView, app: &App) -> Result<()> {
    let directory = commits::directory(&view.sandbox);
    app.out.result(view, |out| {
        if view.patch.is_some() {
            return Ok(());
        }
        let mut table = Table::new(["BRANCH", "OLD", "NEW", "STATE"]);
        for one in &view.branches {
            table.row(row(&one.branch, one));
        }
        if let Some(one) = &view.local {
            table.row(row(&format!("{} (yours)", one.branch), one));
        }
        if let Some(wip) = &view.wip {
            let state = if wip.unchanged { "unchanged" } else { "new" };
            table.row(vec![
                wip.name.trim_start_matches("refs/").to_owned(),
                String::new(),
                short(&wip.commit),
                state.to_owned(),
            ]);
        }
        table.write(out)
    })?;
    let has_news = (view.branches.iter()).any(|one| one.state != State::Unchanged);
    if has_news {
        let rest = match (&view.local, view.applied) {
            (None, false) => "your branches and your work tree are as they were",
            (Some(_), false) => "your other branches and your work tree are as they were",
            (_, true) => "what is not committed is on your work tree",
        };
        app.out
            .note(&format!("in {}: {directory}/*; {rest}", view.repository));
    } else if view.applied {
        app.out.note(&format!(
            "what is not committed is on the work tree of {}",
            view.repository
        ));
    }
    let count = view.acted_on.len() as u64;
    if let Some(line) = told_acted_on(&view.acted_on, count) {
        app.out.warn(&line);
    }
    if let Some(file) = &view.patch {
        app.out.note(&format!(
            "written to {file}; {} is as it was",
            view.repository
        ));
    }
    if view.patch.is_none() && view.branches.is_empty() {
        app.out
            .note("nothing is new since the sandbox was made: no file was written");
    }
    if let Some(files) = view.uncommitted.filter(|files| *files > 0) {
        app.out.warn(&format!(
            "{} in the sandbox not committed, and did not come: `--wip` takes them as a commit, `--apply` onto your work tree",
            match files {
                1 => "1 file is".to_owned(),
                files => format!("{files} files are"),
            }
        ));
    }
    if view.detached {
        app.out.warn(
            "what is checked out in the sandbox is no branch: `git branch NAME` inside makes one, which the next pull takes",
        );
    }
    Ok(())
}

fn row(name: &str, one: &BranchView) -> Vec<String> {
    vec![
        name.to_owned(),
        one.old.as_deref().map(short).unwrap_or_default(),
        short(&one.new),
        one.state.word().to_owned(),
    ]
}

/// The digits of a commit that are shown.
pub(super) fn short(oid: &str) -> String {
    oid.chars().take(SHORT).collect()
}

pub(in crate::commands) fn count(number: usize, one: &str, several: &str) -> String {
    match number {
        1 => format!("1 {one}"),
        number => format!("{number} {several}"),
    }
}

fn view(pulled: &Pulled, directory: &str) -> BranchView {
    BranchView {
        branch: pulled.branch.to_string(),
        name: format!("{directory}/{}", pulled.branch),
        old: pulled.old.as_ref().map(|oid| oid.as_str().to_owned()),
        new: pulled.new.as_str().to_owned(),
        state: match pulled.change {
            Change::New => State::New,
            Change::Updated => State::Updated,
            Change::Forced => State::Forced,
            Change::Unchanged => State::Unchanged,
        },
    }
}
