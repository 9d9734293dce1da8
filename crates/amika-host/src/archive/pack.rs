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

use super::hashing::Hashing;
use super::live;
use super::report::{Report, at};
use super::tar_out::TarOut;
use amika_core::manifest::Manifest;

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
    report.odd_times = tar.finish()?;
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
        let failed = |errno: Errno| at(source)(errno.into());
        let real = source.canonicalize().map_err(at(source))?;
        if self
            .entry(CWD, real.as_os_str(), source, name)?
            .map_err(failed)?
        {
            self.tree(CWD, real.as_os_str(), source, name)?
                .map_err(failed)?;
        }
        Ok(())
    }

    /// What vanished, or became something else, between the look at its directory and the look at it is
    /// left out, which is how it is now.
    fn pass_over<T>(&mut self, found: Result<T, Errno>, path: &Path) -> Option<T> {
        if found.is_err() {
            self.report.change(path, live::GONE);
        }
        found.ok()
    }

    /// Adds what has a name in a directory, unless it is one itself, which is told: `host` is where it
    /// is, `path` its place in the archive. The inner error is that it vanished.
    fn entry(
        &mut self,
        parent: BorrowedFd<'_>,
        name: &OsStr,
        host: &Path,
        path: &Path,
    ) -> io::Result<Result<bool, Errno>> {
        let failed = |errno: Errno| at(host)(errno.into());
        macro_rules! there {
            ($found:expr) => {
                match $found {
                    Ok(found) => found,
                    Err(errno) if has_changed(errno) => return Ok(Err(errno)),
                    Err(errno) => return Err(failed(errno)),
                }
            };
        }
        let stat = there!(rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW));
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => return Ok(Ok(true)),
            FileType::RegularFile => {
                let (opened, stat) = there!(open(parent, name, OFlags::NOFOLLOW));
                // It may have become something else since.
                match FileType::from_raw_mode(stat.st_mode) {
                    FileType::RegularFile => self.file(opened, &stat, host, path)?,
                    other => self.report.skip(path, kind(other)),
                }
            }
            FileType::Symlink => {
                let target = there!(rustix::fs::readlinkat(parent, name, Vec::new()));
                let target = Path::new(OsStr::from_bytes(target.as_bytes()));
                self.tar.symlink(path, target, mtime(&stat))?;
                if let Some(manifest) = &mut self.manifest {
                    let inner = path.strip_prefix(self.name).unwrap_or(path);
                    manifest.add_link(inner, target.as_os_str().as_bytes());
                }
            }
            other => self.report.skip(path, kind(other)),
        }
        Ok(Ok(false))
    }

    fn file(&mut self, opened: OwnedFd, stat: &Stat, host: &Path, path: &Path) -> io::Result<()> {
        let announced = u64::try_from(stat.st_size).unwrap_or_default();
        let (mode, modified) = (stat.st_mode, mtime(stat));
        // Its header tells its size before its content comes, and it may be written to meanwhile.
        let mut content = live::open(File::from(opened), announced).map_err(at(host))?;
        let size = content.size();
        let Some(manifest) = &mut self.manifest else {
            let written = self.tar.file(path, mode, modified, size, &mut content);
            written.map_err(at(host))?;
            self.report.file(size);
            if content.was_cut() {
                self.report.change(path, live::CUT);
            }
            return Ok(());
        };
        let inner = path.strip_prefix(self.name).unwrap_or(path);
        let digest = if manifest.needs_content(modified) {
            let mut hash = Hashing::new(&mut content);
            let written = self.tar.file(path, mode, modified, size, &mut hash);
            written.map_err(at(host))?;
            Some(hash.finish())
        } else {
            let written = self.tar.file(path, mode, modified, size, &mut content);
            written.map_err(at(host))?;
            None
        };
        manifest.add_file(inner, size, modified, digest.as_deref());
        self.report.file(size);
        if content.was_cut() {
            self.report.change(path, live::CUT);
        }
        Ok(())
    }

    /// Adds a directory and what is in it.
    fn tree(
        &mut self,
        parent: BorrowedFd<'_>,
        name: &OsStr,
        host: &Path,
        path: &Path,
    ) -> io::Result<Result<(), Errno>> {
        let (opened, stat) = match open(parent, name, OFlags::DIRECTORY | OFlags::NOFOLLOW) {
            Ok(opened) => opened,
            Err(errno) if has_changed(errno) => return Ok(Err(errno)),
            Err(errno) => return Err(at(host)(errno.into())),
        };
        self.tar.directory(path, stat.st_mode, mtime(&stat))?;
        self.directory(&opened, host, path)?;
        Ok(Ok(()))
    }

    /// Adds what is in a directory: first what is none itself, then the directories one by one, so that
    /// a level holds one descriptor and the names of its directories.
    fn directory(&mut self, directory: &OwnedFd, host: &Path, path: &Path) -> io::Result<()> {
        let failed = |errno: Errno| at(host)(errno.into());
        let mut below = Vec::new();
        for entry in Dir::read_from(directory).map_err(failed)? {
            let entry = match entry {
                Ok(entry) => entry,
                // A directory that was removed while it is read has nothing more.
                Err(errno) if has_changed(errno) => break,
                Err(errno) => return Err(failed(errno)),
            };
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name == "." || name == ".." {
                continue;
            }
            let (host, path) = (host.join(name), path.join(name));
            let found = self.entry(directory.as_fd(), name, &host, &path)?;
            if self.pass_over(found, &path) == Some(true) {
                below.push(name.to_owned());
            }
        }
        for name in below {
            let (host, path) = (host.join(&name), path.join(&name));
            let found = self.tree(directory.as_fd(), &name, &host, &path)?;
            self.pass_over(found, &path);
        }
        Ok(())
    }
}

fn open(parent: BorrowedFd<'_>, name: &OsStr, how: OFlags) -> Result<(OwnedFd, Stat), Errno> {
    let opened = rustix::fs::openat(parent, name, OPEN | how, Mode::empty())?;
    let stat = rustix::fs::fstat(&opened)?;
    Ok((opened, stat))
}

/// Whether a name stands for something else than when its directory was read: for nothing, or for another
/// kind of thing.
fn has_changed(errno: Errno) -> bool {
    matches!(
        errno,
        Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NXIO | Errno::STALE | Errno::INVAL
    )
}

fn mtime(stat: &Stat) -> i64 {
    #[allow(clippy::useless_conversion, reason = "the type is the platform's")]
    i64::from(stat.st_mtime)
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
    fn what_vanishes_is_left_out_and_told_and_the_rest_is_whole() {
        let dir = tempfile::tempdir().expect("a directory");
        let root = dir.path().to_owned();
        std::fs::create_dir(root.join("still")).expect("mkdir");
        for number in 0..200 {
            std::fs::write(root.join("still").join(number.to_string()), "x").expect("write");
        }
        let stop = std::sync::atomic::AtomicBool::new(false);
        let relaxed = std::sync::atomic::Ordering::Relaxed;
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut turn = 0_u32;
                while !stop.load(relaxed) {
                    let name = root.join(format!("live-{}", turn % 50));
                    let _ = std::fs::remove_file(&name);
                    let _ = std::fs::remove_dir(&name);
                    let _ = match turn % 3 {
                        0 => std::fs::create_dir(&name),
                        1 => std::os::unix::fs::symlink("still", &name),
                        _ => std::fs::write(&name, vec![b'x'; 70_000]),
                    };
                    turn += 1;
                }
            });
            for _ in 0..100 {
                let (report, archive) = packed(&root, Top::Root);
                let found = entries(&archive);
                let still = found.keys().filter(|path| path.starts_with(b"still/"));
                if report.is_err() || still.count() != 200 {
                    stop.store(true, relaxed);
                    panic!("{report:?}");
                }
            }
            stop.store(true, relaxed);
        });
        let (parent, gone) = (CWD, root.join("gone"));
        let mut archive = Vec::new();
        let mut tar = TarOut::new(&mut archive, (7, 8), Modes::Kept, "");
        let mut report = Report::default();
        let mut packer = Packer {
            tar: &mut tar,
            report: &mut report,
            manifest: None,
            name: Path::new(""),
        };
        let found = packer.entry(parent, gone.as_os_str(), &gone, Path::new("gone"));
        let found = found.expect("no failure");
        assert_eq!(found, Err(Errno::NOENT));
        assert_eq!(packer.pass_over(found, Path::new("gone")), None);
        assert_eq!(report.changed[0].path, "gone");
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
