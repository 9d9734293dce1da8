//! Gives the agent what setup made as root in the agent's directories.
//!
//! Everything goes through open directories, never through paths: the agent's own processes may
//! already run, and a directory swapped for a link must not lead root astray.

use std::collections::HashMap;
use std::ffi::CStr;
use std::os::fd::{AsFd, OwnedFd};

use nix::dir::Dir;
use nix::fcntl::{AtFlags, OFlag, openat};
use nix::sys::stat::{FileStat, Mode, fstat, fstatat};

use crate::mounts::{Mounts, id_at, id_of};
use crate::places::give;
use crate::sys::Identity;

/// Directories are followed this deep; each level holds one descriptor open.
const DEPTH: usize = 400;

/// What a walk did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Handed {
    /// Files, directories and links that changed their owner.
    pub(crate) changed: u64,
    /// What could not be read or changed.
    pub(crate) failed: u64,
}

/// Gives what root owns beneath `roots` to `agent`, and the roots themselves: links as such, on the same mount only, and
/// no root that came from the host.
pub(crate) fn hand_over(roots: &[OwnedFd], agent: &Identity, mounts: &Mounts) -> Handed {
    let protected = std::fs::read("/proc/sys/fs/protected_hardlinks");
    let mut walk = Walk {
        from: 0,
        agent,
        links: match protected {
            Ok(text) if text.starts_with(b"1") => Links::Counted(HashMap::new()),
            _ => Links::Distrusted,
        },
        handed: Handed::default(),
    };
    for root in roots {
        if mounts.is_from_host(root.as_fd()) {
            continue;
        }
        if fstat(root).is_ok_and(|data| data.st_uid == 0) && give(root.as_fd(), agent).is_ok() {
            walk.handed.changed += 1;
        }
        walk.root(root);
    }
    walk.handed
}

/// Gives what `from` owns beneath `root`, not the root itself, to `agent`; as [`hand_over`] in all
/// else. For a time when nothing of the agent's runs yet.
pub(crate) fn pass_on(root: &OwnedFd, from: u32, agent: &Identity) -> Handed {
    let mut walk = Walk {
        from,
        agent,
        links: Links::Trusted,
        handed: Handed::default(),
    };
    walk.root(root);
    walk.handed
}

/// What to make of a file that has several names.
enum Links {
    /// Its owner's names all go to the new owner, who is the same person under another number.
    Trusted,
    /// With a name elsewhere it is somebody else's file as well, such as one of `/etc` that was
    /// linked into the home: it changes hands once all its names were met. By file: how many were.
    Counted(HashMap<(u64, u64), u64>),
    /// Where anybody may link to anybody's files, a name could be moved ahead of the walk and be
    /// counted twice: none changes hands.
    Distrusted,
}

impl Links {
    /// Whether the file of `data`, met under one more of its names, may change hands now.
    fn allow(&mut self, data: &FileStat) -> bool {
        if is_directory(data) || data.st_nlink <= 1 {
            return true;
        }
        match self {
            Self::Trusted => true,
            Self::Distrusted => false,
            Self::Counted(seen) => {
                let seen = seen.entry((data.st_dev, data.st_ino)).or_default();
                *seen += 1;
                *seen >= data.st_nlink
            }
        }
    }
}

struct Walk<'a> {
    /// Whose files change hands.
    from: u32,
    agent: &'a Identity,
    links: Links,
    handed: Handed,
}

impl Walk<'_> {
    fn root(&mut self, root: &OwnedFd) {
        let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let opened = Dir::openat(root, c".", flags, Mode::empty());
        match (opened, id_of(root.as_fd())) {
            (Ok(directory), Some(mount)) => self.directory(directory, mount, 0),
            _ => self.handed.failed += 1,
        }
    }

    /// Walks a directory that lies on `mount`.
    fn directory(&mut self, mut directory: Dir, mount: u64, depth: usize) {
        let Ok(at) = directory.as_fd().try_clone_to_owned() else {
            self.handed.failed += 1;
            return;
        };
        let mut below = Vec::new();
        for entry in directory.iter().flatten() {
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let Ok(data) = fstatat(&at, name, AtFlags::AT_SYMLINK_NOFOLLOW) else {
                continue;
            };
            let is_directory = is_directory(&data);
            // A mount point may be a single file, too.
            let concerns = is_directory || data.st_uid == self.from;
            if !concerns || id_at(at.as_fd(), name) != Some(mount) {
                continue;
            }
            if data.st_uid == self.from {
                self.entry(&at, name, mount);
            }
            if is_directory {
                below.push(name.to_owned());
            }
        }
        // One descriptor for each level is enough.
        drop(at);
        for name in below {
            self.descend(&directory, &name, mount, depth);
        }
    }

    /// Gives one entry, by a descriptor: the name may mean something else by now.
    fn entry(&mut self, directory: &OwnedFd, name: &CStr, mount: u64) {
        let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let given = openat(directory, name, flags, Mode::empty()).and_then(|file| {
            let data = fstat(&file)?;
            let still = data.st_uid == self.from && id_of(file.as_fd()) == Some(mount);
            if !still || !self.links.allow(&data) {
                return Ok(false);
            }
            give(file.as_fd(), self.agent).map(|()| true)
        });
        match given {
            Ok(given) => self.handed.changed += u64::from(given),
            Err(_) => self.handed.failed += 1,
        }
    }

    fn descend(&mut self, parent: &Dir, name: &CStr, mount: u64, depth: usize) {
        let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let opened = Dir::openat(parent.as_fd(), name, flags, Mode::empty());
        match opened {
            Ok(opened) if depth < DEPTH && id_of(opened.as_fd()) == Some(mount) => {
                self.directory(opened, mount, depth + 1);
            }
            _ => self.handed.failed += 1,
        }
    }
}

fn is_directory(data: &FileStat) -> bool {
    data.st_mode & nix::libc::S_IFMT == nix::libc::S_IFDIR
}
