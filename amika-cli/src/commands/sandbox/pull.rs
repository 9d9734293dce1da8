//! `amika sandbox pull`: work of a sandbox, in the repository that it was made from.

mod all;
pub(in crate::commands) mod view;

use std::path::Path;

use amika_core::contract::path::WORKSPACE;

use crate::App;
use crate::args::sandbox::PullArgs;
use crate::commits::{
    self, Beside, Bounds, Difference, Host, Keep, Left, Patch, Request, Source, Taken, Wip,
};
use crate::error::{Error, Kind, Result};
use crate::git_helper::GitPlace;
use crate::inspect::Beginning;
use crate::sandbox::Sandbox;
use view::{PulledView, count};

/// Bytes of a list of changed files that are read.
const MAX_STATUS: usize = 8 << 20;

/// What `pull` prints.
pub(super) fn output() -> crate::commands::schema::Output {
    crate::commands::schema::document::<view::Document>()
}

pub(super) async fn run(args: &PullArgs, app: &App) -> Result<()> {
    let engine = crate::engine::connect(&app.user).await?;
    let Some(name) = args.name.as_deref().filter(|_| !args.all) else {
        return all::run(args, &engine, app).await;
    };
    let sandbox = Sandbox::find_made(&engine, name).await?;
    let repository = sandbox.repository()?;
    let believed = sandbox.trust(&engine)?.follows_host_paths();
    let host = Host::of(
        &app.machine,
        args.into.as_deref(),
        name,
        repository,
        believed,
    )?;
    let directory = format!("{WORKSPACE}/{}", repository.name);
    let mut steps = app.out.steps_on_terminal();
    steps.begin("pull");
    let place = GitPlace::of(&engine, &sandbox, &directory).await?;
    let since = match args.patch {
        Some(_) => Beginning::of(&engine, &sandbox).await,
        None => None,
    };
    let pull = Pull {
        args,
        name,
        id: sandbox.record.id.as_str(),
        since: since.and_then(|began| began.commit),
        host: &host,
    };
    let pulled = match pull.from(&place.inside).await {
        Ok(pulled) => pulled,
        Err(error) => {
            place.end().await;
            steps.fail("");
            return Err(named(error, name));
        }
    };
    place.end().await;
    steps.finish(&match &pulled.patch {
        Some(file) => file.clone(),
        None => format!(
            "{} to {}",
            count(pulled.branches.len(), "branch", "branches"),
            commits::directory(name)
        ),
    });
    view::show(&pulled, app)
}

/// A pull of one sandbox.
pub(in crate::commands) struct Pull<'p> {
    pub args: &'p PullArgs,
    /// The sandbox's name.
    pub name: &'p str,
    /// Its id.
    pub id: &'p str,
    /// The commit that it began with, where a patch is wanted.
    pub since: Option<String>,
    pub host: &'p Host,
}

impl Pull<'_> {
    pub(in crate::commands) async fn from<S: Beside>(&self, inside: &S) -> Result<PulledView> {
        let args = self.args;
        if !args.wip && !args.apply {
            return self.with(inside, None).await;
        }
        let wip = Wip::of(inside, self.name, Left::Ignored).await?;
        let pulled = self.with(&wip.inside, Some(&wip)).await;
        wip.end().await;
        pulled
    }

    /// Takes what is wanted of the repository, and of what is not committed in it.
    async fn with<S: Beside>(&self, inside: &S, wip: Option<&Wip<S>>) -> Result<PulledView> {
        let (args, name) = (self.args, self.name);
        let max_size = u64::try_from(args.max_size.bytes()).unwrap_or_default();
        let bounds = Bounds::of(max_size);
        if let Some(file) = &args.patch {
            let is_written = self.patch(inside, wip, file, bounds).await?;
            return Ok(PulledView {
                patch: is_written.then(|| file.display().to_string()),
                ..PulledView::of(name, self.host, Taken::default())
            });
        }
        let commit = wip.and_then(|wip| wip.commit.clone());
        let keep = match &commit {
            Some(commit) if args.wip => Some(Keep {
                directory: commits::directory_of(name, self.id),
                refs: vec![(commits::wip_name(), commit.clone())],
                is_whole: false,
            }),
            _ => None,
        };
        let apply = commit.filter(|_| args.apply).map(|to| Difference {
            from: wip.and_then(|wip| wip.head.clone()),
            to,
        });
        let request = Request {
            sandbox: name,
            branches: Some(&args.branches),
            local: args.branch.as_ref(),
            keep: keep.as_ref(),
            apply: apply.as_ref(),
            bounds,
        };
        let look = async {
            match wip {
                // It is there, or does not come by choice.
                Some(_) => (Some(0), is_detached(inside).await),
                None => work_tree(inside).await,
            }
        };
        let (taken, (uncommitted, detached)) =
            tokio::join!(commits::pull(self.host, inside, request), look);
        Ok(PulledView {
            uncommitted,
            detached,
            applied: apply.is_some(),
            ..PulledView::of(name, self.host, taken?)
        })
    }

    /// Writes what is new since the sandbox was made; whether there is anything.
    async fn patch<S: Beside>(
        &self,
        inside: &S,
        wip: Option<&Wip<S>>,
        file: &Path,
        bounds: Bounds,
    ) -> Result<bool> {
        if self.args.branches.len() > 1 {
            return Err(Error::new(
                Kind::Invalid,
                "one patch cannot have the commits of several branches",
            )
            .hint("name one of them"));
        }
        let since = self.since.as_deref();
        let since = since.and_then(|commit| self.host.oid(commit));
        let tip = match wip.and_then(|wip| wip.commit.clone()) {
            Some(commit) => commit,
            None => commits::tip(self.host, inside, self.args.branches.first()).await?,
        };
        if since.as_ref() == Some(&tip) {
            return Ok(false);
        }
        let patch = match wip {
            Some(_) => Patch::Plain { since, tip },
            None => Patch::Mailbox { since, tip },
        };
        commits::write_patch(self.host, inside, self.name, &patch, file, bounds).await?;
        Ok(true)
    }
}

/// The sandbox's name, where a hint has a word for any.
pub(in crate::commands) fn named(error: Error, name: &str) -> Error {
    named_at(error, "", name)
}

/// The same with what says where the sandbox is: `--remote `.
pub(in crate::commands) fn named_at(mut error: Error, place: &str, name: &str) -> Error {
    for hint in &mut error.hints {
        for command in ["exec", "connect", "pull"] {
            let general = format!("amika sandbox {command} NAME");
            *hint = hint.replace(&general, &format!("amika sandbox {command} {place}{name}"));
        }
        *hint = hint.replace("amika-NAME", &format!("amika-{name}"));
    }
    error
}

/// How many files of the sandbox's work tree are not committed, as far as its git tells, and whether it is
/// on no branch.
async fn work_tree<S: Source>(inside: &S) -> (Option<u64>, bool) {
    let arguments = ["status", "--porcelain=v1", "-z", "--branch"];
    match inside.git(&arguments, Vec::new(), MAX_STATUS).await {
        Ok(told) if told.code == 0 => read_status(&told.stdout),
        _ => (None, false),
    }
}

async fn is_detached<S: Source>(inside: &S) -> bool {
    let arguments = ["symbolic-ref", "-q", "HEAD"];
    let told = inside.git(&arguments, Vec::new(), MAX_STATUS).await;
    told.is_ok_and(|told| told.code == 1)
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
