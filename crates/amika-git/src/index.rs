//! Indexes: the host's, read and checked by us and written anew for git, and the one of a commit.

use std::io;
use std::time::SystemTime;

use amika_core::git_files::index::{self, Index, InvalidIndex, MAX_FILE, Stat};
use amika_core::git_files::oid::{ObjectFormat, Oid};
use amika_core::repo_path::RepoPath;

use super::dir::Dir;
use super::error::GitError;

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
    /// Takes that of an entry; `None` for a whole directory.
    fn of(mode: index::Mode) -> Option<Self> {
        Some(match mode {
            index::Mode::Regular => Self::File,
            index::Mode::Executable => Self::Executable,
            index::Mode::Symlink => Self::Symlink,
            index::Mode::Gitlink => Self::Gitlink,
            index::Mode::Tree => return None,
        })
    }

    /// As an index has it.
    pub(super) fn of_index(self) -> index::Mode {
        match self {
            Self::File => index::Mode::Regular,
            Self::Executable => index::Mode::Executable,
            Self::Symlink => index::Mode::Symlink,
            Self::Gitlink => index::Mode::Gitlink,
        }
    }
}

/// A repository's index, as it was when it was read.
#[derive(Debug)]
pub(super) struct HostIndex {
    parsed: Index,
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
        // One byte more than it may have says that it has too many.
        let limit = MAX_FILE as u64 + 1;
        let mut bytes = Vec::with_capacity(usize::try_from(meta.len().min(limit)).unwrap_or(0));
        let mut limited = io::Read::take(file, limit);
        io::Read::read_to_end(&mut limited, &mut bytes).map_err(failed())?;
        let mut unread = None;
        let shared = |oid: Oid| {
            let name = format!("sharedindex.{oid}");
            let read = git.read(name.as_bytes(), MAX_FILE as u64);
            read.unwrap_or_else(|error| {
                unread = Some(error.to_string());
                None
            })
        };
        let parsed = match index::parse(&bytes, format, shared) {
            Ok(parsed) => parsed,
            Err(error) => {
                return Err(match (bad_path(&error), unread) {
                    (true, _) => GitError::BadPath {
                        of: "the index",
                        why: error.to_string(),
                    },
                    (false, Some(unread)) => not_understood(unread),
                    (false, None) => not_understood(error.to_string()),
                });
            }
        };
        Ok(Some(Self {
            parsed,
            modified: meta.modified().unwrap_or(SystemTime::UNIX_EPOCH),
        }))
    }

    /// The same entries as a file without extensions, which the copy gets.
    pub(super) fn written(&self) -> Vec<u8> {
        self.parsed.write()
    }

    /// Such a file for git to work with, where it is another: it does not look into the repositories inside,
    /// which it would to compare what they have checked out.
    pub(super) fn for_git(&self) -> Option<Vec<u8>> {
        let is_link = |entry: &index::Entry| entry.mode == index::Mode::Gitlink;
        if !self.parsed.entries.iter().any(is_link) {
            return None;
        }
        let mut parsed = self.parsed.clone();
        for link in parsed.entries.iter_mut().filter(|entry| is_link(entry)) {
            link.assume_valid = true;
        }
        Some(parsed.write())
    }

    /// When it was written; racy entries are told by that.
    pub(super) fn modified(&self) -> SystemTime {
        self.modified
    }

    /// Whether it holds whole directories as one entry each.
    pub(super) fn is_sparse(&self) -> bool {
        let mut entries = self.parsed.entries.iter();
        entries.any(|entry| entry.mode == index::Mode::Tree)
    }

    /// The entries in their order; of an unmerged path only the first stage, and of a directory that is one
    /// entry none: nothing of it is on the disk.
    pub(super) fn entries(&self) -> Vec<Entry> {
        let mut entries: Vec<Entry> = Vec::with_capacity(self.parsed.entries.len());
        for one in &self.parsed.entries {
            let Some(mode) = Mode::of(one.mode) else {
                continue;
            };
            let path = one.path.as_bytes();
            if entries.last().is_none_or(|last| *last.path != *path) {
                entries.push(Entry {
                    mode,
                    oid: one.oid.to_string().into(),
                    path: path.into(),
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
                        .as_bytes()
                        .strip_suffix(name)
                        .is_some_and(|rest| rest.is_empty() || rest.ends_with(b"/"))
            })
            .map(|one| one.oid.to_string())
    }
}

/// Whether it is a name that is not understood, in the index or in the one that it builds on.
fn bad_path(error: &InvalidIndex) -> bool {
    match error {
        InvalidIndex::Path { .. } => true,
        InvalidIndex::Shared { why, .. } => bad_path(why),
        _ => false,
    }
}

/// The index of a commit's tree, as `git checkout` would write it but for the stat data.
pub(super) fn of_tree(entries: &[Entry], format: ObjectFormat) -> Result<Vec<u8>, GitError> {
    let bad = |why: String| GitError::BadPath { of: "a tree", why };
    let mut index = Index {
        format,
        entries: Vec::with_capacity(entries.len()),
    };
    for entry in entries {
        let oid = Oid::from_hex(format, entry.oid.as_bytes());
        index.entries.push(index::Entry {
            path: RepoPath::new(entry.path.clone()).map_err(|error| bad(error.to_string()))?,
            mode: entry.mode.of_index(),
            oid: oid.ok_or_else(|| bad(format!("{} is no object's name", entry.oid)))?,
            stage: 0,
            stat: Stat::default(),
            assume_valid: false,
            skip_worktree: false,
            intent_to_add: false,
        });
    }
    Ok(index.write())
}
