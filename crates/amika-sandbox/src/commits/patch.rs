//! What a sandbox has more than the repository, as text: nothing comes into the repository for it.

use std::path::Path;

use super::host::Host;
use super::name::Oid;
use super::receive::{self, Received};
use super::refs::Existing;
use super::{Bounds, PACK, Source, Tip};
use crate::error::{Error, Kind, Result};

/// What is written.
#[derive(Clone, Debug)]
pub enum Patch {
    /// Commits, each a mail, as `git am` reads them.
    Mailbox {
        /// The commit that they begin behind; all where there is none.
        since: Option<Oid>,
        /// The last of them.
        tip: Oid,
    },
    /// All in one, as `git apply` reads it.
    Plain {
        /// The commit that it begins at; an empty tree where there is none.
        since: Option<Oid>,
        /// What it leads to.
        tip: Oid,
    },
}

/// Writes a patch into a file, which is there whole or not at all.
///
/// # Errors
/// As for a pull; [`Kind::Failure`] where the file cannot be written.
pub async fn write<S: Source>(
    host: &Host,
    source: &S,
    sandbox: &str,
    patch: &Patch,
    file: &Path,
    bounds: Bounds,
) -> Result<()> {
    let before = Existing::read(host, &super::directory(sandbox))?;
    let (Patch::Mailbox { tip, .. } | Patch::Plain { tip, .. }) = patch;
    let wanted = [Tip {
        what: "what the patch leads to".to_owned(),
        commit: tip.clone(),
    }];
    let received = receive::receive(host, source, &before, &wanted, bounds).await?;
    let unwritten = |error: std::io::Error| {
        Error::new(
            Kind::Failure,
            format!("{} cannot be written", file.display()),
        )
        .caused_by(&error)
    };
    let directory = file.parent().filter(|at| !at.as_os_str().is_empty());
    let temporary = tempfile::NamedTempFile::new_in(directory.unwrap_or(Path::new(".")));
    let temporary = temporary.map_err(unwritten)?;
    let output = temporary.reopen().map_err(unwritten)?;
    received.patch(patch, output).await?;
    temporary
        .persist(file)
        .map_err(|error| unwritten(error.error))?;
    Ok(())
}

impl Received {
    /// Writes a patch of what came and what the repository has.
    pub(super) async fn patch(&self, patch: &Patch, output: std::fs::File) -> Result<()> {
        const PLAIN: [&str; 4] = ["--no-ext-diff", "--no-textconv", "--no-color", "--binary"];
        let mut arguments = Vec::new();
        let (range, empty);
        match patch {
            Patch::Mailbox { since, tip } => {
                arguments.extend(["format-patch", "--stdout", "--full-index"]);
                arguments.extend(PLAIN);
                match since {
                    Some(since) => {
                        range = format!("{}..{}", since.as_str(), tip.as_str());
                        arguments.push(&range);
                    }
                    None => arguments.extend(["--root", tip.as_str()]),
                }
            }
            Patch::Plain { since, tip } => {
                arguments.extend([
                    "diff-tree",
                    "-r",
                    "-p",
                    "--full-index",
                    "--src-prefix=a/",
                    "--dst-prefix=b/",
                ]);
                arguments.extend(PLAIN);
                if let Some(since) = since {
                    arguments.push(since.as_str());
                } else {
                    empty = self.empty_tree().await?;
                    arguments.push(&empty);
                }
                arguments.push(tip.as_str());
            }
        }
        self.scratch
            .run_into(&arguments, Vec::new(), output, PACK)
            .await
    }

    /// The name of the tree without anything, which git knows without having it.
    pub(super) async fn empty_tree(&self) -> Result<String> {
        let arguments = ["hash-object", "-t", "tree", "--stdin"];
        let output = self.scratch.run(&arguments, Vec::new(), PACK).await?;
        if !output.status.success() {
            return Err(super::scratch::failed("git knows no empty tree", &output));
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }
}
