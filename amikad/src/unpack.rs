//! `amikad unpack`: fills a new volume from a tar archive that the host writes into a named pipe.
//!
//! The engine's own unpacker takes three times as long, and the archive passes through two more
//! programs on its way there. The pipe is the kernel's own, so host and container must share one.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use amika_core::contract::{PIPE_NOT_SHARED, VOLUME_FULL};
use amika_core::tar_time;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, FcntlArg, OFlag, fcntl, openat};
use nix::sys::stat::{Mode, UtimensatFlags, fchmod, futimens, mkdirat, utimensat};
use nix::sys::time::TimeSpec;
use nix::unistd::{
    Gid, LinkatFlags, Uid, UnlinkatFlags, fchown, fchownat, linkat, symlinkat, unlinkat,
};
use tar::{Archive, Entry, EntryType, Header};

use crate::args::Unpack;

/// The id that one boot of one kernel has in all of its containers, see random(4).
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
/// Bytes that are read at once.
const BUFFER: usize = 1 << 20;
/// Bytes that the pipe shall hold: the more, the fewer switches between the two programs.
const PIPE: i32 = 1 << 20;
/// Opens a directory; never through a link.
const DIRECTORY: OFlag = OFlag::O_RDONLY
    .union(OFlag::O_DIRECTORY)
    .union(OFlag::O_NOFOLLOW)
    .union(OFlag::O_CLOEXEC);
/// A piece of a file.
const PIECE: usize = 64 << 10;

/// Unpacks the archive; 0 only after its end mark was read and all of it is in place.
pub(crate) fn unpack(what: &Unpack) -> i32 {
    let pipe = match open_shared(what) {
        Ok(pipe) => pipe,
        Err(error) => {
            crate::say::say(format!("the pipe is not shared with the host: {error}"));
            return PIPE_NOT_SHARED;
        }
    };
    // Refused where pipes are limited, and a smaller one does too.
    let _ = fcntl(&pipe, FcntlArg::F_SETPIPE_SZ(PIPE));
    let filled = File::open(&what.directory)
        .and_then(|root| fill(BufReader::with_capacity(BUFFER, Whole(pipe)), root.into()));
    match filled {
        Ok(()) => 0,
        Err(error) => {
            crate::say::say(&error);
            match error.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => VOLUME_FULL,
                _ => 1,
            }
        }
    }
}

fn open_shared(what: &Unpack) -> io::Result<File> {
    use std::os::unix::fs::FileTypeExt;
    let here = std::fs::read(BOOT_ID)?;
    if here.trim_ascii() != what.boot_id.as_bytes() {
        return Err(io::Error::other("another kernel runs there"));
    }
    if !what.pipe.symlink_metadata()?.file_type().is_fifo() {
        return Err(io::Error::other("there is no pipe"));
    }
    File::open(&what.pipe)
}

/// A pipe whose writer must not leave before the end mark: half an archive would look whole.
struct Whole(File);

impl Read for Whole {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buffer)? {
            0 if !buffer.is_empty() => Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the archive broke off",
            )),
            count => Ok(count),
        }
    }
}

/// Unpacks an archive beneath a directory.
fn fill(from: impl Read, root: OwnedFd) -> io::Result<()> {
    let mut tree = Tree {
        root,
        open: Vec::new(),
        times: BTreeMap::new(),
        piece: vec![0; PIECE],
    };
    for entry in Archive::new(from).entries()? {
        let mut entry = entry?;
        let path = entry.path_bytes().into_owned();
        tree.add(&mut entry, &path).map_err(|error| {
            io::Error::new(error.kind(), format!("{}: {error}", path.escape_ascii()))
        })?;
    }
    tree.settle_times()
}

/// The tree as far as it was unpacked.
struct Tree {
    root: OwnedFd,
    /// The directories that lead to the last entry, from the root on.
    open: Vec<(Vec<u8>, OwnedFd)>,
    /// When directories were last changed: set last, since filling them changes it.
    times: BTreeMap<Vec<u8>, i64>,
    piece: Vec<u8>,
}

impl Tree {
    fn add<R: Read>(&mut self, entry: &mut Entry<'_, R>, path: &[u8]) -> io::Result<()> {
        let names = names(path)?;
        let header = entry.header();
        let kind = header.entry_type();
        let owner = Owner::of(header)?;
        let mode = Mode::from_bits_truncate(header.mode()? & 0o7777);
        let mtime = tar_time::parse_field(&header.as_old().mtime)
            .ok_or_else(|| io::Error::other("its time is no number"))?;
        let Some((name, parents)) = names.split_last() else {
            // The root itself: it is there, and becomes what the archive says.
            owner.give(&self.root)?;
            fchmod(&self.root, mode)?;
            self.times.insert(Vec::new(), mtime);
            return Ok(());
        };
        self.enter(parents)?;
        match kind {
            EntryType::Directory => {
                match mkdirat(self.top(), *name, Mode::S_IRWXU) {
                    Ok(()) | Err(Errno::EEXIST) => {}
                    Err(errno) => return Err(errno.into()),
                }
                self.push(name)?;
                owner.give(self.top())?;
                fchmod(self.top(), mode)?;
                self.times.insert(names.join(&b'/'), mtime);
                Ok(())
            }
            EntryType::Regular | EntryType::Continuous => {
                let mut file = self.create(name)?;
                copy(entry, &mut file, &mut self.piece)?;
                owner.give(&file)?;
                // After the owner: a change of that takes set-user-ID away.
                fchmod(&file, mode)?;
                Ok(futimens(&file, &seconds(mtime), &seconds(mtime))?)
            }
            EntryType::Symlink => {
                let target = entry.link_name_bytes().unwrap_or_default();
                self.replace(name, |top| symlinkat(target.as_ref(), top, *name))?;
                fchownat(
                    self.top(),
                    *name,
                    Some(owner.uid),
                    Some(owner.gid),
                    AtFlags::AT_SYMLINK_NOFOLLOW,
                )?;
                Ok(set_time(self.top(), name, mtime)?)
            }
            EntryType::Link => {
                let target = entry.link_name_bytes().unwrap_or_default();
                let names = self::names(&target)?;
                let Some((last, parents)) = names.split_last() else {
                    return Err(io::Error::other("a hard link to nothing"));
                };
                let mut directory = self.root.as_fd().try_clone_to_owned()?;
                for parent in parents {
                    directory = openat(&directory, *parent, DIRECTORY, Mode::empty())?;
                }
                self.replace(name, |top| {
                    linkat(&directory, *last, top, *name, LinkatFlags::empty())
                })
            }
            other => Err(io::Error::other(format!(
                "of a kind that is not unpacked: {other:?}"
            ))),
        }
    }

    /// The directory that was opened last.
    fn top(&self) -> BorrowedFd<'_> {
        self.open
            .last()
            .map_or(self.root.as_fd(), |(_, directory)| directory.as_fd())
    }

    /// Opens the directories that lead to an entry.
    fn enter(&mut self, parents: &[&[u8]]) -> io::Result<()> {
        let common = self
            .open
            .iter()
            .zip(parents)
            .take_while(|((open, _), name)| open.as_slice() == **name)
            .count();
        self.open.truncate(common);
        parents[common..]
            .iter()
            .try_for_each(|name| self.push(name))
    }

    /// Opens a directory of the last one; never through a link.
    fn push(&mut self, name: &[u8]) -> io::Result<()> {
        let directory = openat(self.top(), name, DIRECTORY, Mode::empty())?;
        self.open.push((name.to_vec(), directory));
        Ok(())
    }

    /// A new, empty file.
    fn create(&self, name: &[u8]) -> io::Result<File> {
        let flags =
            OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let mut made = None;
        self.replace(name, |top| {
            made = Some(openat(top, name, flags, Mode::S_IRUSR | Mode::S_IWUSR)?);
            Ok(())
        })?;
        made.map(File::from)
            .ok_or_else(|| io::ErrorKind::AlreadyExists.into())
    }

    /// Makes something; what an earlier entry of the same name made goes.
    fn replace(
        &self,
        name: &[u8],
        mut make: impl FnMut(BorrowedFd<'_>) -> nix::Result<()>,
    ) -> io::Result<()> {
        match make(self.top()) {
            Err(Errno::EEXIST) => {
                unlinkat(self.top(), name, UnlinkatFlags::NoRemoveDir)?;
                Ok(make(self.top())?)
            }
            other => Ok(other?),
        }
    }

    fn settle_times(mut self) -> io::Result<()> {
        self.open.clear();
        for (path, mtime) in &self.times {
            if path.is_empty() {
                futimens(&self.root, &seconds(*mtime), &seconds(*mtime))?;
            } else {
                set_time(self.root.as_fd(), path, *mtime)?;
            }
        }
        Ok(())
    }
}

/// Whose an entry is.
struct Owner {
    uid: Uid,
    gid: Gid,
}

impl Owner {
    fn of(header: &Header) -> io::Result<Self> {
        let id = |id: u64| u32::try_from(id).map_err(io::Error::other);
        Ok(Self {
            uid: Uid::from_raw(id(header.uid()?)?),
            gid: Gid::from_raw(id(header.gid()?)?),
        })
    }

    fn give(&self, file: impl AsFd) -> nix::Result<()> {
        fchown(file, Some(self.uid), Some(self.gid))
    }
}

/// The names that a path consists of; none that leads out of the directory.
fn names(path: &[u8]) -> io::Result<Vec<&[u8]>> {
    let names: Vec<&[u8]> = path
        .split(|byte| *byte == b'/')
        .filter(|name| !name.is_empty() && *name != b".")
        .collect();
    if names.contains(&&b".."[..]) {
        return Err(io::Error::other("leads out of the archive"));
    }
    Ok(names)
}

fn seconds(mtime: i64) -> TimeSpec {
    TimeSpec::new(mtime, 0)
}

fn set_time(directory: BorrowedFd<'_>, path: &[u8], mtime: i64) -> nix::Result<()> {
    let time = seconds(mtime);
    utimensat(
        directory,
        path,
        &time,
        &time,
        UtimensatFlags::NoFollowSymlink,
    )
}

fn copy(from: &mut impl Read, to: &mut File, piece: &mut [u8]) -> io::Result<()> {
    loop {
        match from.read(piece) {
            Ok(0) => return Ok(()),
            Ok(count) => to.write_all(&piece[..count])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
