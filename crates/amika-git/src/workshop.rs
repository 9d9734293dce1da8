//! What all repositories of one copy share: the temporary directory, the user's configuration, and those
//! that were read already.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use amika_host::machine::Machine;
use amika_host::scratch::Scratch;
use amika_host::temporary;

use super::command::Git;
use super::error::GitError;
use super::source::Location;
use super::users::Users;

/// Makes a temporary directory, elsewhere where it cannot be made in the one that the environment names.
///
/// # Errors
/// When none can be made anywhere, with all that was tried.
pub fn scratch(machine: &Machine) -> Result<Scratch, GitError> {
    let made = temporary::make(machine.named_temporary(), |parent| {
        machine.scratches().make(parent)
    });
    Ok(made.map_err(GitError::no_temporary)?.0)
}

/// Room to work in.
pub(super) struct Workshop {
    machine: Machine,
    scratch: PathBuf,
    nowhere: PathBuf,
    users: Users,
    numbers: AtomicUsize,
    /// By their places: nothing is read twice.
    known: Mutex<HashMap<PathBuf, Location>>,
}

/// Makes the empty directory of a temporary one.
pub(super) fn nowhere(scratch: &Path) -> Result<PathBuf, GitError> {
    let place = scratch.join("nowhere");
    std::fs::create_dir_all(&place).map_err(GitError::io("write", &place))?;
    Ok(place)
}

impl Workshop {
    /// Makes one in a temporary directory, and reads the user's configuration.
    pub(super) fn new(machine: &Machine, scratch: &Path) -> Result<Self, GitError> {
        let empty = scratch.join("users.git");
        for directory in ["objects", "refs"] {
            let directory = empty.join(directory);
            std::fs::create_dir_all(&directory).map_err(GitError::io("write", &directory))?;
        }
        let config = "[core]\n\trepositoryformatversion = 0\n\tbare = true\n";
        for (name, content) in [("HEAD", "ref: refs/heads/none\n"), ("config", config)] {
            let file = empty.join(name);
            std::fs::write(&file, content).map_err(GitError::io("write", &file))?;
        }
        let nowhere = nowhere(scratch)?;
        Ok(Self {
            machine: machine.clone(),
            scratch: scratch.to_owned(),
            nowhere,
            users: Users::read(machine, &Git::on(machine, &empty, None))?,
            numbers: AtomicUsize::new(0),
            known: Mutex::default(),
        })
    }

    /// What the process was given.
    pub(super) fn machine(&self) -> &Machine {
        &self.machine
    }

    /// The temporary directory.
    pub(super) fn scratch(&self) -> &Path {
        &self.scratch
    }

    /// An empty directory, in which programs of the user's run.
    pub(super) fn nowhere(&self) -> &Path {
        &self.nowhere
    }

    /// The user's configuration, as far as it holds everywhere.
    pub(super) fn users(&self) -> &Users {
        &self.users
    }

    /// The user's configuration with what it includes for one repository.
    pub(super) fn users_with(&self, includes: &[PathBuf]) -> Result<Users, GitError> {
        if includes.is_empty() {
            return Ok(self.users.clone());
        }
        let git = Git::on(&self.machine, &self.scratch.join("users.git"), None);
        Users::read(&self.machine, &git.with_includes(includes))
    }

    /// A name that nothing in the temporary directory has yet.
    pub(super) fn place(&self, what: &str) -> PathBuf {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        self.scratch.join(format!("{what}-{number}"))
    }

    /// A repository that was read already.
    pub(super) fn known(&self, place: &Path) -> Option<Location> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(place).cloned()
    }

    /// Keeps one.
    pub(super) fn keep(&self, place: &Path, location: &Location) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(place.to_owned(), location.clone());
    }
}
