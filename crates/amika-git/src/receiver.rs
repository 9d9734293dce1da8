//! A repository of this machine that commits are brought into: found, checked and opened as one that is
//! copied is, so that nothing is written into another than the one that was named.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use amika_core::git_files::oid::ObjectFormat;

use amika_host::machine::Machine;

use super::discover::{self, Found};
use super::error::GitError;
use super::generated::{self, Format, Generated};
use super::objects::Stores;
use super::users::Users;
use super::workshop::{self, Workshop};

/// The repository. Its directories are held open.
#[derive(Clone, Debug)]
pub struct Receiver(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    found: Found,
    format: Format,
    shallow: Option<Vec<u8>>,
    users: Users,
}

/// Its objects, given to git by descriptors: for as long as this lives.
#[derive(Debug)]
pub struct Objects {
    _stores: Stores,
}

impl Receiver {
    /// Finds the repository that contains a directory.
    ///
    /// # Errors
    /// When there is none, it is another user's, its parts do not belong together, or it is not understood.
    pub fn find(machine: &Machine, start: &Path) -> Result<Self, GitError> {
        let found = Self::find_untold(machine, start);
        found.map_err(|error| error.told(machine.temporary()))
    }

    fn find_untold(machine: &Machine, start: &Path) -> Result<Self, GitError> {
        let scratch = workshop::scratch(machine)?;
        let workshop = Workshop::new(machine, scratch.path())?;
        let found = discover::repository(start, workshop.users())?;
        let format = generated::format(&found)?;
        let shallow = generated::shallow(&found.common, format.objects)?;
        Ok(Self(Arc::new(Inner {
            found,
            format,
            shallow,
            users: workshop.users().clone(),
        })))
    }

    /// What the process was given that it was found by.
    pub fn machine(&self) -> &Machine {
        self.0.users.machine()
    }

    /// What is shown of it: its work tree, or the git directory of one without.
    pub fn root(&self) -> &Path {
        root(&self.0.found)
    }

    /// Whether its objects have names by SHA-256.
    pub fn is_sha256(&self) -> bool {
        self.0.format.objects == ObjectFormat::Sha256
    }

    /// Whether its refs are in a table.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn has_table(&self) -> io::Result<bool> {
        let table = self.0.found.common.stat_of(b"reftable")?;
        Ok(self.0.format.is_table || table.is_some())
    }

    /// Whether its file system takes names that differ in case for one.
    pub fn ignores_case(&self) -> bool {
        let mut settings = self.0.found.config.iter().rev();
        let last = settings.find(|entry| entry.is("core", "ignorecase"));
        last.is_some_and(|entry| entry.boolean() == Some(true))
    }

    /// Whether its own directory has no work tree.
    pub fn is_bare(&self) -> bool {
        let mut settings = self.0.found.config.iter().rev();
        let last = settings.find(|entry| entry.is("core", "bare"));
        last.is_some_and(|entry| entry.boolean() == Some(true))
    }

    /// Its work tree; none of one without.
    pub fn work_tree(&self) -> Option<&Path> {
        self.0.found.tree.as_ref().map(super::dir::Dir::path)
    }

    /// What its work tree has checked out, as its own file says; none of it where that is a link.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn head(&self) -> io::Result<Option<Vec<u8>>> {
        self.0.found.git.read(b"HEAD", 4096)
    }

    /// Where its history ends, if it is shallow.
    pub fn shallow(&self) -> Option<&[u8]> {
        self.0.shallow.as_deref()
    }

    /// The addresses of its remotes.
    pub fn remotes(&self) -> impl Iterator<Item = &str> {
        let config = self.0.found.config.iter();
        let urls = config.filter(|entry| entry.section == b"remote" && entry.variable == b"url");
        urls.filter_map(|entry| std::str::from_utf8(entry.value.as_deref()?).ok())
    }

    /// Whether a directory is the root of it, or of another of its work trees.
    pub fn is_at(&self, directory: &Path) -> bool {
        discover::repository(directory, &self.0.users).is_ok_and(|other| {
            root(&other) == directory && other.common.is(&self.0.found.common).unwrap_or(false)
        })
    }

    /// The directory of its objects and refs.
    ///
    /// # Errors
    /// When no further descriptor can be had.
    pub fn directory(&self) -> io::Result<OwnedFd> {
        self.0.found.common.as_fd().try_clone_to_owned()
    }

    /// Where that is, for messages.
    pub fn place(&self) -> PathBuf {
        self.0.found.common.path().to_owned()
    }

    /// A file of it, never through a link; `None` when nothing is there.
    ///
    /// # Errors
    /// When it is no regular file, cannot be read, or has more than `limit` bytes.
    pub fn read(&self, name: &str, limit: u64) -> io::Result<Option<Vec<u8>>> {
        self.0.found.common.read(name.as_bytes(), limit)
    }

    /// Gives its objects to git, in two object directories: its own, and those that it borrows from others. Each
    /// file is opened beneath its object directory and through no link; of nothing else there git will know.
    ///
    /// # Errors
    /// When something else than a file is in the place of one, or it cannot be read.
    pub fn objects(&self, own: &Path, borrowed: &Path) -> Result<Objects, GitError> {
        for directory in [own, borrowed] {
            generated::make_directory(&directory.join("pack"))?;
        }
        let places = Generated {
            git_dir: PathBuf::new(),
            objects: own.to_owned(),
            borrowed: borrowed.to_owned(),
            index: PathBuf::new(),
        };
        let Inner { found, format, .. } = &*self.0;
        // What it borrows is told when a copy is made: here nothing of it goes anywhere.
        let stores = Stores::open(found, format.objects, &places, &mut Vec::new());
        let stores = stores.map_err(|error| error.told(self.machine().temporary()))?;
        Ok(Objects { _stores: stores })
    }
}

fn root(found: &Found) -> &Path {
    found.tree.as_ref().unwrap_or(&found.git).path()
}
