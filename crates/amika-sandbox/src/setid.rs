//! A look for set-user-id programs and devices that a sandbox may have made in its `rw` mounts.

use std::collections::BTreeMap;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};

use crate::progress::Progress;
use crate::sandbox::Sandbox;
use crate::{overlay, seccomp};
use amika_core::untrusted::Untrusted;
use amika_engine::MountFacts;

/// How long a look takes at most, and how many files it looks at.
const TIME: Duration = Duration::from_secs(2);
const FILES: usize = 200_000;
/// Directories are entered so deep: each takes a descriptor.
const DEPTH: usize = 100;
/// So many finds are told.
const MOST: usize = 20;

/// What a look found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The files, as far as they are told.
    pub files: Vec<File>,
    /// Whether all was looked at.
    pub is_whole: bool,
}

/// A file that may make somebody else of who runs or opens it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Where it is.
    pub path: PathBuf,
    /// What it is.
    pub kind: Kind,
}

/// What such a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A set-user-id program of this user.
    SetUser(u32),
    /// A device node.
    Device,
}

impl File {
    /// What is said of it.
    pub fn told(&self) -> String {
        let path = Untrusted::new(&self.path.to_string_lossy())
            .within(4096)
            .to_string();
        match self.kind {
            Kind::SetUser(0) => {
                format!(
                    "{path} is a set-user-id program of root: who runs it on this machine is root then"
                )
            }
            Kind::SetUser(uid) => {
                format!(
                    "{path} is a set-user-id program: who runs it on this machine is user {uid} then"
                )
            }
            Kind::Device => format!("{path} is a device of this machine"),
        }
    }

    /// The command that makes it harmless.
    pub fn remedy(&self) -> String {
        let path = quoted(&self.path);
        match self.kind {
            Kind::SetUser(_) => format!("chmod u-s {path}"),
            Kind::Device => format!("rm {path}"),
        }
    }
}

/// A path as a word of a shell's command, also where it would steer a terminal.
fn quoted(path: &Path) -> String {
    let bytes = path.as_os_str().as_bytes();
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/._-+,@".contains(byte);
    if bytes.iter().all(is_plain) {
        return path.display().to_string();
    }
    let mut word = String::from("$'");
    for &byte in bytes {
        match byte {
            b'\'' | b'\\' => word.extend(['\\', char::from(byte)]),
            b' '..=b'~' => word.push(char::from(byte)),
            _ => word.extend(format!("\\x{byte:02x}").chars()),
        }
    }
    word.push('\'');
    word
}

/// Looks beneath a directory, or at a file, for what has changed since `since`, in seconds since the Unix epoch:
/// what was there before is none of the sandbox's. No link is followed, and no other file system entered.
pub fn look(root: &Path, since: u64) -> Found {
    let mut look = Look {
        since: i64::try_from(since).unwrap_or(i64::MAX),
        until: Instant::now() + TIME,
        left: FILES,
        found: Found {
            files: Vec::new(),
            is_whole: true,
        },
    };
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let device = root
        .symlink_metadata()
        .map(|meta| std::os::unix::fs::MetadataExt::dev(&meta));
    match (rustix::fs::open(root, flags, Mode::empty()), device) {
        (Ok(directory), Ok(device)) => look.directory(&directory, root, device, 0),
        _ => {
            if let Ok(stat) = rustix::fs::lstat(root) {
                look.file(root.to_owned(), &stat);
            }
        }
    }
    look.found
}

struct Look {
    since: i64,
    until: Instant,
    left: usize,
    found: Found,
}

impl Look {
    fn directory(&mut self, directory: &OwnedFd, path: &Path, device: u64, depth: usize) {
        let Ok(entries) = Dir::read_from(directory) else {
            self.found.is_whole = false;
            return;
        };
        for entry in entries.flatten() {
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            if self.left == 0 || Instant::now() > self.until {
                self.found.is_whole = false;
                return;
            }
            self.left -= 1;
            let Ok(stat) = rustix::fs::statat(directory.as_fd(), name, AtFlags::SYMLINK_NOFOLLOW)
            else {
                continue;
            };
            let at = path.join(std::ffi::OsStr::from_bytes(name.to_bytes()));
            if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
                self.file(at, &stat);
                continue;
            }
            if stat.st_dev != device {
                continue;
            }
            let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let inner = rustix::fs::openat(directory.as_fd(), name, flags, Mode::empty());
            match inner {
                Ok(inner) if depth < DEPTH => self.directory(&inner, &at, device, depth + 1),
                _ => self.found.is_whole = false,
            }
        }
    }

    fn file(&mut self, path: PathBuf, stat: &rustix::fs::Stat) {
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile if stat.st_mode & 0o4000 != 0 => Kind::SetUser(stat.st_uid),
            // 0:0 is no device: overlay file systems mark with it what was removed.
            FileType::CharacterDevice | FileType::BlockDevice if stat.st_rdev != 0 => Kind::Device,
            _ => return,
        };
        // No program can set the time of the last change to a file's mode.
        if stat.st_ctime < self.since {
            return;
        }
        if self.found.files.len() < MOST {
            self.found.files.push(File { path, kind });
        } else {
            self.found.is_whole = false;
        }
    }
}

/// Looks through the writable mounts of a sandbox, each by its source.
pub fn in_mounts(mounts: &[MountFacts], created_at: u64) -> BTreeMap<String, Found> {
    let writable = mounts.iter().filter(|mount| {
        mount.kind == "bind" && mount.writable && overlay::role(mount, mounts).is_none()
    });
    writable
        .map(|mount| {
            let found = look(Path::new(&mount.source), created_at / 1000);
            (mount.source.clone(), found)
        })
        .collect()
}

/// Warns of what a sandbox without the filter made in its writable mounts. One that has the filter made none.
pub async fn warn_of(sandbox: &Sandbox, engine_is_local: bool, out: &dyn Progress) {
    let facts = &sandbox.container;
    if !engine_is_local || facts.seccomp.as_deref().is_some_and(seccomp::is_ours) {
        return;
    }
    let mounts = facts.mounts.clone();
    let created_at = sandbox.record.created_at.unwrap_or_default();
    let looked = tokio::task::spawn_blocking(move || in_mounts(&mounts, created_at)).await;
    for file in looked
        .unwrap_or_default()
        .values()
        .flat_map(|found| &found.files)
    {
        out.warn(&format!("{}; `{}` ends that", file.told(), file.remedy()));
    }
}

#[cfg(test)]
mod tests;
