//! A directory by its descriptor. What is opened beneath it is opened name by name, through no link, so
//! that nothing outside it can be reached, whatever is moved or replaced meanwhile.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use amika_core::repo_path::{RepoPath, escaped};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

/// A directory, never through a link.
const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);
/// A file, never through a link, and without waiting for the other end of a pipe.
const FILE: OFlags = OFlags::RDONLY
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// Why something beneath a directory could not be read.
#[derive(Debug, thiserror::Error)]
#[error("{} {why}", escaped(place))]
pub(in crate::git) struct ReadError {
    /// What was looked for, from the directory that was asked; the directory itself is `.`.
    pub(in crate::git) place: Vec<u8>,
    /// What is wrong.
    pub(in crate::git) why: Refusal,
}

/// What is wrong with a place.
#[derive(Debug, thiserror::Error)]
pub(in crate::git) enum Refusal {
    /// It is something else than a regular file or a directory, as was asked.
    #[error("is {}, not {wanted}", .found.name())]
    Kind {
        /// What stands there.
        found: Kind,
        /// What was asked for.
        wanted: &'static str,
    },
    /// It is larger than was asked for.
    #[error("is larger than {0} bytes")]
    Large(u64),
    /// A directory has more names than was asked for.
    #[error("has more than {0} entries")]
    Many(usize),
    /// Directories stand in each other deeper than was asked for.
    #[error("is deeper than {0} directories")]
    Deep(usize),
    /// The system's reason.
    #[error("cannot be read")]
    System(#[source] io::Error),
}

/// What stands at a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::git) enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link, which is not followed.
    Link,
    /// A pipe, socket or device.
    Special,
}

impl Kind {
    fn of(stat: &Stat) -> Self {
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Self::File,
            FileType::Directory => Self::Directory,
            FileType::Symlink => Self::Link,
            _ => Self::Special,
        }
    }

    pub(in crate::git) fn name(self) -> &'static str {
        match self {
            Self::File => "a file",
            Self::Directory => "a directory",
            Self::Link => "a symbolic link",
            Self::Special => "a pipe, socket or device",
        }
    }
}

/// A name of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::git) struct Listed {
    /// The name.
    pub(in crate::git) name: Vec<u8>,
    /// What stands there; what is opened later is looked at again.
    pub(in crate::git) kind: Kind,
}

/// A directory that is open.
#[derive(Debug)]
pub(in crate::git) struct Dir {
    fd: OwnedFd,
}

impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Dir {
    /// Opens a directory that the user named: links in its path are his, the last name is no link.
    pub(in crate::git) fn open(path: &Path) -> io::Result<Self> {
        let fd = rustix::fs::openat(rustix::fs::CWD, path, DIRECTORY, Mode::empty())?;
        Ok(Self { fd })
    }

    /// Another descriptor of the same directory.
    pub(in crate::git) fn try_clone(&self) -> io::Result<Self> {
        let fd = self.fd.try_clone()?;
        Ok(Self { fd })
    }

    /// Opens a directory beneath; `None` when nothing is there.
    pub(in crate::git) fn dir(&self, path: &RepoPath) -> Result<Option<Self>, ReadError> {
        self.descend(path.components())
    }

    /// Opens a regular file beneath; `None` when nothing is there. The size is that of the moment.
    pub(in crate::git) fn file(&self, path: &RepoPath) -> Result<Option<(File, Stat)>, ReadError> {
        let Some(parent) = self.parent_of(path)? else {
            return Ok(None);
        };
        let at = |why| error(path.as_bytes(), why);
        let name = OsStr::from_bytes(path.name());
        let fd = match rustix::fs::openat(&parent, name, FILE, Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::NOENT) => return Ok(None),
            // A link, a socket, or a device without a driver: what it is tells more than the number.
            Err(errno) => return Err(at(parent.refusal(name, errno, "a regular file"))),
        };
        let stat = rustix::fs::fstat(&fd).map_err(|errno| at(Refusal::System(errno.into())))?;
        match Kind::of(&stat) {
            Kind::File => Ok(Some((File::from(fd), stat))),
            found => Err(at(Refusal::Kind {
                found,
                wanted: "a regular file",
            })),
        }
    }

    /// Reads a regular file beneath, of at most `limit` bytes; `None` when nothing is there.
    pub(in crate::git) fn read(
        &self,
        path: &RepoPath,
        limit: u64,
    ) -> Result<Option<Vec<u8>>, ReadError> {
        let Some((file, stat)) = self.file(path)? else {
            return Ok(None);
        };
        let at = |why| error(path.as_bytes(), why);
        let size = u64::try_from(stat.st_size).unwrap_or_default();
        if size > limit {
            return Err(at(Refusal::Large(limit)));
        }
        let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
        // It may have grown, and may go on growing.
        file.take(limit + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| at(Refusal::System(error)))?;
        if bytes.len() as u64 > limit {
            return Err(at(Refusal::Large(limit)));
        }
        Ok(Some(bytes))
    }

    /// The target of a symbolic link beneath, as text that nothing follows; `None` when nothing is there.
    pub(in crate::git) fn read_link(&self, path: &RepoPath) -> Result<Option<Vec<u8>>, ReadError> {
        let Some(parent) = self.parent_of(path)? else {
            return Ok(None);
        };
        let name = OsStr::from_bytes(path.name());
        match rustix::fs::readlinkat(&parent, name, Vec::new()) {
            Ok(target) => Ok(Some(target.into_bytes())),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => {
                let why = parent.refusal(name, errno, "a symbolic link");
                Err(error(path.as_bytes(), why))
            }
        }
    }

    /// What stands at a path beneath, the last name not followed; `None` when nothing is there.
    pub(in crate::git) fn stat(&self, path: &RepoPath) -> Result<Option<(Kind, Stat)>, ReadError> {
        let Some(parent) = self.parent_of(path)? else {
            return Ok(None);
        };
        let name = OsStr::from_bytes(path.name());
        match rustix::fs::statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some((Kind::of(&stat), stat))),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(error(path.as_bytes(), Refusal::System(errno.into()))),
        }
    }

    /// The names in it, sorted, at most `limit` of them.
    pub(in crate::git) fn list(&self, limit: usize) -> Result<Vec<Listed>, ReadError> {
        let at = |why| error(b".", why);
        let system = |errno: Errno| at(Refusal::System(errno.into()));
        let mut names = Vec::new();
        // Opened anew by this: the place in the list is not shared with other readers.
        for entry in rustix::fs::Dir::read_from(&self.fd).map_err(system)? {
            let entry = entry.map_err(system)?;
            let name = entry.file_name().to_bytes();
            if matches!(name, b"." | b"..") {
                continue;
            }
            if names.len() == limit {
                return Err(at(Refusal::Many(limit)));
            }
            let kind = match entry.file_type() {
                FileType::RegularFile => Kind::File,
                FileType::Directory => Kind::Directory,
                FileType::Symlink => Kind::Link,
                FileType::Unknown => {
                    let flags = AtFlags::SYMLINK_NOFOLLOW;
                    match rustix::fs::statat(&self.fd, entry.file_name(), flags) {
                        Ok(stat) => Kind::of(&stat),
                        Err(Errno::NOENT) => continue,
                        Err(errno) => return Err(system(errno)),
                    }
                }
                _ => Kind::Special,
            };
            names.push(Listed {
                name: name.to_vec(),
                kind,
            });
        }
        names.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(names)
    }

    /// A path at which our own children find this directory, while it is open here and whatever became of
    /// its name.
    #[cfg(target_os = "linux")]
    pub(in crate::git) fn proc_path(&self) -> io::Result<PathBuf> {
        use std::os::fd::AsRawFd as _;

        let (own, fd) = (std::process::id(), self.fd.as_raw_fd());
        Ok(PathBuf::from(format!("/proc/{own}/fd/{fd}")))
    }

    /// A path at which our own children find this directory: its name of this moment, since this system
    /// has no path to a descriptor of a directory.
    #[cfg(not(target_os = "linux"))]
    pub(in crate::git) fn proc_path(&self) -> io::Result<PathBuf> {
        let path = rustix::fs::getpath(&self.fd)?;
        Ok(PathBuf::from(OsStr::from_bytes(path.as_bytes())))
    }

    fn parent_of(&self, path: &RepoPath) -> Result<Option<Self>, ReadError> {
        let mut parents = path.components();
        parents.next_back();
        self.descend(parents)
    }

    fn descend<'a>(
        &self,
        components: impl Iterator<Item = &'a [u8]>,
    ) -> Result<Option<Self>, ReadError> {
        let mut here = self
            .try_clone()
            .map_err(|source| error(b".", Refusal::System(source)))?;
        let mut place = Vec::new();
        for component in components {
            if !place.is_empty() {
                place.push(b'/');
            }
            place.extend_from_slice(component);
            let name = OsStr::from_bytes(component);
            here = match rustix::fs::openat(&here, name, DIRECTORY, Mode::empty()) {
                Ok(fd) => Self { fd },
                Err(Errno::NOENT) => return Ok(None),
                Err(errno) => return Err(error(&place, here.refusal(name, errno, "a directory"))),
            };
        }
        Ok(Some(here))
    }

    /// Says what stands at a name that could not be opened as what was wanted.
    fn refusal(&self, name: &OsStr, errno: Errno, wanted: &'static str) -> Refusal {
        let means_kind = matches!(
            errno,
            Errno::LOOP | Errno::NOTDIR | Errno::NXIO | Errno::NODEV | Errno::MLINK | Errno::INVAL
        );
        let stat = rustix::fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW);
        match stat {
            Ok(stat) if means_kind => Refusal::Kind {
                found: Kind::of(&stat),
                wanted,
            },
            _ => Refusal::System(errno.into()),
        }
    }
}

fn error(place: &[u8], why: Refusal) -> ReadError {
    ReadError {
        place: place.to_vec(),
        why,
    }
}

impl ReadError {
    /// The same, of a directory that itself was reached by a path.
    pub(in crate::git) fn beneath(mut self, path: &[u8]) -> Self {
        if self.place == b"." {
            self.place = path.to_vec();
        } else {
            self.place = [path, b"/", &self.place].concat();
        }
        self
    }

    /// One about a place that its caller found.
    pub(in crate::git) fn new(place: &[u8], why: Refusal) -> Self {
        error(place, why)
    }
}

#[cfg(test)]
mod tests;
