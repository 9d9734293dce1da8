//! The repository of this machine, found and read as files: git is not asked, which would act on what its
//! configuration names.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use amika_core::label::{Repository, RepositorySource};

use super::name::Format;
use crate::cp::config::{self, Setting};
use crate::error::{CommandError, ExitCode, Result};
use amika_host::regular_file::{self, Links};

/// Git reads no more of a file that leads to a git directory.
const MAX_POINTER: u64 = 4096;
/// Bytes of a list of the commits at which a shallow repository ends.
const MAX_SHALLOW: u64 = 16 << 20;

/// A repository of this machine.
#[derive(Clone, Debug)]
pub struct Host {
    /// What is shown of it: its work tree, or the git directory of one without.
    pub top: PathBuf,
    /// Where its objects and refs are.
    pub(super) common: PathBuf,
    /// How its objects are named.
    pub(super) format: Format,
    /// Whether its file system takes names that differ in case for one.
    pub(super) ignores_case: bool,
    /// Where its history ends, if it is shallow.
    pub(super) shallow: Option<Vec<u8>>,
    /// The addresses of its remotes, without what signs in.
    remotes: Vec<RepositorySource>,
}

impl Host {
    /// Finds the repository that contains a directory.
    ///
    /// # Errors
    /// [`ExitCode::Repository`] when there is none, or one that cannot be written to from here.
    pub fn find(start: &Path) -> Result<Self> {
        let failed = |path: &Path, error: &dyn std::error::Error| {
            CommandError::new(
                ExitCode::Repository,
                format!("{} cannot be read", path.display()),
            )
            .caused_by(error)
        };
        let start = start
            .canonicalize()
            .map_err(|error| failed(start, &error))?;
        let (top, git) = start
            .ancestors()
            .find_map(|directory| at(directory).transpose())
            .ok_or_else(|| {
                CommandError::new(
                    ExitCode::Repository,
                    format!("{} is not in a git repository", start.display()),
                )
                .hint("call it in the repository that the sandbox was made from, or name that with `--repo DIR`")
            })?
            .map_err(|error| failed(&start, &error))?;
        let common = common(&git).map_err(|error| failed(&git, &error))?;
        let settings = settings(&common)?;
        let value = |section: &str, key: &str| {
            let is_it =
                |it: &&Setting| it.section == section && it.subsection.is_none() && it.key == key;
            let found = settings.iter().rev().find(is_it)?;
            let value = found.value.as_deref().unwrap_or(b"true");
            Some(String::from_utf8_lossy(value).to_ascii_lowercase())
        };
        if value("extensions", "refstorage").is_some_and(|it| it != "files")
            || common.join("reftable").exists()
        {
            return Err(reftable(&top));
        }
        let format = match value("extensions", "objectformat").as_deref() {
            None | Some("sha1") => Format::Sha1,
            Some("sha256") => Format::Sha256,
            Some(other) => {
                return Err(CommandError::new(
                    ExitCode::Repository,
                    format!(
                        "{} names its objects by {}",
                        top.display(),
                        other.escape_debug()
                    ),
                )
                .hint("amika knows sha1 and sha256"));
            }
        };
        let ignores_case = value("core", "ignorecase")
            .is_some_and(|it| matches!(it.as_str(), "true" | "yes" | "on" | "1"));
        let remotes = settings
            .iter()
            .filter(|it| it.section == "remote" && it.key == "url")
            .filter_map(|it| std::str::from_utf8(it.value.as_deref()?).ok())
            .map(RepositorySource::from)
            .collect();
        let shallow = optional(&common.join("shallow"), MAX_SHALLOW)
            .map_err(|error| failed(&common.join("shallow"), &error))?;
        Ok(Self {
            top,
            common,
            format,
            ignores_case,
            shallow,
            remotes,
        })
    }

    /// Refuses a repository that a sandbox's is not a copy of.
    ///
    /// # Errors
    /// [`ExitCode::Conflict`], with what to do.
    pub fn must_be_of(&self, sandbox: &str, repository: &Repository) -> Result<()> {
        let Some(source) = &repository.source else {
            return Ok(());
        };
        // A clone of a repository at a path is another one; of one at a URL there are clones alone.
        let is_clone = !source.as_str().starts_with('/') && self.remotes.contains(source);
        if self.is_at(source) || is_clone {
            return Ok(());
        }
        let error = CommandError::new(
            ExitCode::Conflict,
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
            error.hint("call it in a clone of that, or name one with `--repo DIR`")
        } else {
            error.hint("call it there, or name that directory with `--repo DIR`")
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
        path == self.top
            || at(&path)
                .ok()
                .flatten()
                .and_then(|(_, git)| common(&git).ok())
                .is_some_and(|common| common == self.common)
    }
}

fn reftable(top: &Path) -> CommandError {
    CommandError::new(
        ExitCode::Repository,
        format!("{} keeps its refs in tables, which amika does not write", top.display()),
    )
    .hint(
        "`amika sandbox exec NAME -- git bundle create - --branches >new.bundle`, then `git fetch new.bundle` with the branches that you want",
    )
}

/// The repository whose top a directory is: what is shown of it, and its git directory.
fn at(directory: &Path) -> io::Result<Option<(PathBuf, PathBuf)>> {
    let inner = directory.join(".git");
    match inner.symlink_metadata() {
        Ok(found) if found.is_file() => {
            let (text, _) = regular_file::read(&inner, Links::Refused, MAX_POINTER)?;
            let target = text.strip_prefix(b"gitdir:").map(<[u8]>::trim_ascii);
            let target = target.ok_or_else(|| io::Error::other(".git leads nowhere"))?;
            let git = directory.join(OsStr::from_bytes(target)).canonicalize()?;
            if is_git(&git) {
                return Ok(Some((directory.to_owned(), git)));
            }
            return Err(io::Error::other(".git leads to no git directory"));
        }
        Ok(_) if is_git(&inner) => {
            return Ok(Some((directory.to_owned(), inner.canonicalize()?)));
        }
        _ => {}
    }
    Ok(is_git(directory).then(|| (directory.to_owned(), directory.to_owned())))
}

fn is_git(directory: &Path) -> bool {
    let has = |name: &str| directory.join(name).symlink_metadata().is_ok();
    has("HEAD") && (has("commondir") || has("objects") && has("refs"))
}

/// The directory that a git directory shares objects and refs with: itself, but for linked work trees.
fn common(git: &Path) -> io::Result<PathBuf> {
    match optional(&git.join("commondir"), MAX_POINTER)? {
        None => Ok(git.to_owned()),
        Some(text) => {
            let common = git.join(OsStr::from_bytes(text.trim_ascii_end()));
            common.canonicalize()
        }
    }
}

/// Its configuration; a file that git would not read is none that we guess at.
fn settings(common: &Path) -> Result<Vec<Setting>> {
    let path = common.join("config");
    let text = optional(&path, config::MAX_BYTES);
    let settings = text.map(|text| config::parse(&text.unwrap_or_default()));
    match settings {
        Ok(Some(settings)) => Ok(settings),
        Ok(None) => Err(CommandError::new(
            ExitCode::Repository,
            format!("{} cannot be understood", path.display()),
        )
        .hint("`git config --list` tells where it is wrong")),
        Err(error) => Err(CommandError::new(
            ExitCode::Repository,
            format!("{} cannot be read", path.display()),
        )
        .caused_by(&error)),
    }
}

/// A regular file, if there is something of that name.
pub(super) fn optional(path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>> {
    match regular_file::read(path, Links::Refused, limit) {
        Ok((text, _)) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
