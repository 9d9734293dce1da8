//! File locks: one `amika` at a time where two would disturb each other.

use std::fs::{File, TryLockError};

use crate::error::{CommandError, ExitCode, Result};

/// An advisory lock; the kernel lets go of it when the process ends, however it ends.
pub struct FileLock {
    _file: File,
}

impl FileLock {
    /// Takes the lock of a sandbox's name.
    ///
    /// # Errors
    /// [`ExitCode::Conflict`] when another process holds it.
    pub fn take_name(name: &str) -> Result<Self> {
        let file = open(&format!("sandbox-{name}"))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(CommandError::new(
                ExitCode::Conflict,
                format!("another amika is working on sandbox \"{name}\""),
            )
            .hint("wait for it to end, or use another name")),
            Err(TryLockError::Error(error)) => Err(unusable(&error)),
        }
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
            Ok(Ok(file)) => Ok(Self { _file: file }),
            Ok(Err(error)) => Err(unusable(&error)),
            Err(error) => Err(unusable(&std::io::Error::other(error))),
        }
    }
}

fn open(name: &str) -> Result<File> {
    let dir = crate::host::runtime_dir().join("locks");
    std::fs::create_dir_all(&dir)
        .and_then(|()| File::create(dir.join(name)))
        .map_err(|error| unusable(&error))
}

fn unusable(error: &std::io::Error) -> CommandError {
    let dir = crate::host::runtime_dir().join("locks");
    CommandError::new(
        ExitCode::Failure,
        format!("the lock directory {} cannot be used", dir.display()),
    )
    .caused_by(error)
}
