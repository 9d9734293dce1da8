//! What a repository that cannot be read or copied is to an operation, and what to do about it.

use amika_core::text::{shell_path, shell_quote};
use amika_core::untrusted::Untrusted;
use amika_git::GitError;

use crate::error::{Error, Kind};

/// Characters of a message, at most: git's own words are in some.
const MESSAGE: usize = 8_000;

/// The error of a repository whose configuration cannot be read: what stands in the file's place is
/// the user's to mend.
pub fn of_configuration(error: GitError) -> Error {
    let hint = match &error {
        GitError::Outside { .. } => {
            "put the file itself, or a link within the repository, in its place"
        }
        GitError::TooLarge { .. } => "nobody writes so much by hand: what is meant to be there?",
        _ => return error.into(),
    };
    Error::new(Kind::Invalid, error.to_string()).hint(hint)
}

fn kind(error: &GitError) -> Kind {
    match error {
        GitError::BadBranchName { .. }
        | GitError::NoWorkTree { .. }
        | GitError::NotCheckedOut { .. }
        | GitError::BranchExists { .. } => Kind::Invalid,
        _ => Kind::Repository,
    }
}

fn hint(error: &GitError) -> Option<String> {
    Some(match error {
        GitError::NoSuchPath { path } => amika_host::path::hint(path).unwrap_or_else(|| {
            "name a directory of the repository, or a URL such as `https://example.com/repo.git`".into()
        }),
        GitError::NotARepository { path } => format!(
            "make it one with `git init {}`, or leave --git away and use --mount",
            shell_path(&path.to_string_lossy())
        ),
        GitError::DubiousOwnership { path } => format!(
            "if you trust it: `git config --global --add safe.directory {}`",
            shell_quote(&path.to_string_lossy())
        ),
        GitError::NoGit(_) => "install git and try again".into(),
        GitError::Held { .. } => {
            "something in the repository holds it: a FIFO in the place of a `.gitignore` or `.gitattributes`, or of a `HEAD`? (`find . -type p` lists them)".into()
        }
        GitError::Waits { .. } => "remove it, or put a regular file in its place".into(),
        GitError::Lie { .. } => "`git fsck --full` says what else is broken".into(),
        GitError::TooManyPacks { .. } => "`git gc`, or `git repack -a -d`, makes one of them".into(),
        GitError::Foreign { place, .. } => format!(
            "to copy that repository name it itself: `--git {}`; a work tree that was moved is made known with `git worktree repair`, another with `git config core.worktree` there",
            shell_path(&place.to_string_lossy())
        ),
        GitError::NoSuchBranch { name, at_url, near } => match &near[..] {
            [] => no_near_name(name, *at_url),
            [one] => format!("did you mean `--branch {}`?", shell_quote(one)),
            several => format!("near names: {}", several.join(", ")),
        },
        GitError::AmbiguousBranch { name, remotes } => format!(
            "choose one on the host: `git branch {0} {1}/{0}`",
            shell_quote(name),
            shell_quote(remotes.first().map_or("origin", String::as_str))
        ),
        GitError::BranchExists { same: false, .. } => {
            "choose another name: a branch cannot be a directory of others as well".into()
        }
        GitError::BranchExists { name, .. } => {
            format!("use it with `--branch {}`, or choose another name", shell_quote(name))
        }
        GitError::NoWorkTree { .. } => "leave --no-clean away".into(),
        GitError::NotCheckedOut { branch, .. } => format!(
            "leave --no-clean away, or check it out first: `git switch {}`",
            shell_quote(branch)
        ),
        GitError::MissingObject { root, .. } => format!(
            "in a partial clone, fetch what is missing first: `git -C {} archive HEAD >/dev/null`; else `git fsck` says what is broken",
            shell_quote(&root.to_string_lossy())
        ),
        GitError::Changed { .. } => "try again when nothing writes to the repository".into(),
        GitError::Clone { .. } => {
            "amika clones with your own git credentials: `git ls-remote URL` shows whether they work".into()
        }
        GitError::NoTemporary { .. } => {
            "set TMPDIR to a directory that is there and that you may write to".into()
        }
        GitError::NoSpace { .. } => {
            "make room there, or set TMPDIR to a directory that has some".into()
        }
        GitError::Failed { stderr, .. } if stderr.contains("index file") => {
            "the index is damaged: leave --no-clean away, or make it anew from HEAD with `rm .git/index && git reset`".into()
        }
        GitError::NotUnderstood { place, .. } if place.ends_with("index") => {
            "leave --no-clean away, or make it anew from HEAD with `rm .git/index && git reset`".into()
        }
        GitError::Failed { .. }
        | GitError::NotUnderstood { .. }
        | GitError::BadPath { .. }
        | GitError::TooManyFiles { .. }
        | GitError::BadBranchName { .. }
        | GitError::Io { .. }
        | GitError::Outside { .. }
        | GitError::TooLarge { .. }
        | GitError::Output { .. } => return None,
    })
}

fn no_near_name(name: &str, at_url: bool) -> String {
    let look = if at_url {
        "`git ls-remote --heads URL` lists them"
    } else {
        "`git fetch` brings what the remotes have"
    };
    format!("{look}; `--new-branch {}` makes it", shell_quote(name))
}

impl From<GitError> for Error {
    fn from(error: GitError) -> Self {
        // Names of a repository are in it: it stays one line, whatever they are.
        let message = Untrusted::new(&error.to_string())
            .within(MESSAGE)
            .to_string();
        let mut command = Self::new(kind(&error), message);
        if let Some(source) = std::error::Error::source(&error) {
            command = command.caused_by(source);
        }
        if let GitError::Clone { causes, .. } = &error {
            for cause in causes {
                command = command.because(cause);
            }
        }
        match hint(&error) {
            Some(hint) => command.hint(hint),
            None => command,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_can_be_pasted_whatever_the_path() {
        let error = GitError::DubiousOwnership {
            path: "/home/o'neil/my repo".into(),
        };
        let shown = Error::from(error);
        assert_eq!(shown.kind, Kind::Repository);
        assert_eq!(
            shown.hints,
            [
                r"if you trust it: `git config --global --add safe.directory '/home/o'\''neil/my repo'`"
            ]
        );
    }

    #[test]
    fn branch_hints_fit_what_there_is() {
        let hint = |error: GitError| Error::from(error).hints.join("; ");
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
    fn a_full_disk_is_made_room_on_where_it_is() {
        let shown = Error::from(GitError::NoSpace {
            path: "/tmp".into(),
        });
        assert!(shown.message.contains("/tmp"), "{shown:?}");
        assert!(shown.hints[0].contains("TMPDIR"), "{shown:?}");
    }

    #[test]
    fn wrong_flags_are_usage_and_a_wrong_repository_is_not() {
        let usage = GitError::NoWorkTree { what: "a URL" };
        assert_eq!(Error::from(usage).kind, Kind::Invalid);
        let repository = GitError::NotARepository { path: "/x".into() };
        assert_eq!(Error::from(repository).kind, Kind::Repository);
    }
}
