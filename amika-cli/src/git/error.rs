//! What can go wrong between a repository and its sandbox, and what to do about it.

use std::path::PathBuf;

use crate::error::{CommandError, ExitCode};

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
    #[error("there is no branch \"{name}\" in this repository or on a remote that it knows")]
    NoSuchBranch {
        /// The name.
        name: String,
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

    fn code(&self) -> ExitCode {
        match self {
            Self::BadBranchName { .. }
            | Self::NoWorkTree { .. }
            | Self::NotCheckedOut { .. }
            | Self::BranchExists { .. } => ExitCode::Usage,
            _ => ExitCode::Repository,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NoSuchPath { .. } => {
                "name a directory of the repository, or a URL such as `https://example.com/repo.git`".into()
            }
            Self::NotARepository { path } => format!(
                "make it one with `git init {}`, or leave --git away and use --mount",
                shell_word(&path.to_string_lossy())
            ),
            Self::DubiousOwnership { path } => format!(
                "if you trust it: `git config --global --add safe.directory {}`",
                shell_word(&path.to_string_lossy())
            ),
            Self::NoGit(_) => "install git and try again".into(),
            Self::NoSuchBranch { near, .. } if !near.is_empty() => {
                format!("near names: {}", near.join(", "))
            }
            Self::NoSuchBranch { name, .. } => format!(
                "`git fetch` brings what the remotes have; `--new-branch {}` makes it",
                shell_word(name)
            ),
            Self::AmbiguousBranch { name, remotes } => format!(
                "choose one on the host: `git branch {0} {1}/{0}`",
                shell_word(name),
                remotes.first().map_or("origin", String::as_str)
            ),
            Self::BranchExists { name, .. } => {
                format!("use it with `--branch {}`, or choose another name", shell_word(name))
            }
            Self::NoWorkTree { .. } => "leave --no-clean away".into(),
            Self::NotCheckedOut { branch, .. } => format!(
                "leave --no-clean away, or check it out first: `git switch {}`",
                shell_word(branch)
            ),
            Self::MissingObject { root, .. } => format!(
                "in a partial clone, fetch what is missing first: `git -C {} archive HEAD >/dev/null`; else `git fsck` says what is broken",
                shell_word(&root.to_string_lossy())
            ),
            Self::Changed { .. } => "try again when nothing writes to the repository".into(),
            Self::Clone { .. } => {
                "amika clones with your own git credentials: `git ls-remote URL` shows whether they work".into()
            }
            Self::Failed { .. }
            | Self::BadBranchName { .. }
            | Self::Io { .. }
            | Self::Outside { .. }
            | Self::TooLarge { .. }
            | Self::Output { .. } => return None,
        })
    }
}

/// A word quoted for a shell where it needs it.
fn shell_word(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@:,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

impl From<GitError> for CommandError {
    fn from(error: GitError) -> Self {
        let mut command = Self::new(error.code(), error.to_string());
        if let Some(source) = std::error::Error::source(&error) {
            command = command.caused_by(source);
        }
        match error.hint() {
            Some(hint) => command.hint(hint),
            None => command,
        }
    }
}

impl From<GitError> for std::io::Error {
    fn from(error: GitError) -> Self {
        Self::other(error)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn a_hint_can_be_pasted_whatever_the_path() {
        let error = GitError::DubiousOwnership {
            path: "/home/o'neil/my repo".into(),
        };
        let shown = CommandError::from(error);
        assert_eq!(shown.code, ExitCode::Repository);
        assert_eq!(
            shown.hints,
            [
                r"if you trust it: `git config --global --add safe.directory '/home/o'\''neil/my repo'`"
            ]
        );
    }

    #[test]
    fn wrong_flags_are_usage_and_a_wrong_repository_is_not() {
        let usage = GitError::NoWorkTree { what: "a URL" };
        assert_eq!(CommandError::from(usage).code, ExitCode::Usage);
        let repository = GitError::NotARepository { path: "/x".into() };
        assert_eq!(CommandError::from(repository).code, ExitCode::Repository);
    }
}
