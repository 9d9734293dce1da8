//! The files of the host's work tree that a `--no-clean` copy takes, and how one is read safely.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::MetadataExt as _;

use amika_core::repo_path::RepoPath;
use rustix::fs::FileType;

use super::command::Git;
use super::dir::{Dir, kind, split};
use super::error::GitError;
use super::index::{Entry, Mode};

/// What of a file's mode comes along: not that it runs as somebody else.
const PERMISSIONS: u32 = 0o777;

/// The paths to copy.
#[derive(Debug, Default)]
pub(super) struct Paths {
    /// Sorted; with what the index says of a path that is in it.
    pub(super) files: BTreeMap<Vec<u8>, Option<Mode>>,
    /// Repositories in this one that it does not know as submodules.
    pub(super) embedded: Vec<Vec<u8>>,
}

impl Paths {
    /// Tracked files, and those that git would call untracked; ignored ones if asked for.
    pub(super) fn list(git: &Git, entries: &[Entry], ignored: bool) -> Result<Self, GitError> {
        let mut paths = Self::default();
        for entry in entries {
            paths.files.insert(entry.path.to_vec(), Some(entry.mode));
        }
        let mut arguments = vec!["ls-files", "--others", "-z", "--full-name"];
        if !ignored {
            arguments.push("--exclude-standard");
        }
        let others = git.output(&arguments)?;
        for path in others
            .split(|&byte| byte == 0)
            .filter(|path| !path.is_empty())
        {
            let plain = path.strip_suffix(b"/").unwrap_or(path);
            RepoPath::new(plain).map_err(|error| GitError::BadPath {
                of: "the work tree",
                why: error.to_string(),
            })?;
            match path.strip_suffix(b"/") {
                Some(directory) => paths.embedded.push(directory.to_vec()),
                None => {
                    paths.files.entry(path.to_vec()).or_insert(None);
                }
            }
        }
        Ok(paths)
    }
}

/// What stands at a path on the disk.
#[derive(Debug)]
pub(super) enum Found {
    /// Nothing, or nothing that git knows: a socket, a FIFO, a device.
    Nothing,
    /// A directory.
    Directory,
    /// A symbolic link and its target.
    Symlink {
        /// The target's bytes.
        target: Vec<u8>,
        /// Unix seconds.
        mtime: i64,
    },
    /// An open regular file.
    File {
        /// To be read to `size`.
        file: std::fs::File,
        /// Bytes when it was opened.
        size: u64,
        /// Its permissions.
        mode: u32,
        /// Unix seconds.
        mtime: i64,
    },
}

/// Reads paths beneath a root, never through a symbolic link on the way: what lies behind one belongs to
/// the host, not to the repository.
pub(super) struct Reader<'a> {
    root: &'a Dir,
    /// The last directory that was looked into: its path, and what is there.
    parent: (Vec<u8>, Option<Dir>),
}

impl<'a> Reader<'a> {
    /// A reader beneath `root`.
    pub(super) fn new(root: &'a Dir) -> Self {
        Self {
            root,
            parent: (Vec::new(), None),
        }
    }

    /// Looks at one path.
    pub(super) fn find(&mut self, path: &[u8]) -> io::Result<Found> {
        let (parent, name) = split(path);
        let Some(within) = self.within(parent)? else {
            return Ok(Found::Nothing);
        };
        let Some(stat) = within.stat_of(name)? else {
            return Ok(Found::Nothing);
        };
        match kind(stat) {
            FileType::Directory => Ok(Found::Directory),
            FileType::Symlink => Ok(Found::Symlink {
                target: within.link(name)?,
                mtime: stat.st_mtime,
            }),
            FileType::RegularFile => {
                // A FIFO or a link that took the file's place since then is not waited for, nor followed.
                let Some((file, meta)) = within.file(name)? else {
                    return Ok(Found::Nothing);
                };
                Ok(Found::File {
                    size: meta.len(),
                    mode: meta.mode() & PERMISSIONS,
                    mtime: seconds(&meta),
                    file,
                })
            }
            _ => Ok(Found::Nothing),
        }
    }

    /// The permissions of a directory.
    pub(super) fn directory_mode(&self, path: &[u8]) -> io::Result<u32> {
        let found = self.root.dir(path)?.ok_or(io::ErrorKind::NotFound)?;
        Ok(found.stat()?.st_mode & PERMISSIONS)
    }

    /// The directory at a path; `None` where there is none, or a link on the way.
    fn within(&mut self, path: &[u8]) -> io::Result<Option<&Dir>> {
        if path.is_empty() {
            return Ok(Some(self.root));
        }
        if self.parent.0 != path {
            self.parent = (path.to_vec(), self.root.real_dir(path)?);
        }
        Ok(self.parent.1.as_ref())
    }
}

/// When a file was last written, in seconds since 1970.
pub(super) fn seconds(meta: &std::fs::Metadata) -> i64 {
    meta.mtime()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_read_behind_a_symbolic_link() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("repo");
        std::fs::create_dir_all(directory.path().join("secret")).unwrap();
        std::fs::create_dir(&root).unwrap();
        std::fs::write(directory.path().join("secret/key"), "x").unwrap();
        std::os::unix::fs::symlink("../secret", root.join("dir")).unwrap();
        let root = Dir::open(&root).unwrap();
        let mut reader = Reader::new(&root);
        assert!(matches!(reader.find(b"dir/key").unwrap(), Found::Nothing));
        assert!(
            matches!(reader.find(b"dir").unwrap(), Found::Symlink { target, .. } if target == b"../secret")
        );
        assert!(matches!(reader.find(b"missing/x").unwrap(), Found::Nothing));
    }

    #[test]
    fn a_fifo_is_not_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let fifo = directory.path().join("fifo");
        let made = std::process::Command::new("mkfifo")
            .arg(&fifo)
            .status()
            .unwrap();
        assert!(made.success());
        let root = Dir::open(directory.path()).unwrap();
        assert!(matches!(
            Reader::new(&root).find(b"fifo").unwrap(),
            Found::Nothing
        ));
    }
}
