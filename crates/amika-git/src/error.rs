//! What can go wrong between a repository and its sandbox.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use amika_core::untrusted::Untrusted;
use amika_host::temporary::Unusable;

use super::generated::shown;

/// Places with what is wrong with each.
fn shown_all(tried: &[Unusable]) -> String {
    let all = tried
        .iter()
        .map(|one| Untrusted::new(&one.to_string()).to_string());
    all.collect::<Vec<_>>().join("; ")
}

/// Why a repository could not be read, cloned or used as asked.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// `--git PATH` names nothing.
    #[error("{} does not exist", path.display())]
    NoSuchPath {
        /// The path as given, made absolute.
        path: PathBuf,
    },
    /// No repository contains the path.
    #[error("{} is not in a git repository", path.display())]
    NotARepository {
        /// Where was looked.
        path: PathBuf,
    },
    /// Git refuses a repository that another user owns (`safe.directory`).
    #[error("git does not trust the repository at {}: another user owns it", path.display())]
    DubiousOwnership {
        /// The directory that git names.
        path: PathBuf,
    },
    /// What a repository's own files say is not understood, or not allowed.
    #[error("{} is not understood: {why}", shown(place))]
    NotUnderstood {
        /// The file.
        place: PathBuf,
        /// What of it.
        why: String,
    },
    /// A git directory lies elsewhere, and does not know the work tree that names it.
    #[error(
        "the git directory {} does not belong to {}, which names it",
        shown(place),
        shown(tree)
    )]
    Foreign {
        /// The git directory.
        place: PathBuf,
        /// What names it.
        tree: PathBuf,
    },
    /// Each pack is held open, and there are too many.
    #[error("{} has {found} packs, and at most {most} can be copied", shown(place))]
    TooManyPacks {
        /// Their directory.
        place: PathBuf,
        /// How many there are.
        found: usize,
        /// How many may be.
        most: usize,
    },
    /// A path that is not one beneath a work tree.
    #[error("{of} is not understood: {why}")]
    BadPath {
        /// `the index`, `a tree`.
        of: &'static str,
        /// The path and the rule that it breaks.
        why: String,
    },
    /// An object is not what its name says.
    #[error("object {oid} cannot be used: {why}")]
    Lie {
        /// Its name.
        oid: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A tree stands for more files than anybody has.
    #[error("the tree has more than {limit} files and directories, and no more are copied")]
    TooManyFiles {
        /// How many may be.
        limit: usize,
    },
    /// A git command did not end by itself.
    #[error("`git {command}` did not answer within {seconds} s, and was ended")]
    Held {
        /// Its name.
        command: String,
        /// How long it was waited for.
        seconds: u64,
    },
    /// Git would never end, since something stands in the place of a file that it reads.
    #[error("{} is {what}, and git would wait for it", shown(place))]
    Waits {
        /// Where it is.
        place: PathBuf,
        /// `a FIFO`, `a device`.
        what: &'static str,
    },
    /// There is no `git` to run.
    #[error("git cannot be run")]
    NoGit(#[source] std::io::Error),
    /// A git command failed.
    #[error("`git {command}` failed: {stderr}")]
    Failed {
        /// Its name and arguments.
        command: String,
        /// What it said.
        stderr: String,
    },
    /// A file of the repository, or a temporary one, could not be used.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// A verb: `read`, `write`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// Git refuses the name for a branch.
    #[error("\"{name}\" is not a valid branch name")]
    BadBranchName {
        /// The name.
        name: String,
    },
    /// `--branch` names nothing that is known.
    #[error("there is no branch \"{name}\" {}", if *at_url { "at this URL" } else { "in this repository or on a remote that it knows" })]
    NoSuchBranch {
        /// The name.
        name: String,
        /// The repository is a URL's, which has no remotes and needs no fetching.
        at_url: bool,
        /// Branches with similar names, best first.
        near: Vec<String>,
    },
    /// More than one remote has the branch.
    #[error("branch \"{name}\" is on more than one remote: {}", remotes.join(", "))]
    AmbiguousBranch {
        /// The name.
        name: String,
        /// The remotes.
        remotes: Vec<String>,
    },
    /// `--new-branch` names one that is there, or one that cannot stand beside one that is.
    #[error("branch \"{name}\" cannot be made: {existing} exists")]
    BranchExists {
        /// The name.
        name: String,
        /// What is in the way.
        existing: String,
        /// It has that very name: otherwise the one would have to be a directory of the other.
        same: bool,
    },
    /// `--no-clean` needs a work tree on this machine.
    #[error("--no-clean copies a work tree, and {what} has none")]
    NoWorkTree {
        /// `a URL`, `a bare repository`.
        what: &'static str,
    },
    /// `--no-clean` copies what is checked out, which is not `--branch`.
    #[error("--no-clean copies what is checked out, and that is {head}, not \"{branch}\"")]
    NotCheckedOut {
        /// The branch that was asked for.
        branch: String,
        /// What HEAD is.
        head: String,
    },
    /// The commit needs an object that the repository does not have.
    #[error("object {oid} ({path}) is missing from {}", root.display())]
    MissingObject {
        /// The object.
        oid: String,
        /// The file it is the content of.
        path: String,
        /// The repository.
        root: PathBuf,
    },
    /// A file changed while it was copied.
    #[error("{} changed while it was being copied", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// `git clone` of a URL failed.
    #[error("{url} could not be cloned: {stderr}")]
    Clone {
        /// The URL, without secrets.
        url: String,
        /// What git said last, without secrets.
        stderr: String,
        /// What the program said that git runs for the transport, ssh above all.
        causes: Vec<String>,
    },
    /// No directory is there for what has to be kept for a moment.
    #[error("no temporary directory can be made: {}", shown_all(tried))]
    NoTemporary {
        /// Where it was tried.
        tried: Vec<Unusable>,
    },
    /// What has to be kept for a moment finds no room.
    #[error("the temporary directory {} is full", path.display())]
    NoSpace {
        /// The directory.
        path: PathBuf,
    },
    /// A path in the repository leads out of it.
    #[error("{path} leads out of the repository")]
    Outside {
        /// The path.
        path: String,
    },
    /// A file is larger than anyone would write by hand.
    #[error("{path} is larger than {limit} bytes")]
    TooLarge {
        /// The file.
        path: String,
        /// The limit.
        limit: u64,
    },
    /// Git printed what its documentation does not promise.
    #[error("unexpected output of `git {command}`: {output}")]
    Output {
        /// The command.
        command: &'static str,
        /// The part that was not understood.
        output: String,
    },
}

impl GitError {
    /// For `map_err` at a file operation.
    pub(super) fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }

    /// The error as a caller is told it: nothing is written but temporary files, so what finds no room finds
    /// none in their directory.
    #[must_use]
    pub(super) fn told(self, temporary: &Path) -> Self {
        let is_full = match &self {
            Self::Io { source, .. } => matches!(
                source.kind(),
                ErrorKind::StorageFull | ErrorKind::QuotaExceeded
            ),
            Self::Failed { stderr, .. } => is_out_of_space(stderr, temporary),
            _ => false,
        };
        if is_full {
            return Self::no_space(temporary);
        }
        self
    }

    /// For temporary directories none of which could be made.
    pub(super) fn no_temporary(tried: Vec<Unusable>) -> Self {
        let is_full = |one: &&Unusable| {
            matches!(
                one.why.kind(),
                ErrorKind::StorageFull | ErrorKind::QuotaExceeded
            )
        };
        match tried.iter().find(is_full) {
            Some(full) => Self::NoSpace {
                path: full.path.clone(),
            },
            None => Self::NoTemporary { tried },
        }
    }

    /// For what could not be written.
    pub(super) fn no_space(temporary: &Path) -> Self {
        Self::NoSpace {
            path: temporary.to_owned(),
        }
    }
}

/// Whether git failed since it could not write, which it does to temporary files only. Of an index it does
/// not say why.
pub(super) fn is_out_of_space(stderr: &str, temporary: &Path) -> bool {
    let cannot_write = stderr.contains("unable to write") || stderr.contains("write error");
    stderr.contains("No space left on device")
        || stderr.contains("Disk quota exceeded")
        || cannot_write && is_full(temporary)
}

/// Whether a file system has no room for anything that is worth a file.
fn is_full(directory: &Path) -> bool {
    const LITTLE: u64 = 1024 * 1024;
    rustix::fs::statvfs(directory)
        .is_ok_and(|found| found.f_bavail.saturating_mul(found.f_frsize) < LITTLE)
}

impl From<GitError> for std::io::Error {
    fn from(error: GitError) -> Self {
        Self::other(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_that_of_the_temporary_directory() {
        let full = std::io::Error::from(ErrorKind::StorageFull);
        let written = GitError::io("write", "/tmp/x/index")(full);
        let said = GitError::Failed {
            command: "read-tree".into(),
            stderr: "fatal: write error: No space left on device".into(),
        };
        for error in [written, said] {
            assert_eq!(
                error.told(Path::new("/tmp")).to_string(),
                "the temporary directory /tmp is full"
            );
        }
        let other = GitError::io("read", "/x")(ErrorKind::NotFound.into());
        assert_eq!(other.told(Path::new("/tmp")).to_string(), "cannot read /x");
    }
}
