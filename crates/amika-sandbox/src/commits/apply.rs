//! Laying what is not committed in a sandbox on the work tree here: all of it, or nothing.

use std::path::PathBuf;
use std::process::Stdio;

use super::host::Host;
use super::name::Oid;
use super::patch::Patch;
use super::receive::Received;
use super::{Tip, scratch};
use crate::error::{Error, Kind, Result};

/// What is laid on the work tree.
#[derive(Clone, Debug)]
pub struct Difference {
    /// The commit that it begins at; an empty tree where there is none.
    pub from: Option<Oid>,
    /// The commit with what is not committed.
    pub to: Oid,
}

impl Difference {
    /// The commit that has to come.
    pub(super) fn tip(&self) -> Tip {
        Tip {
            what: "what is not committed".to_owned(),
            commit: self.to.clone(),
        }
    }
}

/// A difference that fits.
pub(super) struct Fitting {
    /// Git, on the work tree, with nothing but our own configuration.
    command: tokio::process::Command,
    place: PathBuf,
}

impl Received {
    /// Looks whether a difference fits the work tree as it is.
    ///
    /// # Errors
    /// [`Kind::Conflict`] where it does not, with what is in the way; there is no work tree.
    pub(super) async fn fitting(&self, host: &Host, difference: &Difference) -> Result<Fitting> {
        let Some(tree) = host.repository.work_tree() else {
            return Err(Error::new(
                Kind::Conflict,
                format!("{} has no work tree", host.top.display()),
            )
            .hint("`--into` names one; `--wip` takes it as a commit"));
        };
        let made = self.scratch.file("difference");
        let (written, file) = made.map_err(|error| {
            Error::new(Kind::Failure, "the difference cannot be written").caused_by(&error)
        })?;
        let patch = Patch::Plain {
            since: difference.from.clone(),
            tip: difference.to.clone(),
        };
        self.patch(&patch, file).await?;
        let command = |arguments: &[&str]| {
            let mut all = vec!["-c", "core.protectHFS=true", "-c", "core.protectNTFS=true"];
            // Where nothing differs but a mode, there is nothing in it that git calls a patch.
            all.extend(["apply", "--whitespace=nowarn", "--allow-empty"]);
            all.extend(arguments);
            let mut command = self.scratch.command(&all);
            command
                .arg(&written)
                .env("GIT_DIR", self.scratch.git_directory())
                .env("GIT_WORK_TREE", tree)
                .current_dir(tree)
                .stdin(Stdio::null());
            command
        };
        let unrun = |error: std::io::Error| {
            Error::new(Kind::Repository, "git cannot be run").caused_by(&error)
        };
        let output = command(&["--check"]).output().await.map_err(unrun)?;
        if !output.status.success() {
            let what = format!(
                "what is not committed in the sandbox does not fit {}",
                tree.display()
            );
            let mut error = scratch::failed(&what, &output);
            error.kind = Kind::Conflict;
            return Err(error
                .hint("nothing was changed; `--wip` takes it as a commit, which can be merged"));
        }
        Ok(Fitting {
            command: command(&[]),
            place: tree.to_owned(),
        })
    }
}

impl Fitting {
    /// Lays it on. Git looks at all of it before it writes the first file; once begun, it is not broken off.
    ///
    /// # Errors
    /// When it does not fit any more, or a file cannot be written.
    pub(super) async fn lay(mut self) -> Result<()> {
        let output = self.command.output().await;
        let output = output
            .map_err(|error| Error::new(Kind::Repository, "git cannot be run").caused_by(&error))?;
        if output.status.success() {
            return Ok(());
        }
        let what = format!("{} could not be changed", self.place.display());
        Err(scratch::failed(&what, &output))
    }
}
