//! `amika sandbox pull`: commits of a sandbox, as refs of the repository that it was made from.

use std::path::Path;

use amika_core::contract::path::WORKSPACE;
use schemars::JsonSchema;
use serde::Serialize;

use crate::App;
use crate::args::sandbox::PullArgs;
use crate::commits::{self, Bounds, Change, Host, Inside, Pulled, Source as _};
use crate::error::{Error, Kind, Result};
use crate::output::Table;
use crate::sandbox::Sandbox;

/// Bytes of a list of changed files that are read.
const MAX_STATUS: usize = 8 << 20;
/// Digits of a commit that are shown.
const SHORT: usize = 10;

/// What `pull` did.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct PulledView {
    /// The sandbox.
    sandbox: String,
    /// The repository of this machine.
    repository: String,
    /// The branches.
    branches: Vec<BranchView>,
    /// Files in the sandbox's work tree that are not committed, and did not come; none when that is not
    /// known.
    uncommitted: Option<u64>,
    /// Whether what is checked out in the sandbox is no branch: its commits did not come unless a branch has
    /// them.
    detached: bool,
}

/// A branch of the sandbox.
#[derive(Debug, Serialize, JsonSchema)]
struct BranchView {
    /// Its name there; what steers terminals is escaped.
    branch: String,
    /// The ref that it is here.
    #[serde(rename = "ref")]
    name: String,
    /// The commit that the ref led to.
    old: Option<String>,
    /// The commit that it leads to now.
    new: String,
    /// What became of the ref.
    state: State,
}

/// What became of a ref.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum State {
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
    fn word(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Updated => "updated",
            Self::Forced => "forced",
            Self::Unchanged => "unchanged",
        }
    }
}

pub(super) async fn run(args: &PullArgs, app: &App) -> Result<()> {
    let engine = crate::engine::connect(&app.user).await?;
    let sandbox = Sandbox::find_made(&engine, &args.name).await?;
    let name = &sandbox.name;
    let Some(repository) = &sandbox.record.repository else {
        return Err(Error::new(
            Kind::Conflict,
            format!("sandbox \"{name}\" was made without a repository"),
        )
        .hint(format!(
            "`amika sandbox cp {name}:PATH .` copies files out of it"
        )));
    };
    let is_plain = !repository.name.is_empty()
        && !repository.name.contains('/')
        && !matches!(repository.name.as_str(), "." | "..");
    if !is_plain {
        return Err(Error::new(
            Kind::Failure,
            format!("the labels of sandbox \"{name}\" name no repository's directory"),
        ));
    }
    let start = args.repo.as_deref().unwrap_or(Path::new("."));
    let host = Host::find(&app.machine, start)?;
    host.must_be_of(name, repository)?;
    sandbox.must_run()?;
    let inside = Inside::new(
        &engine,
        &sandbox,
        format!("{WORKSPACE}/{}", repository.name),
    );
    let mut steps = app.out.steps_on_terminal();
    steps.begin("pull");
    let max_size = u64::try_from(args.max_size.bytes()).unwrap_or_default();
    let look = inside.clone();
    let look = tokio::spawn(async move { work_tree(&look).await });
    let pulled =
        match commits::pull(&host, &inside, name, &args.branches, Bounds::of(max_size)).await {
            Ok(pulled) => pulled,
            Err(error) => {
                look.abort();
                steps.fail("");
                return Err(named(error, name));
            }
        };
    let (uncommitted, detached) = look.await.unwrap_or((None, false));
    let directory = commits::directory(name);
    let view = PulledView {
        sandbox: name.clone(),
        repository: host.top.display().to_string(),
        branches: pulled.iter().map(|one| view(one, &directory)).collect(),
        uncommitted,
        detached,
    };
    steps.finish(&format!(
        "{} to {directory}",
        count(view.branches.len(), "branch", "branches")
    ));
    app.out.result(&view, |out| {
        let mut table = Table::new(["BRANCH", "OLD", "NEW", "STATE"]);
        for one in &view.branches {
            let short = |oid: &str| oid.chars().take(SHORT).collect::<String>();
            table.row(vec![
                one.branch.clone(),
                one.old.as_deref().map(short).unwrap_or_default(),
                short(&one.new),
                one.state.word().to_owned(),
            ]);
        }
        table.write(out)
    })?;
    if view
        .branches
        .iter()
        .any(|one| one.state != State::Unchanged)
    {
        app.out.note(&format!(
            "in {}: {directory}/*; your branches and your work tree are as they were",
            view.repository
        ));
    }
    if let Some(files) = uncommitted.filter(|files| *files > 0) {
        app.out.warn(&format!(
            "{} in the sandbox not committed, and did not come: `amika sandbox cp` copies files",
            match files {
                1 => "1 file is".to_owned(),
                files => format!("{files} files are"),
            }
        ));
    }
    if detached {
        app.out.warn(
            "what is checked out in the sandbox is no branch: `git branch NAME` inside makes one, which the next pull takes",
        );
    }
    Ok(())
}

/// The sandbox's name, where a hint has a word for any.
fn named(mut error: Error, name: &str) -> Error {
    for hint in &mut error.hints {
        for command in ["exec", "connect"] {
            let general = format!("amika sandbox {command} NAME");
            *hint = hint.replace(&general, &format!("amika sandbox {command} {name}"));
        }
    }
    error
}

fn count(number: usize, one: &str, several: &str) -> String {
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

/// How many files of the sandbox's work tree are not committed, as far as its git tells, and whether it is
/// on no branch.
async fn work_tree(inside: &Inside) -> (Option<u64>, bool) {
    let arguments = ["status", "--porcelain=v1", "-z", "--branch"];
    match inside.git(&arguments, Vec::new(), MAX_STATUS).await {
        Ok(told) if told.code == 0 => read_status(&told.stdout),
        _ => (None, false),
    }
}

fn read_status(text: &[u8]) -> (Option<u64>, bool) {
    let mut lines = text
        .split(|byte| *byte == 0)
        .filter(|line| !line.is_empty());
    let Some(branch) = lines.next().filter(|line| line.starts_with(b"## ")) else {
        return (None, false);
    };
    let mut files = 0;
    while let Some(line) = lines.next() {
        files += 1;
        // The name before follows.
        if matches!(line.first(), Some(b'R' | b'C')) {
            lines.next();
        }
    }
    (Some(files), branch == b"## HEAD (no branch)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changed_files_are_counted() {
        for (text, expected) in [
            ("## main\0", (Some(0), false)),
            ("## main\0 M a\0?? b\0R  new\0old\0", (Some(3), false)),
            ("## HEAD (no branch)\0?? x", (Some(1), true)),
            ("", (None, false)),
            ("nonsense\0", (None, false)),
        ] {
            assert_eq!(read_status(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn hints_name_the_sandbox() {
        let error = Error::new(Kind::Failure, "x").hint("`amika sandbox exec NAME -- git fsck`");
        assert_eq!(
            named(error, "box").hints,
            ["`amika sandbox exec box -- git fsck`"]
        );
    }
}
