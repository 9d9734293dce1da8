//! Gives the agent what setup made as root in the agent's directories.
//!
//! Everything goes through open directories, never through paths: the agent's own processes may
//! already run, and a directory swapped for a link must not lead root astray.

use std::os::fd::AsFd;
use std::path::Path;

use nix::dir::{Dir, Type};
use nix::fcntl::{AtFlags, OFlag};
use nix::sys::stat::{Mode, fstat, fstatat};
use nix::unistd::{Gid, Uid, fchownat};

use crate::mounts::Mounts;
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

/// Gives what root owns beneath `roots` to `agent`: links themselves, on the same device only,
/// never what is a mount of its own, and no root that came from the host.
pub(crate) fn hand_over(roots: &[&Path], agent: &Identity, mounts: &Mounts) -> Handed {
    let protected = std::fs::read("/proc/sys/fs/protected_hardlinks");
    let mut walk = Walk {
        from: 0,
        uid: Some(Uid::from_raw(agent.uid)),
        gid: Some(Gid::from_raw(agent.gid)),
        mounts,
        // Where anybody may link to anybody's files, a link in the home proves nothing.
        trust_hard_links: protected.is_ok_and(|text| text.starts_with(b"1")),
        handed: Handed::default(),
    };
    for root in roots {
        if mounts.is_from_host(root) {
            continue;
        }
        let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let Ok(directory) = Dir::open(*root, flags, Mode::empty()) else {
            continue;
        };
        let Ok(data) = fstat(&directory) else {
            continue;
        };
        if data.st_uid == 0
            && fchownat(&directory, c"", walk.uid, walk.gid, AtFlags::AT_EMPTY_PATH).is_ok()
        {
            walk.handed.changed += 1;
        }
        walk.directory(directory, root, data.st_dev, 0);
    }
    walk.handed
}

/// Gives what `from` owns beneath `root`, not the root itself, to `agent`; as [`hand_over`] in all
/// else. For a time when nothing of the agent's runs yet.
pub(crate) fn pass_on(root: &Path, from: u32, agent: &Identity, mounts: &Mounts) -> Handed {
    let mut walk = Walk {
        from,
        uid: Some(Uid::from_raw(agent.uid)),
        gid: Some(Gid::from_raw(agent.gid)),
        mounts,
        // What stays that of the image's number is nobody's any more: a link to it gains nothing.
        trust_hard_links: true,
        handed: Handed::default(),
    };
    let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let opened = Dir::open(root, flags, Mode::empty())
        .and_then(|directory| Ok((fstat(&directory)?.st_dev, directory)));
    match opened {
        Ok((device, directory)) => walk.directory(directory, root, device, 0),
        Err(_) => walk.handed.failed += 1,
    }
    walk.handed
}

struct Walk<'a> {
    /// Whose files change hands.
    from: u32,
    uid: Option<Uid>,
    gid: Option<Gid>,
    mounts: &'a Mounts,
    trust_hard_links: bool,
    handed: Handed,
}

impl Walk<'_> {
    /// `path` serves to recognise mounts, and for nothing else.
    fn directory(&mut self, mut directory: Dir, path: &Path, device: u64, depth: usize) {
        let mut below = Vec::new();
        let entries = directory.iter().collect::<Vec<_>>();
        for entry in entries.into_iter().flatten() {
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let Ok(data) = fstatat(&directory, name, AtFlags::AT_SYMLINK_NOFOLLOW) else {
                continue;
            };
            let is_directory = data.st_mode & nix::libc::S_IFMT == nix::libc::S_IFDIR;
            debug_assert!(
                entry
                    .file_type()
                    .is_none_or(|kind| (kind == Type::Directory) == is_directory)
            );
            if data.st_dev != device {
                continue;
            }
            let linked = !is_directory && data.st_nlink > 1 && !self.trust_hard_links;
            // A mount point may be a single file, too.
            let child = || {
                use std::os::unix::ffi::OsStrExt;
                path.join(std::ffi::OsStr::from_bytes(name.to_bytes()))
            };
            if (is_directory || data.st_uid == self.from) && self.mounts.has(&child()) {
                continue;
            }
            if data.st_uid == self.from && !linked {
                let flags = AtFlags::AT_SYMLINK_NOFOLLOW;
                match fchownat(&directory, name, self.uid, self.gid, flags) {
                    Ok(()) => self.handed.changed += 1,
                    Err(_) => self.handed.failed += 1,
                }
            }
            if is_directory {
                below.push(name.to_owned());
            }
        }
        for name in below {
            self.descend(&directory, &name, path, device, depth);
        }
    }

    fn descend(
        &mut self,
        parent: &Dir,
        name: &std::ffi::CStr,
        path: &Path,
        device: u64,
        depth: usize,
    ) {
        use std::os::unix::ffi::OsStrExt;
        let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let opened = Dir::openat(parent.as_fd(), name, flags, Mode::empty());
        match opened {
            Ok(opened)
                if depth < DEPTH && fstat(&opened).is_ok_and(|data| data.st_dev == device) =>
            {
                let path = path.join(std::ffi::OsStr::from_bytes(name.to_bytes()));
                self.directory(opened, &path, device, depth + 1);
            }
            _ => self.handed.failed += 1,
        }
    }
}
