//! The agent's places: makes its home and its directories, and fills the home from the skeleton.
//!
//! The agent owns these directories and may be at work in them: through an exec, or from another
//! sandbox on the same volume. So root goes by open directories, one name at a time, and never
//! through a link that the agent could have laid: what was looked at is what is changed.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use amika_core::contract::path;
use nix::fcntl::{AtFlags, OFlag, openat};
use nix::libc;
use nix::sys::stat::{FileStat, Mode, fchmod, fstat, fstatat, mkdirat};
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchownat, geteuid, symlinkat, unlinkat};

use crate::mounts::Mounts;
use crate::say::{say, say_once, say_unkept};
use crate::sys::Identity;
use crate::walk::{O_PATH_DIRECTORY, reach, reach_or_make};

/// Amikad's own directories.
pub(crate) const OWN: [&str; 3] = [path::RUN_DIR, path::STATE_DIR, path::LOG_DIR];

/// Makes `directory` with what is missing above it. What is made is given to `owner`; so is what
/// root owns from the home downwards, where engines make mount points as root.
pub(crate) fn make_directory(
    directory: &Path,
    owner: Option<&Identity>,
    mounts: &Mounts,
) -> Option<OwnedFd> {
    match reach_or_make(directory, owner, mounts) {
        Ok(at) => Some(at),
        Err(error) => {
            // Where the agent led the way by a link of its own, the directory is as good, for the agent.
            if !directory.is_dir() {
                let message = format!("cannot make {}: {error}", directory.display());
                if OWN.iter().any(|own| directory.starts_with(own)) {
                    say_unkept(message);
                } else {
                    say_once(message);
                }
            }
            None
        }
    }
}

/// `wanted`, open, or the nearest directory above it that root may go to; with a word if it is not `wanted`.
pub(crate) fn open_nearest(
    wanted: &Path,
    open: Option<OwnedFd>,
    owner: Option<&Identity>,
) -> Option<OwnedFd> {
    if open.is_some() {
        return open;
    }
    let mut above = wanted.ancestors().skip(1);
    let (found, at) = above.find_map(|above| Some((above, reach(above, owner).ok()?)))?;
    let (wanted, found) = (wanted.display(), found.display());
    say(format!("{wanted} is no directory; starting in {found}"));
    Some(at)
}

/// Makes the home, and fills its gaps from the skeleton.
pub(crate) fn make_home(owner: Option<&Identity>, mounts: &Mounts) {
    let home = Path::new(path::HOME);
    if let Some(at) = make_directory(home, owner, mounts) {
        let filling = Filling { owner, mounts };
        filling.fill(Path::new(path::SKELETON), at.as_fd(), home);
    }
}

/// Makes what `at` means the agent's.
pub(crate) fn give(at: BorrowedFd<'_>, owner: &Identity) -> nix::Result<()> {
    let (uid, gid) = (Uid::from_raw(owner.uid), Gid::from_raw(owner.gid));
    fchownat(at, c"", Some(uid), Some(gid), AtFlags::AT_EMPTY_PATH)
}

/// Copies the skeleton to where the home has gaps; never overwrites, never follows a link.
struct Filling<'a> {
    owner: Option<&'a Identity>,
    mounts: &'a Mounts,
}

impl Filling<'_> {
    /// `path` is what `target` is called, to say so.
    fn fill(&self, source: &Path, target: BorrowedFd<'_>, path: &Path) {
        // What the host brought in is the host's: nothing is missing there.
        if self.mounts.is_from_host(target) {
            return;
        }
        for entry in fs::read_dir(source).into_iter().flatten().flatten() {
            let (from, name) = (entry.path(), entry.file_name());
            let Ok(kind) = entry.file_type() else {
                continue;
            };
            let mut there = fstatat(target, name.as_os_str(), AtFlags::AT_SYMLINK_NOFOLLOW).ok();
            if there.as_ref().is_some_and(is_half_a_file) {
                // A boot that was broken off left it; if it cannot go, it stays as it is.
                let gone = unlinkat(target, name.as_os_str(), UnlinkatFlags::NoRemoveDir);
                there = there.filter(|_| gone.is_err());
            }
            let done = match there {
                Some(data) if !kind.is_dir() || !is_directory(&data) => {
                    self.give_what_is_there(target, &name, &data)
                }
                _ if kind.is_dir() => {
                    self.directory(&from, target, &path.join(&name), there.as_ref())
                }
                _ if kind.is_symlink() => copy_link(&from, target, &name, self.owner),
                _ if kind.is_file() => copy_file(&from, target, &name, self.owner),
                // Nothing that a skeleton can hold.
                _ => Ok(()),
            };
            if let Err(error) = done {
                let to = path.join(name);
                say(format!("cannot make {}: {error}", to.display()));
                // A home that cannot be written is told once.
                return;
            }
        }
    }

    /// Gives the agent what was made for it and is root's still: a boot was broken off right before that.
    fn give_what_is_there(
        &self,
        at: BorrowedFd<'_>,
        name: &OsStr,
        data: &FileStat,
    ) -> io::Result<()> {
        let Some(owner) = self.owner.filter(|_| is_of_one_name_and_ours(data)) else {
            return Ok(());
        };
        let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let file = openat(at, name, flags, Mode::empty())?;
        // Still what was looked at, and not what somebody put in its place.
        let now = fstat(&file)?;
        if (now.st_dev, now.st_ino) == (data.st_dev, data.st_ino) && is_of_one_name_and_ours(&now) {
            give(file.as_fd(), owner)?;
        }
        Ok(())
    }

    fn directory(
        &self,
        from: &Path,
        target: BorrowedFd<'_>,
        path: &Path,
        there: Option<&FileStat>,
    ) -> io::Result<()> {
        let name = path.file_name().unwrap_or_default();
        if there.is_none() {
            mkdirat(target, name, Mode::S_IRWXU)?;
        }
        // One that was made and not given away yet, when a boot was broken off, is done with now.
        let missing = there.is_none_or(|data| self.owner.is_some() && is_half_a_directory(data));
        let flags = O_PATH_DIRECTORY.difference(OFlag::O_PATH);
        let directory = openat(target, name, flags, Mode::empty())?;
        if missing {
            fchmod(&directory, mode_of(from)?)?;
            if let Some(owner) = self.owner {
                give(directory.as_fd(), owner)?;
            }
        }
        self.fill(from, directory.as_fd(), path);
        Ok(())
    }
}

fn copy_link(
    from: &Path,
    target: BorrowedFd<'_>,
    name: &OsStr,
    owner: Option<&Identity>,
) -> io::Result<()> {
    symlinkat(fs::read_link(from)?.as_os_str(), target, name)?;
    let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let link = openat(target, name, flags, Mode::empty())?;
    let data = fstat(&link)?;
    // Still the link that was made, and not what somebody put in its place.
    if let Some(owner) = owner
        && data.st_mode & libc::S_IFMT == libc::S_IFLNK
    {
        give(link.as_fd(), owner)?;
    }
    Ok(())
}

fn copy_file(
    from: &Path,
    target: BorrowedFd<'_>,
    name: &OsStr,
    owner: Option<&Identity>,
) -> io::Result<()> {
    let mut source = crate::files::open_regular(from)?;
    // O_EXCL follows no link.
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
    let copy = openat(target, name, flags, Mode::from_bits_truncate(HALF_A_FILE))?;
    let mut copy = File::from(copy);
    io::copy(&mut source, &mut copy)?;
    fchmod(&copy, mode_of(from)?)?;
    if let Some(owner) = owner {
        give(copy.as_fd(), owner)?;
    }
    Ok(())
}

/// Permissions of a file until it is whole: nobody gives a file these, so that the next boot knows what one that was broken
/// off has left.
const HALF_A_FILE: u32 = 0o200;

fn is_half_a_file(data: &FileStat) -> bool {
    is_of_one_name_and_ours(data) && data.st_mode == libc::S_IFREG | HALF_A_FILE
}

/// A file or a link of whoever amikad is, which is known by this name alone.
fn is_of_one_name_and_ours(data: &FileStat) -> bool {
    let kind = data.st_mode & libc::S_IFMT;
    data.st_uid == geteuid().as_raw()
        && data.st_nlink == 1
        && (kind == libc::S_IFREG || kind == libc::S_IFLNK)
}

/// A directory as it is made, before it is the agent's. One that root keeps for itself is given to the agent after setup
/// as well.
fn is_half_a_directory(data: &FileStat) -> bool {
    data.st_uid == geteuid().as_raw() && data.st_mode == libc::S_IFDIR | 0o700
}

fn is_directory(data: &FileStat) -> bool {
    data.st_mode & libc::S_IFMT == libc::S_IFDIR
}

/// Permissions of a skeleton's file, without set-id bits.
fn mode_of(from: &Path) -> io::Result<Mode> {
    let mode = from.metadata()?.permissions().mode();
    Ok(Mode::from_bits_truncate(mode & 0o777))
}
