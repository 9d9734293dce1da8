//! A host directory or file as a tar archive, written while it is read.
//!
//! Everything is opened from its parent's descriptor and never through a link: another sandbox may have
//! the same directory mounted writable, and swap what is in it meanwhile.

use std::ffi::{CStr, OsStr};
use std::fs::File;
use std::io::{self, BufWriter, Read as _, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat};

/// The longest target of a link that a tar header holds.
const LINK_FIELD: usize = 100;
/// Bytes that are written at once.
const BUFFER: usize = 128 * 1024;

/// What was left out on the way: sockets, pipes and devices.
#[derive(Debug, Default)]
pub(super) struct Skipped {
    /// How many.
    pub(super) count: usize,
    /// The first of them, relative to the source.
    pub(super) first: Vec<Vec<u8>>,
}

/// Writes the archive of `source`, to be unpacked as `name` (empty: as the place where it is put), owned by
/// `owner`.
///
/// # Errors
/// With the path that cannot be read; the archive has no end then.
pub(super) fn pack(
    source: &Path,
    name: &[u8],
    owner: (u32, u32),
    to: &mut dyn Write,
) -> io::Result<Skipped> {
    let mut packer = Packer {
        archive: tar::Builder::new(BufWriter::with_capacity(BUFFER, to)),
        owner,
        root: name.to_vec(),
        skipped: Skipped::default(),
    };
    packer.source(source)?;
    packer.archive.into_inner()?.flush()?;
    Ok(packer.skipped)
}

/// An archive of an empty root directory that belongs to `owner`.
pub(super) fn empty_root(owner: (u32, u32)) -> io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    archive.append(&root_header(0o755, 0, owner), io::empty())?;
    archive.into_inner()
}

/// Docker passes over an entry `.`, and the directory would keep its owner; `/` it takes.
fn root_header(mode: u32, mtime: u64, owner: (u32, u32)) -> tar::Header {
    let mut header = header(tar::EntryType::Directory, mode, mtime, 0, owner);
    header.as_old_mut().name[0] = b'/';
    header.set_cksum();
    header
}

fn header(
    kind: tar::EntryType,
    mode: u32,
    mtime: u64,
    size: u64,
    owner: (u32, u32),
) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode & 0o7777);
    header.set_uid(owner.0.into());
    header.set_gid(owner.1.into());
    header.set_mtime(mtime);
    header.set_size(size);
    header
}

struct Packer<'a> {
    archive: tar::Builder<BufWriter<&'a mut dyn Write>>,
    owner: (u32, u32),
    /// Its name in the archive.
    root: Vec<u8>,
    skipped: Skipped,
}

impl Packer<'_> {
    fn source(&mut self, source: &Path) -> io::Result<()> {
        let opened = rustix::fs::open(
            source,
            OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .and_then(|opened| Ok((rustix::fs::fstat(&opened)?, opened)));
        let (stat, opened) = opened.map_err(|error| failed(b"", error))?;
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            if self.root.is_empty() {
                let root = root_header(stat.st_mode, mtime(&stat), self.owner);
                self.archive.append(&root, io::empty())?;
            } else {
                self.add_directory(&stat, b"")?;
            }
            return self.directory(&opened, b"");
        }
        self.file(opened, b"")
    }

    /// Where something of the source is in the archive.
    fn place(&self, path: &[u8]) -> PathBuf {
        match (self.root.as_slice(), path) {
            (b"", path) => as_path(path).to_owned(),
            (root, b"") => as_path(root).to_owned(),
            (root, path) => as_path(root).join(as_path(path)),
        }
    }

    fn add_directory(&mut self, stat: &Stat, path: &[u8]) -> io::Result<()> {
        let mut header = header(
            tar::EntryType::Directory,
            stat.st_mode,
            mtime(stat),
            0,
            self.owner,
        );
        let place = self.place(path);
        self.archive.append_data(&mut header, place, io::empty())
    }

    /// Packs what is in a directory: first what is none itself, then the directories one by one, so
    /// that a level holds one descriptor and the names of its directories.
    fn directory(&mut self, directory: &OwnedFd, path: &[u8]) -> io::Result<()> {
        let mut below = Vec::new();
        let entries = Dir::read_from(directory).map_err(|error| failed(path, error))?;
        for entry in entries {
            let entry = entry.map_err(|error| failed(path, error))?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let child = join(path, name.to_bytes());
            if self.entry(directory.as_fd(), name, &child)? == FileType::Directory {
                below.push(name.to_owned());
            }
        }
        for name in below {
            let child = join(path, name.to_bytes());
            let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::RDONLY | OFlags::CLOEXEC;
            let opened = rustix::fs::openat(directory, &name, flags, Mode::empty())
                .and_then(|opened| Ok((rustix::fs::fstat(&opened)?, opened)));
            let (stat, opened) = opened.map_err(|error| failed(&child, error))?;
            self.add_directory(&stat, &child)?;
            self.directory(&opened, &child)?;
        }
        Ok(())
    }

    /// Packs one entry that is no directory; says what it is.
    fn entry(&mut self, parent: BorrowedFd<'_>, name: &CStr, path: &[u8]) -> io::Result<FileType> {
        let stat = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|error| failed(path, error))?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        match kind {
            FileType::Directory => {}
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(parent, name, Vec::new())
                    .map_err(|error| failed(path, error))?;
                self.link(path, target.as_bytes(), mtime(&stat))?;
            }
            FileType::RegularFile => {
                // It may have become a pipe since: opening must not wait.
                let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::RDONLY | OFlags::CLOEXEC;
                let opened = rustix::fs::openat(parent, name, flags, Mode::empty())
                    .map_err(|error| failed(path, error))?;
                self.file(opened, path)?;
            }
            _ => self.skip(path),
        }
        Ok(kind)
    }

    fn file(&mut self, opened: OwnedFd, path: &[u8]) -> io::Result<()> {
        let stat = rustix::fs::fstat(&opened).map_err(|error| failed(path, error))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            self.skip(path);
            return Ok(());
        }
        let size = u64::try_from(stat.st_size).unwrap_or_default();
        let mut header = header(
            tar::EntryType::Regular,
            stat.st_mode,
            mtime(&stat),
            size,
            self.owner,
        );
        let mut content = Exactly {
            left: size,
            file: File::from(opened),
            failure: None,
        };
        let place = self.place(path);
        let written = self.archive.append_data(&mut header, place, &mut content);
        match content.failure {
            Some(error) => Err(failed(path, error)),
            None => written,
        }
    }

    /// A link keeps its target byte by byte, which the library would tidy up.
    fn link(&mut self, path: &[u8], target: &[u8], mtime: u64) -> io::Result<()> {
        if target.len() > LINK_FIELD {
            let size = target.len() as u64 + 1;
            let mut long = header(tar::EntryType::GNULongLink, 0o644, 0, size, (0, 0));
            long.set_path("././@LongLink")?;
            long.set_cksum();
            self.archive.append(&long, target.chain(&[0_u8][..]))?;
        }
        let mut header = header(tar::EntryType::Symlink, 0o777, mtime, 0, self.owner);
        let field = target.len().min(LINK_FIELD);
        header.as_old_mut().linkname[..field].copy_from_slice(&target[..field]);
        let place = self.place(path);
        self.archive.append_data(&mut header, place, io::empty())
    }

    fn skip(&mut self, path: &[u8]) {
        self.skipped.count += 1;
        if self.skipped.first.len() < super::NAMED {
            self.skipped.first.push(path.to_vec());
        }
    }
}

/// The error of something that cannot be read.
fn failed(path: &[u8], error: impl Into<io::Error>) -> io::Error {
    let shown = String::from_utf8_lossy(path);
    let shown = if shown.is_empty() { "it".into() } else { shown };
    io::Error::other(format!("{shown} cannot be read: {}", error.into()))
}

/// Reads as much of a file as it had when it was looked at; an early end is an error.
struct Exactly {
    left: u64,
    file: File,
    failure: Option<io::Error>,
}

impl io::Read for Exactly {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let limit = usize::try_from(self.left).unwrap_or(usize::MAX);
        let limit = buffer.len().min(limit);
        let read = match self.file.read(&mut buffer[..limit]) {
            Ok(0) if limit > 0 => Err(io::Error::other("it shrank while it was copied")),
            other => other,
        };
        match read {
            Ok(read) => {
                self.left -= read as u64;
                Ok(read)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) => {
                self.failure = Some(error);
                Err(io::Error::other("unreadable"))
            }
        }
    }
}

fn mtime(stat: &Stat) -> u64 {
    // Times before 1970 have no place in a header.
    u64::try_from(stat.st_mtime).unwrap_or_default()
}

fn join(parent: &[u8], name: &[u8]) -> Vec<u8> {
    if parent.is_empty() {
        name.to_vec()
    } else {
        [parent, b"/", name].concat()
    }
}

fn as_path(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::os::unix::fs::PermissionsExt;

    use pretty_assertions::assert_eq;

    use super::*;

    fn packed(source: &Path, name: &[u8]) -> (io::Result<Skipped>, Vec<u8>) {
        let mut archive = Vec::new();
        let result = pack(source, name, (7, 8), &mut archive);
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
        let (skipped, archive) = packed(root, b"");
        let found = entries(&archive);
        assert_eq!(skipped.expect("a whole archive").count, 0);
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
        let (skipped, archive) = packed(dir.path(), b"");
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
        let (skipped, archive) = packed(dir.path(), b"");
        let mut skipped = skipped.expect("a whole archive").first;
        assert_eq!(entries(&archive).len(), 2);
        skipped.sort();
        assert_eq!(skipped, [b"pipe".to_vec(), b"socket".to_vec()]);
    }

    #[test]
    fn a_single_file_gets_the_name_it_is_put_at() {
        let dir = tempfile::tempdir().expect("a directory");
        let source = dir.path().join("source");
        std::fs::write(&source, "x").expect("write");
        let (skipped, archive) = packed(&source, b"etc/tool.conf");
        skipped.expect("a whole archive");
        let found = entries(&archive);
        assert_eq!(
            found.keys().collect::<Vec<_>>(),
            [&b"etc/tool.conf".to_vec()]
        );
    }

    #[test]
    fn a_source_that_went_away_ends_the_stream_with_its_name() {
        let (skipped, _) = packed(Path::new("/nowhere/at/all"), b"");
        assert_eq!(
            skipped.expect_err("nothing is there").to_string(),
            "it cannot be read: No such file or directory (os error 2)"
        );
    }
}
