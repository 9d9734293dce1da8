//! `amika sandbox diff`: what changed in a sandbox's repository since it was made.

mod changes;

use amika_core::contract::path::WORKSPACE;
use schemars::JsonSchema;
use serde::Serialize;

use super::pull::{named, repository};
use crate::App;
use crate::args::sandbox::DiffArgs;
use crate::commits::{Inside, Left, Piece, Source as _, Wip, shown};
use crate::error::{Error, Kind, Result};
use crate::git_helper::GitPlace;
use crate::inspect::Beginning;
use crate::output::LogText;
use crate::sandbox::Sandbox;
use crate::terminal::{Output, Target};
use changes::Change;
use futures_util::StreamExt as _;

/// Bytes of a list of changed files that are read.
const MAX_LIST: usize = 64 << 20;
/// How renames are found, and what of the agent's settings does not count.
const DIFF: [&str; 5] = [
    "diff",
    "-M",
    "--no-ext-diff",
    "--no-textconv",
    "--submodule=short",
];

/// What changed.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct DiffView {
    /// The sandbox.
    sandbox: String,
    /// What it is compared with: the commit or the tree that the sandbox began with; null where that is not known, and
    /// with what is checked out it is compared.
    since: Option<String>,
    /// The files that differ.
    files: Vec<Change>,
}

pub(super) async fn run(args: &DiffArgs, app: &App) -> Result<()> {
    let engine = crate::engine::connect(&app.user).await?;
    let sandbox = Sandbox::find_made(&engine, &args.name).await?;
    let directory = format!("{WORKSPACE}/{}", repository(&sandbox)?.name);
    let began = Beginning::of(&engine, &sandbox).await;
    let place = GitPlace::of(&engine, &sandbox, &directory).await?;
    let told = of(&place.inside, began, args, app).await;
    place.end().await;
    told.map_err(|error| named(error, &args.name))
}

async fn of(inside: &Inside, began: Option<Beginning>, args: &DiffArgs, app: &App) -> Result<()> {
    let wip = Wip::of(inside, &args.name, Left::Ignored).await?;
    let told = async {
        let Base { since, note } = base(&wip, began).await?;
        if let Some(note) = note {
            app.out.note(note);
        }
        let from = match (&since, &wip.head) {
            (Some(since), _) => since.clone(),
            (None, Some(head)) => head.as_str().to_owned(),
            (None, None) => empty_tree(&wip.inside).await?,
        };
        if app.out.is_json() {
            let files =
                changes::between(&wip.inside, &from, wip.tree.as_str(), &args.paths).await?;
            let view = DiffView {
                sandbox: args.name.clone(),
                since,
                files,
            };
            return app.out.result(&view, |_| Ok(()));
        }
        show(&wip, &from, args, app).await
    };
    let told: Result<()> = told.await;
    wip.end().await;
    told
}

/// What is compared with.
struct Base {
    since: Option<String>,
    note: Option<&'static str>,
}

/// What the sandbox began with, as far as its repository has it.
async fn base(wip: &Wip, began: Option<Beginning>) -> Result<Base> {
    let unknown = Base {
        since: None,
        note: Some("how its repository began is not known: this is what is not committed in it"),
    };
    let Some(began) = began else {
        return Ok(unknown);
    };
    if began.dirty
        && let Some(tree) = &began.tree
        && (tree == wip.tree.as_str() || has(&wip.inside, tree).await?)
    {
        return Ok(Base {
            since: Some(tree.clone()),
            note: None,
        });
    }
    let note = "what was not committed on this machine when it was made is shown with it";
    match began.commit {
        Some(commit) if has(&wip.inside, &commit).await? => Ok(Base {
            since: Some(commit),
            note: began.dirty.then_some(note),
        }),
        None => Ok(Base {
            since: Some(empty_tree(&wip.inside).await?),
            note: began.dirty.then_some(note),
        }),
        Some(_) => Ok(unknown),
    }
}

async fn has(inside: &Inside, object: &str) -> Result<bool> {
    let told = inside
        .git(&["cat-file", "-e", object], Vec::new(), MAX_LIST)
        .await?;
    Ok(told.code == 0)
}

/// The name of the tree without anything, which git knows without having it.
async fn empty_tree(inside: &Inside) -> Result<String> {
    let arguments = ["hash-object", "-t", "tree", "--stdin"];
    let told = inside.git(&arguments, Vec::new(), MAX_LIST).await?;
    Ok(String::from_utf8_lossy(&told.stdout).trim().to_owned())
}

/// Shows a difference: on a terminal through the pager, and nothing but colours steers the terminal; a file or a pipe
/// gets it as it is.
async fn show(wip: &Wip, from: &str, args: &DiffArgs, app: &App) -> Result<()> {
    let on_terminal = crate::output::is_shown();
    let mut arguments = DIFF.to_vec();
    arguments.push(
        if on_terminal && app.machine.variable("NO_COLOR").is_none() {
            "--color=always"
        } else {
            "--no-color"
        },
    );
    let stat = format!(
        "--stat={}",
        crate::terminal::size().map_or(80, |(_, columns)| columns)
    );
    if args.stat {
        arguments.push(&stat);
    } else if args.name_only {
        arguments.push("--name-only");
    } else if !on_terminal {
        arguments.extend(["--binary", "--full-index"]);
    }
    arguments.extend([from, wip.tree.as_str(), "--"]);
    arguments.extend(args.paths.iter().map(String::as_str));
    let mut pieces = wip.inside.stream(&arguments, Vec::new()).await?;
    let output = if on_terminal {
        Output::to_pager(&app.machine)
    } else {
        Output::start()
    };
    let mut text = LogText::default();
    while let Some(piece) = pieces.next().await {
        match piece? {
            Piece::Data(bytes) => {
                let bytes = if on_terminal {
                    text.of(&bytes).into()
                } else {
                    bytes
                };
                if output.send(Target::Stdout, bytes).await.is_err() {
                    break;
                }
            }
            Piece::End(told) if told.code != 0 => {
                return Err(untold(&told.stderr, told.code));
            }
            Piece::End(_) => {}
        }
    }
    // Nobody reads any more: the end is told by `finish`.
    let _ = output.send(Target::Stdout, text.end().into()).await;
    output.finish().await.map_err(|error| {
        Error::new(Kind::Failure, "the difference cannot be written").caused_by(&error)
    })?;
    Ok(())
}

/// The error for a git that cannot tell.
fn untold(said: &[u8], code: i64) -> Error {
    Error::new(
        Kind::Repository,
        "the sandbox's git cannot tell what changed",
    )
    .cause(format!("git ended with {code}: {}", shown(said)))
}
