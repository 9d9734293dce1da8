//! The repository of this machine that commits are brought into, found by the rules by which one is copied.

use std::path::{Path, PathBuf};

use amika_core::canonical::canonical;
use amika_core::label::{Repository, RepositorySource};

use super::name::{Format, Oid};
use crate::error::{Error, Kind, Result};
use amika_core::text::shell_path;
use amika_git::{GitError, Receiver};
use amika_host::machine::Machine;

/// A repository of this machine.
#[derive(Clone, Debug)]
pub struct Host {
    /// What is shown of it: its work tree, or the git directory of one without.
    pub top: PathBuf,
    /// Itself, held open.
    pub(super) repository: Receiver,
    /// How its objects are named.
    pub(super) format: Format,
    /// Whether its file system takes names that differ in case for one.
    pub(super) ignores_case: bool,
    /// The addresses of its remotes, without what signs in.
    remotes: Vec<RepositorySource>,
}

impl Host {
    /// Finds the repository that contains a directory.
    ///
    /// # Errors
    /// [`Kind::Repository`] when there is none, one that cannot be written to from here, or one whose parts
    /// belong to another.
    pub fn find(machine: &Machine, start: &Path) -> Result<Self> {
        let repository = Receiver::find(machine, start).map_err(refused)?;
        let top = repository.root().to_owned();
        if repository
            .has_table()
            .map_err(|error| unreadable(&top, &error))?
        {
            return Err(reftable(&top));
        }
        Ok(Self {
            format: if repository.is_sha256() {
                Format::Sha256
            } else {
                Format::Sha1
            },
            ignores_case: repository.ignores_case(),
            remotes: repository.remotes().map(RepositorySource::from).collect(),
            top,
            repository,
        })
    }

    /// The repository that a sandbox's commits belong into: the one that is named; else the one around `here`, where the
    /// sandbox was made from it or a clone of its URL is there; else the one at the path that its record names, where that
    /// is `believed`.
    ///
    /// # Errors
    /// As [`Host::find`] and [`Host::must_be_of`].
    pub fn of(
        machine: &Machine,
        named: Option<&Path>,
        sandbox: &str,
        repository: &Repository,
        believed: bool,
    ) -> Result<Self> {
        let at = |path: &Path| {
            let host = Self::find(machine, path)?;
            host.must_be_of(sandbox, repository)?;
            Ok::<_, Error>(host)
        };
        if let Some(named) = named {
            return at(named);
        }
        let not_here = match at(machine.directory().unwrap_or(Path::new("."))) {
            Ok(host) => return Ok(host),
            Err(error) => error,
        };
        match &repository.source {
            Some(source) if believed && source.as_str().starts_with('/') => {
                at(Path::new(source.as_str()))
            }
            _ => Err(not_here),
        }
    }

    /// Where archives can be kept that belong to it: its git directory.
    pub fn archives(&self) -> PathBuf {
        self.repository.place()
    }

    /// The name of an object, where it is one of this repository's kind.
    pub fn oid(&self, text: &str) -> Option<Oid> {
        Oid::read(text.as_bytes(), self.format)
    }

    /// Refuses a repository that a sandbox's is not a copy of.
    ///
    /// # Errors
    /// [`Kind::Conflict`], with what to do.
    pub fn must_be_of(&self, sandbox: &str, repository: &Repository) -> Result<()> {
        let Some(source) = &repository.source else {
            return Ok(());
        };
        // A clone of a repository at a path is another one; of one at a URL there are clones alone.
        let is_clone =
            !source.as_str().starts_with('/') && self.remotes.iter().any(|it| is_same(it, source));
        if self.is_at(source) || is_clone {
            return Ok(());
        }
        let error = Error::new(
            Kind::Conflict,
            format!(
                "sandbox \"{sandbox}\" was not made from {}",
                self.top.display()
            ),
        )
        .cause(format!(
            "it was made from {}",
            source.as_str().escape_debug()
        ));
        Err(if source.as_str().contains("://") {
            error.hint("call it in a clone of that, or name one with `--into DIR`")
        } else {
            error.hint("call it there, or name that directory with `--into DIR`")
        })
    }

    /// Whether it is the repository at a path; also by another of its work trees.
    fn is_at(&self, source: &RepositorySource) -> bool {
        let path = Path::new(source.as_str());
        if !path.is_absolute() {
            return false;
        }
        let Ok(path) = path.canonicalize() else {
            return false;
        };
        path == self.top || self.repository.is_at(&path)
    }
}

/// What is wrong with a repository, with what to do where that is another thing than for a copy.
pub(super) fn refused(error: GitError) -> Error {
    let hint = match &error {
        GitError::NotARepository { .. } => Some(
            "call it in the repository that the sandbox was made from, or name that with `--into DIR`"
                .to_owned(),
        ),
        GitError::Foreign { place, .. } => Some(format!(
            "nothing was written; to pull into that repository name it itself: `--into {}`; a work tree that was moved is made known with `git worktree repair`, another with `git config core.worktree` there",
            shell_path(&place.to_string_lossy())
        )),
        _ => None,
    };
    let mut error = Error::from(error);
    if let Some(hint) = hint {
        error.hints = vec![hint];
    }
    error
}

fn unreadable(path: &Path, error: &std::io::Error) -> Error {
    Error::new(
        Kind::Repository,
        format!("{} cannot be read", path.display()),
    )
    .caused_by(error)
}

fn reftable(top: &Path) -> Error {
    Error::new(
        Kind::Repository,
        format!("{} keeps its refs in tables, which amika does not write", top.display()),
    )
    .hint(
        "`amika sandbox exec NAME -- git bundle create - --branches >new.bundle`, then `git fetch new.bundle` with the branches that you want",
    )
}
/// Whether two addresses are those of one repository, whatever way they are written.
fn is_same(one: &RepositorySource, other: &RepositorySource) -> bool {
    let name = |it: &RepositorySource| canonical(it.as_str()).ok();
    one == other || name(one).is_some_and(|name_of_one| name(other) == Some(name_of_one))
}
