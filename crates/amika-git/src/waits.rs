//! Files that git reads of a work tree by itself, where something stands that it would wait for: a FIFO that
//! nobody writes to, or a device. Git passes over links and sockets in their places, and so do we.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use rustix::fs::FileType;

use super::dir::{Dir, kind, split};
use super::error::GitError;
use super::index::HostIndex;

/// What git reads in any directory that it looks into.
const RULES: [&[u8]; 2] = [b".gitignore", b".gitattributes"];
/// What it reads at the root alone, and not for every question.
const AT_THE_ROOT: [&[u8]; 2] = [b".gitmodules", b".mailmap"];
/// What it reads of a repository that is in the work tree, beneath its `.git`.
const OF_REPOSITORIES: [&[u8]; 3] = [b"HEAD", b"commondir", b"config"];
/// Names that are looked at, at most, to tell what held a git.
const MAX_NAMES: usize = 4_000_000;
/// Directories, one in the other, at most.
const MAX_DEPTH: usize = 256;

/// What git would wait for, in words.
fn waits(found: FileType) -> Option<&'static str> {
    match found {
        FileType::Fifo => Some("a FIFO"),
        FileType::CharacterDevice | FileType::BlockDevice => Some("a device"),
        _ => None,
    }
}

/// Asserts that git may read the rules of all directories that the index knows. Those of others are found
/// where they held it ([`holder`]).
pub(super) fn none_in(tree: &Dir, index: Option<&HostIndex>) -> Result<(), GitError> {
    let entries = index.map(HostIndex::entries).unwrap_or_default();
    let mut directories: Vec<&[u8]> = vec![b""];
    for entry in &entries {
        // All that are on the way to it: one may have nothing but directories in it.
        let mut path = split(&entry.path).0;
        while !path.is_empty() && directories.last() != Some(&path) {
            directories.push(path);
            path = split(path).0;
        }
    }
    directories.sort_unstable();
    directories.dedup();
    for path in directories {
        let failed = || GitError::io("read", tree.place(path));
        let Some(directory) = tree.real_dir(path).map_err(failed())? else {
            continue;
        };
        for name in RULES {
            let found = directory.stat_of(name).map_err(failed())?;
            if let Some(what) = found.map(kind).and_then(waits) {
                let place = directory.place(name);
                return Err(GitError::Waits { place, what });
            }
        }
    }
    Ok(())
}

/// What held a git that was looking at a work tree; `None` when nothing that it reads is there.
pub(super) fn holder(tree: &Path) -> Option<GitError> {
    let mut left = MAX_NAMES;
    within(&Dir::open(tree).ok()?, 0, &mut left)
}

fn within(directory: &Dir, depth: usize, left: &mut usize) -> Option<GitError> {
    let names = directory.names().ok()?;
    *left = left.checked_sub(names.len())?;
    let waits_at = |of: &Dir, name: &[u8], found: FileType| {
        let place = of.place(name);
        waits(found).map(|what| GitError::Waits { place, what })
    };
    for (name, found) in &names {
        let is_read = RULES.contains(&&name[..]) || depth == 0 && AT_THE_ROOT.contains(&&name[..]);
        if is_read && let Some(error) = waits_at(directory, name, *found) {
            return Some(error);
        }
    }
    for (name, found) in names {
        if found != FileType::Directory || depth == MAX_DEPTH {
            continue;
        }
        let Ok(Some(inner)) = directory.real_dir(&name) else {
            continue;
        };
        let error = if name == b".git" {
            OF_REPOSITORIES.iter().find_map(|part| {
                let found = inner.stat_of(part).ok().flatten();
                waits_at(&inner, part, found.map(kind)?)
            })
        } else {
            within(&inner, depth + 1, left)
        };
        if error.is_some() {
            return error;
        }
    }
    None
}

/// The work tree that a command is to look at.
pub(super) fn work_tree(command: &std::process::Command) -> Option<PathBuf> {
    let mut words = command.get_args();
    words.find(|word| *word == OsStr::new("--work-tree"))?;
    words.next().map(PathBuf::from)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use rustix::fs::{CWD, Mode, mknodat};

    use super::*;

    #[test]
    fn what_holds_a_git_is_found_wherever_it_reads_it() {
        for (place, is_found) in [
            (".gitignore", true),
            ("a/b/.gitignore", true),
            ("a/.gitattributes", true),
            (".gitmodules", true),
            ("a/b/.git/HEAD", true),
            ("a/b/.git/commondir", true),
            ("a/.gitmodules", false),
            ("a/pipe", false),
            (".git/index", false),
        ] {
            let root = tempfile::tempdir().unwrap();
            let place = root.path().join(place);
            std::fs::create_dir_all(place.parent().unwrap()).unwrap();
            mknodat(CWD, &place, FileType::Fifo, Mode::RUSR, 0).unwrap();
            let found = holder(root.path()).map(|error| error.to_string());
            let named = found.is_some_and(|said| said.contains(place.to_str().unwrap()));
            assert_eq!(named, is_found, "{}", place.display());
        }
    }

    #[test]
    fn what_git_passes_over_holds_nothing() {
        let root = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/dev/zero", root.path().join(".gitignore")).unwrap();
        let socket = root.path().join(".gitattributes");
        let _listener = std::os::unix::net::UnixListener::bind(socket).unwrap();
        assert!(holder(root.path()).is_none());
        none_in(&Dir::open(root.path()).unwrap(), None).unwrap();
    }
}
