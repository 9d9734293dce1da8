//! What of a writable mount the host runs by itself, and so the sandbox must not change.
//!
//! Who enters a directory with git, direnv or an editor runs what these entries name. They are looked for
//! before the sandbox is made; what is made of them later is not protected.

use std::collections::{BTreeSet, VecDeque};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use amika_core::mount::HostMount;
use amika_core::untrusted::Untrusted;

use crate::error::{Error, Kind, Result};
use amika_host::regular_file::{self, Links};

pub(super) mod elsewhere;

/// Names that are protected in a mount's own directory, and in each repository beneath it.
pub(super) const NAMES: [&str; 5] = [".git", ".amika", ".envrc", ".vscode", ".idea"];

/// What of a git directory that holds the mount names programs; the rest may change, since the mount is in it.
const IN_GIT_DIRECTORY: [&str; 6] = [
    "config",
    "config.worktree",
    "hooks",
    "info",
    "modules",
    "worktrees",
];

/// So many entries of directories are read for one mount, or of one whose links are looked at.
const ENTRIES: usize = 100_000;
/// So long one mount is looked through.
const TIME: Duration = Duration::from_secs(5);
/// So many repositories are protected in one mount: each takes mounts of its own.
const REPOSITORIES: usize = 50;
/// So many directories between the mount and its repositories are held in place: each is a mount, of which a kernel
/// and an engine take so many.
const HELD: usize = 500;
/// So deep they are looked for: the path of a mount has an end.
const DEPTH: usize = 64;
/// A `.git` file is a line; a path is no longer than this.
const LINE: u64 = 4096 + 64;

/// What is to be protected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Protected {
    /// Host paths without a link in them.
    pub paths: BTreeSet<PathBuf>,
    /// What the user should hear: what stays without protection, and why.
    pub warnings: Vec<String>,
    /// The `.git` that are files, which name a git directory elsewhere.
    pub git_files: Vec<PathBuf>,
}

/// Looks through a writable mount's source, which must be without links.
///
/// # Errors
/// [`Kind::Invalid`] for a link in the place of a protected entry: nothing can be mounted over it, and it
/// could be replaced.
pub(super) fn look(mount: &HostMount) -> Result<Protected> {
    look_until(mount, ENTRIES, Instant::now() + TIME)
}

/// As [`look`], for so many entries and until then. The nearest come first, however deep they go.
fn look_until(mount: &HostMount, most: usize, deadline: Instant) -> Result<Protected> {
    let mut found = Protected::default();
    let source = Path::new(&mount.source);
    around(source, &mut found.paths);
    if !source.is_dir() {
        return Ok(found);
    }
    let mut queue = VecDeque::from([source.to_owned()]);
    let mut held: BTreeSet<PathBuf> = BTreeSet::new();
    let mut too_deep = None;
    let (mut entries, mut repositories) = (0, 0);
    let mut is_root = true;
    let mut unlisted = None;
    while let Some(directory) = queue.pop_front() {
        let mut here = Listing::of_names(&directory);
        let mut end = None;
        match std::fs::read_dir(&directory) {
            Ok(listing) => {
                for entry in listing.flatten() {
                    entries += 1;
                    if entries > most {
                        end = Some("it has too many files to look through");
                        break;
                    }
                    if let Ok(kind) = entry.file_type() {
                        here.add(entry.path(), kind);
                    }
                }
            }
            // What this user cannot enter is no repository of theirs; what they can enter and not list may hold one.
            Err(_) if directory.join(".").symlink_metadata().is_ok() => {
                unlisted.get_or_insert_with(|| directory.clone());
            }
            Err(_) => continue,
        }
        if end.is_none() && Instant::now() >= deadline {
            end = Some("it takes too long to look through");
        }
        let is_git_directory = is_git_directory(&directory);
        let is_repository = here.has_git || is_git_directory;
        if is_repository && !is_root {
            repositories += 1;
            let between = directory.ancestors().take_while(|above| *above != source);
            held.extend(between.map(Path::to_owned));
        }
        if repositories > REPOSITORIES || held.len() > HELD {
            let why = "it has too many repositories";
            found.warnings.push(unseen(mount, why, &directory));
            break;
        }
        let git = directory.join(".git");
        if here.has_git && git.symlink_metadata().is_ok_and(|meta| meta.is_file()) {
            found.git_files.push(git);
        }
        if is_root || here.has_git {
            for (path, is_link) in &here.protected {
                if *is_link && is_root {
                    return Err(refuse_link(mount, path));
                }
                if *is_link || path.to_str().is_none() {
                    found.warnings.push(format!(
                        "--mount {mount}: {} cannot be protected: it is a link, or its name is not UTF-8",
                        shown(path)
                    ));
                    continue;
                }
                protect(path, &mut found.paths);
            }
        }
        if is_git_directory {
            // All of it: what is not there yet (`commondir`, `config.worktree`, `hooks`) names programs as well.
            found.paths.insert(directory.clone());
            links(&directory, &mut found.paths);
        }
        if let Some(why) = end {
            found.warnings.push(unseen(mount, why, &directory));
            break;
        }
        if directory.iter().count() - source.iter().count() >= DEPTH {
            if !here.directories.is_empty() {
                too_deep.get_or_insert_with(|| directory.clone());
            }
            continue;
        }
        let objects = is_git_directory.then(|| directory.join("objects"));
        let beneath = here.directories.into_iter();
        queue.extend(beneath.filter(|path| Some(path) != objects.as_ref()));
        is_root = false;
    }
    if let Some(directory) = too_deep {
        let why = format!("it is deeper than {DEPTH} directories");
        found.warnings.push(unseen(mount, &why, &directory));
    }
    if let Some(directory) = unlisted {
        found.warnings.push(format!(
            "--mount {mount}: {} cannot be listed: repositories in it, and in others of the kind, are not protected",
            shown(&directory)
        ));
    }
    found.paths.retain(|path| path.to_str().is_some());
    Ok(found)
}

/// The warning that the look ended at a directory.
fn unseen(mount: &HostMount, why: &str, from: &Path) -> String {
    format!(
        "--mount {mount}: {why}: from {} on, repositories in it are not protected",
        shown(from)
    )
}

/// A path that a sandbox may have named, in one line.
fn shown(path: &Path) -> String {
    const LONGEST: usize = 4096;
    let text = path.to_string_lossy();
    Untrusted::new(&text).within(LONGEST).to_string()
}

fn refuse_link(mount: &HostMount, path: &Path) -> Error {
    let HostMount { source, target, .. } = mount;
    Error::new(
        Kind::Invalid,
        format!(
            "--mount {mount}: {} is a link, which cannot be made read-only",
            path.display()
        ),
    )
    .cause("the sandbox could put another one in its place, which git, direnv or an editor on this machine would use")
    .hint(format!("`--mount {source}:{target}:rwcopy` gives the sandbox a copy"))
    .hint("`--writable-git` mounts it all the same, with nothing in it protected")
}

/// What is in a directory.
#[derive(Default)]
struct Listing {
    /// Entries of [`NAMES`], and whether each is a link.
    protected: Vec<(PathBuf, bool)>,
    /// Other directories.
    directories: Vec<PathBuf>,
    has_git: bool,
}

impl Listing {
    /// The names themselves, which a listing that is cut short may lack.
    fn of_names(directory: &Path) -> Self {
        let mut here = Self::default();
        for name in NAMES {
            let path = directory.join(name);
            if let Ok(meta) = path.symlink_metadata() {
                here.has_git |= name == ".git";
                here.protected.push((path, meta.is_symlink()));
            }
        }
        here
    }

    fn add(&mut self, path: PathBuf, kind: std::fs::FileType) {
        let Some(name) = path.file_name() else {
            return;
        };
        // Some file systems take other spellings for the same names.
        if let Some(known) = NAMES.iter().find(|known| name.eq_ignore_ascii_case(known)) {
            if name != *known {
                self.has_git |= *known == ".git";
                self.protected.push((path, kind.is_symlink()));
            }
        } else if kind.is_dir() {
            self.directories.push(path);
        }
    }
}

/// Protects what holds the mount, if that is protected itself: a mount of `.git/hooks` is as good as one of
/// `.git`.
fn around(source: &Path, paths: &mut BTreeSet<PathBuf>) {
    for path in source.ancestors() {
        let (Some(name), Some(parent)) = (path.file_name(), path.parent()) else {
            break;
        };
        let is_named = |known: &&str| name.eq_ignore_ascii_case(known);
        let is_in_work_tree = || parent.join(".git").symlink_metadata().is_ok();
        let is_protected = NAMES.iter().any(is_named)
            && (path == source || is_named(&".git") || is_in_work_tree());
        let is_in_git_directory =
            || IN_GIT_DIRECTORY.iter().any(is_named) && is_git_directory(parent);
        if is_protected || is_in_git_directory() {
            protect(path, paths);
        }
    }
}

fn is_git_directory(path: &Path) -> bool {
    ["HEAD", "objects", "refs"]
        .iter()
        .all(|name| path.join(name).symlink_metadata().is_ok())
}

/// Protects an entry, and what it leads to: the git directory that a `.git` file names, and what links in it
/// lead to. Both only matter where a writable mount shows them.
fn protect(path: &Path, paths: &mut BTreeSet<PathBuf>) {
    if !paths.insert(path.to_owned()) {
        return;
    }
    links(path, paths);
    let is_git = path
        .file_name()
        .is_some_and(|name| name.eq_ignore_ascii_case(".git"));
    let holder = path.parent().unwrap_or(path);
    if !is_git {
        return;
    }
    let named = named_in(path, "gitdir: ", holder);
    if let Some(directory) = &named {
        git_directory(directory, holder, paths);
    }
    let directory = named.as_deref().unwrap_or(path);
    if let Some(common) = named_in(&directory.join("commondir"), "", directory) {
        git_directory(&common, holder, paths);
    }
}

/// Protects a git directory that stands elsewhere than in the work tree.
fn git_directory(directory: &Path, holder: &Path, paths: &mut BTreeSet<PathBuf>) {
    if holder.starts_with(directory) {
        // A work tree in its own git directory.
        in_git_directory(directory, paths);
    } else {
        paths.insert(directory.to_owned());
    }
    links(directory, paths);
}

fn in_git_directory(directory: &Path, paths: &mut BTreeSet<PathBuf>) {
    let there = IN_GIT_DIRECTORY.iter().map(|name| directory.join(name));
    for path in there {
        match path.symlink_metadata() {
            Ok(meta) if meta.is_symlink() => paths.extend(path.canonicalize().ok()),
            Ok(_) => drop(paths.insert(path)),
            Err(_) => {}
        }
    }
}

/// What the links of a directory lead to: what is written there is read here.
fn links(directory: &Path, paths: &mut BTreeSet<PathBuf>) {
    let entries: Vec<PathBuf> = match std::fs::read_dir(directory) {
        Ok(entries) => {
            let entries = entries.take(ENTRIES).flatten();
            entries.map(|entry| entry.path()).collect()
        }
        // What may be entered and not listed has what names programs in it all the same.
        Err(_) => IN_GIT_DIRECTORY.map(|name| directory.join(name)).into(),
    };
    let links = entries
        .into_iter()
        .filter(|path| path.is_symlink())
        .filter_map(|path| path.canonicalize().ok())
        // A link upwards is no reason to protect the whole mount.
        .filter(|target| !directory.starts_with(target));
    paths.extend(links);
}

/// The path that a file of one line names behind `prefix`, without links; a relative one begins at `from`.
fn named_in(file: &Path, prefix: &str, from: &Path) -> Option<PathBuf> {
    let (line, _) = regular_file::read(file, Links::Refused, LINE).ok()?;
    let named = line.strip_prefix(prefix.as_bytes())?.trim_ascii_end();
    let named = Path::new(std::ffi::OsStr::from_bytes(named));
    from.join(named).canonicalize().ok()
}

/// The warning where an engine runs in the sandbox, for which it has nearly all rights.
pub(super) fn unmountable(can_mount: bool, protected: &BTreeSet<PathBuf>) -> Option<String> {
    let is_in_vain = can_mount && !protected.is_empty();
    is_in_vain.then(|| {
        "root in this sandbox has SYS_ADMIN and may unmount what keeps .git and its like read-only in rw mounts"
            .to_owned()
    })
}

/// What to say of a writable mount of a directory.
pub(super) fn told(mount: &HostMount, protected: &BTreeSet<PathBuf>, is_whole: bool) -> String {
    if is_whole {
        return format!(
            "--mount {mount}: read-only in the sandbox, for what is in it counts on this machine; `--writable-git` \
             lifts it"
        );
    }
    let source = Path::new(&mount.source);
    let mut here: Vec<String> = protected
        .iter()
        .filter_map(|path| Some(shown(path.strip_prefix(source).ok()?)))
        .collect();
    let absent: Vec<&str> = (NAMES.into_iter())
        .filter(|name| !here.iter().any(|there| there.eq_ignore_ascii_case(name)))
        .collect();
    let absent = if absent.is_empty() {
        String::new()
    } else {
        format!("not protected, since not there: {}", absent.join(", "))
    };
    if here.is_empty() {
        return format!("--mount {mount}: {absent}");
    }
    let more = here.len().saturating_sub(MOST);
    here.truncate(MOST);
    let more = if more > 0 {
        format!(" and {more} more")
    } else {
        String::new()
    };
    let rest = if absent.is_empty() {
        absent
    } else {
        format!("; {absent}")
    };
    format!(
        "--mount {mount}: read-only in the sandbox: {}{more} (`git commit` needs `--writable-git`){rest}",
        here.join(", ")
    )
}

/// So many protected entries are named.
const MOST: usize = 8;

#[cfg(test)]
mod tests;
