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

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Timespec, Timestamps};
use rustix::io::Errno;
use tar::{Archive, Entry, EntryType};

use super::holes;
use super::names::{Names, stays_beneath};
use crate::archive::{Report, at};

/// A directory, never through a link.
const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);
/// A file that is not there yet.
const NEW_FILE: OFlags = OFlags::WRONLY
    .union(OFlags::CREATE)
    .union(OFlags::EXCL)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// Reads an archive to its end and unpacks it beneath a directory.
///
/// # Errors
/// With the entry that could not be unpacked; what came before it stays.
pub fn unpack(from: impl Read, mut names: Names, root: OwnedFd) -> io::Result<Report> {
    let mut unpacker = Unpacker {
        root,
        open: Vec::new(),
        report: Report::default(),
    };
    let mut archive = Archive::new(from);
    for entry in archive.entries()? {
        let mut entry = entry?;
        if entry.header().entry_type() == EntryType::XGlobalHeader {
            continue;
        }
        let place = names.place(&entry.path_bytes()).map_err(io::Error::other)?;
        // The root itself is the user's directory, and stays as it is.
        let Some((name, parents)) = place.split_last() else {
            continue;
        };
        let path: PathBuf = place.iter().collect();
        unpacker
            .entry(&mut entry, &mut names, parents, name, &path)
            .map_err(at(&path))?;
    }
    unpacker.leave(0);
    Ok(unpacker.report)
}

struct Unpacker {
    root: OwnedFd,
    /// The directories that lead to the last entry.
    open: Vec<Open>,
    report: Report,
}

/// A directory that is being filled.
struct Open {
    name: OsString,
    fd: OwnedFd,
    /// What it gets once it is full, if it was made by this copy.
    last: Option<Last>,
}

struct Last {
    mode: Mode,
    mtime: u64,
}

impl Unpacker {
    fn entry<R: Read>(
        &mut self,
        entry: &mut Entry<'_, R>,
        names: &mut Names,
        parents: &[OsString],
        name: &OsString,
        path: &Path,
    ) -> io::Result<()> {
        self.enter(parents)?;
        let header = entry.header();
        let mode = Mode::from_raw_mode(header.mode()? & 0o777);
        let mtime = header.mtime().unwrap_or_default();
        match header.entry_type() {
            EntryType::Directory => self.directory(name, mode, mtime),
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

    /// Opens the directories that lead to an entry; those that the archive does not name are made.
    fn enter(&mut self, parents: &[OsString]) -> io::Result<()> {
        let common = self
            .open
            .iter()
            .zip(parents)
            .take_while(|(open, name)| open.name == **name)
            .count();
        self.leave(common);
        for name in &parents[common..] {
            match rustix::fs::mkdirat(self.top(), name, Mode::from_raw_mode(0o777)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(errno) => return Err(errno.into()),
            }
            self.push(name, None)?;
        }
        Ok(())
    }

    fn push(&mut self, name: &OsString, last: Option<Last>) -> io::Result<()> {
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
        self.open.push(Open {
            name: name.clone(),
            fd,
            last,
        });
        Ok(())
    }

    /// Closes directories until so many are open, and gives each what it gets last: before, its
    /// mode could forbid to fill it, and filling it would change its time.
    fn leave(&mut self, depth: usize) {
        while self.open.len() > depth {
            let Some(Open { fd, last, .. }) = self.open.pop() else {
                return;
            };
            if let Some(last) = last {
                // Made with the owner's rights added: those that it should not have are taken.
                if let Ok(stat) = rustix::fs::fstat(&fd) {
                    let mode = Mode::from_raw_mode(stat.st_mode) & (last.mode | !Mode::RWXU);
                    let _ = rustix::fs::fchmod(&fd, mode);
                }
                let _ = rustix::fs::futimens(&fd, &times(last.mtime));
            }
        }
    }

    fn directory(&mut self, name: &OsString, mode: Mode, mtime: u64) -> io::Result<()> {
        match rustix::fs::mkdirat(self.top(), name, mode | Mode::RWXU) {
            Ok(()) => self.push(name, Some(Last { mode, mtime })),
            // One that is there is filled, and stays the user's in all else.
            Err(Errno::EXIST) => self.push(name, None),
            Err(errno) => Err(errno.into()),
        }
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

fn times(mtime: u64) -> Timestamps {
    let time = Timespec {
        tv_sec: i64::try_from(mtime).unwrap_or_default(),
        tv_nsec: 0,
    };
    Timestamps {
        last_access: time,
        last_modification: time,
    }
}

#[cfg(test)]
mod tests;
