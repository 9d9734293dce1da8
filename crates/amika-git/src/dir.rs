//! A directory of this machine that is held open, and what is beneath it: reached name by name from its
//! descriptor, never through a symbolic link, and never by waiting for a FIFO.
//!
//! Whoever made a repository may have put a link in place of anything in it, and may put one there while
//! it is being read. What is found here is beneath the directory at that moment, whatever happens next.

use std::ffi::OsStr;
use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use amika_core::repo_path::escaped;
use amika_host::unfollowed::{DIRECTORY, FILE};
use rustix::fs::{AtFlags, FileType, Mode, Stat};
use rustix::io::Errno;

/// Names in one directory, at most: what git itself makes has far fewer.
const MAX_NAMES: usize = 2_000_000;

/// An open directory.
#[derive(Debug)]
pub(super) struct Dir {
    fd: OwnedFd,
    /// Where it was found, for messages.
    path: PathBuf,
}

impl Dir {
    /// Opens a directory by its path, of which only the last name must not be a link: the ones before it
    /// are the user's.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self {
            fd: rustix::fs::open(path, DIRECTORY, Mode::empty())?,
            path: path.to_owned(),
        })
    }

    /// Where it was found.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Where something beneath it is, for messages.
    pub(super) fn place(&self, path: &[u8]) -> PathBuf {
        self.path.join(OsStr::from_bytes(path))
    }

    /// Whether the two are one directory.
    pub(super) fn is(&self, other: &Self) -> io::Result<bool> {
        let (one, two) = (rustix::fs::fstat(&self.fd)?, rustix::fs::fstat(&other.fd)?);
        Ok((one.st_dev, one.st_ino) == (two.st_dev, two.st_ino))
    }

    /// Its own facts.
    pub(super) fn stat(&self) -> io::Result<Stat> {
        Ok(rustix::fs::fstat(&self.fd)?)
    }

    /// A second descriptor of the same directory.
    pub(super) fn again(&self) -> io::Result<Self> {
        Ok(Self {
            fd: self.fd.try_clone()?,
            path: self.path.clone(),
        })
    }

    /// Opens a directory beneath it, name by name; `None` when it is not there.
    pub(super) fn dir(&self, path: &[u8]) -> io::Result<Option<Self>> {
        let mut found: Option<Self> = None;
        for name in names_of(path)? {
            let within = found.as_ref().unwrap_or(self);
            match rustix::fs::openat(&within.fd, name, DIRECTORY, Mode::empty()) {
                Ok(fd) => {
                    found = Some(Self {
                        path: within.place(name),
                        fd,
                    });
                }
                Err(Errno::NOENT) => return Ok(None),
                // Of a link the system says either.
                Err(Errno::NOTDIR | Errno::LOOP) => {
                    let what = match within.stat_of(name)?.map(kind) {
                        Some(FileType::Symlink) => "a link, which is not followed",
                        Some(_) => "not a directory",
                        None => return Ok(None),
                    };
                    return Err(not(what, within, name));
                }
                Err(errno) => return Err(errno.into()),
            }
        }
        match found {
            Some(found) => Ok(Some(found)),
            None => self.again().map(Some),
        }
    }

    /// As [`Dir::dir`], but nothing where something else than a directory is on the way.
    pub(super) fn real_dir(&self, path: &[u8]) -> io::Result<Option<Self>> {
        match self.dir(path) {
            Err(error) if is_another_kind(&error) => Ok(None),
            found => found,
        }
    }

    /// What a path beneath it names; of a link the link itself. `None` when nothing is there.
    pub(super) fn find(&self, path: &[u8]) -> io::Result<Option<Stat>> {
        let (parent, name) = split(path);
        match self.real_dir(parent)? {
            Some(within) => within.stat_of(name),
            None => Ok(None),
        }
    }

    /// What a name in it is.
    pub(super) fn stat_of(&self, name: &[u8]) -> io::Result<Option<Stat>> {
        one_name(name)?;
        match rustix::fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Opens a regular file beneath it; `None` when nothing is there.
    ///
    /// # Errors
    /// For what is there and is no regular file.
    pub(super) fn file(&self, path: &[u8]) -> io::Result<Option<(File, Metadata)>> {
        let (parent, name) = split(path);
        let within;
        let within = if parent.is_empty() {
            self
        } else {
            match self.dir(parent)? {
                Some(found) => {
                    within = found;
                    &within
                }
                None => return Ok(None),
            }
        };
        one_name(name)?;
        let file = match rustix::fs::openat(&within.fd, name, FILE, Mode::empty()) {
            Ok(fd) => File::from(fd),
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::LOOP) => return Err(not("a link, which is not followed", within, name)),
            // A socket.
            Err(Errno::NXIO) => return Err(not("not a regular file", within, name)),
            Err(errno) => return Err(errno.into()),
        };
        let meta = file.metadata()?;
        if meta.is_file() {
            Ok(Some((file, meta)))
        } else {
            Err(not("not a regular file", within, name))
        }
    }

    /// Reads a regular file of at most `limit` bytes; `None` when nothing is there.
    pub(super) fn read(&self, path: &[u8], limit: u64) -> io::Result<Option<Vec<u8>>> {
        let Some((file, meta)) = self.file(path)? else {
            return Ok(None);
        };
        let mut bytes = Vec::with_capacity(usize::try_from(meta.len().min(limit)).unwrap_or(0));
        file.take(limit + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > limit {
            return Err(io::Error::other(format!(
                "it is larger than {limit} bytes: {}",
                escaped(path)
            )));
        }
        Ok(Some(bytes))
    }

    /// The target of a link in it.
    pub(super) fn link(&self, path: &[u8]) -> io::Result<Vec<u8>> {
        let (parent, name) = split(path);
        let within = self.dir(parent)?.ok_or(io::ErrorKind::NotFound)?;
        one_name(name)?;
        let target = rustix::fs::readlinkat(&within.fd, name, Vec::new())?;
        Ok(target.into_bytes())
    }

    /// The names in it, sorted, with what the system says of their kinds.
    pub(super) fn names(&self) -> io::Result<Vec<(Vec<u8>, FileType)>> {
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.fd)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if matches!(name, b"." | b"..") {
                continue;
            }
            if names.len() == MAX_NAMES {
                return Err(io::Error::other(format!(
                    "it has more than {MAX_NAMES} names"
                )));
            }
            let known = match entry.file_type() {
                FileType::Unknown => self.stat_of(name)?.map_or(FileType::Unknown, kind),
                known => known,
            };
            names.push((name.to_vec(), known));
        }
        names.sort_by(|(one, _), (two, _)| one.cmp(two));
        Ok(names)
    }

    /// The names in a directory beneath it; none when that is not there.
    pub(super) fn names_in(&self, path: &[u8]) -> io::Result<Vec<(Vec<u8>, FileType)>> {
        self.dir(path)?.map_or(Ok(Vec::new()), |dir| dir.names())
    }
}

impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Makes what is open as `file` readable at `path` for programs of this user's that this one starts, while
/// this one lives.
pub(super) fn give(file: &File, path: &Path) -> io::Result<()> {
    if cfg!(target_os = "linux") {
        let open = format!(
            "/proc/{}/fd/{}",
            std::process::id(),
            file.as_fd().as_raw_fd()
        );
        std::os::unix::fs::symlink(open, path)
    } else {
        let mut copy = File::create(path)?;
        io::copy(&mut At::start(file), &mut copy).map(drop)
    }
}

/// Reads a file from a place of its own, so that several can read what is opened once.
pub(super) struct At<'a> {
    file: &'a File,
    at: u64,
}

impl<'a> At<'a> {
    /// From its beginning.
    pub(super) fn start(file: &'a File) -> Self {
        Self { file, at: 0 }
    }
}

impl io::Read for At<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = std::os::unix::fs::FileExt::read_at(self.file, buffer, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

/// The kind of what was looked at.
pub(super) fn kind(stat: Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

/// Whether something else than what was wanted is in its place.
pub(super) fn is_another_kind(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotADirectory
}

fn not(what: &str, within: &Dir, name: &[u8]) -> io::Error {
    let message = format!(
        "{} is {what}",
        escaped(within.place(name).as_os_str().as_bytes())
    );
    io::Error::new(io::ErrorKind::NotADirectory, message)
}

/// The directory of a path, empty for the root, and its last name.
pub(super) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|&byte| byte == b'/') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (b"", path),
    }
}

/// The names of a path; none of the root. A path that could lead up, or elsewhere, is an error, whoever
/// checked it before.
fn names_of(path: &[u8]) -> io::Result<Vec<&[u8]>> {
    if path.is_empty() {
        return Ok(Vec::new());
    }
    let names: Vec<&[u8]> = path.split(|&byte| byte == b'/').collect();
    for name in &names {
        one_name(name)?;
    }
    Ok(names)
}

fn one_name(name: &[u8]) -> io::Result<()> {
    if matches!(name, b"" | b"." | b"..") || name.contains(&b'/') || name.contains(&0) {
        let message = format!("\"{}\" is not a name beneath a directory", escaped(name));
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_reached_through_a_link_nor_upwards_nor_waited_for() {
        let root = tempfile::tempdir().unwrap();
        let inside = root.path().join("inside");
        std::fs::create_dir_all(inside.join("a/b")).unwrap();
        std::fs::write(inside.join("a/b/file"), "text").unwrap();
        std::fs::write(root.path().join("secret"), "secret").unwrap();
        std::os::unix::fs::symlink("a", inside.join("to-a")).unwrap();
        std::os::unix::fs::symlink("../secret", inside.join("link")).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            inside.join("fifo"),
            FileType::Fifo,
            Mode::RUSR | Mode::WUSR,
            0,
        )
        .unwrap();
        let dir = Dir::open(&inside).unwrap();
        assert_eq!(dir.read(b"a/b/file", 4).unwrap().unwrap(), b"text");
        assert!(dir.read(b"a/b/file", 3).is_err());
        assert_eq!(dir.read(b"a/missing", 9).unwrap(), None);
        assert_eq!(dir.read(b"missing/x", 9).unwrap(), None);
        for path in [
            &b"to-a/b/file"[..],
            b"link",
            b"fifo",
            b"a",
            b"../secret",
            b"a/../../secret",
            b"/etc/hostname",
            b"a//b",
            b"a/./b",
            b"",
        ] {
            assert!(dir.read(path, 9).is_err(), "{}", escaped(path));
        }
        assert_eq!(dir.link(b"link").unwrap(), b"../secret");
        let names: Vec<_> = dir.names().unwrap();
        assert_eq!(names.len(), 4);
        assert!(names.contains(&(b"link".to_vec(), FileType::Symlink)));
        assert!(Dir::open(&inside.join("to-a")).is_err());
        assert!(dir.real_dir(b"to-a/b").unwrap().is_none());
    }
}
