//! An archive out of a sandbox, unpacked beneath one directory of this machine and nowhere else.
//!
//! The archive is hostile input. Each entry is reached from the directory's descriptor name by name,
//! never through a link, so that neither names nor links lead out. Devices and pipes are left out,
//! as are links that could lead out later. Files belong to the calling user, under his umask, and
//! lend nobody's rights.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use amika_host::unfollowed::DIRECTORY;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Timespec, Timestamps};
use rustix::io::Errno;
use tar::{Archive, Entry, EntryType};

use super::holes;
use super::inert::{Before, Fate, Guard, Kind, is_acted_on, open_beneath};
use amika_core::archive_name::{Names, stays_beneath};
use amika_core::text::human_size;
use amika_host::archive::{Report, at, modified};

/// Directories in each other, at most: each that is open takes a descriptor, of which some systems give
/// 256.
const DEEPEST: usize = 200;
/// Entries of a copy, at most.
const MAX_ENTRIES: u64 = 5_000_000;
/// A file that is not there yet.
const NEW_FILE: OFlags = OFlags::WRONLY
    .union(OFlags::CREATE)
    .union(OFlags::EXCL)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// What becomes of git directories in a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Git {
    /// They are made such that git runs nothing that they name.
    Inert,
    /// They stay as they are.
    AsIs,
}

/// Reads an archive to its end and unpacks it beneath a directory.
///
/// # Errors
/// With the entry that could not be unpacked; what came before it stays.
pub(super) fn unpack(from: impl Read, names: Names, root: OwnedFd, git: Git) -> io::Result<Report> {
    unpack_at_most(from, names, root, git, None)
}

/// The same, of at most so many bytes, holes counted.
///
/// # Errors
/// As [`unpack`].
pub(super) fn unpack_at_most(
    from: impl Read,
    mut names: Names,
    root: OwnedFd,
    git: Git,
    most: Option<u64>,
) -> io::Result<Report> {
    let free = room(&root);
    let mut unpacker = Unpacker {
        room: free.into_iter().chain(most).min(),
        root,
        open: Vec::new(),
        late: Vec::new(),
        guard: (git == Git::Inert).then(Guard::new),
        before: Before::Nothing,
        report: Report::default(),
    };
    if let Some(guard) = &unpacker.guard {
        unpacker.before = guard
            .look(unpacker.root.as_fd(), Path::new(""))
            .map_err(io::Error::other)?;
    }
    let result = unpacker.all(from, &mut names);
    // A copy that broke off is inert as well.
    unpacker.finish(&names);
    result.map(|()| unpacker.report)
}

/// Bytes that are free where a copy goes; none where the file system does not tell.
fn room(root: &OwnedFd) -> Option<u64> {
    let found = rustix::fs::fstatvfs(root).ok()?;
    (found.f_blocks > 0).then(|| found.f_bavail.saturating_mul(found.f_frsize))
}

struct Unpacker {
    root: OwnedFd,
    /// The directories that lead to the last entry.
    open: Vec<Open>,
    /// Directories that forbid their owner something, which they do at the end alone.
    late: Vec<(PathBuf, Last)>,
    /// What makes git directories inert; none where they stay as they are.
    guard: Option<Guard>,
    /// What the root had before.
    before: Before,
    /// Bytes that may still come: those of holes count, since reading them takes as long.
    room: Option<u64>,
    report: Report,
}

/// A directory that is being filled.
struct Open {
    name: OsString,
    fd: OwnedFd,
    /// What it gets once it is full, if it was made by this copy.
    last: Option<Last>,
    /// What it had before.
    before: Before,
}

struct Last {
    mode: Mode,
    mtime: i64,
}

impl Unpacker {
    fn all(&mut self, from: impl Read, names: &mut Names) -> io::Result<()> {
        let mut archive = Archive::new(from);
        let mut count = 0;
        for entry in archive.entries()? {
            let mut entry = entry?;
            if entry.header().entry_type() == EntryType::XGlobalHeader {
                continue;
            }
            count += 1;
            if count > MAX_ENTRIES {
                let message = format!("it has more than {MAX_ENTRIES} entries");
                return Err(io::Error::other(message));
            }
            let place = names.place(&entry.path_bytes()).map_err(io::Error::other)?;
            // The root itself is the user's directory, and stays as it is.
            let Some((name, parents)) = place.split_last() else {
                continue;
            };
            let path: PathBuf = place.iter().collect();
            self.bounded(parents, entry.size()).map_err(at(&path))?;
            self.entry(&mut entry, names, parents, name, &path)
                .map_err(at(&path))?;
        }
        Ok(())
    }

    /// Refuses what would take all descriptors, or more time and room than there is.
    fn bounded(&mut self, parents: &[OsString], size: u64) -> io::Result<()> {
        if parents.len() >= DEEPEST {
            let message = format!("it is in more than {DEEPEST} directories, one in the other");
            return Err(io::Error::other(message));
        }
        if let Some(room) = &mut self.room {
            *room = room.checked_sub(size).ok_or_else(|| {
                let (size, room) = (human_size(size), human_size(*room));
                io::Error::new(
                    io::ErrorKind::StorageFull,
                    format!("it has {size}, holes counted, and there is room for {room}"),
                )
            })?;
        }
        Ok(())
    }

    fn finish(&mut self, names: &Names) {
        self.leave(0);
        if let Some(guard) = self.guard.take() {
            let depth = |above| names.depth(above);
            guard.finish(self.root.as_fd(), depth, &mut self.report);
        }
        // The innermost first: one that may not be entered any more may not be given its mode either.
        self.late.sort_by(|(one, _), (other, _)| other.cmp(one));
        for (path, last) in std::mem::take(&mut self.late) {
            if let Ok(fd) = open_beneath(self.root.as_fd(), &path) {
                close(&fd, &last);
            }
        }
    }

    fn entry<R: Read>(
        &mut self,
        entry: &mut Entry<'_, R>,
        names: &mut Names,
        parents: &[OsString],
        name: &OsString,
        path: &Path,
    ) -> io::Result<()> {
        if !self.enter(parents)? {
            return Ok(());
        }
        let mtime = modified(entry).unwrap_or_default();
        let header = entry.header();
        let mode = Mode::from_raw_mode(header.mode()? & 0o777);
        let kind = match header.entry_type() {
            EntryType::Directory => Kind::Directory,
            EntryType::Symlink => Kind::Link,
            _ => Kind::Other,
        };
        let held = match self.decide(parents, name, kind) {
            Fate::Land => None,
            Fate::Hold(waiting) => Some(waiting),
            Fate::Leave(why) => {
                self.left_out(path, &why);
                return Ok(());
            }
        };
        let within: PathBuf = parents.iter().collect();
        if kind != Kind::Directory && is_acted_on(&within, name) {
            self.report.act_on(path);
        }
        let name = held.as_ref().unwrap_or(name);
        match header.entry_type() {
            EntryType::Directory => self.directory(name, path, mode, mtime),
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                self.remove(name)?;
                let fd = rustix::fs::openat(self.top(), name, NEW_FILE, mode)?;
                let mut file = File::from(fd);
                let bytes = holes::copy(entry, &mut file)?;
                rustix::fs::futimens(&file, &times(mtime))?;
                self.report.file(bytes);
                Ok(())
            }
            EntryType::Symlink => {
                let target = entry.link_name_bytes().unwrap_or_default();
                let within = names.depth(parents.len());
                if !within.is_some_and(|depth| stays_beneath(&target, depth)) {
                    self.report
                        .skip(path, "a symbolic link that could lead out of the copy");
                    return Ok(());
                }
                self.remove(name)?;
                rustix::fs::symlinkat(target.as_ref(), self.top(), name)?;
                let flags = AtFlags::SYMLINK_NOFOLLOW;
                rustix::fs::utimensat(self.top(), name, &times(mtime), flags)?;
                Ok(())
            }
            EntryType::Link => {
                let target = entry.link_name_bytes().unwrap_or_default();
                if !self.hard_link(names, &target, name)? {
                    self.report
                        .skip(path, "a hard link to a file outside the copy");
                }
                Ok(())
            }
            EntryType::Fifo => {
                self.report.skip(path, "a named pipe");
                Ok(())
            }
            EntryType::Char | EntryType::Block => {
                self.report.skip(path, "a device");
                Ok(())
            }
            _ => {
                self.report.skip(path, "of an unknown kind");
                Ok(())
            }
        }
    }

    /// The directory that is open last.
    fn top(&self) -> BorrowedFd<'_> {
        self.open
            .last()
            .map_or(self.root.as_fd(), |open| open.fd.as_fd())
    }

    /// What the directory that is open last had before.
    fn top_before(&self) -> Before {
        self.open.last().map_or(self.before, |open| open.before)
    }

    fn decide(&mut self, parents: &[OsString], name: &OsString, kind: Kind) -> Fate {
        let before = self.top_before();
        let top = self.open.last().map_or(&self.root, |open| &open.fd);
        let Some(guard) = &mut self.guard else {
            return Fate::Land;
        };
        let parents: PathBuf = parents.iter().collect();
        guard.decide(top.as_fd(), before, &parents, name, kind)
    }

    /// Leaves an entry out, with all that is in it.
    fn left_out(&mut self, path: &Path, why: &str) {
        self.report.skip(path, why);
        if let Some(guard) = &mut self.guard {
            guard.leave(path.to_owned());
        }
    }

    /// Opens the directories that lead to an entry; those that the archive does not name are made. False
    /// when one of them is left out.
    fn enter(&mut self, parents: &[OsString]) -> io::Result<bool> {
        let common = self
            .open
            .iter()
            .zip(parents)
            .take_while(|(open, name)| open.name == **name)
            .count();
        self.leave(common);
        for (depth, name) in parents.iter().enumerate().skip(common) {
            let path: PathBuf = parents[..=depth].iter().collect();
            if self
                .guard
                .as_ref()
                .is_some_and(|guard| guard.is_left(&path))
            {
                return Ok(false);
            }
            if let Fate::Leave(why) = self.decide(&parents[..depth], name, Kind::Directory) {
                self.left_out(&path, &why);
                return Ok(false);
            }
            let is_new = match rustix::fs::mkdirat(self.top(), name, Mode::from_raw_mode(0o777)) {
                Ok(()) => true,
                Err(Errno::EXIST) => false,
                Err(errno) => return Err(errno.into()),
            };
            if !self.push(name, &path, is_new, None)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Opens a directory to fill it; false when it is left out.
    fn push(
        &mut self,
        name: &OsString,
        path: &Path,
        is_new: bool,
        last: Option<Last>,
    ) -> io::Result<bool> {
        let fd =
            rustix::fs::openat(self.top(), name, DIRECTORY, Mode::empty()).map_err(|errno| {
                match errno {
                    Errno::LOOP | Errno::NOTDIR => io::Error::new(
                        io::ErrorKind::NotADirectory,
                        "what stands there already is not a directory",
                    ),
                    errno => errno.into(),
                }
            })?;
        let mut before = Before::Nothing;
        if let Some(guard) = self.guard.as_ref().filter(|_| !is_new) {
            match guard.look(fd.as_fd(), path) {
                Ok(found) => before = found,
                Err(why) => {
                    self.left_out(path, why);
                    return Ok(false);
                }
            }
        }
        self.open.push(Open {
            name: name.clone(),
            fd,
            last,
            before,
        });
        Ok(true)
    }

    /// Closes directories until so many are open, and gives each what it gets last: before, its
    /// mode could forbid to fill it, and filling it would change its time.
    fn leave(&mut self, depth: usize) {
        while self.open.len() > depth {
            let path: PathBuf = self.open.iter().map(|open| &open.name).collect();
            let Some(Open { fd, last, .. }) = self.open.pop() else {
                return;
            };
            let Some(last) = last else {
                continue;
            };
            if self.guard.is_some() && !last.mode.contains(Mode::RWXU) {
                self.late.push((path, last));
            } else {
                close(&fd, &last);
            }
        }
    }

    fn directory(
        &mut self,
        name: &OsString,
        path: &Path,
        mode: Mode,
        mtime: i64,
    ) -> io::Result<()> {
        match rustix::fs::mkdirat(self.top(), name, mode | Mode::RWXU) {
            Ok(()) => self.push(name, path, true, Some(Last { mode, mtime })),
            // One that is there is filled, and stays the user's in all else.
            Err(Errno::EXIST) => self.push(name, path, false, None),
            Err(errno) => Err(errno.into()),
        }
        .map(|_| ())
    }

    /// Removes what stands in an entry's place, unless it is a directory.
    fn remove(&self, name: &OsString) -> io::Result<()> {
        match rustix::fs::unlinkat(self.top(), name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            // PERM is POSIX's word for it, ISDIR Linux's.
            Err(Errno::ISDIR) => Err(io::Error::new(
                io::ErrorKind::IsADirectory,
                "a directory stands there already",
            )),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Gives a file of the copy another name; false when there is no such file.
    fn hard_link(&self, names: &mut Names, target: &[u8], name: &OsString) -> io::Result<bool> {
        let Ok(target) = names.place(target) else {
            return Ok(false);
        };
        let Some((last, parents)) = target.split_last() else {
            return Ok(false);
        };
        let itself = self.open.iter().map(|open| &open.name).eq(parents) && last == name;
        if itself {
            return Ok(false);
        }
        let mut directory = None;
        for parent in parents {
            let from = directory.as_ref().map_or(self.root.as_fd(), OwnedFd::as_fd);
            match rustix::fs::openat(from, parent, DIRECTORY, Mode::empty()) {
                Ok(fd) => directory = Some(fd),
                Err(_) => return Ok(false),
            }
        }
        let from = directory.as_ref().map_or(self.root.as_fd(), OwnedFd::as_fd);
        let is_file = rustix::fs::statat(from, last, AtFlags::SYMLINK_NOFOLLOW)
            .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile);
        if !is_file {
            return Ok(false);
        }
        self.remove(name)?;
        rustix::fs::linkat(from, last, self.top(), name, AtFlags::empty())?;
        Ok(true)
    }
}

/// Gives a directory what it gets last.
fn close(fd: &OwnedFd, last: &Last) {
    // Made with the owner's rights added: those that it should not have are taken.
    if let Ok(stat) = rustix::fs::fstat(fd) {
        let mode = Mode::from_raw_mode(stat.st_mode) & (last.mode | !Mode::RWXU);
        let _ = rustix::fs::fchmod(fd, mode);
    }
    let _ = rustix::fs::futimens(fd, &times(last.mtime));
}

fn times(mtime: i64) -> Timestamps {
    let time = Timespec {
        tv_sec: mtime,
        tv_nsec: 0,
    };
    Timestamps {
        last_access: time,
        last_modification: time,
    }
}

#[cfg(test)]
mod tests;
