//! What the home was made of before the agent's work: kept as a list, from which `amika` tells that work.
//!
//! What is there at the first boot, the image and `amika` put there. What a setup script makes is added to the list,
//! but for what takes the place of work that was there before it ran. So the list is taken twice: before setup, to
//! know what was work by then, and after it. Neither depends on a clock: a script that changes owners or times of
//! everything changes nothing of what is work.
//!
//! The agent may be at work in the home meanwhile, so the walk goes by open directories and through no link.

use std::collections::HashSet;
use std::ffi::{CStr, OsStr};
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use amika_core::contract::path;
use amika_core::manifest::Manifest;
use amika_core::work;
use nix::dir::Dir;
use nix::fcntl::{AtFlags, OFlag, openat, readlinkat};
use nix::libc;
use nix::sys::stat::{FileStat, Mode, fstat, fstatat};
use sha2::{Digest, Sha256};

use crate::mounts::{Mounts, id_at, id_of};
use crate::record::write_atomically;
use crate::say::note;

/// Directories are followed this deep; each level holds one descriptor open.
const DEPTH: usize = 400;
/// Entries of a home that are listed; what is beyond them counts as work.
const ENTRIES: usize = 1_000_000;
/// Bytes of a manifest's file that is read back.
const LIMIT: u64 = 64 << 20;
/// A file that was written so few seconds ago may be written again in the same second.
const YOUNG: i64 = 2;
/// Bytes of a young file up to which its content is read.
const READ: u64 = 64 << 20;

/// The list as it is so far, and what was work when it was looked at last.
#[derive(Debug)]
pub(crate) struct Beginning {
    manifest: Manifest,
    /// Paths in the home whose state then was not in the list.
    work: HashSet<PathBuf>,
}

impl Beginning {
    /// Looks at the home before setup. At the very first boot all that is there is its beginning. `None` where
    /// nothing is kept: there is no home, or it was not looked at from its first boot on.
    pub(crate) fn look(is_first: bool, mounts: &Mounts) -> Option<Self> {
        let manifest = if is_first {
            // Of a file as young as this, the content tells: see `young`.
            let mut manifest = Manifest::begin(0);
            let walked = Walk::through(mounts, |entry| entry.add_to(&mut manifest));
            walked.then_some(())?;
            manifest.close();
            manifest
        } else {
            let file = crate::files::read_small(Path::new(path::HOME_BEGINNING), LIMIT).ok()?;
            Manifest::from_file(&file)?.1
        };
        let mut this = Self {
            manifest,
            work: HashSet::new(),
        };
        if is_first {
            this.keep();
        } else {
            let mut work = HashSet::new();
            Walk::through(mounts, |entry| {
                if !entry.is_in(&this.manifest) {
                    work.insert(entry.path.clone());
                }
            });
            this.work = work;
        }
        Some(this)
    }

    /// Adds what setup made.
    pub(crate) fn add_setup(mut self, mounts: &Mounts) {
        let mut manifest = self.manifest.clone();
        Walk::through(mounts, |entry| {
            if !self.work.contains(&entry.path) {
                entry.add_to(&mut manifest);
            }
        });
        self.manifest = manifest;
        self.keep();
    }

    fn keep(&self) {
        let file = Path::new(path::HOME_BEGINNING);
        let made = file.parent().map_or(Ok(()), std::fs::create_dir_all);
        let content = self.manifest.clone().into_file(path::HOME);
        if let Err(error) = made.and_then(|()| write_atomically(file, &content)) {
            note(format!("cannot write {}: {error}", file.display()));
        }
    }
}

/// A file or link of the home.
struct Entry<'a> {
    /// Its path in the home.
    path: PathBuf,
    data: FileStat,
    at: &'a Dir,
    name: &'a CStr,
    now: i64,
}

impl Entry<'_> {
    fn is_link(&self) -> bool {
        self.data.st_mode & libc::S_IFMT == libc::S_IFLNK
    }

    fn size(&self) -> u64 {
        u64::try_from(self.data.st_size).unwrap_or(0)
    }

    /// Seconds since the Unix epoch; before it, less than 0.
    fn modified(&self) -> i64 {
        self.data.st_mtime
    }

    fn target(&self) -> Vec<u8> {
        let target = readlinkat(self.at.as_fd(), self.name);
        target.map(OsStringExt::into_vec).unwrap_or_default()
    }

    /// SHA-256 of its content.
    fn content(&self) -> io::Result<Vec<u8>> {
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let mut file = File::from(openat(self.at.as_fd(), self.name, flags, Mode::empty())?);
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("not a regular file"));
        }
        let mut hash = Sha256::new();
        let mut buffer = vec![0_u8; 64 << 10];
        loop {
            match io::Read::read(&mut file, &mut buffer)? {
                0 => return Ok(hash.finalize().to_vec()),
                read => hash.update(&buffer[..read]),
            }
        }
    }

    fn add_to(&self, manifest: &mut Manifest) {
        if self.is_link() {
            return manifest.add_link(&self.path, &self.target());
        }
        let (size, modified) = (self.size(), self.modified());
        let young = modified.saturating_add(YOUNG) > self.now && size <= READ;
        match young.then(|| self.content()) {
            None => manifest.add_file(&self.path, size, modified, None),
            Some(Ok(content)) => manifest.add_file(&self.path, size, modified, Some(&content)),
            // It changes under our eyes: whatever it is, it is not listed.
            Some(Err(_)) => {}
        }
    }

    fn is_in(&self, manifest: &Manifest) -> bool {
        if self.is_link() {
            return manifest.has_link(&self.path, &self.target());
        }
        let (size, modified) = (self.size(), self.modified());
        let has = |content: Option<&[u8]>| manifest.has_file(&self.path, size, modified, content);
        has(None) || size <= READ && self.content().is_ok_and(|content| has(Some(&content)))
    }
}

struct Walk<F> {
    each: F,
    mount: u64,
    left: usize,
    device: u64,
    now: i64,
}

impl<F: FnMut(&Entry<'_>)> Walk<F> {
    /// Shows each regular file and link of the home that is no cache and on no mount; whether there is a home.
    fn through(mounts: &Mounts, each: F) -> bool {
        let home = Path::new(path::HOME);
        let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let Ok(directory) = Dir::open(home, flags, Mode::empty()) else {
            return false;
        };
        let (Ok(data), Some(mount)) = (fstat(&directory), id_of(directory.as_fd())) else {
            return false;
        };
        if mounts.is_from_host(directory.as_fd()) {
            return false;
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let mut walk = Walk {
            each,
            mount,
            left: ENTRIES,
            device: data.st_dev,
            now: now.map_or(0, |now| i64::try_from(now.as_secs()).unwrap_or(i64::MAX)),
        };
        walk.directory(directory, Path::new(""), 0);
        true
    }

    fn directory(&mut self, mut directory: Dir, inner: &Path, depth: usize) {
        let entries: Vec<_> = directory.iter().flatten().collect();
        for entry in entries {
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let path = inner.join(OsStr::from_bytes(name.to_bytes()));
            if work::is_cache(&path) {
                continue;
            }
            let Ok(data) = fstatat(&directory, name, AtFlags::AT_SYMLINK_NOFOLLOW) else {
                continue;
            };
            let mounted = || id_at(directory.as_fd(), name) != Some(self.mount);
            if data.st_dev != self.device || mounted() {
                continue;
            }
            if self.left == 0 {
                return;
            }
            self.left -= 1;
            match data.st_mode & libc::S_IFMT {
                libc::S_IFDIR if depth < DEPTH => {
                    let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
                    if let Ok(below) = Dir::openat(directory.as_fd(), name, flags, Mode::empty())
                        && fstat(&below).is_ok_and(|data| data.st_dev == self.device)
                    {
                        self.directory(below, &path, depth + 1);
                    }
                }
                libc::S_IFREG | libc::S_IFLNK => (self.each)(&Entry {
                    path,
                    data,
                    at: &directory,
                    name,
                    now: self.now,
                }),
                _ => {}
            }
        }
    }
}
