//! Finding the repository that a directory is in, as git does it, but without git: it would read the
//! configuration of whatever it finds.
//!
//! A git directory that lies elsewhere than its work tree says (`.git` is a file, or a link) must know
//! that work tree: otherwise anybody's `.git` could name any repository of this machine.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use amika_core::git_files::config::{self, Entry};
use amika_core::git_files::oid::ObjectFormat;
use amika_core::git_files::refs::{MAX_REF_FILE, parse_ref};
use rustix::fs::FileType;

use super::dir::{Dir, is_another_kind, kind};
use super::error::GitError;
use super::users::Users;
use amika_host::machine::Machine;

/// The longest path that a file names, with what is before it.
const MAX_LINK: u64 = 8 * 1024;

/// A repository's parts, held open.
#[derive(Debug)]
pub(super) struct Found {
    /// What belongs to this work tree: HEAD, index.
    pub(super) git: Dir,
    /// What all work trees share.
    pub(super) common: Dir,
    /// `None` for a bare repository.
    pub(super) tree: Option<Dir>,
    /// Its own configuration, as the files have it: that of all work trees, then that of this one.
    pub(super) config: Vec<Entry>,
    /// Nothing says that this git directory belongs to this work tree, or that it belongs to another.
    pub(super) is_unclaimed: bool,
    /// It is read for a URL: as for whoever clones it, of its objects those come that refs reach, and of its
    /// configuration its format alone.
    pub(super) is_served: bool,
}

/// A git directory and how it was come to.
struct Candidate {
    git: Dir,
    /// The directory with the `.git`; `None` when the search began in a git directory, or came to one.
    tree: Option<Dir>,
    /// `.git` is a file or a link.
    is_elsewhere: bool,
}

/// Finds the repository that contains a directory.
///
/// # Errors
/// When there is none, or when its parts lead to what is not its own.
pub(super) fn repository(directory: &Path, users: &Users) -> Result<Found, GitError> {
    let candidate =
        search(directory, users.machine())?.ok_or_else(|| GitError::NotARepository {
            path: directory.to_owned(),
        })?;
    claimed(candidate, users)
}

/// The repository that a URL of this machine leads to: at that very place, as git finds it, and without its
/// work tree.
///
/// # Errors
/// As [`repository`].
pub(super) fn served(path: &Path, users: &Users) -> Result<Found, GitError> {
    let mut with_suffix = path.as_os_str().to_owned();
    with_suffix.push(".git");
    for place in [path, Path::new(&with_suffix)] {
        let Ok(real) = place.canonicalize() else {
            continue;
        };
        let at = match std::fs::metadata(&real) {
            Ok(found) if found.is_dir() => real.as_path(),
            // The file of a linked work tree, named itself.
            Ok(_) if real.file_name() == Some(OsStr::new(".git")) => match real.parent() {
                Some(parent) => parent,
                None => continue,
            },
            _ => continue,
        };
        let dir = Dir::open(at).map_err(GitError::io("read", at))?;
        if let Some(candidate) = in_directory(dir)? {
            let mut found = claimed(candidate, users)?;
            found.tree = None;
            found.is_served = true;
            found.config.retain(is_format);
            return Ok(found);
        }
    }
    Err(GitError::NotARepository {
        path: path.to_owned(),
    })
}

/// Whether an entry says how a repository is to be read, or where in its git directory its LFS content is.
fn is_format(entry: &Entry) -> bool {
    let is_extension = entry.section == b"extensions" && !entry.is("extensions", "partialclone");
    is_extension || entry.is("core", "repositoryformatversion") || entry.is("lfs", "storage")
}

/// The parts of what was found, where they are this user's to read.
fn claimed(candidate: Candidate, users: &Users) -> Result<Found, GitError> {
    let found = complete(candidate, users.machine())?;
    // A file can lead to any repository of this machine, and one that says nowhere whose it is would be
    // copied for whoever names it: `git init --separate-git-dir` makes such.
    if found.is_unclaimed
        && let Some(tree) = &found.tree
    {
        return Err(GitError::Foreign {
            place: found.git.path().to_owned(),
            tree: tree.path().to_owned(),
        });
    }
    is_owned(&found, users)?;
    Ok(found)
}

/// The repository of which a directory is the work tree's root; `None` when it is none, or one that
/// lies elsewhere and does not know it.
pub(super) fn at_root(
    tree: Dir,
    within: Option<&Dir>,
    machine: &Machine,
) -> Result<Option<Found>, GitError> {
    let Some(candidate) = in_directory(tree)? else {
        return Ok(None);
    };
    if candidate.tree.is_none() {
        return Ok(None);
    }
    // Inside of the repository that it is a part of, it is that one's to say.
    let inside = match within {
        Some(within) if candidate.is_elsewhere => is_beneath(&candidate.git, within)?,
        _ => false,
    };
    match complete(candidate, machine) {
        Ok(found) if found.is_unclaimed && !inside => Ok(None),
        Ok(found) => Ok(Some(found)),
        Err(GitError::Foreign { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// A git directory by itself, which is known to be the user's own.
pub(super) fn of_git_dir(git: Dir) -> Result<Found, GitError> {
    let config = configuration(&git, &git, true)?;
    Ok(Found {
        common: git.again().map_err(read_error(&git))?,
        git,
        tree: None,
        config,
        is_unclaimed: false,
        is_served: false,
    })
}

/// Whether a directory has what makes a git directory.
pub(super) fn is_git_dir(dir: &Dir) -> io::Result<bool> {
    let head = match dir.read(b"HEAD", MAX_REF_FILE as u64) {
        Ok(Some(head)) => head,
        Ok(None) => return Ok(false),
        // A link or a FIFO in its place makes no repository.
        Err(error) if is_another_kind(&error) => return Ok(false),
        Err(error) => return Err(error),
    };
    // As git has it, whatever of it is then understood.
    let hexadecimal = |format| parse_ref(&head, format).is_ok();
    if !head.starts_with(b"ref:")
        && !hexadecimal(ObjectFormat::Sha1)
        && !hexadecimal(ObjectFormat::Sha256)
    {
        return Ok(false);
    }
    if dir.stat_of(b"commondir")?.is_some() {
        return Ok(true);
    }
    Ok(dir.stat_of(b"objects")?.is_some() && dir.stat_of(b"refs")?.is_some())
}

/// Goes up from a directory to the first one that has a repository, on the same file system.
fn search(directory: &Path, machine: &Machine) -> Result<Option<Candidate>, GitError> {
    let start = directory
        .canonicalize()
        .map_err(GitError::io("read", directory))?;
    let across = crosses_file_systems(machine.text("GIT_DISCOVERY_ACROSS_FILESYSTEM"));
    let ceilings = machine.variable("GIT_CEILING_DIRECTORIES");
    let ceilings = ceilings.map(ceilings_of).unwrap_or_default();
    let mut device = None;
    for at in start.ancestors() {
        // Not above one, and not in one but where the search begins.
        if at != start && ceilings.iter().any(|ceiling| ceiling == at) {
            return Ok(None);
        }
        let dir = match Dir::open(at) {
            Ok(dir) => dir,
            // A directory that may only be passed through is seen as git sees it.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                match at.join(".git").symlink_metadata() {
                    Ok(_) => return Err(GitError::io("read", at)(error)),
                    Err(_) => continue,
                }
            }
            Err(error) => return Err(GitError::io("read", at)(error)),
        };
        let here = dir.stat().map_err(GitError::io("read", at))?.st_dev;
        if *device.get_or_insert(here) != here && !across {
            return Ok(None);
        }
        if let Some(found) = in_directory(dir)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// Whether a directory's `.git` leads to that git directory.
pub(super) fn leads_to(directory: &Path, git: &Dir) -> bool {
    let found = Dir::open(directory)
        .ok()
        .and_then(|dir| in_directory(dir).ok());
    found
        .flatten()
        .is_some_and(|found| found.tree.is_some() && found.git.is(git).unwrap_or(false))
}

/// What `GIT_DISCOVERY_ACROSS_FILESYSTEM` says, as git reads a boolean.
fn crosses_file_systems(value: Option<&str>) -> bool {
    value.is_some_and(|value| {
        let value = value.to_ascii_lowercase();
        matches!(value.as_str(), "true" | "yes" | "on")
            || value.parse::<i64>().is_ok_and(|number| number != 0)
    })
}

/// The directories of `GIT_CEILING_DIRECTORIES`, absolute ones; those after an empty one may be links that
/// are not followed.
fn ceilings_of(value: &OsStr) -> Vec<PathBuf> {
    let mut ceilings = Vec::new();
    let mut is_followed = true;
    for path in std::env::split_paths(value) {
        if path.as_os_str().is_empty() {
            is_followed = false;
        } else if path.is_absolute() {
            let real = is_followed.then(|| path.canonicalize().ok()).flatten();
            ceilings.push(real.unwrap_or(path));
        }
    }
    ceilings
}

/// What a directory has: a `.git`, or all of a git directory itself.
fn in_directory(dir: Dir) -> Result<Option<Candidate>, GitError> {
    let failed = |dir: &Dir| GitError::io("read", dir.place(b".git"));
    let at = dir.stat_of(b".git").map_err(failed(&dir))?;
    match at.map(kind) {
        Some(FileType::Directory) => {
            if let Some(git) = dir.real_dir(b".git").map_err(failed(&dir))?
                && is_git_dir(&git).map_err(failed(&dir))?
            {
                return Ok(Some(Candidate {
                    git,
                    tree: Some(dir),
                    is_elsewhere: false,
                }));
            }
        }
        Some(FileType::RegularFile) => {
            let link = dir.read(b".git", MAX_LINK).map_err(failed(&dir))?;
            let link = link.unwrap_or_default();
            let named = link.strip_prefix(b"gitdir: ").map(line).ok_or_else(|| {
                GitError::NotUnderstood {
                    place: dir.place(b".git"),
                    why: "it is a file that does not begin with `gitdir: `".into(),
                }
            })?;
            return elsewhere(&dir.place(named), dir).map(Some);
        }
        Some(FileType::Symlink) => {
            let place = dir.place(b".git");
            return elsewhere(&place, dir).map(Some);
        }
        _ => {}
    }
    if is_git_dir(&dir).map_err(failed(&dir))? {
        return Ok(Some(Candidate {
            git: dir,
            tree: None,
            is_elsewhere: false,
        }));
    }
    Ok(None)
}

/// The git directory that a `.git` leads to.
fn elsewhere(place: &Path, tree: Dir) -> Result<Candidate, GitError> {
    let missing = || GitError::NotARepository {
        path: place.to_owned(),
    };
    let real = place.canonicalize().map_err(|_| missing())?;
    let git = Dir::open(&real).map_err(|_| missing())?;
    if !is_git_dir(&git).map_err(GitError::io("read", &real))? {
        return Err(missing());
    }
    Ok(Candidate {
        git,
        tree: Some(tree),
        is_elsewhere: true,
    })
}

/// Reads what a git directory says of its other parts, and holds it to that.
fn complete(candidate: Candidate, machine: &Machine) -> Result<Found, GitError> {
    let Candidate {
        git,
        tree,
        is_elsewhere,
    } = candidate;
    let common = common_dir(&git)?;
    let is_linked = !common.is(&git).map_err(read_error(&git))?;
    let config = configuration(&common, &git, !is_linked)?;
    let last = |variable: &str| {
        let mut found = config.iter().rev();
        found.find(|entry| entry.is("core", variable))
    };
    let is_bare = last("bare").is_some_and(|entry| entry.boolean() != Some(false));
    // Of a linked work tree only its own file says where it is.
    let configured = last("worktree").and_then(|entry| entry.value.as_deref());
    let configured = if is_linked { None } else { configured };
    let foreign = |git: &Dir, tree: &Dir| GitError::Foreign {
        place: git.path().to_owned(),
        tree: tree.path().to_owned(),
    };
    let mut is_unclaimed = false;
    let mut work_tree = None;
    if let Some(tree) = tree {
        let named = configured.and_then(|path| named_tree(&git, path));
        let is_named = match &named {
            Some(named) => named.is(&tree).map_err(read_error(&tree))?,
            None => false,
        };
        if is_elsewhere && is_linked && !links_back(&git, &tree)? {
            return Err(foreign(&git, &tree));
        }
        if is_elsewhere && !is_linked && !is_named {
            let is_dot_git = git.path().file_name() == Some(OsStr::new(".git"));
            // A bare repository in the directory of a project, whose `.git` leads to it, is the project's.
            let is_projects = is_bare && is_beneath(&git, &tree)?;
            if configured.is_some() || is_bare && !is_projects || is_dot_git {
                return Err(foreign(&git, &tree));
            }
            is_unclaimed = !is_projects;
        }
        if is_bare && !is_named {
            // It says that it has none.
        } else if configured.is_none() || is_named {
            work_tree = Some(tree);
        } else if let Some(named) = named
            && finds(&named, &git, machine)?
        {
            work_tree = Some(named);
        }
    } else {
        let claimed = match configured {
            Some(path) => named_tree(&git, path),
            None if is_linked => linked_tree(&git)?,
            None if git.path().file_name() == Some(OsStr::new(".git")) && !is_bare => {
                let parent = git.path().parent().map(Dir::open);
                parent.and_then(Result::ok)
            }
            None => None,
        };
        if let Some(tree) = claimed
            && finds(&tree, &git, machine)?
        {
            work_tree = Some(tree);
        }
    }
    Ok(Found {
        git,
        common,
        tree: work_tree,
        config,
        is_unclaimed,
        is_served: false,
    })
}

/// What all work trees share: the directory that `commondir` names, which must have this one as one of its
/// `worktrees`.
fn common_dir(git: &Dir) -> Result<Dir, GitError> {
    let failed = || read_error(git);
    let Some(named) = git.read(b"commondir", MAX_LINK).map_err(failed())? else {
        return git.again().map_err(failed());
    };
    let place = git.place(line(&named));
    let refused = || GitError::Foreign {
        place: place.clone(),
        tree: git.path().to_owned(),
    };
    let real = place.canonicalize().map_err(GitError::io("read", &place))?;
    let common = Dir::open(&real).map_err(GitError::io("read", &real))?;
    let name = git.path().file_name().unwrap_or_default().as_bytes();
    let known = common
        .real_dir(&[b"worktrees/", name].concat())
        .map_err(GitError::io("read", &real))?;
    match known {
        Some(known) if known.is(git).map_err(failed())? => Ok(common),
        _ => Err(refused()),
    }
}

/// Whether a linked work tree's git directory names this work tree.
fn links_back(git: &Dir, tree: &Dir) -> Result<bool, GitError> {
    match linked_tree(git)? {
        Some(named) => named.is(tree).map_err(read_error(tree)),
        None => Ok(false),
    }
}

/// The work tree that a linked one's git directory names: that of its `.git`.
fn linked_tree(git: &Dir) -> Result<Option<Dir>, GitError> {
    let named = git.read(b"gitdir", MAX_LINK).map_err(read_error(git))?;
    let Some(named) = named else { return Ok(None) };
    let place = git.place(line(&named));
    if place.file_name() != Some(OsStr::new(".git")) {
        return Ok(None);
    }
    let parent = place.parent().and_then(|parent| parent.canonicalize().ok());
    Ok(parent.and_then(|parent| Dir::open(&parent).ok()))
}

/// The directory that `core.worktree` names.
fn named_tree(git: &Dir, path: &[u8]) -> Option<Dir> {
    let real = git.place(path).canonicalize().ok()?;
    Dir::open(&real).ok()
}

/// Whether a search that begins in a directory ends at that git directory. A repository's `core.worktree`
/// alone proves nothing: it may name any directory of this machine.
fn finds(tree: &Dir, git: &Dir, machine: &Machine) -> Result<bool, GitError> {
    match search(tree.path(), machine) {
        Ok(Some(found)) => found.git.is(git).map_err(read_error(git)),
        Ok(None) | Err(_) => Ok(false),
    }
}

/// Whether a directory is beneath another, by the directories between them.
fn is_beneath(dir: &Dir, outer: &Dir) -> Result<bool, GitError> {
    let Ok(path) = outer.path().canonicalize() else {
        return Ok(false);
    };
    let Ok(rest) = dir.path().strip_prefix(&path) else {
        return Ok(false);
    };
    match outer.real_dir(rest.as_os_str().as_bytes()) {
        Ok(Some(found)) => found.is(dir).map_err(read_error(dir)),
        _ => Ok(false),
    }
}

/// The configuration in a repository's own files. What they include is not read: an include is an entry
/// like any other.
fn configuration(common: &Dir, git: &Dir, is_main: bool) -> Result<Vec<Entry>, GitError> {
    let mut entries = one_file(common, b"config")?;
    let by_work_tree = entries
        .iter()
        .rev()
        .find(|entry| entry.is("extensions", "worktreeconfig"))
        .is_some_and(|entry| entry.boolean() == Some(true));
    if !is_main {
        // They are the main work tree's.
        entries.retain(|entry| !entry.is("core", "bare") && !entry.is("core", "worktree"));
    }
    if by_work_tree {
        entries.extend(one_file(git, b"config.worktree")?);
    }
    Ok(entries)
}

fn one_file(dir: &Dir, name: &[u8]) -> Result<Vec<Entry>, GitError> {
    let place = dir.place(name);
    let bytes = dir
        .read(name, config::MAX_FILE as u64)
        .map_err(GitError::io("read", &place))?;
    config::parse(&bytes.unwrap_or_default()).map_err(|error| GitError::NotUnderstood {
        place,
        why: error.to_string(),
    })
}

/// Git's rule of `safe.directory`: what another user owns is not read, unless this one said so.
fn is_owned(found: &Found, users: &Users) -> Result<(), GitError> {
    let user = rustix::process::geteuid().as_raw();
    let sudo = users.machine().text("SUDO_UID");
    let sudo: Option<u32> = sudo.and_then(|uid| uid.parse().ok()).filter(|_| user == 0);
    let is_users = |uid: u32| uid == user || Some(uid) == sudo;
    let mut owners = vec![
        found.git.stat().map_err(read_error(&found.git))?.st_uid,
        found
            .common
            .stat()
            .map_err(read_error(&found.common))?
            .st_uid,
    ];
    if let Some(tree) = &found.tree {
        owners.push(tree.stat().map_err(read_error(tree))?.st_uid);
        let link = tree.stat_of(b".git").map_err(read_error(tree))?;
        owners.extend(link.map(|stat| stat.st_uid));
    }
    if owners.into_iter().all(is_users) {
        return Ok(());
    }
    let place = found.tree.as_ref().unwrap_or(&found.git).path();
    let is_safe = |value: &&[u8]| {
        let value = match value.strip_prefix(b"~/") {
            Some(rest) => users
                .machine()
                .home()
                .map(|home| home.join(OsStr::from_bytes(rest))),
            None => Some(PathBuf::from(OsStr::from_bytes(value))),
        };
        value.is_some_and(|value| {
            let all = value.as_os_str() == "*";
            let beneath = value.file_name() == Some(OsStr::new("*"))
                && value
                    .parent()
                    .and_then(|parent| parent.canonicalize().ok())
                    .is_some_and(|parent| place.starts_with(&parent) && place != parent);
            all || beneath || value.canonicalize().is_ok_and(|value| value == place)
        })
    };
    if users.values("safe.directory").iter().any(is_safe) {
        return Ok(());
    }
    Err(GitError::DubiousOwnership {
        path: place.to_owned(),
    })
}

/// The one line of a file that names a path.
fn line(content: &[u8]) -> &[u8] {
    let mut line = content;
    while let [rest @ .., b'\n' | b'\r'] = line {
        line = rest;
    }
    line
}

fn read_error(dir: &Dir) -> impl FnOnce(io::Error) -> GitError + use<> {
    GitError::io("read", dir.path().to_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn the_search_goes_as_far_as_the_environment_says() {
        for (value, across) in [
            (None, false),
            (Some(""), false),
            (Some("0"), false),
            (Some("off"), false),
            (Some("1"), true),
            (Some("True"), true),
        ] {
            assert_eq!(crosses_file_systems(value), across, "{value:?}");
        }
        let root = tempfile::tempdir().unwrap();
        let real = root.path().canonicalize().unwrap().join("real");
        std::fs::create_dir(&real).unwrap();
        let link = root.path().join("link");
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let value = format!("{0}:relative::{0}", link.display());
        assert_eq!(ceilings_of(OsStr::new(&value)), [real, link]);
    }
}
