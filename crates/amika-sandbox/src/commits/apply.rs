//! Laying what is not committed in a sandbox on the work tree here: all of it, or nothing.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use super::host::Host;
use super::laid::{self, Entry};
use super::name::Oid;
use super::patch::Patch;
use super::receive::Received;
use super::{PACK, Tip, scratch, shown};
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
    /// What in it direnv, editors or agents of this machine act on.
    pub acted_on: Vec<PathBuf>,
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
        let acted_on = self.harmless(tree, difference).await?;
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
        let output = ended(&mut command(&["--check"])).await?;
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
            acted_on,
        })
    }

    /// Refuses a difference of which git here, or another program, would act on something by itself; what is left to be told
    /// of it.
    async fn harmless(&self, tree: &Path, difference: &Difference) -> Result<Vec<PathBuf>> {
        let entries = self.entries(difference).await?;
        let links: Vec<&Oid> = entries.iter().filter_map(|it| it.link.as_ref()).collect();
        let targets = self.contents(&links).await?;
        let kind = |path: &Path| {
            let found = std::fs::symlink_metadata(tree.join(path));
            found.ok().map(|found| found.file_type())
        };
        match laid::refused(&entries, &targets, &kind) {
            None => Ok(laid::acted_on(&entries)),
            Some(why) => Err(Error::new(
                Kind::Conflict,
                format!("what is not committed is not laid on {}", tree.display()),
            )
            .cause(why)
            .hint("nothing was changed; `amika sandbox diff NAME` shows it, and `--wip` takes it as a commit")),
        }
    }

    /// What is there afterwards.
    async fn entries(&self, difference: &Difference) -> Result<Vec<Entry>> {
        let from = match &difference.from {
            Some(from) => from.as_str().to_owned(),
            None => self.empty_tree().await?,
        };
        let arguments = [
            "diff-tree",
            "-r",
            "-z",
            "--raw",
            "--no-renames",
            "--no-abbrev",
            &from,
            difference.to.as_str(),
        ];
        let output = self.scratch.run(&arguments, Vec::new(), PACK).await?;
        let found = output
            .status
            .success()
            .then(|| laid::entries(&output.stdout));
        let unread = || scratch::failed("git cannot tell what differs", &output);
        found.flatten().ok_or_else(unread)
    }

    /// The contents of small objects.
    async fn contents(&self, wanted: &[&Oid]) -> Result<BTreeMap<Oid, Vec<u8>>> {
        let mut found = BTreeMap::new();
        if wanted.is_empty() {
            return Ok(found);
        }
        let names: Vec<&str> = wanted.iter().map(|oid| oid.as_str()).collect();
        let input = format!("{}\n", names.join("\n")).into_bytes();
        let output = self
            .scratch
            .run(&["cat-file", "--batch"], input, PACK)
            .await?;
        let unread = || scratch::failed("git cannot tell where links lead", &output);
        let mut rest = output.stdout.as_slice();
        for oid in wanted {
            let end = rest
                .iter()
                .position(|byte| *byte == b'\n')
                .ok_or_else(unread)?;
            let size = std::str::from_utf8(&rest[..end]).ok();
            let size = size.and_then(|head| head.rsplit(' ').next()?.parse::<usize>().ok());
            let content = size.and_then(|size| rest.get(end + 1..end + 1 + size));
            let content = content.ok_or_else(unread)?;
            found.insert((*oid).clone(), content.to_vec());
            rest = rest.get(end + 2 + content.len()..).unwrap_or_default();
        }
        Ok(found)
    }
}

/// Runs git on a work tree, whose files may be anything: it has a time, is seen where it waits for a pipe, and ends with all
/// that it started.
async fn ended(command: &mut tokio::process::Command) -> Result<Output> {
    let mut running = scratch::spawned(command, PACK)?;
    let output = running.end().await?;
    if running.was_ended() {
        let what = format!(
            "`git apply` waited for a pipe, or took longer than {} minutes, and was ended",
            PACK.as_secs() / 60
        );
        return Err(Error::new(Kind::Repository, what));
    }
    Ok(output)
}

impl Fitting {
    /// Lays it on, and tells on what of it programs of this machine act. Git looks at all of it before it writes the first
    /// file; once begun, it is not broken off.
    ///
    /// # Errors
    /// When it does not fit any more, or a file cannot be written.
    pub(super) async fn lay(mut self) -> Result<Vec<String>> {
        let place = self.place.clone();
        let told = self.acted_on.iter();
        let told = told
            .map(|path| shown(path.as_os_str().as_bytes()))
            .collect();
        // Nobody ends it, also when this program ends: half of it would be there. That nothing it reads is a pipe was
        // seen just now.
        let laid = tokio::time::timeout(PACK, self.command.output()).await;
        let output = laid
            .map_err(|_| {
                let what = "`git apply` does not end; it may have laid on a part";
                Error::new(Kind::Repository, what)
            })?
            .map_err(|error| scratch::unrun(&error))?;
        if output.status.success() {
            return Ok(told);
        }
        let what = format!("{} could not be changed", place.display());
        Err(scratch::failed(&what, &output))
    }
}
