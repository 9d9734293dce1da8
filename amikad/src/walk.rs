//! How root reaches a place that may be the agent's: by open directories, one name at a time, and through no link that the
//! agent could have laid. Whoever gets the descriptor has what was looked at, whatever the names mean by then.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use amika_core::contract::path;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, open, openat, readlinkat};
use nix::libc;
use nix::sys::stat::{FileStat, Mode, fstat, fstatat, mkdirat};

use crate::mounts::Mounts;
use crate::places::give;
use crate::say::say;
use crate::sys::Identity;

/// Opens a directory to go on from, whether or not it may be listed.
pub(crate) const O_PATH_DIRECTORY: OFlag = OFlag::O_PATH
    .union(OFlag::O_DIRECTORY)
    .union(OFlag::O_NOFOLLOW)
    .union(OFlag::O_CLOEXEC);

/// Links that are followed on one way, as the kernel has it (`path_resolution(7)`).
const MOST_LINKS: u32 = 40;

/// Reaches `directory`, whose links may be `agent`'s. Without an agent, links are whoever's.
pub(crate) fn reach(directory: &Path, agent: Option<&Identity>) -> io::Result<OwnedFd> {
    let walk = Walk { agent, make: None };
    walk.to(directory)
}

/// The same, and makes what is missing. What is made is given to the agent; so is what root owns from the home
/// downwards, where engines make mount points as root.
pub(crate) fn reach_or_make(
    directory: &Path,
    agent: Option<&Identity>,
    mounts: &Mounts,
) -> io::Result<OwnedFd> {
    let walk = Walk {
        agent,
        make: Some(mounts),
    };
    walk.to(directory)
}

struct Walk<'a> {
    agent: Option<&'a Identity>,
    make: Option<&'a Mounts>,
}

impl Walk<'_> {
    fn to(&self, directory: &Path) -> io::Result<OwnedFd> {
        let mut at = open("/", O_PATH_DIRECTORY, Mode::empty())?;
        // Names that are still to be gone, the next one last; the first so many of them are of links.
        let mut left = names(directory);
        let mut of_links = 0;
        let mut walked = PathBuf::from("/");
        let mut strayed = false;
        let mut links = 0;
        while let Some(name) = left.pop() {
            let is_own = of_links == 0;
            if is_own {
                walked.push(&name);
            } else {
                of_links -= 1;
            }
            match openat(&at, name.as_os_str(), O_PATH_DIRECTORY, Mode::empty()) {
                Ok(next) => {
                    self.give(&next, &walked, is_own && !strayed, false);
                    at = next;
                }
                Err(Errno::ENOENT) if self.make.is_some() => {
                    match mkdirat(&at, name.as_os_str(), Mode::from_bits_truncate(0o755)) {
                        Ok(()) | Err(Errno::EEXIST) => {}
                        Err(error) => return Err(error.into()),
                    }
                    let next = openat(&at, name.as_os_str(), O_PATH_DIRECTORY, Mode::empty())?;
                    self.give(&next, &walked, is_own && !strayed, true);
                    at = next;
                }
                // A link, or no directory.
                Err(Errno::ENOTDIR | Errno::ELOOP) => {
                    let target = self.link(&at, &name)?;
                    links += 1;
                    if links > MOST_LINKS {
                        return Err(Errno::ELOOP.into());
                    }
                    // What lies behind a link in the home is not of the home.
                    strayed |= walked.starts_with(path::HOME) && walked != Path::new(path::HOME);
                    if target.is_absolute() {
                        at = open("/", O_PATH_DIRECTORY, Mode::empty())?;
                    }
                    let behind = names(&target);
                    of_links += behind.len();
                    left.extend(behind);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(at)
    }

    /// What a link means, if the agent could not have laid it.
    fn link(&self, at: &OwnedFd, name: &OsStr) -> io::Result<PathBuf> {
        let data = fstatat(at, name, AtFlags::AT_SYMLINK_NOFOLLOW)?;
        if data.st_mode & libc::S_IFMT != libc::S_IFLNK {
            return Err(Errno::ENOTDIR.into());
        }
        if let Some(agent) = self.agent
            && (data.st_uid != 0 || may_replace(&fstat(at)?, agent))
        {
            return Err(Errno::ELOOP.into());
        }
        Ok(readlinkat(at, name)?.into())
    }

    fn give(&self, next: &OwnedFd, walked: &Path, is_own: bool, made: bool) {
        let (Some(agent), Some(mounts)) = (self.agent, self.make) else {
            return;
        };
        let is_due =
            made || is_own && walked.starts_with(path::HOME) && !mounts.is_from_host(next.as_fd());
        if is_due
            && fstat(next).is_ok_and(|data| data.st_uid == 0)
            && let Err(error) = give(next.as_fd(), agent)
        {
            let walked = walked.display();
            say(format!("cannot give {walked} to the agent: {error}"));
        }
    }
}

/// The names on a path, the first one last.
fn names(path: &Path) -> Vec<OsString> {
    let names = path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    });
    let mut names: Vec<OsString> = names.collect();
    names.reverse();
    names
}

/// Whether `agent` may put something else in the place of an entry of root's in this directory.
fn may_replace(directory: &FileStat, agent: &Identity) -> bool {
    let mode = directory.st_mode;
    let in_group = directory.st_gid == agent.gid || agent.groups.contains(&directory.st_gid);
    let may_write = mode & 0o002 != 0 || mode & 0o020 != 0 && in_group;
    // In a sticky directory everybody may replace his own only.
    directory.st_uid == agent.uid || may_write && mode & libc::S_ISVTX == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(uid: u32, gid: u32, mode: u32) -> FileStat {
        let mut data = fstat(std::fs::File::open("/").unwrap()).unwrap();
        (data.st_uid, data.st_gid, data.st_mode) = (uid, gid, libc::S_IFDIR | mode);
        data
    }

    #[test]
    fn a_link_is_the_agents_where_it_may_replace_one_of_roots() {
        let agent = Identity {
            uid: 1000,
            gid: 1000,
            groups: vec![1000, 50],
        };
        for (uid, gid, mode, may) in [
            (0, 0, 0o755, false),
            (0, 0, 0o775, false),
            (0, 50, 0o775, true),
            (0, 50, 0o755, false),
            (0, 1000, 0o2775, true),
            (0, 0, 0o777, true),
            (0, 0, 0o1777, false),
            (1000, 0, 0o555, true),
            (7, 7, 0o755, false),
        ] {
            let data = directory(uid, gid, mode);
            assert_eq!(may_replace(&data, &agent), may, "{uid}:{gid} {mode:o}");
        }
    }

    #[test]
    fn names_are_gone_from_the_first_on() {
        let mut left = names(Path::new("/a/./b/../c/"));
        let mut order = Vec::new();
        while let Some(name) = left.pop() {
            order.push(name);
        }
        assert_eq!(order, ["a", "b", "..", "c"]);
    }
}
