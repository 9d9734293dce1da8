//! Files of this machine as an archive, made while they are read.
//!
//! Everything is opened from its parent's descriptor and never through a link: what a sandbox has
//! mounted writable may be swapped under our hands.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::report::{Report, at};
use super::tar_out::TarOut;
use crate::unsaved::{Hashing, Manifest};

/// Opens a directory or a file without waiting for a pipe's other end.
const OPEN: OFlags = OFlags::RDONLY
    .union(OFlags::CLOEXEC)
    .union(OFlags::NONBLOCK);

/// What the top of the copied tree becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Top<'a> {
    /// An entry of this name.
    Named(&'a Path),
    /// The directory that the archive is unpacked in: it gets the source's mode and time, and the owner.
    Root,
    /// Nothing: only what is in the source, a directory, is packed.
    Contents,
}

/// Writes the archive of what stands at `source` to its end. If `source` itself is a link it is followed;
/// links within stay links. Sockets, pipes and devices are left out.
///
/// # Errors
/// With the path that could not be read; the archive is not whole then.
pub fn pack<W: Write>(source: &Path, top: Top<'_>, tar: TarOut<W>) -> io::Result<Report> {
    write(source, top, tar, None)
}

/// As [`pack`], and notes each file and link, by its path beneath the top.
///
/// # Errors
/// As [`pack`].
pub fn pack_noting<W: Write>(
    source: &Path,
    top: Top<'_>,
    tar: TarOut<W>,
    manifest: &mut Manifest,
) -> io::Result<Report> {
    write(source, top, tar, Some(manifest))
}

fn write<W: Write>(
    source: &Path,
    top: Top<'_>,
    mut tar: TarOut<W>,
    manifest: Option<&mut Manifest>,
) -> io::Result<Report> {
    let mut report = Report::default();
    let mut packer = Packer {
        tar: &mut tar,
        report: &mut report,
        manifest,
        name: match top {
            Top::Named(name) => name,
            Top::Root | Top::Contents => Path::new(""),
        },
    };
    match top {
        Top::Named(name) => packer.named(source, name)?,
        Top::Root | Top::Contents => {
            let (opened, stat) = open(CWD, source.as_os_str(), OFlags::DIRECTORY)
                .map_err(|errno| at(source)(errno.into()))?;
            if top == Top::Root {
                packer.tar.root(stat.st_mode, mtime(&stat))?;
            }
            packer.directory(&opened, source, Path::new(""))?;
        }
    }
    tar.finish()?;
    Ok(report)
}

struct Packer<'a, W: Write> {
    tar: &'a mut TarOut<W>,
    report: &'a mut Report,
    manifest: Option<&'a mut Manifest>,
    /// What the names of all entries begin with.
    name: &'a Path,
}

impl<W: Write> Packer<'_, W> {
    fn named(&mut self, source: &Path, name: &Path) -> io::Result<()> {
        let real = source.canonicalize().map_err(at(source))?;
        if self.entry(CWD, real.as_os_str(), source, name)? {
            self.tree(CWD, real.as_os_str(), source, name)?;
        }
        Ok(())
    }

    /// Adds what has a name in a directory, unless it is one itself, which is told: `host` is where it
    /// is, `path` its place in the archive.
    fn entry(
        &mut self,
        parent: BorrowedFd<'_>,
        name: &OsStr,
        host: &Path,
        path: &Path,
    ) -> io::Result<bool> {
        let failed = |errno: Errno| at(host)(errno.into());
        let stat = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW).map_err(failed)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => return Ok(true),
            FileType::RegularFile => {
                let (opened, stat) = open(parent, name, OFlags::NOFOLLOW).map_err(failed)?;
                // It may have become something else since.
                match FileType::from_raw_mode(stat.st_mode) {
                    FileType::RegularFile => self.file(opened, &stat, host, path)?,
                    other => self.report.skip(path, kind(other)),
                }
            }
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(parent, name, Vec::new()).map_err(failed)?;
                let target = Path::new(OsStr::from_bytes(target.as_bytes()));
                self.tar.symlink(path, target, mtime(&stat))?;
                if let Some(manifest) = &mut self.manifest {
                    let inner = path.strip_prefix(self.name).unwrap_or(path);
                    manifest.add_link(inner, target.as_os_str().as_bytes());
                }
            }
            other => self.report.skip(path, kind(other)),
        }
        Ok(false)
    }

    fn file(&mut self, opened: OwnedFd, stat: &Stat, host: &Path, path: &Path) -> io::Result<()> {
        let size = u64::try_from(stat.st_size).unwrap_or_default();
        let (mode, modified) = (stat.st_mode, mtime(stat));
        let opened = File::from(opened);
        let Some(manifest) = &mut self.manifest else {
            let written = self.tar.file(path, mode, modified, size, opened);
            self.report.file(size);
            return written.map_err(at(host));
        };
        let inner = path.strip_prefix(self.name).unwrap_or(path);
        let content = if manifest.needs_content(modified) {
            let mut hash = Hashing::new(opened);
            let written = self.tar.file(path, mode, modified, size, &mut hash);
            written.map_err(at(host))?;
            Some(hash.finish())
        } else {
            let written = self.tar.file(path, mode, modified, size, opened);
            written.map_err(at(host))?;
            None
        };
        manifest.add_file(inner, size, modified, content.as_deref());
        self.report.file(size);
        Ok(())
    }

    /// Adds a directory and what is in it.
    fn tree(
        &mut self,
        parent: BorrowedFd<'_>,
        name: &OsStr,
        host: &Path,
        path: &Path,
    ) -> io::Result<()> {
        let (opened, stat) = open(parent, name, OFlags::DIRECTORY | OFlags::NOFOLLOW)
            .map_err(|errno| at(host)(errno.into()))?;
        self.tar.directory(path, stat.st_mode, mtime(&stat))?;
        self.directory(&opened, host, path)
    }

    /// Adds what is in a directory: first what is none itself, then the directories one by one, so that
    /// a level holds one descriptor and the names of its directories.
    fn directory(&mut self, directory: &OwnedFd, host: &Path, path: &Path) -> io::Result<()> {
        let failed = |errno: Errno| at(host)(errno.into());
        let mut below = Vec::new();
        for entry in Dir::read_from(directory).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name == "." || name == ".." {
                continue;
            }
            if self.entry(directory.as_fd(), name, &host.join(name), &path.join(name))? {
                below.push(name.to_owned());
            }
        }
        for name in below {
            let (host, path) = (host.join(&name), path.join(&name));
            self.tree(directory.as_fd(), &name, &host, &path)?;
        }
        Ok(())
    }
}

fn open(parent: BorrowedFd<'_>, name: &OsStr, how: OFlags) -> Result<(OwnedFd, Stat), Errno> {
    let opened = rustix::fs::openat(parent, name, OPEN | how, Mode::empty())?;
    let stat = rustix::fs::fstat(&opened)?;
    Ok((opened, stat))
}

fn mtime(stat: &Stat) -> u64 {
    // Times before 1970 have no place in a header.
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::Read as _;
    use std::os::unix::fs::PermissionsExt;

    use pretty_assertions::assert_eq;

    use super::super::tar_out::Modes;
    use super::*;

    fn packed(source: &Path, top: Top<'_>) -> (io::Result<Report>, Vec<u8>) {
        let mut archive = Vec::new();
        let tar = TarOut::new(&mut archive, (7, 8), Modes::Kept, "");
        let result = pack(source, top, tar);
        (result, archive)
    }

    /// Kind, mode, content or target of each entry.
    fn entries(archive: &[u8]) -> BTreeMap<Vec<u8>, (tar::EntryType, u32, Vec<u8>)> {
        let mut found = BTreeMap::new();
        for entry in tar::Archive::new(archive).entries().expect("an archive") {
            let mut entry = entry.expect("an entry");
            assert_eq!(
                (entry.header().uid().ok(), entry.header().gid().ok()),
                (Some(7), Some(8))
            );
            let kind = entry.header().entry_type();
            let mode = entry.header().mode().expect("a mode");
            let mut content = entry
                .link_name_bytes()
                .map(|link| link.to_vec())
                .unwrap_or_default();
            entry.read_to_end(&mut content).expect("content");
            found.insert(entry.path_bytes().to_vec(), (kind, mode, content));
        }
        found
    }

    #[test]
    fn modes_links_and_odd_names_are_kept() {
        let dir = tempfile::tempdir().expect("a directory");
        let root = dir.path();
        std::fs::set_permissions(root, std::fs::Permissions::from_mode(0o750)).expect("chmod");
        let odd = OsStr::from_bytes(b"odd \n\xff name");
        let long = "l".repeat(150);
        std::fs::create_dir_all(root.join("a/b").join(&long)).expect("mkdir");
        std::fs::write(root.join("a").join(odd), "odd").expect("write");
        std::fs::write(root.join("a/b").join(&long).join("x"), "deep").expect("write");
        std::fs::set_permissions(
            root.join("a").join(odd),
            std::fs::Permissions::from_mode(0o4751),
        )
        .expect("chmod");
        for (name, target) in [
            ("up", "./../x//y/."),
            ("far", long.as_str()),
            ("gone", "/nowhere"),
        ] {
            std::os::unix::fs::symlink(target, root.join(name)).expect("link");
        }
        let (skipped, archive) = packed(root, Top::Root);
        let found = entries(&archive);
        assert_eq!(skipped.expect("a whole archive").skipped_count, 0);
        let kind = |path: &[u8]| {
            found
                .get(path)
                .unwrap_or_else(|| panic!("{path:?} in {found:?}"))
        };
        assert_eq!(kind(b"/").1, 0o750);
        assert_eq!(
            kind(b"a/odd \n\xff name"),
            &(tar::EntryType::Regular, 0o4751, b"odd".to_vec())
        );
        assert_eq!(kind(b"up").2, b"./../x//y/.");
        assert_eq!(kind(b"far").2, long.as_bytes());
        assert_eq!(kind(b"gone").2, b"/nowhere");
        assert_eq!(kind(format!("a/b/{long}/x").as_bytes()).2, b"deep");
    }

    #[test]
    fn a_sparse_file_is_copied_as_it_reads() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = File::create(dir.path().join("sparse")).expect("a file");
        file.set_len(3 << 20).expect("a hole");
        let (skipped, archive) = packed(dir.path(), Top::Root);
        skipped.expect("a whole archive");
        assert_eq!(entries(&archive)[&b"sparse"[..]].2, vec![0; 3 << 20]);
    }

    #[test]
    fn what_is_no_file_is_left_out_and_never_waited_for() {
        let dir = tempfile::tempdir().expect("a directory");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            dir.path().join("pipe"),
            FileType::Fifo,
            Mode::RUSR,
            0,
        )
        .expect("a pipe");
        let _socket =
            std::os::unix::net::UnixListener::bind(dir.path().join("socket")).expect("a socket");
        std::fs::write(dir.path().join("file"), "x").expect("write");
        let (skipped, archive) = packed(dir.path(), Top::Root);
        let report = skipped.expect("a whole archive");
        assert_eq!(entries(&archive).len(), 2);
        let mut skipped: Vec<_> = report
            .skipped
            .iter()
            .map(|it| (it.path.as_str(), it.reason.as_str()))
            .collect();
        skipped.sort_unstable();
        assert_eq!(skipped, [("pipe", "a named pipe"), ("socket", "a socket")]);
    }

    #[test]
    fn a_single_file_gets_the_name_it_is_put_at() {
        let dir = tempfile::tempdir().expect("a directory");
        let source = dir.path().join("source");
        std::fs::write(&source, "x").expect("write");
        let (skipped, archive) = packed(&source, Top::Named(Path::new("etc/tool.conf")));
        skipped.expect("a whole archive");
        let found = entries(&archive);
        assert_eq!(
            found.keys().collect::<Vec<_>>(),
            [&b"etc/tool.conf".to_vec()]
        );
    }

    #[test]
    fn a_source_that_went_away_ends_the_stream_with_its_name() {
        let (skipped, _) = packed(Path::new("/nowhere/at/all"), Top::Root);
        assert_eq!(
            skipped.expect_err("nothing is there").to_string(),
            "/nowhere/at/all: No such file or directory (os error 2)"
        );
    }
}
