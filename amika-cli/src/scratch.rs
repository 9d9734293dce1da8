//! The temporary directory of a copy, and removing those that killed copies left.

use std::fs::{File, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// One that its process holds a lock on for as long as it lives.
const PREFIX: &str = "amika-copy-";
/// One whose process has yet to take the lock.
const MAKING: &str = ".amika-copy-making-";
/// How long a process may need for that: older ones are nobody's.
const LEFT: Duration = Duration::from_hours(1);

/// A temporary directory that nobody else can look into: it may hold a whole private repository. It
/// goes when it is dropped; its lock tells those after a SIGKILL that it is nobody's any more.
pub struct Scratch {
    path: PathBuf,
    _lock: File,
}

impl Scratch {
    /// Makes one, and removes what killed processes of this user left.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn new() -> std::io::Result<Self> {
        for left in left() {
            remove(&left);
        }
        let made = tempfile::Builder::new()
            .prefix(MAKING)
            .permissions(Permissions::from_mode(0o700))
            .tempdir()?;
        let lock = File::open(made.path())?;
        // Where locks do not work nobody can take this one either, and nothing is removed.
        let _ = lock.lock();
        // Only a locked one gets the name by which others look for those that nobody holds.
        let name = made.path().file_name().unwrap_or_default();
        let unique = name.to_string_lossy().replacen(MAKING, PREFIX, 1);
        let path = made.path().with_file_name(unique);
        std::fs::rename(made.path(), &path)?;
        let _ = made.keep();
        Ok(Self { path, _lock: lock })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed now is found by `left` later.
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

/// Temporary directories of this user's that killed processes left.
pub fn left() -> Vec<PathBuf> {
    left_in(&std::env::temp_dir())
}

/// Removes one of those; whether it is gone. One that somebody holds by now stays.
pub fn remove(path: &Path) -> bool {
    is_unlocked(path) && std::fs::remove_dir_all(path).is_ok()
}

/// Those in a directory. What cannot be looked at stays: it is in nobody's way.
fn left_in(parent: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(parent) else {
        return Vec::new();
    };
    let user = rustix::process::geteuid().as_raw();
    let is_left = |entry: &std::fs::DirEntry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let is_named = name.starts_with(PREFIX) || name.starts_with(MAKING);
        // Of a link this is the link's own: it is no directory.
        let Ok(found) = entry.metadata() else {
            return false;
        };
        let is_old = || {
            let since = found.modified().ok().and_then(|at| at.elapsed().ok());
            since.is_some_and(|since| since >= LEFT)
        };
        is_named
            && found.is_dir()
            && found.uid() == user
            && (name.starts_with(PREFIX) || is_old())
            && is_unlocked(&entry.path())
    };
    let entries = entries.flatten().filter(is_left);
    entries.map(|entry| entry.path()).collect()
}

fn is_unlocked(path: &Path) -> bool {
    File::open(path).is_ok_and(|directory| directory.try_lock().is_ok())
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn only_what_a_dead_process_left_is_found_and_removed() {
        let parent = tempfile::tempdir().expect("a directory");
        let make = |name: &str, age: Duration| {
            let path = parent.path().join(name);
            std::fs::create_dir(&path).expect("made");
            std::fs::write(path.join("file"), "x").expect("written");
            let handle = File::open(&path).expect("opened");
            handle.set_modified(SystemTime::now() - age).expect("aged");
            handle
        };
        drop(make("amika-copy-left", Duration::ZERO));
        drop(make(".amika-copy-making-left", 2 * LEFT));
        drop(make(".amika-copy-making-young", Duration::ZERO));
        drop(make("something-else", 2 * LEFT));
        let used = make("amika-copy-used", 2 * LEFT);
        used.lock().expect("locked");
        std::os::unix::fs::symlink("something-else", parent.path().join("amika-copy-link"))
            .expect("linked");
        let mut found = left_in(parent.path());
        found.sort();
        let left =
            [".amika-copy-making-left", "amika-copy-left"].map(|name| parent.path().join(name));
        assert_eq!(found, left);
        assert!(left.iter().all(|path| remove(path) && !path.exists()));
        assert!(!remove(&parent.path().join("amika-copy-used")));
        assert_eq!(left_in(parent.path()), Vec::<PathBuf>::new());
        assert!(parent.path().join("something-else/file").exists());
    }

    #[test]
    fn it_is_the_users_alone_and_goes_when_dropped() {
        let scratch = Scratch::new().expect("made");
        let path = scratch.path().to_owned();
        let mode = path.metadata().expect("there").mode() & 0o777;
        assert_eq!(mode, 0o700);
        assert!(File::open(&path).expect("opened").try_lock().is_err());
        drop(scratch);
        assert!(!path.exists());
    }
}
