//! The files of the host's work tree that a `--no-clean` copy takes, and how one is read safely.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::command::Git;
use super::error::GitError;
use super::index::{Entry, Mode};
use super::source::join;
use crate::regular_file::{self, Links};

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
        mtime: u64,
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
        mtime: u64,
    },
}

/// Reads paths beneath a root, never through a symbolic link on the way: what lies behind one belongs to
/// the host, not to the repository.
pub(super) struct Reader<'a> {
    root: &'a Path,
    /// The last parent that was looked at, and whether it is a directory all the way.
    parent: (PathBuf, bool),
}

impl<'a> Reader<'a> {
    /// A reader beneath `root`.
    pub(super) fn new(root: &'a Path) -> Self {
        Self {
            root,
            parent: (root.to_owned(), true),
        }
    }

    /// Looks at one path.
    pub(super) fn find(&mut self, path: &[u8]) -> io::Result<Found> {
        let full = join(self.root, path);
        if !self.parent_is_directory(&full) {
            return Ok(Found::Nothing);
        }
        let meta = match std::fs::symlink_metadata(&full) {
            Ok(meta) => meta,
            Err(error) if is_absent(&error) => return Ok(Found::Nothing),
            Err(error) => return Err(error),
        };
        if meta.is_dir() {
            return Ok(Found::Directory);
        }
        if meta.is_symlink() {
            let target = std::fs::read_link(&full)?;
            return Ok(Found::Symlink {
                target: target.as_os_str().as_bytes().to_vec(),
                mtime: seconds(&meta),
            });
        }
        if !meta.is_file() {
            return Ok(Found::Nothing);
        }
        // A FIFO or a link that took the file's place since then is not waited for, nor followed.
        let (file, meta) = regular_file::open(&full, Links::Refused)?;
        Ok(Found::File {
            size: meta.len(),
            mode: meta.mode() & PERMISSIONS,
            mtime: seconds(&meta),
            file,
        })
    }

    /// The permissions of a directory.
    pub(super) fn directory_mode(&self, path: &[u8]) -> io::Result<u32> {
        let meta = std::fs::symlink_metadata(join(self.root, path))?;
        Ok(meta.mode() & PERMISSIONS)
    }

    fn parent_is_directory(&mut self, full: &Path) -> bool {
        let parent = full.parent().unwrap_or(self.root);
        if self.parent.0 != parent {
            let real = parent
                .ancestors()
                .take_while(|directory| *directory != self.root)
                .all(|directory| {
                    std::fs::symlink_metadata(directory).is_ok_and(|meta| meta.is_dir())
                });
            self.parent = (parent.to_owned(), real);
        }
        self.parent.1
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// A modification time that a tar header can hold.
pub(super) fn seconds(meta: &std::fs::Metadata) -> u64 {
    u64::try_from(meta.mtime()).unwrap_or(0)
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
        assert!(matches!(
            Reader::new(directory.path()).find(b"fifo").unwrap(),
            Found::Nothing
        ));
    }
}
