//! Which repository a `--git` value means, and where its parts are on this machine.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::command::{Git, line};
use super::config::Settings;
use super::error::GitError;
use super::extra;
use super::trust::{self, Override};
use super::url;
use crate::host_path;

/// What `--git` names.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// Something that `git clone` fetches.
    Url(String),
    /// The repository that contains this directory.
    Directory(PathBuf),
}

/// A repository's parts; all paths absolute.
#[derive(Clone, Debug)]
pub(super) struct Location {
    /// What belongs to this work tree: HEAD, index. Of a linked work tree, `.git/worktrees/<name>`.
    pub(super) git_dir: PathBuf,
    /// What all work trees share: objects, refs, config.
    pub(super) common_dir: PathBuf,
    /// `None` for a bare repository.
    pub(super) work_tree: Option<PathBuf>,
    /// Object names are SHA-256.
    pub(super) sha256: bool,
    /// Attributes that the user has for all repositories.
    pub(super) users_attributes: Option<PathBuf>,
    /// What keeps git from using what the repository's own configuration names.
    trusted: Arc<[Override]>,
}

impl Source {
    /// Reads a `--git` value; without one it is the directory of the call.
    pub(super) fn read(spec: Option<&str>, cwd: &Path) -> Result<Self, GitError> {
        let Some(spec) = spec else {
            return Ok(Self::Directory(cwd.to_owned()));
        };
        let path = host_path::clean(&cwd.join(spec));
        match std::fs::metadata(&path) {
            Ok(found) if found.is_dir() => Ok(Self::Directory(path)),
            Ok(_) => Ok(Self::Directory(path.parent().unwrap_or(cwd).to_owned())),
            Err(_) if url::is_url(spec) => Ok(Self::Url(spec.to_owned())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Err(GitError::NoSuchPath { path })
            }
            Err(source) => Err(GitError::Io {
                action: "read",
                path,
                source,
            }),
        }
    }
}

impl Location {
    /// Finds the repository that contains a directory.
    pub(super) fn of(directory: &Path) -> Result<Self, GitError> {
        let git = Git::in_directory(directory);
        let git_dir = match git.try_output(&["rev-parse", "--absolute-git-dir"])? {
            Ok(output) => path(output),
            Err((_, stderr)) if stderr.contains("not a git repository") => {
                return Err(GitError::NotARepository {
                    path: directory.to_owned(),
                });
            }
            Err((_, stderr)) => return Err(git.failed(&["rev-parse"], &stderr)),
        };
        let flags = git.output(&[
            "rev-parse",
            "--is-bare-repository",
            "--is-inside-work-tree",
            "--show-object-format",
        ])?;
        let flags = String::from_utf8_lossy(&flags);
        let [bare, inside, format] = flags.lines().collect::<Vec<_>>()[..] else {
            return Err(GitError::Output {
                command: "rev-parse",
                output: flags.into_owned(),
            });
        };
        let common_dir =
            path(git.output(&["rev-parse", "--path-format=absolute", "--git-common-dir"])?);
        let work_tree = if bare == "true" {
            None
        } else if inside == "true" {
            Some(path(git.output(&["rev-parse", "--show-toplevel"])?))
        } else {
            work_tree_of(&git_dir)?
        };
        let work_tree = match work_tree {
            Some(tree) if belongs(&tree, &git_dir)? => Some(tree),
            _ => None,
        };
        Self {
            git_dir,
            common_dir,
            work_tree,
            sha256: format == "sha256",
            users_attributes: None,
            trusted: Arc::default(),
        }
        .trusted()
    }

    /// A repository that is one directory, without a work tree.
    pub(super) fn of_git_dir(git_dir: PathBuf, sha256: bool) -> Result<Self, GitError> {
        Self {
            common_dir: git_dir.clone(),
            git_dir,
            work_tree: None,
            sha256,
            users_attributes: None,
            trusted: Arc::default(),
        }
        .trusted()
    }

    /// Reads the configuration, by which alone nothing runs, for what must not count.
    fn trusted(self) -> Result<Self, GitError> {
        let git = self.git();
        let attributes = extra::attributes_file(&git, self.root())?;
        let mut trusted = trust::overrides(&Settings::read(&git)?);
        let file = attributes.as_deref().unwrap_or(Path::new("/dev/null"));
        if let Some(file) = file.to_str() {
            trusted.push(("core.attributesFile".into(), file.to_owned()));
        }
        Ok(Self {
            users_attributes: attributes,
            trusted: trusted.into(),
            ..self
        })
    }

    /// Git for this repository.
    pub(super) fn git(&self) -> Git {
        self.git_in(self.work_tree.as_deref())
    }

    /// Git for this repository and another work tree, or none.
    pub(super) fn git_in(&self, work_tree: Option<&Path>) -> Git {
        Git::for_repository(&self.git_dir, work_tree, Arc::clone(&self.trusted))
    }

    /// Whether files may have attributes that no file of the tree gives them.
    pub(super) fn has_attributes(&self) -> bool {
        self.users_attributes.is_some() || self.common_dir.join("info/attributes").exists()
    }

    /// What a person calls this repository's place.
    pub(super) fn root(&self) -> &Path {
        self.work_tree.as_deref().unwrap_or(&self.git_dir)
    }

    /// The name of its directory; a linked work tree has the name of the repository it belongs to.
    pub(super) fn name(&self) -> String {
        let linked = self.git_dir != self.common_dir;
        let directory = match &self.work_tree {
            Some(work_tree) if !linked => work_tree.as_path(),
            _ if self
                .common_dir
                .file_name()
                .is_some_and(|name| name == ".git") =>
            {
                self.common_dir.parent().unwrap_or(&self.common_dir)
            }
            _ => self.common_dir.as_path(),
        };
        let name = directory.file_name().unwrap_or_default().to_string_lossy();
        let bare = self.work_tree.is_none() || linked;
        url::directory_name(match name.strip_suffix(".git") {
            Some(stem) if bare && !stem.is_empty() => stem,
            _ => &name,
        })
    }
}

/// Whether git, called in the work tree, finds that git directory. A repository's `core.worktree` alone
/// proves nothing: it may name any directory of this machine.
fn belongs(work_tree: &Path, git_dir: &Path) -> Result<bool, GitError> {
    let git = Git::in_directory(work_tree);
    let found = git.try_output(&["rev-parse", "--absolute-git-dir"])?;
    Ok(found.is_ok_and(|found| path(found) == git_dir))
}

/// The work tree that a git directory belongs to, when the call came from inside of that directory.
fn work_tree_of(git_dir: &Path) -> Result<Option<PathBuf>, GitError> {
    let git = Git::in_directory(git_dir);
    if let Some(configured) = git.answer(&["config", "core.worktree"])? {
        return Ok(Some(git_dir.join(path(configured))));
    }
    if let Ok(link) = std::fs::read(git_dir.join("gitdir")) {
        return Ok(git_dir.join(path(link)).parent().map(Path::to_owned));
    }
    Ok(match git_dir.file_name() {
        Some(name) if name == ".git" => git_dir.parent().map(Path::to_owned),
        _ => None,
    })
}

/// One line of git's output as a path, byte for byte.
pub(super) fn path(output: Vec<u8>) -> PathBuf {
    PathBuf::from(OsString::from_vec(line(output)))
}

/// A path of a tree beneath a directory of this machine.
pub(super) fn join(root: &Path, path: &[u8]) -> PathBuf {
    root.join(std::ffi::OsStr::from_bytes(path))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn location(git_dir: &str, common_dir: &str, work_tree: Option<&str>) -> Location {
        Location {
            git_dir: git_dir.into(),
            common_dir: common_dir.into(),
            work_tree: work_tree.map(PathBuf::from),
            sha256: false,
            users_attributes: None,
            trusted: Arc::default(),
        }
    }

    #[test]
    fn the_name_is_the_repositorys_own() {
        for (location, name) in [
            (location("/r/a/.git", "/r/a/.git", Some("/r/a")), "a"),
            (
                location("/r/a/.git/worktrees/w", "/r/a/.git", Some("/r/w")),
                "a",
            ),
            (location("/r/a.git", "/r/a.git", None), "a"),
            (
                location("/r/a.git/worktrees/w", "/r/a.git", Some("/r/w")),
                "a",
            ),
            (
                location("/r/a.git/.git", "/r/a.git/.git", Some("/r/a.git")),
                "a.git",
            ),
        ] {
            assert_eq!(location.name(), name, "{location:?}");
        }
    }

    #[test]
    fn a_path_that_exists_wins_over_a_url_and_a_missing_one_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let cwd = directory.path();
        std::fs::create_dir(cwd.join("host:a")).unwrap();
        std::fs::write(cwd.join("file"), "").unwrap();
        let read = |spec| Source::read(Some(spec), cwd);
        assert_eq!(
            read("host:a").unwrap(),
            Source::Directory(cwd.join("host:a"))
        );
        assert_eq!(read("host:b").unwrap(), Source::Url("host:b".into()));
        assert_eq!(read("file").unwrap(), Source::Directory(cwd.into()));
        assert!(matches!(read("missing"), Err(GitError::NoSuchPath { .. })));
        assert!(matches!(read("./host:b"), Err(GitError::NoSuchPath { .. })));
    }
}
