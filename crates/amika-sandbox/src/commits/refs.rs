//! Refs of the repository, read as files and written under git's own locks. No link is followed.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use amika_host::unfollowed::DIRECTORY;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::host::Host;
use super::name::{Branch, BranchName, Format, Oid};
use crate::error::{Error, Kind, Result};

/// Bytes of a list of packed refs: those of a million.
const MAX_PACKED: u64 = 128 << 20;
/// Loose refs that are read, and directories in each other.
const MAX_LOOSE: usize = 200_000;
const MAX_DEPTH: usize = 60;
/// Bytes of a loose ref.
const MAX_REF: u64 = 1024;

/// The refs that a repository has.
#[derive(Debug)]
pub(super) struct Existing {
    /// By their full names; none where a ref leads to another one, or is broken.
    refs: BTreeMap<Vec<u8>, Option<Oid>>,
    /// The directory of the sandbox's, with a slash behind it.
    prefix: Vec<u8>,
}

impl Existing {
    /// Reads them; `directory` is that of the sandbox's.
    ///
    /// # Errors
    /// When they cannot be read.
    pub(super) fn read(host: &Host, directory: &str) -> Result<Self> {
        let mut refs = BTreeMap::new();
        let read = (|| {
            let packed = host.repository.read("packed-refs", MAX_PACKED)?;
            for line in packed.unwrap_or_default().split(|byte| *byte == b'\n') {
                if let Some((oid, name)) = packed_ref(line, host.format) {
                    refs.insert(name.to_owned(), Some(oid));
                }
            }
            let top = host.repository.directory()?;
            loose(&top, Path::new("refs"), host.format, &mut refs, 0)
        })();
        read.map_err(|error: io::Error| {
            Error::new(
                Kind::Repository,
                format!("the refs of {} cannot be read", host.top.display()),
            )
            .caused_by(&error)
        })?;
        let prefix = format!("{directory}/").into_bytes();
        Ok(Self { refs, prefix })
    }

    /// What the repository has of a branch.
    pub(super) fn of(&self, branch: &BranchName) -> Option<Oid> {
        let name = [&self.prefix[..], branch.as_bytes()].concat();
        self.refs.get(&name).cloned().flatten()
    }

    /// What a ref leads to, by its full name: none where there is no such ref, and none within where it leads to another
    /// ref or is broken.
    #[allow(
        clippy::option_option,
        reason = "there is none, or there is one that leads to no object"
    )]
    pub(super) fn at(&self, name: &[u8]) -> Option<Option<&Oid>> {
        self.refs.get(name).map(Option::as_ref)
    }

    /// The refs in a directory, whose name ends with a slash: their names in it.
    pub(super) fn below<'e>(&'e self, directory: &'e [u8]) -> impl Iterator<Item = &'e [u8]> {
        let names = self.refs.range(directory.to_vec()..).map(|(name, _)| name);
        names.map_while(move |name| name.strip_prefix(directory))
    }

    /// All objects that refs lead to: those of the sandbox first, then branches.
    pub(super) fn all(&self) -> impl Iterator<Item = &Oid> {
        let rank = |name: &[u8]| {
            let groups = [&self.prefix[..], b"refs/heads/", b"refs/remotes/"];
            groups
                .iter()
                .position(|group| name.starts_with(group))
                .unwrap_or(groups.len())
        };
        let mut all: Vec<_> = self.refs.iter().collect();
        all.sort_by_key(|(name, _)| rank(name));
        let mut seen = std::collections::HashSet::new();
        all.into_iter()
            .filter_map(|(_, oid)| oid.as_ref())
            .filter(move |oid| seen.insert(*oid))
    }

    /// Refuses branches for which there is no room beside what is there, or beside each other.
    ///
    /// # Errors
    /// [`Kind::Conflict`], with the two.
    pub(super) fn room_for(&self, branches: &[Branch], ignores_case: bool) -> Result<()> {
        let prefix = String::from_utf8_lossy(&self.prefix).into_owned();
        let old = self
            .refs
            .keys()
            .filter_map(|name| name.strip_prefix(&self.prefix[..]));
        let old: Vec<&[u8]> = old.collect();
        for (number, branch) in branches.iter().enumerate() {
            let new = branches[..number].iter().map(|other| other.name.as_bytes());
            if let Some(other) = new
                .clone()
                .find(|other| branch.name.is_in_the_way_of(other))
            {
                return Err(Error::new(
                    Kind::Repository,
                    format!(
                        "the sandbox cannot have both branches \"{}\" and \"{}\"",
                        super::shown(other),
                        branch.name
                    ),
                ));
            }
            let folded = branch.name.as_bytes().to_ascii_lowercase();
            let is_case = |other: &&[u8]| {
                ignores_case
                    && *other != branch.name.as_bytes()
                    && other.to_ascii_lowercase() == folded
            };
            if let Some(other) = new.chain(old.iter().copied()).find(is_case) {
                return Err(Error::new(
                    Kind::Conflict,
                    format!(
                        "branches \"{}\" and \"{}\" differ in case alone, and are one file here",
                        super::shown(other),
                        branch.name
                    ),
                )
                .hint("name the branches to pull, one of the two among them"));
            }
            if let Some(other) = old.iter().find(|other| branch.name.is_in_the_way_of(other)) {
                let name = format!("{prefix}{}", super::shown(other));
                return Err(Error::new(
                    Kind::Conflict,
                    format!("{name} is in the way of branch \"{}\"", branch.name),
                )
                .hint(
                    "an earlier pull made it; `git update-ref -d REF` with that name removes it",
                ));
            }
        }
        Ok(())
    }
}

fn packed_ref(line: &[u8], format: Format) -> Option<(Oid, &[u8])> {
    let blank = line.iter().position(|byte| *byte == b' ')?;
    let name = &line[blank + 1..];
    let oid = Oid::read(&line[..blank], format)?;
    name.starts_with(b"refs/").then_some((oid, name))
}

/// Reads the loose refs in a directory.
fn loose(
    top: &OwnedFd,
    path: &Path,
    format: Format,
    refs: &mut BTreeMap<Vec<u8>, Option<Oid>>,
    depth: usize,
) -> io::Result<()> {
    let Some(name) = path.file_name() else {
        return Ok(());
    };
    let directory = match rustix::fs::openat(top, name, DIRECTORY, Mode::empty()) {
        Ok(directory) => directory,
        Err(Errno::NOENT | Errno::LOOP | Errno::NOTDIR) => return Ok(()),
        Err(errno) => return Err(errno.into()),
    };
    for entry in Dir::read_from(&directory)? {
        let entry = entry?;
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if name == "." || name == ".." {
            continue;
        }
        let path = path.join(name);
        let Ok(found) = rustix::fs::statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW) else {
            continue;
        };
        match FileType::from_raw_mode(found.st_mode) {
            FileType::Directory if depth < MAX_DEPTH => {
                loose(&directory, &path, format, refs, depth + 1)?;
            }
            FileType::RegularFile if !name.as_bytes().ends_with(b".lock") => {
                if refs.len() >= MAX_LOOSE {
                    return Err(io::Error::other("there are too many"));
                }
                let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
                let mut text = Vec::new();
                if let Ok(file) = rustix::fs::openat(&directory, name, flags, Mode::empty()) {
                    File::from(file).take(MAX_REF).read_to_end(&mut text)?;
                }
                let oid = Oid::read(text.trim_ascii_end(), format);
                refs.insert(path.as_os_str().as_bytes().to_owned(), oid);
            }
            _ => {}
        }
    }
    Ok(())
}

/// A ref that is to lead to a commit.
pub(super) struct Update {
    /// Its full name.
    pub name: Vec<u8>,
    /// The commit.
    pub tip: Oid,
    /// What it led to when it was decided that it may: where it leads elsewhere by now, nothing is written.
    #[allow(
        clippy::option_option,
        reason = "nothing is expected, or that there is none"
    )]
    pub expected: Option<Option<Oid>>,
}

/// Writes refs: all locks are taken before the first one changes.
///
/// # Errors
/// [`Kind::Conflict`] when another git holds a lock or has written one since, or something is in the way.
pub(super) fn write(host: &Host, updates: &[Update]) -> Result<()> {
    let unwritten = |name: &[u8]| {
        Error::new(
            Kind::Conflict,
            format!("{} cannot be written in {}", super::shown(name), host.top.display()),
        )
        .hint("the commits are there, and no ref leads to them yet; pull again once it can be written")
    };
    let failed = |name: &[u8], error: &io::Error| unwritten(name).caused_by(error);
    let Some(first) = updates.first() else {
        return Ok(());
    };
    let top = host
        .repository
        .directory()
        .map_err(|error| failed(&first.name, &error))?;
    let mut locks = Vec::new();
    for update in updates {
        let lock = Lock::take(&top, update).map_err(|error| failed(&update.name, &error))?;
        locks.push(lock);
    }
    if updates.iter().any(|update| update.expected.is_some()) {
        let now = Existing::read(host, "refs")?;
        for Update { name, expected, .. } in updates {
            if let Some(expected) = expected
                && now.refs.get(name).cloned().flatten() != *expected
            {
                return Err(unwritten(name).cause("another git has written it meanwhile"));
            }
        }
    }
    for (lock, update) in locks.into_iter().zip(updates) {
        lock.put().map_err(|error| failed(&update.name, &error))?;
    }
    Ok(())
}

/// A ref's lock, with its new value in it. Dropped before it is put, it goes. It keeps no directory open,
/// since there may be thousands.
struct Lock<'t> {
    top: &'t OwnedFd,
    above: Vec<Vec<u8>>,
    name: PathBuf,
    waiting: PathBuf,
    is_put: bool,
}

impl<'t> Lock<'t> {
    fn take(top: &'t OwnedFd, update: &Update) -> io::Result<Self> {
        let parts = update.name.split(|byte| *byte == b'/');
        let mut above: Vec<Vec<u8>> = parts.map(<[u8]>::to_vec).collect();
        let name = above.pop().unwrap_or_default();
        let at = open(top, &above, true)?;
        let name = PathBuf::from(OsStr::from_bytes(&name));
        let mut lock = name.clone().into_os_string();
        lock.push(".lock");
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&at, &lock, flags, Mode::from_raw_mode(0o666));
        let file = file.map_err(|errno| match errno {
            Errno::EXIST => io::Error::other(format!(
                "{}.lock is there: another git writes it, or one was killed that did",
                super::shown(&update.name)
            )),
            errno => errno.into(),
        })?;
        let taken = Self {
            top,
            above,
            name,
            waiting: lock.into(),
            is_put: false,
        };
        let mut file = File::from(file);
        writeln!(file, "{}", update.tip.as_str())?;
        file.sync_all()?;
        Ok(taken)
    }

    fn put(mut self) -> io::Result<()> {
        let at = open(self.top, &self.above, false)?;
        let place = || rustix::fs::renameat(&at, &self.waiting, &at, &self.name);
        let placed = match place() {
            // Directories of branches that are gone stay behind, empty.
            Err(Errno::ISDIR | Errno::NOTEMPTY | Errno::EXIST) => {
                remove_empty(&at, &self.name, 0)?;
                place()
            }
            placed => placed,
        };
        placed?;
        self.is_put = true;
        Ok(())
    }
}

impl Drop for Lock<'_> {
    fn drop(&mut self) {
        if self.is_put {
            return;
        }
        if let Ok(at) = open(self.top, &self.above, false) {
            let _ = rustix::fs::unlinkat(&at, &self.waiting, AtFlags::empty());
        }
    }
}

/// Opens a directory name by name, through no link.
pub(super) fn open(top: &OwnedFd, path: &[Vec<u8>], make: bool) -> io::Result<OwnedFd> {
    let mut at = top.try_clone()?;
    for part in path {
        let part = OsStr::from_bytes(part);
        if make {
            match rustix::fs::mkdirat(&at, part, Mode::from_raw_mode(0o777)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        at = rustix::fs::openat(&at, part, DIRECTORY, Mode::empty()).map_err(|errno| {
            let part = super::shown(part.as_bytes());
            io::Error::other(format!(
                "{part} is no directory: {}",
                io::Error::from(errno)
            ))
        })?;
    }
    Ok(at)
}

/// Removes a directory that has no file in it.
fn remove_empty(at: &OwnedFd, name: &Path, depth: usize) -> io::Result<()> {
    if depth > MAX_DEPTH {
        return Err(io::Error::other("directories are too deep in each other"));
    }
    let directory = rustix::fs::openat(at, name, DIRECTORY, Mode::empty())?;
    for entry in Dir::read_from(&directory)? {
        let entry = entry?;
        let inner = OsStr::from_bytes(entry.file_name().to_bytes());
        if inner != "." && inner != ".." {
            remove_empty(&directory, Path::new(inner), depth + 1)?;
        }
    }
    rustix::fs::unlinkat(at, name, AtFlags::REMOVEDIR)?;
    Ok(())
}
