//! The temporary directory of a copy, and removing those that killed copies left.

use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// One that its process holds a lock on for as long as it lives.
const PREFIX: &str = "amika-copy-";
/// One whose process has yet to take the lock.
const MAKING: &str = ".amika-copy-making-";
/// Letters and digits that follow, chosen by lot.
const RANDOM: usize = 6;
/// The file that tells such a directory from a stranger's of a like name. It goes last, so that a removal
/// that was broken off is taken up again.
const MARK: &str = ".amika-copy";
/// What is in it.
const MARKED: &str = "Made by amika for one copy of a repository. Once that amika has ended, another one \
                      removes this directory with all that is in it.\n";
/// How long a process may need to take its lock: older ones are nobody's.
const LEFT: Duration = Duration::from_hours(1);
/// How long an ending process waits for its threads to be done with theirs.
const END: Duration = Duration::from_secs(3);
/// Between two looks at whether they are.
const PAUSE: Duration = Duration::from_millis(5);

/// Those of a machine that are there, for whoever ends its process. A copy of it has the same.
#[derive(Clone, Debug, Default)]
pub struct Scratches(Arc<Mutex<Vec<PathBuf>>>);

/// A temporary directory that nobody else can look into: it may hold a whole private repository. It
/// goes when it is dropped; its lock tells those after a SIGKILL that it is nobody's any more.
pub struct Scratch {
    path: PathBuf,
    all: Scratches,
    _lock: File,
}

impl Scratch {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What a program that was ended a moment ago still writes to is removed at the end of this one, or found
        // by `left` later.
        if clear(&self.path).is_ok() {
            let path = &self.path;
            self.all.change(|live| live.retain(|one| one != path));
        }
    }
}

impl Scratches {
    /// Makes one in a directory, and removes what killed processes of this user left there.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn make(&self, parent: &Path) -> io::Result<Scratch> {
        for left in left(parent) {
            remove(&left);
        }
        let made = tempfile::Builder::new()
            .prefix(MAKING)
            .rand_bytes(RANDOM)
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in(parent)?;
        let lock = File::open(made.path())?;
        // Where locks do not work nobody can take this one either, and nothing is removed.
        let _ = lock.lock();
        std::fs::write(made.path().join(MARK), MARKED)?;
        // Only a locked one gets the name by which others look for those that nobody holds.
        let name = made.path().file_name().unwrap_or_default();
        let unique = name.to_string_lossy().replacen(MAKING, PREFIX, 1);
        let path = made.path().with_file_name(unique);
        std::fs::rename(made.path(), &path)?;
        let _ = made.keep();
        self.change(|live| live.push(path.clone()));
        Ok(Scratch {
            path,
            all: self.clone(),
            _lock: lock,
        })
    }

    /// Removes those of a process that is about to end: what could not be removed before, and what threads work in
    /// although nobody waits for them any more. These fail for it, which ends them soon, and are waited for a while, so
    /// that none, nor a git of theirs, makes anything of it anew.
    pub fn end(&self) {
        let begun = Instant::now();
        loop {
            let live = self.change(|live| live.clone());
            if live.is_empty() {
                return;
            }
            for path in live {
                // What was written into it meanwhile is removed at the next look.
                if clear(&path).is_ok() || !path.exists() {
                    self.change(|live| live.retain(|one| *one != path));
                }
            }
            if begun.elapsed() > END {
                return;
            }
            std::thread::sleep(PAUSE);
        }
    }

    fn change<T>(&self, change: impl FnOnce(&mut Vec<PathBuf>) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Removes one of those; whether it is gone. One that somebody holds by now stays.
pub fn remove(path: &Path) -> bool {
    take(path).is_some_and(|_lock| clear(path).is_ok())
}

/// Temporary directories of this user's in a directory, which killed processes left. What cannot be looked
/// at stays: it is in nobody's way.
pub fn left(parent: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(parent) else {
        return Vec::new();
    };
    let entries = entries.flatten().map(|entry| entry.path());
    entries.filter(|path| take(path).is_some()).collect()
}

/// The lock of a directory that a dead process of this user's made here, and nobody else: one of this
/// name with the mark in it. It is held until it is dropped.
fn take(path: &Path) -> Option<File> {
    let name = path.file_name()?.to_str()?;
    let (random, is_making) = match (name.strip_prefix(PREFIX), name.strip_prefix(MAKING)) {
        (Some(random), _) => (random, false),
        (None, Some(random)) => (random, true),
        (None, None) => return None,
    };
    if random.len() != RANDOM || !random.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    let user = rustix::process::geteuid().as_raw();
    // Of a link this is the link's own: it is no directory, and no file.
    let directory = path.symlink_metadata().ok()?;
    let mark = path.join(MARK);
    let marked = mark.symlink_metadata().ok()?;
    if !directory.is_dir() || !marked.is_file() || directory.uid() != user || marked.uid() != user {
        return None;
    }
    if marked.len() != MARKED.len() as u64 || std::fs::read(&mark).ok()? != MARKED.as_bytes() {
        return None;
    }
    if is_making && directory.modified().ok()?.elapsed().ok()? < LEFT {
        return None;
    }
    let lock = File::open(path).ok()?;
    lock.try_lock().ok().map(|()| lock)
}

/// Removes a directory, its mark last.
fn clear(path: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_name() == MARK {
            continue;
        }
        if entry.file_type()?.is_dir() {
            std::fs::remove_dir_all(entry.path())?;
        } else {
            std::fs::remove_file(entry.path())?;
        }
    }
    match std::fs::remove_file(path.join(MARK)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => std::fs::remove_dir(path),
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    /// A directory with a file in it, and what its mark says if it has one.
    fn make(parent: &Path, name: &str, age: Duration, mark: Option<&str>) -> File {
        let path = parent.join(name);
        std::fs::create_dir(&path).expect("made");
        std::fs::write(path.join("file"), "x").expect("written");
        if let Some(mark) = mark {
            std::fs::write(path.join(MARK), mark).expect("marked");
        }
        let handle = File::open(&path).expect("opened");
        handle.set_modified(SystemTime::now() - age).expect("aged");
        handle
    }

    #[test]
    fn only_what_a_dead_process_left_is_found_and_removed() {
        let parent = tempfile::tempdir().expect("a directory");
        let make = |name: &str, age| make(parent.path(), name, age, Some(MARKED));
        drop(make("amika-copy-lEft00", Duration::ZERO));
        drop(make(".amika-copy-making-left00", 2 * LEFT));
        drop(make(".amika-copy-making-young0", Duration::ZERO));
        let used = make("amika-copy-used00", 2 * LEFT);
        used.lock().expect("locked");
        let mut found = left(parent.path());
        found.sort();
        let expected =
            [".amika-copy-making-left00", "amika-copy-lEft00"].map(|name| parent.path().join(name));
        assert_eq!(found, expected);
        assert!(expected.iter().all(|path| remove(path) && !path.exists()));
        assert!(!remove(&parent.path().join("amika-copy-used00")));
        assert_eq!(left(parent.path()), Vec::<PathBuf>::new());
    }

    #[test]
    fn what_somebody_else_made_is_nobodys_leftover() {
        let parent = tempfile::tempdir().expect("a directory");
        let parent = parent.path();
        for (name, mark) in [
            ("amika-copy-work", None),
            ("amika-copy-backup", None),
            ("amika-copy-backu2", Some("other words")),
            ("amika-copy-longer-name", Some(MARKED)),
            (".amika-copy-making-backup", None),
            ("something-else", Some(MARKED)),
        ] {
            drop(make(parent, name, 2 * LEFT, mark));
            assert!(!remove(&parent.join(name)), "{name}");
        }
        std::os::unix::fs::symlink("something-else", parent.join("amika-copy-link00"))
            .expect("linked");
        let linked = make(parent, "amika-copy-mark00", 2 * LEFT, None);
        std::os::unix::fs::symlink(
            parent.join("something-else").join(MARK),
            parent.join("amika-copy-mark00").join(MARK),
        )
        .expect("linked");
        drop(linked);
        assert_eq!(left(parent), Vec::<PathBuf>::new());
        for name in ["amika-copy-link00", "amika-copy-mark00"] {
            assert!(!remove(&parent.join(name)), "{name}");
            assert!(parent.join(name).join("file").exists(), "{name}");
        }
    }

    #[test]
    fn it_is_the_users_alone_and_goes_when_dropped() {
        let parent = tempfile::tempdir().expect("a directory");
        let scratches = Scratches::default();
        let scratch = scratches.make(parent.path()).expect("made");
        let path = scratch.path().to_owned();
        let mode = path.metadata().expect("there").mode() & 0o777;
        assert_eq!(mode, 0o700);
        assert!(take(&path).is_none(), "it is in use");
        std::fs::create_dir(path.join("directory")).expect("made");
        std::fs::write(path.join("directory/file"), "x").expect("written");
        drop(scratch);
        assert!(!path.exists());
    }

    #[test]
    fn one_that_could_not_be_removed_when_it_was_dropped_goes_at_the_end() {
        let parent = tempfile::tempdir().expect("a directory");
        let scratches = Scratches::default();
        let scratch = scratches.make(parent.path()).expect("made");
        let path = scratch.path().to_owned();
        // A mount, or what somebody writes to: here a directory in the mark's place, which is no file.
        std::fs::remove_file(path.join(MARK)).expect("removed");
        std::fs::create_dir(path.join(MARK)).expect("made");
        drop(scratch);
        assert!(path.exists());
        std::fs::remove_dir(path.join(MARK)).expect("removed");
        std::fs::write(path.join(MARK), MARKED).expect("written");
        scratches.end();
        assert!(!path.exists());
    }

    #[test]
    fn what_is_made_is_known_again() {
        let own = tempfile::tempdir().expect("a directory");
        let scratch = Scratches::default().make(own.path()).expect("made");
        let parent = tempfile::tempdir().expect("a directory");
        let other = parent
            .path()
            .join(scratch.path().file_name().expect("a name"));
        std::fs::create_dir(&other).expect("made");
        std::fs::copy(scratch.path().join(MARK), other.join(MARK)).expect("copied");
        assert!(remove(&other), "it is as the other, and nobody holds it");
        assert!(scratch.path().exists());
    }
}
