//! Repositories at URLs that are kept, so that the next clone fetches what is new of them alone.
//!
//! A directory of each has the repository, a lock and nothing else. What is at the URL is asked for each time, with
//! the sign-in of whoever asks: nobody is given anything by a copy that the server would not have given him. One that
//! is broken, as by a kill, is made anew.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use amika_host::machine::Machine;

use super::clone::{self, Listener, listed};
use super::command::{NO_BARE, network_git};
use super::error::GitError;
use super::secret_url;

/// The repository in a directory of the cache.
const KEPT: &str = "repository.git";
/// One that is being made.
const NEW: &str = "new";
const LOCK: &str = "lock";
/// How long another clone of the same repository is waited for, and between two looks: then it is done without.
const WAIT: Duration = Duration::from_mins(2);
const LOOK: Duration = Duration::from_millis(50);
/// What of a repository is kept, as a bare clone has it.
const REFS: [&str; 2] = ["+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"];

/// Brings the copy in `cache` up to date, and makes `<directory>/repository.git` of it, which is another's no more:
/// the cache may go meanwhile.
pub(super) async fn bare(
    machine: &Machine,
    address: &str,
    directory: &Path,
    cache: &Path,
    listener: Listener<'_>,
) -> Result<PathBuf, GitError> {
    let Some(lock) = lock(cache).await else {
        return clone::bare(machine, address, directory, listener).await;
    };
    let target = directory.join(KEPT);
    bring_up_to_date(machine, address, directory, cache, listener).await?;
    let (from, to) = (cache.join(KEPT), target.clone());
    let copied = tokio::task::spawn_blocking(move || {
        let copied = copy(&from, &to);
        drop(lock);
        copied
    });
    let copied = copied
        .await
        .unwrap_or_else(|error| Err(io::Error::other(error)));
    copied.map_err(GitError::io("copy", cache))?;
    Ok(target)
}

async fn bring_up_to_date(
    machine: &Machine,
    address: &str,
    directory: &Path,
    cache: &Path,
    listener: Listener<'_>,
) -> Result<(), GitError> {
    let kept = cache.join(KEPT);
    if kept.is_dir() {
        let there = listed(machine, address, directory, listener).await?;
        if refs_of(machine, &kept).as_deref() == Some(there.refs.as_str())
            || fetched(machine, address, directory, &kept, listener).await
        {
            if let Some(head) = &there.head
                && on(machine, &kept, &["symbolic-ref", "HEAD", head]).is_some()
            {
                return Ok(());
            }
            if there.head.is_none() {
                return Ok(());
            }
        }
    }
    let place = cache.join(NEW);
    for old in [&kept, &place] {
        remove(old)?;
    }
    DirBuilder::new()
        .mode(0o700)
        .create(&place)
        .map_err(GitError::io("write", &place))?;
    let made = clone::bare(machine, address, &place, listener).await;
    let made = made.and_then(|made| fs::rename(&made, &kept).map_err(GitError::io("write", &kept)));
    remove(&place)?;
    made
}

fn remove(place: &Path) -> Result<(), GitError> {
    match fs::remove_dir_all(place) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(GitError::io("remove", place)(error))
        }
        _ => Ok(()),
    }
}

async fn fetched(
    machine: &Machine,
    address: &str,
    directory: &Path,
    kept: &Path,
    listener: Listener<'_>,
) -> bool {
    let mut command = network_git(machine);
    let plain = secret_url::take_out(machine, &mut command, address);
    command
        .current_dir(directory)
        .args([
            "-c",
            "core.hooksPath=/dev/null",
            "-c",
            "gc.auto=0",
            "-c",
            "maintenance.auto=false",
        ])
        .arg("--git-dir")
        .arg(kept)
        .args([
            "fetch",
            "--prune",
            "--no-tags",
            "--no-write-fetch-head",
            "--force",
        ])
        .args(machine.terminal().stderr.then_some("--progress"))
        .args(["--", &plain])
        .args(REFS);
    matches!(clone::run(command, address, listener).await, Ok((true, _)))
}

/// What refs are there, as `git ls-remote` lists them; none where that cannot be told.
fn refs_of(machine: &Machine, kept: &Path) -> Option<String> {
    let format = "--format=%(objectname)\t%(refname)";
    on(
        machine,
        kept,
        &["for-each-ref", format, "refs/heads", "refs/tags"],
    )
}

/// What a git says that speaks with nobody.
fn on(machine: &Machine, kept: &Path, args: &[&str]) -> Option<String> {
    let mut command = network_git(machine);
    command
        .current_dir(kept)
        .args(["-c", NO_BARE, "--git-dir"])
        .arg(kept)
        .args(args);
    let output = command.output().ok().filter(|it| it.status.success())?;
    String::from_utf8(output.stdout).ok()
}

/// Holds the lock of a directory of the cache, which is made; none where another holds it for long, or it cannot be
/// made.
async fn lock(cache: &Path) -> Option<File> {
    let begun = std::time::Instant::now();
    loop {
        match try_lock(cache) {
            Ok(Some(lock)) => {
                // When it was used last.
                let _ = lock.set_modified(SystemTime::now());
                return Some(lock);
            }
            Ok(None) if begun.elapsed() < WAIT => tokio::time::sleep(LOOK).await,
            Ok(None) | Err(_) => return None,
        }
    }
}

/// The lock, unless another holds it.
fn try_lock(cache: &Path) -> io::Result<Option<File>> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(cache)?;
    let path = cache.join(LOCK);
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(&path)?;
    if file.try_lock().is_err() {
        return Ok(None);
    }
    // It may have been removed with its directory between the two.
    let (ours, there) = (file.metadata()?, fs::metadata(&path));
    let is_there = there.is_ok_and(|there| there.ino() == ours.ino() && there.dev() == ours.dev());
    Ok(is_there.then_some(file))
}

/// Copies a bare repository; what never changes of it is shared where both places are on one file system.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type()?;
        if kind.is_dir() {
            copy(&source, &target)?;
        } else if kind.is_file() {
            let is_object = source
                .components()
                .any(|part| part.as_os_str() == "objects");
            if !is_object || fs::hard_link(&source, &target).is_err() {
                fs::copy(&source, &target)?;
            }
        }
    }
    Ok(())
}

/// Keeps the LFS content that was fetched for a copy: the next one has it, and git-lfs fetches what is new alone. Where it
/// cannot be kept it is fetched again.
pub(super) async fn keep_lfs(cache: &Path, copied: &Path) {
    let Some(lock) = lock(cache).await else {
        return;
    };
    let place = Path::new("lfs/objects");
    let (from, to) = (copied.join(place), cache.join(KEPT).join(place));
    let kept = tokio::task::spawn_blocking(move || {
        let kept = add(&from, &to);
        drop(lock);
        kept
    });
    // The content is in the copy, whatever comes of this.
    let _ = kept.await;
}

/// Adds files that are named by their content.
fn add(from: &Path, to: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type()?.is_dir() {
            add(&source, &target)?;
        } else if !target.exists() && fs::hard_link(&source, &target).is_err() {
            // By another name first: one that is there is whole.
            let part = target.with_extension("part");
            fs::copy(&source, &part)?;
            fs::rename(&part, &target)?;
        }
    }
    Ok(())
}

/// Removes of a cache what was not used for so long, and the least lately used until no more than `most` bytes are
/// left. What somebody uses stays.
///
/// # Errors
/// Where the directory cannot be read.
pub fn tidy(root: &Path, most: u64, unused: Duration) -> io::Result<()> {
    let entries = match fs::read_dir(root) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    let mut all = Vec::new();
    for entry in entries.flatten() {
        let place = entry.path();
        let used = fs::metadata(place.join(LOCK)).and_then(|it| it.modified());
        let used = used.unwrap_or(SystemTime::UNIX_EPOCH);
        all.push((used, size(&place), place));
    }
    all.sort();
    let mut total: u64 = all.iter().map(|(_, size, _)| size).sum();
    for (used, size, place) in all {
        let is_old = used.elapsed().is_ok_and(|since| since > unused);
        if !is_old && total <= most {
            continue;
        }
        if let Ok(Some(_lock)) = try_lock(&place)
            && fs::remove_dir_all(&place).is_ok()
        {
            total = total.saturating_sub(size);
        }
    }
    Ok(())
}

fn size(place: &Path) -> u64 {
    let mut total = 0;
    for entry in fs::read_dir(place).into_iter().flatten().flatten() {
        total += match entry.metadata() {
            Ok(data) if data.is_dir() => size(&entry.path()),
            Ok(data) => data.len(),
            Err(_) => 0,
        };
    }
    total
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn entry(root: &Path, name: &str, bytes: usize, age: Duration) -> PathBuf {
        let place = root.join(name);
        let lock = try_lock(&place).unwrap().unwrap();
        lock.set_modified(SystemTime::now() - age).unwrap();
        fs::create_dir(place.join(KEPT)).unwrap();
        fs::write(place.join(KEPT).join("pack"), vec![0; bytes]).unwrap();
        place
    }

    #[test]
    fn the_least_lately_used_goes_and_what_is_in_use_stays() {
        let root = tempfile::tempdir().unwrap();
        let minutes = Duration::from_mins;
        let busy = entry(root.path(), "busy", 1000, minutes(90));
        let old = entry(root.path(), "old", 1000, minutes(60));
        let newer = entry(root.path(), "newer", 1000, minutes(30));
        let newest = entry(root.path(), "newest", 1000, minutes(1));
        let held = try_lock(&busy).unwrap().unwrap();
        let there = || [&busy, &old, &newer, &newest].map(|place| place.is_dir());
        tidy(root.path(), 10_000, minutes(120)).unwrap();
        assert_eq!(there(), [true, true, true, true]);
        tidy(root.path(), 3500, minutes(120)).unwrap();
        assert_eq!(there(), [true, false, true, true]);
        tidy(root.path(), 10_000, minutes(20)).unwrap();
        assert_eq!(there(), [true, false, false, true]);
        drop(held);
        tidy(root.path(), 0, minutes(120)).unwrap();
        assert_eq!(there(), [false; 4]);
        tidy(&root.path().join("none"), 0, minutes(1)).unwrap();
    }
}
