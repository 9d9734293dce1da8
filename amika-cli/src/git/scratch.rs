//! The temporary directory of a copy, and removing those that killed copies left.

use std::fs::{File, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;

const PREFIX: &str = "amika-git-";
/// Between its making and its lock a directory looks as if nobody used it.
const LEFT: Duration = Duration::from_hours(1);

/// A temporary directory that nobody else can look into: it may hold a whole private repository. It
/// goes when it is dropped; its lock tells those after a SIGKILL that it is nobody's any more.
pub(super) struct Scratch {
    directory: TempDir,
    _lock: File,
}

impl Scratch {
    /// Makes one, and removes what killed processes of this user left.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(super) fn new() -> std::io::Result<Self> {
        sweep(&std::env::temp_dir(), LEFT);
        let directory = tempfile::Builder::new()
            .prefix(PREFIX)
            .permissions(Permissions::from_mode(0o700))
            .tempdir()?;
        let lock = File::open(directory.path())?;
        // Where locks do not work nobody can take this one either, and nothing is removed.
        let _ = lock.lock();
        Ok(Self {
            directory,
            _lock: lock,
        })
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        self.directory.path()
    }
}

/// Removes directories of that name that are this user's, old enough, and locked by nobody. What cannot
/// be looked at or removed stays: it is in nobody's way.
fn sweep(parent: &Path, age: Duration) {
    let Ok(entries) = std::fs::read_dir(parent) else {
        return;
    };
    let user = rustix::process::geteuid().as_raw();
    for entry in entries.flatten() {
        let named = entry.file_name().to_string_lossy().starts_with(PREFIX);
        let left = entry.metadata().is_ok_and(|found| {
            let is_old = found
                .modified()
                .is_ok_and(|at| at.elapsed().is_ok_and(|since| since >= age));
            found.is_dir() && found.uid() == user && is_old
        });
        if named
            && left
            && let Ok(directory) = File::open(entry.path())
            && directory.try_lock().is_ok()
        {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn only_what_a_dead_process_left_is_removed() {
        let parent = tempfile::tempdir().expect("a directory");
        let old = |name: &str| {
            let path = parent.path().join(name);
            std::fs::create_dir(&path).expect("made");
            std::fs::write(path.join("file"), "x").expect("written");
            let handle = File::open(&path).expect("opened");
            let then = SystemTime::now() - 2 * LEFT;
            handle.set_modified(then).expect("aged");
            handle
        };
        drop(old("amika-git-left"));
        drop(old("something-else"));
        let used = old("amika-git-used");
        used.lock().expect("locked");
        std::fs::create_dir(parent.path().join("amika-git-young")).expect("made");
        std::os::unix::fs::symlink("something-else", parent.path().join("amika-git-link"))
            .expect("linked");
        sweep(parent.path(), LEFT);
        let mut names: Vec<String> = std::fs::read_dir(parent.path())
            .expect("listed")
            .map(|entry| {
                entry
                    .expect("read")
                    .file_name()
                    .to_string_lossy()
                    .into_owned()
            })
            .collect();
        names.sort();
        assert_eq!(
            names,
            [
                "amika-git-link",
                "amika-git-used",
                "amika-git-young",
                "something-else"
            ]
        );
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
