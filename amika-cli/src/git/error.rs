//! What can go wrong between a repository and its sandbox, and what to do about it.

use std::io::ErrorKind;
use std::path::PathBuf;

use super::generated::shown;
use crate::error::{CommandError, ExitCode};
use crate::output::{shell_path, shell_quote};

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
        move |source| match source.kind() {
            // Nothing is written but temporary files.
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Self::no_space(),
            _ => Self::Io {
                action,
                path,
                source,
            },
        }
    }

    /// For what could not be written.
    pub(super) fn no_space() -> Self {
        Self::NoSpace {
            path: std::env::temp_dir(),
        }
    }

    /// The error of a repository whose configuration cannot be read: what stands in the file's place is
    /// the user's to mend.
    pub fn of_configuration(self) -> CommandError {
        let hint = match &self {
            Self::Outside { .. } => {
                "put the file itself, or a link within the repository, in its place"
            }
            Self::TooLarge { .. } => "nobody writes so much by hand: what is meant to be there?",
            _ => return self.into(),
        };
        CommandError::new(ExitCode::Usage, self.to_string()).hint(hint)
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
            Self::NoSuchPath { path } => amika_host::path::hint(path).unwrap_or_else(|| {
                "name a directory of the repository, or a URL such as `https://example.com/repo.git`".into()
            }),
            Self::NotARepository { path } => format!(
                "make it one with `git init {}`, or leave --git away and use --mount",
                shell_path(&path.to_string_lossy())
            ),
            Self::DubiousOwnership { path } => format!(
                "if you trust it: `git config --global --add safe.directory {}`",
                shell_quote(&path.to_string_lossy())
            ),
            Self::NoGit(_) => "install git and try again".into(),
            Self::Held { .. } => {
                "something in the repository holds it: a FIFO in the place of a `.gitignore` or `.gitattributes`, or of a `HEAD`? (`find . -type p` lists them)".into()
            }
            Self::Waits { .. } => "remove it, or put a regular file in its place".into(),
            Self::Lie { .. } => "`git fsck --full` says what else is broken".into(),
            Self::TooManyPacks { .. } => "`git gc`, or `git repack -a -d`, makes one of them".into(),
            Self::Foreign { place, .. } => format!(
                "to copy that repository name it itself: `--git {}`; a work tree that was moved is made known with `git worktree repair`, another with `git config core.worktree` there",
                shell_path(&place.to_string_lossy())
            ),
            Self::NoSuchBranch { name, at_url, near } => match &near[..] {
                [] => no_near_name(name, *at_url),
                [one] => format!("did you mean `--branch {}`?", shell_quote(one)),
                several => format!("near names: {}", several.join(", ")),
            },
            Self::AmbiguousBranch { name, remotes } => format!(
                "choose one on the host: `git branch {0} {1}/{0}`",
                shell_quote(name),
                shell_quote(remotes.first().map_or("origin", String::as_str))
            ),
            Self::BranchExists { same: false, .. } => {
                "choose another name: a branch cannot be a directory of others as well".into()
            }
            Self::BranchExists { name, .. } => {
                format!("use it with `--branch {}`, or choose another name", shell_quote(name))
            }
            Self::NoWorkTree { .. } => "leave --no-clean away".into(),
            Self::NotCheckedOut { branch, .. } => format!(
                "leave --no-clean away, or check it out first: `git switch {}`",
                shell_quote(branch)
            ),
            Self::MissingObject { root, .. } => format!(
                "in a partial clone, fetch what is missing first: `git -C {} archive HEAD >/dev/null`; else `git fsck` says what is broken",
                shell_quote(&root.to_string_lossy())
            ),
            Self::Changed { .. } => "try again when nothing writes to the repository".into(),
            Self::Clone { .. } => {
                "amika clones with your own git credentials: `git ls-remote URL` shows whether they work".into()
            }
            Self::NoSpace { .. } => {
                "make room there, or set TMPDIR to a directory that has some".into()
            }
            Self::Failed { stderr, .. } if stderr.contains("index file") => {
                "the index is damaged: leave --no-clean away, or make it anew from HEAD with `rm .git/index && git reset`".into()
            }
            Self::NotUnderstood { place, .. } if place.ends_with("index") => {
                "leave --no-clean away, or make it anew from HEAD with `rm .git/index && git reset`".into()
            }
            Self::Failed { .. }
            | Self::NotUnderstood { .. }
            | Self::BadPath { .. }
            | Self::TooManyFiles { .. }
            | Self::BadBranchName { .. }
            | Self::Io { .. }
            | Self::Outside { .. }
            | Self::TooLarge { .. }
            | Self::Output { .. } => return None,
        })
    }
}

fn no_near_name(name: &str, at_url: bool) -> String {
    let look = if at_url {
        "`git ls-remote --heads URL` lists them"
    } else {
        "`git fetch` brings what the remotes have"
    };
    format!("{look}; `--new-branch {}` makes it", shell_quote(name))
}

impl From<GitError> for CommandError {
    fn from(error: GitError) -> Self {
        let mut command = Self::new(error.code(), error.to_string());
        if let Some(source) = std::error::Error::source(&error) {
            command = command.caused_by(source);
        }
        if let GitError::Clone { causes, .. } = &error {
            for cause in causes {
                command = command.because(cause);
            }
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
    fn branch_hints_fit_what_there_is() {
        let hint = |error: GitError| CommandError::from(error).hints.join("; ");
        let missing = |at_url, near: &[&str]| GitError::NoSuchBranch {
            name: "x".into(),
            at_url,
            near: near.iter().map(|&name| name.to_owned()).collect(),
        };
        assert_eq!(
            hint(missing(true, &[])),
            "`git ls-remote --heads URL` lists them; `--new-branch x` makes it"
        );
        assert!(hint(missing(false, &[])).contains("git fetch"));
        assert_eq!(
            hint(missing(false, &["main"])),
            "did you mean `--branch main`?"
        );
        assert_eq!(hint(missing(false, &["a", "b"])), "near names: a, b");
        let exists = |same| GitError::BranchExists {
            name: "a".into(),
            existing: "branch \"a/b\"".into(),
            same,
        };
        assert!(hint(exists(true)).contains("--branch a"));
        assert!(!hint(exists(false)).contains("--branch"));
    }

    #[test]
    fn a_full_disk_is_that_of_the_temporary_directory() {
        let full = std::io::Error::from(ErrorKind::StorageFull);
        let shown = CommandError::from(GitError::io("read", "/repo/.git/index")(full));
        let place = std::env::temp_dir();
        assert_eq!(
            shown.message,
            format!("the temporary directory {} is full", place.display())
        );
        assert!(shown.hints[0].contains("TMPDIR"), "{shown:?}");
    }

    #[test]
    fn wrong_flags_are_usage_and_a_wrong_repository_is_not() {
        let usage = GitError::NoWorkTree { what: "a URL" };
        assert_eq!(CommandError::from(usage).code, ExitCode::Usage);
        let repository = GitError::NotARepository { path: "/x".into() };
        assert_eq!(CommandError::from(repository).code, ExitCode::Repository);
    }
}
