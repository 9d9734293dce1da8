//! Files of this machine as an archive, made while they are read.
//!
//! Everything is opened from its parent's descriptor and never through a link: what a sandbox has
//! mounted writable may be swapped under our hands.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat};

use super::report::{Report, at};
use super::tar_out::TarOut;

/// Opens what stands at a path, a directory or a file, without waiting for a pipe's other end.
const OPEN: OFlags = OFlags::RDONLY
    .union(OFlags::CLOEXEC)
    .union(OFlags::NONBLOCK);

/// Writes the archive of what stands at `source`, under `name` in the directory `prefix`; without a name,
/// of what is in the directory there. If `source` itself is a link it is followed; links within stay links.
///
/// # Errors
/// With the path that could not be read.
pub fn pack<W: Write>(
    source: &Path,
    name: Option<&OsStr>,
    owner: (u32, u32),
    prefix: &str,
    to: W,
) -> io::Result<Report> {
    let mut packer = Packer {
        tar: TarOut::new(to, owner, prefix),
        report: Report::default(),
    };
    if let Some(name) = name {
        let real = source.canonicalize().map_err(at(source))?;
        packer.entry(CWD, real.as_os_str(), source, Path::new(name))?;
    } else {
        let root = rustix::fs::open(source, OPEN | OFlags::DIRECTORY, Mode::empty())
            .map_err(|errno| at(source)(errno.into()))?;
        packer.directory(&root, source, Path::new(""))?;
    }
    packer.tar.finish()?;
    Ok(packer.report)
}

struct Packer<W: Write> {
    tar: TarOut<W>,
    report: Report,
}

impl<W: Write> Packer<W> {
    /// Adds what has a name in a directory: `host` is where it is, `path` its place in the copy.
    fn entry(
        &mut self,
        parent: BorrowedFd<'_>,
        name: &OsStr,
        host: &Path,
        path: &Path,
    ) -> io::Result<()> {
        let failed = |errno: rustix::io::Errno| at(host)(errno.into());
        let stat = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW).map_err(failed)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                let flags = OPEN | OFlags::DIRECTORY | OFlags::NOFOLLOW;
                let opened =
                    rustix::fs::openat(parent, name, flags, Mode::empty()).map_err(failed)?;
                let stat = rustix::fs::fstat(&opened).map_err(failed)?;
                self.tar.directory(path, stat.st_mode, mtime(&stat))?;
                self.directory(&opened, host, path)
            }
            FileType::RegularFile => {
                let opened =
                    rustix::fs::openat(parent, name, OPEN | OFlags::NOFOLLOW, Mode::empty())
                        .map_err(failed)?;
                let stat = rustix::fs::fstat(&opened).map_err(failed)?;
                let size = u64::try_from(stat.st_size).unwrap_or_default();
                self.tar
                    .file(path, stat.st_mode, mtime(&stat), size, File::from(opened))
                    .map_err(at(host))?;
                self.report.file(size);
                Ok(())
            }
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(parent, name, Vec::new()).map_err(failed)?;
                let target = Path::new(OsStr::from_bytes(target.as_bytes()));
                self.tar.symlink(path, target, mtime(&stat))
            }
            other => {
                self.report.skip(path, kind(other));
                Ok(())
            }
        }
    }

    /// Adds what is in a directory.
    fn directory(&mut self, directory: &OwnedFd, host: &Path, path: &Path) -> io::Result<()> {
        let failed = |errno: rustix::io::Errno| at(host)(errno.into());
        for entry in Dir::read_from(directory).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name == "." || name == ".." {
                continue;
            }
            let host: PathBuf = host.join(name);
            self.entry(directory.as_fd(), name, &host, &path.join(name))?;
        }
        Ok(())
    }
}

fn mtime(stat: &Stat) -> u64 {
    #[allow(clippy::useless_conversion, reason = "the type is the platform's")]
    u64::try_from(stat.st_mtime).unwrap_or_default()
}

fn kind(kind: FileType) -> &'static str {
    match kind {
        FileType::Fifo => "a named pipe",
        FileType::Socket => "a socket",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        _ => "of an unknown kind",
    }
}
