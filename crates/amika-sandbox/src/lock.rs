//! File locks: one `amika` at a time where two would disturb each other.

use std::fs::{File, OpenOptions, Permissions, TryLockError};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use amika_host::machine::Machine;

use crate::error::{Error, Kind, Result};

/// The directory of lock files, in that of the user.
const DIRECTORY: &str = "locks";
/// What the lock of a sandbox's name is called, before the name.
const NAME: &str = "sandbox-";
/// What a lock file may hold, in bytes: nobody writes more.
const LIMIT: usize = 4096;

/// An advisory lock; the kernel lets go of it when the process ends, however it ends. A file that its
/// holder wrote something into stays; an empty one goes with the lock.
pub struct FileLock {
    file: File,
    path: PathBuf,
}

/// The locks of one user of this machine.
pub struct Locks {
    directory: PathBuf,
}

impl Locks {
    /// Those of this machine's user.
    pub fn new(machine: &Machine) -> Self {
        Self {
            directory: machine.runtime_dir().join(DIRECTORY),
        }
    }

    fn unusable(&self, error: &std::io::Error) -> Error {
        let directory = self.directory.display();
        let message = format!("the lock directory {directory} cannot be used");
        Error::new(Kind::Failure, message).caused_by(error)
    }

    /// Where the file of a lock is.
    fn path(&self, name: &str) -> Result<PathBuf> {
        if !amika_core::name::can_be_on_an_engine(name) {
            return Err(self.unusable(&std::io::ErrorKind::InvalidFilename.into()));
        }
        Ok(self.directory.join(name))
    }

    /// Takes the lock of a sandbox's name.
    ///
    /// # Errors
    /// [`Kind::Conflict`] when another process holds it.
    pub fn take_name(&self, name: &str) -> Result<FileLock> {
        let path = self.path(&format!("{NAME}{name}"))?;
        match lock(path, false) {
            Ok(lock) => Ok(lock),
            Err(TryLockError::WouldBlock) => Err(Error::new(
                Kind::Conflict,
                format!("another amika is working on sandbox \"{name}\""),
            )
            .hint("wait for it to end, or use another name")),
            Err(TryLockError::Error(error)) => Err(self.unusable(&error)),
        }
    }

    /// Waits until nobody else starts or renames a sandbox of this name, and keeps others from it for as long as the
    /// engine takes: what was put in for one start is not another one's. A sandbox that is only waited for is free.
    /// None where locks have no place: it is done all the same.
    pub async fn change(&self, name: &str) -> Option<FileLock> {
        self.wait(&format!("change-{name}")).await.ok()
    }

    /// Whether nobody holds a lock. No file is made for the look.
    pub fn is_free(&self, name: &str) -> bool {
        // What can be no file's name, nobody has a lock of.
        let Ok(path) = self.path(name) else {
            return true;
        };
        match File::open(path) {
            Ok(file) => file.try_lock().is_ok(),
            Err(error) => error.kind() == std::io::ErrorKind::NotFound,
        }
    }

    /// Waits for a lock that is held for moments only. The wait is on a thread of its own, so that
    /// Ctrl-C is heard meanwhile.
    ///
    /// # Errors
    /// When the lock file cannot be made.
    pub async fn wait(&self, name: &str) -> Result<FileLock> {
        let path = self.path(name)?;
        let locked = tokio::task::spawn_blocking(move || lock(path, true)).await;
        match locked {
            Ok(Ok(lock)) => Ok(lock),
            Ok(Err(error)) => Err(self.unusable(&error.into())),
            Err(error) => Err(self.unusable(&std::io::Error::other(error))),
        }
    }
}

impl FileLock {
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
        Ok(lock(path.to_owned(), true)?)
    }
}

impl Drop for FileLock {
    fn drop(&mut self) {
        // The lock is still held: whoever waits for this file finds it gone, and makes another.
        if self.file.metadata().is_ok_and(|file| file.len() == 0) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Whether a process of this machine has the lock of any sandbox's name; `None` where that cannot be seen. It is
/// asked of its open files and not of a directory: in another session that user's locks may have another place.
pub(crate) fn holds_a_name(pid: u32) -> Option<bool> {
    let is_name = |path: &Path| {
        let file = path.file_name().and_then(|name| name.to_str());
        let directory = path.parent().and_then(Path::file_name);
        file.is_some_and(|name| name.starts_with(NAME))
            && directory.is_some_and(|name| name == DIRECTORY)
    };
    for entry in std::fs::read_dir(format!("/proc/{pid}/fd")).ok()? {
        match std::fs::read_link(entry.ok()?.path()) {
            Ok(path) if is_name(&path) => return Some(true),
            // It was closed meanwhile.
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return None,
            Ok(_) | Err(_) => {}
        }
    }
    Some(false)
}

/// Takes the lock of a file, which is made if need be; with `wait` once it is free.
fn lock(path: PathBuf, wait: bool) -> Result<FileLock, TryLockError> {
    loop {
        let opened = path.parent().map_or(Ok(()), std::fs::create_dir_all);
        let file = opened
            .and_then(|()| open(&path))
            .map_err(TryLockError::Error)?;
        if wait {
            file.lock().map_err(TryLockError::Error)?;
        } else {
            file.try_lock()?;
        }
        // Its last holder may have removed it between the two: then the lock is one of nothing.
        let there = std::fs::metadata(&path).map(|there| (there.dev(), there.ino()));
        let held = file.metadata().map(|held| (held.dev(), held.ino()));
        if there.is_ok_and(|there| held.is_ok_and(|held| there == held)) {
            return Ok(FileLock { file, path });
        }
    }
}

/// Whoever opens it has no lock yet: what is in it stays.
fn open(path: &Path) -> std::io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
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

    #[test]
    fn a_process_holds_a_name_for_as_long_as_its_lock_is_there() {
        use std::io::BufRead as _;
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join(DIRECTORY).join("sandbox-box");
        // Another process: this one has other tests, which hold names of their own.
        let script = "mkdir -p \"${1%/*}\" && exec 3>\"$1\" && echo held && read line && exec 3>&- && echo free && read line";
        let mut other = std::process::Command::new("sh")
            .args(["-c", script, "sh"])
            .arg(&path)
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .expect("a shell");
        let mut says = std::io::BufReader::new(other.stdout.take().expect("a pipe")).lines();
        let mut hears = other.stdin.take().expect("a pipe");
        let mut next = || says.next().expect("a line").expect("text");
        assert_eq!(next(), "held");
        assert_eq!(holds_a_name(other.id()), Some(true));
        std::io::Write::write_all(&mut hears, b"\n").expect("written");
        assert_eq!(next(), "free");
        assert_eq!(holds_a_name(other.id()), Some(false));
        drop(hears);
        other.wait().expect("it ends");
        assert_eq!(holds_a_name(other.id()), None);
    }

    #[test]
    fn an_unused_file_goes_with_its_lock_and_no_two_hold_it() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("lock");
        let inside = std::sync::atomic::AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        let _lock = FileLock::at(&path).expect("locked");
                        let before = inside.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                        assert_eq!(before, 0, "two hold it");
                        inside.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                    }
                });
            }
        });
        assert!(!path.exists());
    }
}
