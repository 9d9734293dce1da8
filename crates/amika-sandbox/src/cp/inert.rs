//! Git directories out of a sandbox, made so that git on this machine runs nothing that they name.
//!
//! A directory is a git directory by what is in it, whatever it is called, and in which order that comes is
//! the sandbox's choice. So the one file without which git takes no directory for its own, `HEAD`, waits
//! under another name until all else is there; then the configuration is written anew, what runs is removed,
//! and `HEAD` comes last. A git directory that was there before is this machine's, and nothing comes into it.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use amika_host::unfollowed::DIRECTORY;
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use amika_core::archive_name::stays_beneath;
use amika_core::repo_path::is_ignorable;
use amika_host::archive::Report;

mod config;
mod remove;
mod systems;

pub(crate) use systems::{foreign, is_acted_on};

/// Git reads no more of a file that leads to a git directory.
const MAX_POINTER: u64 = 4096;
/// What makes a directory one of git's, or steers git there.
const GIT_NAMES: [&str; 14] = [
    "head",
    "objects",
    "refs",
    "commondir",
    "gitdir",
    "config",
    "config.worktree",
    "hooks",
    "info",
    "remotes",
    "branches",
    "rebase-merge",
    "rebase-apply",
    "sequencer",
];
/// What goes from a git directory, but for what is told apart: programs, and commands to go on with.
const REMOVED: [&str; 7] = [
    "config.worktree",
    "hooks",
    "remotes",
    "branches",
    "rebase-merge",
    "rebase-apply",
    "sequencer",
];
/// What goes from directories in it.
const REMOVED_WITHIN: [(&[&str], &str); 3] = [
    (&["info"], "attributes"),
    (&["objects", "info"], "alternates"),
    (&["objects", "info"], "http-alternates"),
];

/// A name as the file systems fold it that take most spellings for one: case, the code points that they ignore,
/// dots and blanks at the end, and the streams of NTFS.
pub(crate) fn fold(name: &OsStr) -> String {
    let text = name.to_string_lossy();
    let kept = text.chars().filter(|found| !is_ignorable(*found));
    let lower: String = kept.flat_map(char::to_lowercase).collect();
    let lower = lower.replace('ſ', "s");
    let name = lower.split(':').next().unwrap_or_default();
    let name = name.trim_end_matches(['.', ' ']);
    if name == "git~1" { ".git" } else { name }.to_owned()
}

/// What a directory had before the copy came into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Before {
    /// Nothing that is git's, or it was made by the copy.
    Nothing,
    /// Some of what a git directory has.
    Parts,
    /// A `HEAD` as well.
    Head,
}

/// What an entry is, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Directory,
    /// A symbolic link.
    Link,
    Other,
}

/// What becomes of an entry.
#[derive(Debug)]
pub(super) enum Fate {
    /// It comes to stand under its own name.
    Land,
    /// It waits under this name until all else is there.
    Hold(OsString),
    /// It is left out, with all in it.
    Leave(String),
}

/// What is known of the git directories of a copy while it is unpacked.
#[derive(Debug)]
pub(super) struct Guard {
    /// Part of the names that what waits has: no archive can know it.
    secret: String,
    /// What waits, by directory and name.
    held: BTreeMap<(PathBuf, OsString), OsString>,
    /// Directories to which the copy brought what is git's.
    brought: HashSet<PathBuf>,
    /// What is left out, and all beneath it.
    left: HashSet<PathBuf>,
}

impl Guard {
    pub(super) fn new() -> Self {
        Self {
            secret: format!("{:016x}", rand::random::<u64>()),
            held: BTreeMap::new(),
            brought: HashSet::new(),
            left: HashSet::new(),
        }
    }

    /// Whether a path is in what is left out.
    pub(super) fn is_left(&self, path: &Path) -> bool {
        !self.left.is_empty() && path.ancestors().any(|above| self.left.contains(above))
    }

    /// Leaves out a path and all beneath it.
    pub(super) fn leave(&mut self, path: PathBuf) {
        self.left.insert(path);
    }

    /// Looks at a directory that is there already; an error is why nothing comes into it.
    pub(super) fn look(&self, fd: BorrowedFd<'_>, path: &Path) -> Result<Before, &'static str> {
        if self.brought.contains(path) {
            return Ok(Before::Nothing);
        }
        if is_git_directory(fd) || is_named(path) {
            return Err("a git directory of this machine is there");
        }
        if path
            .file_name()
            .is_some_and(|name| systems::is_mercurials(&fold(name)))
        {
            return Err("a Mercurial repository of this machine is there");
        }
        Ok(before(fd))
    }

    /// Decides on an entry in a directory.
    pub(super) fn decide(
        &mut self,
        directory: BorrowedFd<'_>,
        before: Before,
        parents: &Path,
        name: &OsStr,
        kind: Kind,
    ) -> Fate {
        let leave = |why: &str| Fate::Leave(why.to_owned());
        let folded = fold(name);
        let is_directory = kind == Kind::Directory;
        if let Some(why) = systems::refused(parents, &folded, is_directory, kind == Kind::Link) {
            return Fate::Leave(why);
        }
        let is_git_name = GIT_NAMES.contains(&folded.as_str());
        if before == Before::Head && is_git_name {
            return leave("it would make a git directory of one that is there");
        }
        if before == Before::Parts && folded == "head" {
            return leave("it would make a git directory of one that is there");
        }
        let is_mercurials = systems::is_mercurials(&folded);
        if folded == ".git" || is_mercurials {
            let path = parents.join(name);
            let key = (parents.to_owned(), name.to_owned());
            let is_own = self.brought.contains(&path) || self.held.contains_key(&key);
            let is_there = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW).is_ok();
            if is_there && !is_own {
                return leave(if is_mercurials {
                    "a Mercurial repository of this machine is there"
                } else {
                    "a git directory of this machine is there"
                });
            }
            if is_directory {
                self.brought.insert(path);
            }
        }
        if is_git_name {
            self.brought.insert(parents.to_owned());
        }
        if is_directory || !matches!(folded.as_str(), "head" | ".git") {
            return Fate::Land;
        }
        let waiting = OsString::from(format!(".amika-{}-{}", self.secret, self.held.len()));
        let key = (parents.to_owned(), name.to_owned());
        Fate::Hold(self.held.entry(key).or_insert(waiting).clone())
    }

    /// Makes the git directories inert, and lets come what waited. `depth` tells how deep in the copy what
    /// has so many directories above it is.
    pub(super) fn finish(
        self,
        root: BorrowedFd<'_>,
        depth: impl Fn(usize) -> Option<usize>,
        report: &mut Report,
    ) {
        let heads: BTreeSet<&Path> = self
            .held
            .keys()
            .filter(|(_, name)| fold(name) == "head")
            .map(|(directory, _)| directory.as_path())
            .collect();
        let linked = self.linked(root);
        let mut failed: BTreeSet<&Path> = BTreeSet::new();
        let finish = Finish {
            root,
            depth: &depth,
            heads: &heads,
            linked: &linked,
            secret: &self.secret,
        };
        // `git init` makes a git directory of any `.git`, and keeps what it finds there.
        let named = self.brought.iter().map(PathBuf::as_path);
        let named = named.filter(|path| is_named(path));
        let led_to = linked.iter().map(PathBuf::as_path);
        let led_to = led_to.filter(|path| heads.contains(path));
        let all: BTreeSet<&Path> = heads.iter().copied().chain(named).chain(led_to).collect();
        for directory in all {
            match finish.neutralise(directory) {
                // A file of that name and nothing else of git's.
                Ok(None) => {}
                Ok(Some(what)) => report.make_inert(directory, what),
                Err(error) => {
                    tracing::debug!(%error, directory = %directory.display(), "not made inert");
                    failed.insert(directory);
                }
            }
        }
        for directory in failed.iter().filter(|path| !heads.contains(*path)) {
            report.skip(directory, "it cannot be made inert: remove it");
        }
        for ((directory, name), waiting) in &self.held {
            let path = directory.join(name);
            let is_head = fold(name) == "head";
            let kept = if is_head {
                let common = common(directory);
                if failed.contains(directory.as_path())
                    || common.is_some_and(|common| failed.contains(common))
                {
                    Err("its git directory cannot be made inert")
                } else {
                    Ok(())
                }
            } else {
                finish.pointer(directory, waiting, &failed)
            };
            let placed = open_beneath(root, directory).and_then(|fd| match kept {
                Ok(()) => Ok(rustix::fs::renameat(&fd, waiting, &fd, name)?),
                Err(_) => Ok(rustix::fs::unlinkat(&fd, waiting, AtFlags::empty())?),
            });
            match (kept, placed) {
                (Ok(()), Ok(())) => {}
                (Err(why), _) => report.skip(&path, why),
                (Ok(()), Err(error)) => {
                    if let Ok(fd) = open_beneath(root, directory) {
                        let _ = rustix::fs::unlinkat(&fd, waiting, AtFlags::empty());
                    }
                    report.skip(&path, &format!("it cannot be placed: {error}"));
                }
            }
        }
    }

    /// Where links of the name `.git` lead: `git init` makes a git directory of that too, whatever it has of one.
    fn linked(&self, root: BorrowedFd<'_>) -> BTreeSet<PathBuf> {
        let links = self
            .held
            .iter()
            .filter(|((_, name), _)| fold(name) == ".git");
        let targets = links.filter_map(|((directory, _), waiting)| {
            let fd = open_beneath(root, directory).ok()?;
            let target = rustix::fs::readlinkat(&fd, waiting, Vec::new()).ok()?;
            Some(lexical(directory, target.to_bytes()))
        });
        targets.collect()
    }
}

/// Whether git looks for a repository there by its name.
fn is_named(path: &Path) -> bool {
    path.file_name().is_some_and(|name| fold(name) == ".git")
}

/// The git directory that one of a linked work tree belongs to, by its place.
fn common(directory: &Path) -> Option<&Path> {
    directory.parent()?.parent()
}

struct Finish<'f> {
    root: BorrowedFd<'f>,
    depth: &'f dyn Fn(usize) -> Option<usize>,
    heads: &'f BTreeSet<&'f Path>,
    /// Where a link of the name `.git` leads.
    linked: &'f BTreeSet<PathBuf>,
    secret: &'f str,
}

impl Finish<'_> {
    /// Takes from a git directory what git would act on; tells what that was. None where it is no git
    /// directory but for its `HEAD`.
    fn neutralise(&self, directory: &Path) -> io::Result<Option<Vec<String>>> {
        let fd = open_beneath(self.root, directory)?;
        let is_gits = has_objects(fd.as_fd());
        if !is_gits && !is_named(directory) && !self.linked.contains(directory) {
            return Ok(None);
        }
        let mut what = Vec::new();
        if self.configuration(&fd)? {
            what.push("config".to_owned());
        }
        for name in REMOVED {
            if remove::remove(&fd, Path::new(name))? {
                what.push(name.to_owned());
            }
        }
        for (within, name) in REMOVED_WITHIN {
            if remove_within(fd.as_fd(), within, name)? {
                what.push(format!("{}/{name}", within.join("/")));
            }
        }
        let common = common(directory).filter(|common| self.heads.contains(common));
        let stays = |text: &[u8]| text == b"../.." && common.is_some();
        if remove_unless(&fd, "commondir", stays)? {
            what.push("commondir".to_owned());
        }
        let depth = (self.depth)(directory.iter().count());
        let stays = |text: &[u8]| depth.is_some_and(|depth| stays_beneath(text, depth));
        if remove_unless(&fd, "gitdir", stays)? {
            what.push("gitdir".to_owned());
        }
        Ok((is_gits || !what.is_empty()).then_some(what))
    }

    /// Writes the configuration anew; false when there is none.
    fn configuration(&self, fd: &OwnedFd) -> io::Result<bool> {
        let found = match rustix::fs::statat(fd, "config", AtFlags::SYMLINK_NOFOLLOW) {
            Ok(found) => found,
            Err(Errno::NOENT) => return Ok(false),
            Err(errno) => return Err(errno.into()),
        };
        let text = if FileType::from_raw_mode(found.st_mode).is_file() {
            read(fd.as_fd(), OsStr::new("config"), config::MAX_BYTES)?.unwrap_or_default()
        } else {
            remove::remove(fd, Path::new("config"))?;
            Vec::new()
        };
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let name = format!(".amika-{}-config", self.secret);
        let mode = Mode::from_raw_mode(0o644);
        let written = rustix::fs::openat(fd, &name, flags | OFlags::NOFOLLOW, mode)?;
        File::from(written).write_all(config::cleaned(&text).as_bytes())?;
        rustix::fs::renameat(fd, &name, fd, "config")?;
        Ok(true)
    }

    /// Whether a file `.git` leads to a place in the copy.
    fn pointer(
        &self,
        directory: &Path,
        waiting: &OsStr,
        failed: &BTreeSet<&Path>,
    ) -> Result<(), &'static str> {
        let fd = open_beneath(self.root, directory).map_err(|_| "it cannot be read")?;
        let found = rustix::fs::statat(&fd, waiting, AtFlags::SYMLINK_NOFOLLOW);
        if found.is_ok_and(|found| !FileType::from_raw_mode(found.st_mode).is_file()) {
            // A link: those that leave the copy did not come this far. `git init` follows it, and keeps what
            // it finds there.
            let target = rustix::fs::readlinkat(&fd, waiting, Vec::new());
            let target = target.map_err(|_| "it cannot be read")?;
            let leads = lexical(directory, target.to_bytes());
            return if failed.contains(leads.as_path()) {
                Err("its git directory cannot be made inert")
            } else if self.heads.contains(leads.as_path()) {
                Ok(())
            } else {
                Err("it leads to no git directory of the copy")
            };
        }
        let text = read(fd.as_fd(), waiting, MAX_POINTER).map_err(|_| "it cannot be read")?;
        let text = text.ok_or("it is too large to lead to a git directory")?;
        let Some(target) = text.strip_prefix(b"gitdir:") else {
            return Ok(());
        };
        let target = target.trim_ascii();
        let depth = (self.depth)(directory.iter().count());
        if depth.is_some_and(|depth| stays_beneath(target, depth)) {
            Ok(())
        } else {
            Err("it leads to a git directory outside the copy")
        }
    }
}

/// Where a link in a directory leads that climbs at its beginning alone.
fn lexical(directory: &Path, target: &[u8]) -> PathBuf {
    let mut path = directory.to_owned();
    for part in target.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                path.pop();
            }
            part => path.push(OsStr::from_bytes(part)),
        }
    }
    path
}

/// Whether git would take a directory for one of its own, or for that of a linked work tree.
pub(super) fn is_git_directory(fd: BorrowedFd<'_>) -> bool {
    is_there(fd, "HEAD") && has_objects(fd)
}

/// Whether a directory with a `HEAD` would be git's.
fn has_objects(fd: BorrowedFd<'_>) -> bool {
    keeps_objects(|name| is_there(fd, name))
}

/// Whether a directory that has these names would be git's with a `HEAD`.
pub(crate) fn keeps_objects(has: impl Fn(&str) -> bool) -> bool {
    has("commondir") || has("objects") && has("refs")
}

fn before(fd: BorrowedFd<'_>) -> Before {
    if is_there(fd, "HEAD") {
        return Before::Head;
    }
    if GIT_NAMES.iter().any(|name| is_there(fd, name)) {
        Before::Parts
    } else {
        Before::Nothing
    }
}

/// The file system itself is asked, which knows what it folds.
fn is_there(fd: BorrowedFd<'_>, name: &str) -> bool {
    rustix::fs::statat(fd, name, AtFlags::SYMLINK_NOFOLLOW).is_ok()
}

/// In what a directory of this machine is, or which it is, where what stands there runs.
pub(super) fn is_within(directory: &Path, fd: BorrowedFd<'_>) -> Option<&'static str> {
    let path = directory.canonicalize().unwrap_or_default();
    if path.iter().any(|part| fold(part) == ".git") || is_beneath_git_directory(fd) {
        return Some("a git directory of this machine: git runs");
    }
    systems::is_within(&path)
        .then_some("what another version control system of this machine keeps for itself: it runs")
}

fn is_beneath_git_directory(fd: BorrowedFd<'_>) -> bool {
    /// No path has more parts.
    const DEEPEST: usize = 4096;
    let mut at: Option<OwnedFd> = None;
    for _ in 0..DEEPEST {
        let here = at.as_ref().map_or(fd, OwnedFd::as_fd);
        if is_git_directory(here) {
            return true;
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let Ok(above) = rustix::fs::openat(here, "..", flags, Mode::empty()) else {
            return false;
        };
        let (Ok(one), Ok(other)) = (rustix::fs::fstat(here), rustix::fs::fstat(&above)) else {
            return false;
        };
        if (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino) {
            return false;
        }
        at = Some(above);
    }
    false
}

/// Opens a directory name by name, through no link.
pub(super) fn open_beneath(root: BorrowedFd<'_>, path: &Path) -> io::Result<OwnedFd> {
    let mut at = root.try_clone_to_owned()?;
    for name in path {
        at = rustix::fs::openat(&at, name, DIRECTORY, Mode::empty())?;
    }
    Ok(at)
}

/// Removes a name in a directory within one; a link in the place of that directory goes itself.
fn remove_within(fd: BorrowedFd<'_>, within: &[&str], name: &str) -> io::Result<bool> {
    let mut at = fd.try_clone_to_owned()?;
    for part in within {
        match rustix::fs::openat(&at, *part, DIRECTORY, Mode::empty()) {
            Ok(inner) => at = inner,
            Err(Errno::NOENT) => return Ok(false),
            Err(Errno::LOOP | Errno::NOTDIR) => return remove::remove(&at, Path::new(part)),
            Err(errno) => return Err(errno.into()),
        }
    }
    remove::remove(&at, Path::new(name))
}

/// Removes a file unless what it says may stay.
fn remove_unless(fd: &OwnedFd, name: &str, stays: impl Fn(&[u8]) -> bool) -> io::Result<bool> {
    let found = match rustix::fs::statat(fd, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(found) => found,
        Err(Errno::NOENT) => return Ok(false),
        Err(errno) => return Err(errno.into()),
    };
    if FileType::from_raw_mode(found.st_mode).is_file()
        && let Some(text) = read(fd.as_fd(), OsStr::new(name), MAX_POINTER)?
        && stays(text.trim_ascii_end())
    {
        return Ok(false);
    }
    remove::remove(fd, Path::new(name))
}

/// Reads a file, unless it is larger.
fn read(fd: BorrowedFd<'_>, name: &OsStr, limit: u64) -> io::Result<Option<Vec<u8>>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let opened = match rustix::fs::openat(fd, name, flags, Mode::empty()) {
        Err(Errno::ACCESS) => {
            // It came with the mode that it has in the sandbox.
            let mode = Mode::RUSR | Mode::WUSR;
            rustix::fs::chmodat(fd, name, mode, AtFlags::empty())?;
            rustix::fs::openat(fd, name, flags, Mode::empty())?
        }
        opened => opened?,
    };
    let mut text = Vec::new();
    File::from(opened).take(limit + 1).read_to_end(&mut text)?;
    Ok((text.len() as u64 <= limit).then_some(text))
}
