//! What changed in a sandbox's repository since it was made, committed or not: told by the agent's git, inside.

mod changes;

use std::pin::Pin;
use std::task::{Context, Poll};

use amika_core::contract::path::WORKSPACE;
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use tokio::sync::mpsc::Receiver;
use tokio::task::JoinHandle;

pub use changes::{Change, Status};

use crate::commits::{Inside, Left, Piece, Source as _, Wip, shown};
use crate::error::{Error, Kind, Result};
use crate::git_helper::GitPlace;
use crate::inspect::Beginning;
use crate::sandbox::Sandbox;
use crate::sandboxes::Sandboxes;

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

/// As what a difference is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// To be read: a binary file is named.
    Text,
    /// To be applied: with the content of binary files, and whole names of objects.
    Patch,
    /// Which files, and how much in each, for so many columns.
    Stat(u16),
    /// Which files.
    Names,
}

/// A difference as text: pieces, as git writes them.
pub struct Text {
    pieces: Receiver<Result<Bytes>>,
    writing: JoinHandle<()>,
}

impl Stream for Text {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.pieces.poll_recv(context)
    }
}

impl Text {
    /// Reads no more, and returns once what was made for it is removed.
    pub async fn end(self) {
        drop(self.pieces);
        // One that panicked has ended as well.
        let _ = self.writing.await;
    }
}

/// What changed. It is to be ended: something is made inside for it.
pub struct Diff {
    place: GitPlace,
    wip: Wip,
    base: Base,
    from: String,
}

/// What is compared with.
struct Base {
    since: Option<String>,
    note: Option<&'static str>,
}

impl Sandboxes {
    /// What changed in a sandbox's repository, of one that runs and of one that does not.
    ///
    /// # Errors
    /// [`Kind::NotFound`] without such a sandbox, [`Kind::Conflict`] where it has no repository or it cannot be looked at,
    /// [`Kind::Repository`] where its git cannot tell; those of the engine.
    pub async fn diff(&self, name: &str) -> Result<Diff> {
        let sandbox = Sandbox::find_made(self, name).await?;
        let directory = format!("{WORKSPACE}/{}", sandbox.repository()?.name);
        let began = Beginning::of(self, &sandbox).await;
        let place = GitPlace::of(self, &sandbox, &directory).await?;
        let wip = match Wip::of(&place.inside, name, Left::Ignored).await {
            Ok(wip) => wip,
            Err(error) => {
                place.end().await;
                return Err(error);
            }
        };
        match compared(&wip, began).await {
            Ok((base, from)) => Ok(Diff {
                place,
                wip,
                base,
                from,
            }),
            Err(error) => {
                wip.end().await;
                place.end().await;
                Err(error)
            }
        }
    }
}

impl Diff {
    /// The commit or the tree that the sandbox began with, where it is known; else it is compared with what is checked
    /// out.
    pub fn since(&self) -> Option<&str> {
        self.base.since.as_deref()
    }

    /// What is to be known of what is compared with.
    pub fn note(&self) -> Option<&'static str> {
        self.base.note
    }

    /// The files that differ, of all or of these paths, as git reads them.
    ///
    /// # Errors
    /// [`Kind::Repository`] where git cannot tell, or says something else.
    pub async fn files(&self, paths: &[String]) -> Result<Vec<Change>> {
        changes::between(&self.wip.inside, &self.from, self.wip.tree.as_str(), paths).await
    }

    /// The difference as text, coloured where `is_coloured`. It is ended once the text is read or let go.
    ///
    /// # Errors
    /// [`Kind::Repository`] where git cannot be asked; while it comes, where git ends with a failure.
    pub async fn text(self, form: Form, is_coloured: bool, paths: &[String]) -> Result<Text> {
        let mut arguments: Vec<String> = DIFF.map(str::to_owned).to_vec();
        let colour = if is_coloured { "always" } else { "never" };
        arguments.push(format!("--color={colour}"));
        match form {
            Form::Text => {}
            Form::Patch => arguments.extend(["--binary", "--full-index"].map(str::to_owned)),
            Form::Stat(columns) => arguments.push(format!("--stat={columns}")),
            Form::Names => arguments.push("--name-only".to_owned()),
        }
        arguments.extend([self.from.clone(), self.wip.tree.as_str().to_owned()]);
        arguments.push("--".to_owned());
        arguments.extend(paths.iter().cloned());
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let mut pieces = match self.wip.inside.stream(&arguments, Vec::new()).await {
            Ok(pieces) => pieces,
            Err(error) => {
                self.end().await;
                return Err(error);
            }
        };
        let (sender, receiver) = tokio::sync::mpsc::channel(8);
        // What was made inside goes also where whoever reads goes first.
        let writing = tokio::spawn(async move {
            let read = async {
                while let Some(piece) = pieces.next().await {
                    let told = match piece {
                        Ok(Piece::Data(bytes)) => Ok(bytes),
                        Ok(Piece::End(told)) if told.code != 0 => {
                            Err(untold(&told.stderr, told.code))
                        }
                        Ok(Piece::End(_)) => continue,
                        Err(error) => Err(error),
                    };
                    if sender.send(told).await.is_err() {
                        break;
                    }
                }
            };
            tokio::select! {
                () = read => {}
                () = sender.closed() => {}
            }
            drop(pieces);
            self.end().await;
        });
        Ok(Text {
            pieces: receiver,
            writing,
        })
    }

    /// Removes what was made for it.
    pub async fn end(self) {
        self.wip.end().await;
        self.place.end().await;
    }
}

/// What is compared with, and the object's name.
async fn compared(wip: &Wip, began: Option<Beginning>) -> Result<(Base, String)> {
    let base = base(wip, began).await?;
    let from = match (&base.since, &wip.head) {
        (Some(since), _) => since.clone(),
        (None, Some(head)) => head.as_str().to_owned(),
        (None, None) => empty_tree(&wip.inside).await?,
    };
    Ok((base, from))
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

/// The error for a git that cannot tell.
fn untold(said: &[u8], code: i64) -> Error {
    Error::new(
        Kind::Repository,
        "the sandbox's git cannot tell what changed",
    )
    .cause(format!("git ended with {code}: {}", shown(said)))
}
