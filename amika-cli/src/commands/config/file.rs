//! Which configuration is meant, and the files beside it that it names.

use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use amika_core::config::{self, Located};
use amika_core::diagnostic::{Diagnostic, Severity};
use amika_core::mount::{FileMount, FileSource};

use crate::create::SCRIPT_OUTSIDE;
use crate::error::{Error, Kind, Result};
use crate::host_path;
use amika_core::text::shell_path;
use amika_git::{self as git, GitError};
use amika_host::regular_file::{self, Links};

/// A configuration on disk.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct File {
    /// The file.
    pub(super) path: PathBuf,
    /// Root of the repository that it is about; none for a file that stands in none.
    pub(super) root: Option<PathBuf>,
}

impl File {
    /// Finds the configuration that a path means: a file itself, or the one of a repository. Without
    /// a path it is the current directory's repository.
    ///
    /// # Errors
    /// [`Kind::Invalid`] when nothing stands at the path.
    pub(super) fn find(path: Option<&Path>, cwd: &Path) -> Result<Self> {
        let Some(given) = path else {
            let root = repository(cwd).unwrap_or(cwd);
            return Ok(Self::of_root(root));
        };
        let path = cwd.join(given);
        // Before any link is followed: it may lead to another place, or nowhere.
        if path.ends_with(config::PATH) && path.symlink_metadata().is_ok() {
            let root = path.parent().and_then(Path::parent).map(Path::to_owned);
            return Ok(Self { path, root });
        }
        let missing =
            |error: &std::io::Error| host_path::unreadable(Kind::Invalid, "", &path, error);
        let meta = std::fs::metadata(&path).map_err(|error| missing(&error))?;
        if meta.is_dir() {
            if path.join(config::PATH).exists() {
                return Ok(Self::of_root(&path));
            }
            // Absolute, since what contains a relative path is not in it.
            let path = path.canonicalize().map_err(|error| missing(&error))?;
            return Ok(Self::of_root(repository(&path).unwrap_or(&path)));
        }
        let absolute = path.canonicalize().map_err(|error| missing(&error))?;
        Ok(Self {
            root: repository(&absolute).map(Path::to_owned),
            path,
        })
    }

    fn of_root(root: &Path) -> Self {
        Self {
            path: root.join(config::PATH),
            root: Some(root.to_owned()),
        }
    }

    /// Reads the file, or so much of it that it is seen to be too large. Never waits, whatever stands in
    /// its place.
    ///
    /// # Errors
    /// [`Kind::Invalid`] when it is not there, cannot be read, or leads out of its repository, which
    /// may be somebody else's.
    pub(super) fn read(&self) -> Result<Vec<u8>> {
        let failed = || {
            Error::new(
                Kind::Invalid,
                format!("{} cannot be read", self.path.display()),
            )
        };
        if let Some(root) = &self.root
            && self.path == root.join(config::PATH)
            && let Err(error) = git::entry_beneath(root, config::PATH)
        {
            return Err(amika_sandbox::git_error::of_configuration(error));
        }
        read_regular(&self.path).map_err(|error| {
            let failed = failed().caused_by(&error);
            if error.kind() == std::io::ErrorKind::NotFound {
                failed.hint("a repository needs none; name another with `amika config check PATH`")
            } else {
                failed
            }
        })
    }

    /// Says what is wrong with a file that the configuration names, if anything is. A script `is_run`.
    pub(super) fn check_named(
        &self,
        text: &str,
        key: &str,
        named: &Located<String>,
        is_run: bool,
    ) -> Option<Diagnostic> {
        let root = self.root.as_deref()?;
        let (why, help) = unusable(root, &named.value, is_run)?;
        let name = named.value.escape_debug();
        let message = format!("{key} \"{name}\" {why}");
        let found = Diagnostic::new(Severity::Error, message, text, named.span.clone());
        Some(found.with_label(why).with_help(help))
    }

    /// Says what is wrong with a path that is to be mounted, if anything is.
    pub(super) fn check_mount(&self, text: &str, mount: &Located<FileMount>) -> Option<Diagnostic> {
        let FileSource::Path(path) = &mount.value.source else {
            return None;
        };
        let why = match git::entry_beneath(self.root.as_deref()?, path) {
            Ok(Some(_)) => return None,
            Ok(None) if path.split('/').all(|part| part.is_empty() || part == ".") => return None,
            Ok(None) => "does not exist".to_owned(),
            Err(GitError::Outside { .. }) => SCRIPT_OUTSIDE.to_owned(),
            Err(error) => format!("cannot be read: {error}"),
        };
        let message = format!("mounts \"{}\": the source {why}", mount.value);
        let found = Diagnostic::new(Severity::Error, message, text, mount.span.clone());
        Some(found.with_label(why))
    }
}

fn read_regular(path: &Path) -> std::io::Result<Vec<u8>> {
    let (file, _) = regular_file::open(path, Links::Followed)?;
    let mut bytes = Vec::new();
    file.take(config::MAX_BYTES as u64 + 1)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Why a file of the repository cannot be a script that is run, or cannot be read, and what to do.
fn unusable(root: &Path, relative: &str, is_run: bool) -> Option<(String, String)> {
    let name_another = || "name a file of the repository, relative to its root".to_owned();
    let path = root.join(relative);
    let found = match git::entry_beneath(root, relative) {
        Ok(Some(entry)) => root.join(entry.path),
        Ok(None) => {
            let why = match path.symlink_metadata() {
                Ok(_) => "is a symbolic link that leads nowhere",
                Err(_) => "does not exist",
            };
            return Some((why.to_owned(), name_another()));
        }
        Err(GitError::Outside { .. }) => {
            return Some((SCRIPT_OUTSIDE.to_owned(), name_another()));
        }
        Err(error) => return Some((format!("cannot be read: {error}"), name_another())),
    };
    let meta = match found.metadata() {
        Ok(meta) => meta,
        Err(error) => return Some((format!("cannot be read: {error}"), name_another())),
    };
    if meta.is_dir() {
        return Some(("is a directory".to_owned(), name_another()));
    }
    if !meta.is_file() {
        return Some(("is not a regular file".to_owned(), name_another()));
    }
    if is_run && meta.permissions().mode() & 0o111 == 0 {
        return Some((
            "is not executable".to_owned(),
            format!("`chmod +x {}`, and commit that", shell_path(relative)),
        ));
    }
    None
}

/// The root of the repository that contains a path.
fn repository(path: &Path) -> Option<&Path> {
    // A file in worktrees and submodules, a directory elsewhere.
    path.ancestors().find(|dir| dir.join(".git").exists())
}
