//! Indexes: the host's, read and checked by us and written anew for git, and the one of a commit.

use std::io;
use std::time::SystemTime;

use amika_core::git_files::oid::{ObjectFormat, Oid};
use amika_core::repo_path::{RepoPath, escaped};

use super::dir::Dir;
use super::error::GitError;
use super::index_file::{self, Parsed};

/// One entry of an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Its kind and permission.
    pub(super) mode: Mode,
    /// Its object.
    pub(super) oid: Box<str>,
    /// Its path, from the root of the work tree.
    pub(super) path: Box<[u8]>,
}

/// The kinds of entries that git knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// 100644.
    File,
    /// 100755.
    Executable,
    /// 120000.
    Symlink,
    /// 160000: a submodule's commit.
    Gitlink,
}

impl Mode {
    /// Takes the number that git has for it.
    pub(super) fn of(number: u32) -> Option<Self> {
        Some(match number {
            0o100_644 => Self::File,
            0o100_755 => Self::Executable,
            0o120_000 => Self::Symlink,
            0o160_000 => Self::Gitlink,
            _ => return None,
        })
    }

    /// The number that git has for it.
    pub(super) fn number(self) -> u32 {
        match self {
            Self::File => 0o100_644,
            Self::Executable => 0o100_755,
            Self::Symlink => 0o120_000,
            Self::Gitlink => 0o160_000,
        }
    }
}

/// A repository's index, as it was when it was read.
#[derive(Debug)]
pub(super) struct HostIndex {
    parsed: Parsed,
    modified: SystemTime,
}

impl HostIndex {
    /// Reads it, beneath the git directory; `None` when there is none yet.
    ///
    /// # Errors
    /// [`GitError::NotUnderstood`] when it is damaged, [`GitError::BadPath`] when it names what is not
    /// beneath the work tree.
    pub(super) fn read(git: &Dir, format: ObjectFormat) -> Result<Option<Self>, GitError> {
        let place = git.place(b"index");
        let failed = || GitError::io("read", &place);
        let not_understood = |why: String| GitError::NotUnderstood {
            place: place.clone(),
            why,
        };
        let file = match git.file(b"index") {
            Ok(Some(file)) => file,
            Ok(None) => return Ok(None),
            Err(error) => return Err(not_understood(error.to_string())),
        };
        let (file, meta) = file;
        if meta.len() > index_file::MAX_FILE {
            return Err(not_understood(format!(
                "it is larger than {} bytes",
                index_file::MAX_FILE
            )));
        }
        let mut bytes = Vec::with_capacity(usize::try_from(meta.len()).unwrap_or(0));
        let mut limited = io::Read::take(file, index_file::MAX_FILE + 1);
        io::Read::read_to_end(&mut limited, &mut bytes).map_err(failed())?;
        let shared = |oid: Oid| {
            let name = format!("sharedindex.{oid}");
            git.read(name.as_bytes(), index_file::MAX_FILE)
        };
        let parsed =
            index_file::parse(&bytes, format, shared).map_err(|error| not_understood(error.0))?;
        for entry in &parsed.entries {
            if let Err(error) = RepoPath::new(entry.name().to_vec()) {
                return Err(GitError::BadPath {
                    of: "the index",
                    why: error.to_string(),
                });
            }
        }
        Ok(Some(Self {
            parsed,
            modified: meta.modified().unwrap_or(SystemTime::UNIX_EPOCH),
        }))
    }

    /// The same entries as a file without extensions, which the copy gets.
    pub(super) fn written(&self) -> Vec<u8> {
        index_file::write(&self.parsed)
    }

    /// Such a file for git to work with, where it is another: it does not look into the repositories inside,
    /// which it would to compare what they have checked out.
    pub(super) fn for_git(&self) -> Option<Vec<u8>> {
        if !self
            .parsed
            .entries
            .iter()
            .any(index_file::Entry::is_gitlink)
        {
            return None;
        }
        let mut parsed = self.parsed.clone();
        let links = parsed.entries.iter_mut();
        for link in links.filter(|entry| entry.is_gitlink()) {
            link.assume_valid();
        }
        Some(index_file::write(&parsed))
    }

    /// When it was written; racy entries are told by that.
    pub(super) fn modified(&self) -> SystemTime {
        self.modified
    }

    /// Whether it holds whole directories as one entry each.
    pub(super) fn is_sparse(&self) -> bool {
        self.parsed.is_sparse()
    }

    /// The entries in their order; of an unmerged path only the first stage, and of a directory that is one
    /// entry none: nothing of it is on the disk.
    pub(super) fn entries(&self) -> Vec<Entry> {
        let mut entries: Vec<Entry> = Vec::with_capacity(self.parsed.entries.len());
        for one in &self.parsed.entries {
            let Some(mode) = Mode::of(one.mode) else {
                continue;
            };
            if entries.last().is_none_or(|last| *last.path != *one.path) {
                entries.push(Entry {
                    mode,
                    oid: one.oid.to_string().into(),
                    path: one.path.clone(),
                });
            }
        }
        entries
    }

    /// The objects of all files of one name, wherever they are, of all stages.
    pub(super) fn objects_named<'a>(&'a self, name: &'a [u8]) -> impl Iterator<Item = String> + 'a {
        let entries = self.parsed.entries.iter();
        entries
            .filter(move |one| {
                Mode::of(one.mode).is_some_and(|mode| mode != Mode::Gitlink)
                    && one
                        .path
                        .strip_suffix(name)
                        .is_some_and(|rest| rest.is_empty() || rest.ends_with(b"/"))
            })
            .map(|one| one.oid.to_string())
    }
}

/// The index of a commit's tree, as `git checkout` would write it but for the stat data.
pub(super) fn of_tree(entries: &[Entry], format: ObjectFormat) -> Result<Vec<u8>, GitError> {
    let entries = entries.iter().map(|entry| {
        let oid = Oid::from_hex(format, entry.oid.as_bytes()).ok_or_else(|| GitError::BadPath {
            of: "a tree",
            why: format!("{} has no object", escaped(&entry.path)),
        })?;
        Ok(index_file::Entry::new(
            entry.mode.number(),
            oid,
            entry.path.clone(),
        ))
    });
    let entries: Result<Vec<_>, GitError> = entries.collect();
    Ok(index_file::write(&Parsed {
        format,
        entries: entries?,
    }))
}
