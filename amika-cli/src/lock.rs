//! File locks: one `amika` at a time where two would disturb each other.

use std::fs::{File, OpenOptions, Permissions, TryLockError};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use crate::error::{CommandError, ExitCode, Result};

/// What a lock file may hold, in bytes: nobody writes more.
const LIMIT: usize = 4096;

/// An advisory lock; the kernel lets go of it when the process ends, however it ends. What its holder
/// wrote into the file stays.
pub struct FileLock {
    file: File,
}

impl FileLock {
    /// Takes the lock of a sandbox's name.
    ///
    /// # Errors
    /// [`ExitCode::Conflict`] when another process holds it.
    pub fn take_name(name: &str) -> Result<Self> {
        let file = open(&format!("sandbox-{name}"))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { file }),
            Err(TryLockError::WouldBlock) => Err(CommandError::new(
                ExitCode::Conflict,
                format!("another amika is working on sandbox \"{name}\""),
            )
            .hint("wait for it to end, or use another name")),
            Err(TryLockError::Error(error)) => Err(unusable(&error)),
        }
    }

    /// What its holders left in it.
    ///
    /// # Errors
    /// Those of the system.
    pub fn content(&self) -> std::io::Result<Vec<u8>> {
        let mut bytes = vec![0; LIMIT];
        let count = self.file.read_at(&mut bytes, 0)?;
        bytes.truncate(count);
        Ok(bytes)
    }

    /// Puts this in place of what is in it; for this user's eyes only.
    ///
    /// # Errors
    /// Those of the system.
    pub fn write(&self, content: &[u8]) -> std::io::Result<()> {
        // One that an earlier amika made may be readable to all.
        self.file.set_permissions(Permissions::from_mode(0o600))?;
        self.file.set_len(0)?;
        self.file.write_all_at(content, 0)
    }

    /// A lock of a test's own.
    #[cfg(test)]
    pub fn at(path: &Path) -> std::io::Result<Self> {
        let file = open_at(path)?;
        file.lock().map(|()| Self { file })
    }

    /// Whether nobody holds a lock.
    pub fn is_free(name: &str) -> bool {
        open(name).is_ok_and(|file| file.try_lock().is_ok())
    }

    /// Waits for a lock that is held for moments only. The wait is on a thread of its own, so that
    /// Ctrl-C is heard meanwhile.
    ///
    /// # Errors
    /// When the lock file cannot be made.
    pub async fn wait(name: &str) -> Result<Self> {
        let file = open(name)?;
        let locked = tokio::task::spawn_blocking(move || file.lock().map(|()| file)).await;
        match locked {
            Ok(Ok(file)) => Ok(Self { file }),
            Ok(Err(error)) => Err(unusable(&error)),
            Err(error) => Err(unusable(&std::io::Error::other(error))),
        }
    }
}

fn open(name: &str) -> Result<File> {
    let dir = crate::host::runtime_dir().join("locks");
    std::fs::create_dir_all(&dir)
        .and_then(|()| open_at(&dir.join(name)))
        .map_err(|error| unusable(&error))
}

/// Whoever opens it has no lock yet: what is in it stays.
fn open_at(path: &Path) -> std::io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
}

fn unusable(error: &std::io::Error) -> CommandError {
    let dir = crate::host::runtime_dir().join("locks");
    CommandError::new(
        ExitCode::Failure,
        format!("the lock directory {} cannot be used", dir.display()),
    )
    .caused_by(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_stays_for_the_next_holder_and_is_the_users_alone() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("lock");
        std::fs::write(&path, "").expect("written");
        std::fs::set_permissions(&path, Permissions::from_mode(0o644)).expect("changed");
        let first = FileLock::at(&path).expect("locked");
        first.write(b"some words").expect("written");
        first.write(b"words").expect("written");
        drop(first);
        let next = FileLock::at(&path).expect("locked");
        assert_eq!(next.content().expect("read"), b"words");
        let mode = path.metadata().expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
