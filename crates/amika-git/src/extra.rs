//! What a copy takes along of a git directory beside objects, refs, configuration and index.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use amika_core::repo_path::escaped;
use rustix::fs::FileType;

use amika_host::machine::Machine;

use super::command::Git;
use super::dir::{Dir, is_another_kind, kind};
use super::discover::Found;
use super::error::GitError;
use super::generated::{self, MAX_RULES};
use super::settings::Settings;
use super::source::Location;
use super::worktree::seconds;
use amika_host::regular_file::{self, Links};

/// A setting that names a file of the user's, and what git takes without it, in `~/.config/git`.
struct UsersFile {
    key: &'static str,
    name: &'static str,
}

const EXCLUDES: UsersFile = UsersFile {
    key: "core.excludesfile",
    name: "ignore",
};
const ATTRIBUTES: UsersFile = UsersFile {
    key: "core.attributesfile",
    name: "attributes",
};
/// Bytes of one file of something in progress.
const MAX_STATE: u64 = 64 << 20;
/// Files of things in progress, at most.
const MAX_FILES: usize = 100_000;
/// Directories of them, one in the other, at most.
const MAX_DEPTH: usize = 8;

/// The rules that files of a repository have beside those in its tree; all empty where there are none.
#[derive(Debug, Default)]
pub(super) struct Rules {
    /// What the user ignores everywhere.
    pub(super) users_excludes: Vec<u8>,
    /// The user's attributes for all repositories.
    pub(super) users_attributes: Vec<u8>,
    /// `info/exclude`.
    pub(super) exclude: Vec<u8>,
    /// `info/attributes`.
    pub(super) attributes: Vec<u8>,
    /// `info/sparse-checkout`.
    pub(super) sparse: Vec<u8>,
    /// What stands in the place of the user's attributes since the repository's own configuration names
    /// a file of its work tree, or one that it may not.
    pub(super) named_attributes: Option<Vec<u8>>,
    /// The same of what is ignored.
    pub(super) named_excludes: Option<Vec<u8>>,
}

/// Reads them, once.
pub(super) fn rules(
    machine: &Machine,
    found: &Found,
    settings: &Settings,
    warnings: &mut Vec<String>,
) -> Result<Rules, GitError> {
    let mut info = |dir: &Dir, name: &str| {
        // Nobody who clones it gets them.
        if found.is_served {
            return Ok(Vec::new());
        }
        match dir.read(name.as_bytes(), MAX_RULES) {
            Ok(content) => Ok(content.unwrap_or_default()),
            Err(error) if is_another_kind(&error) => {
                warnings.push(format!("{name} is left out: {error}"));
                Ok(Vec::new())
            }
            Err(error) => Err(GitError::io("read", dir.place(name.as_bytes()))(error)),
        }
    };
    let mut rules = Rules {
        exclude: info(&found.common, "info/exclude")?,
        attributes: info(&found.common, "info/attributes")?,
        sparse: info(&found.git, "info/sparse-checkout")?,
        ..Rules::default()
    };
    for (which, users, named) in [
        (
            &ATTRIBUTES,
            &mut rules.users_attributes,
            &mut rules.named_attributes,
        ),
        (
            &EXCLUDES,
            &mut rules.users_excludes,
            &mut rules.named_excludes,
        ),
    ] {
        // A relative one is the repository's file, whoever names it.
        let relative = settings.users(which.key.as_bytes());
        let relative = relative.filter(|path| !path.is_empty() && !path.starts_with(b"/"));
        let relative = relative.filter(|path| !path.starts_with(b"~"));
        if let Some(path) = settings.own(which.key).or(relative) {
            let content = of_work_tree(found.tree.as_ref(), path);
            users.clone_from(&content);
            *named = Some(content);
        } else if let Some(file) = users_file(machine, settings, which) {
            // What cannot be read gives none, as for git.
            let read = regular_file::read(&file, Links::Followed, MAX_RULES);
            *users = read.map_or_else(|_| Vec::new(), |(content, _)| content);
        }
    }
    Ok(rules)
}

/// A file that a repository's own configuration names: one of its work tree, and no other. It may have
/// come from anywhere.
fn of_work_tree(tree: Option<&Dir>, path: &[u8]) -> Vec<u8> {
    let Some(tree) = tree else { return Vec::new() };
    let path = match Path::new(OsStr::from_bytes(path)).strip_prefix(tree.path()) {
        Ok(inside) => inside.as_os_str().as_bytes(),
        Err(_) => path,
    };
    let path = path.strip_prefix(b"./").unwrap_or(path);
    let read = tree.read(path, MAX_RULES);
    read.ok().flatten().unwrap_or_default()
}

/// The file that a setting of the user's names, or git's default for it.
fn users_file(machine: &Machine, settings: &Settings, which: &UsersFile) -> Option<PathBuf> {
    let Some(path) = settings.users(which.key.as_bytes()) else {
        let base = machine.variable("XDG_CONFIG_HOME").map(PathBuf::from);
        let base = base.or_else(|| Some(machine.home()?.join(".config")))?;
        return Some(base.join("git").join(which.name));
    };
    match path.strip_prefix(b"~/") {
        Some(rest) => Some(machine.home()?.join(OsStr::from_bytes(rest))),
        None => path
            .starts_with(b"/")
            .then(|| PathBuf::from(OsStr::from_bytes(path))),
    }
}

/// State of the host's git directory that a copy of the work tree takes along, so that a merge or a rebase
/// can go on in it.
const IN_PROGRESS: [&str; 24] = [
    "MERGE_HEAD",
    "MERGE_MSG",
    "MERGE_MODE",
    "MERGE_RR",
    "MERGE_AUTOSTASH",
    "AUTO_MERGE",
    "SQUASH_MSG",
    "CHERRY_PICK_HEAD",
    "REVERT_HEAD",
    "REBASE_HEAD",
    "ORIG_HEAD",
    "BISECT_LOG",
    "BISECT_NAMES",
    "BISECT_START",
    "BISECT_TERMS",
    "BISECT_EXPECTED_REV",
    "BISECT_ANCESTORS_OK",
    "BISECT_FIRST_PARENT",
    "BISECT_HEAD",
    "rebase-merge",
    "rebase-apply",
    "sequencer",
    "info/sparse-checkout",
    STASH_LOG,
];

/// All stashes but the last are in this log alone.
const STASH_LOG: &str = "logs/refs/stash";

/// Those of [`IN_PROGRESS`] that are refs, which a repository with a table of refs has no files for.
const ROOT_REFS: [&str; 7] = [
    "AUTO_MERGE",
    "CHERRY_PICK_HEAD",
    "REVERT_HEAD",
    "REBASE_HEAD",
    "ORIG_HEAD",
    "BISECT_EXPECTED_REV",
    "BISECT_HEAD",
];

/// A file that goes along.
#[derive(Clone, Debug)]
pub(super) struct Extra {
    /// Its place in the git directory.
    pub(super) name: Vec<u8>,
    /// What is in it.
    pub(super) content: Vec<u8>,
    /// Unix seconds.
    pub(super) mtime: i64,
}

/// Files that go along. Links in the git directory are not followed: git makes none there, and one that
/// somebody else made could lead to any file of this machine.
pub(super) fn files(
    location: &Location,
    dirty: bool,
    warnings: &mut Vec<String>,
) -> Result<Vec<Extra>, GitError> {
    let (git, common) = location.directories();
    let mut extra = Vec::new();
    let now = |name: &str| common.find(name.as_bytes()).ok().flatten();
    let age = |name: &str| now(name).map_or(0, |stat| stat.st_mtime);
    let shallow = generated::shallow(common, location.format())?;
    for (name, content) in [
        ("shallow", shallow.unwrap_or_default()),
        ("info/attributes", location.rules().attributes.clone()),
    ] {
        if !content.is_empty() {
            extra.push(Extra {
                name: name.into(),
                content,
                mtime: age(name),
            });
        }
    }
    if dirty {
        for name in IN_PROGRESS {
            let from = if name.starts_with("logs/") {
                common
            } else {
                git
            };
            add_files(&mut extra, warnings, from, name.as_bytes(), 0)?;
        }
    }
    Ok(extra)
}

/// The same files of a repository that keeps them in a table (`reftable`): their names and contents.
///
/// # Errors
/// Those of git.
pub(super) fn from_table(
    git: &Git,
    location: &Location,
) -> Result<Vec<(String, Vec<u8>)>, GitError> {
    let mut files = Vec::new();
    if !location.has_table() {
        return Ok(files);
    }
    for name in ROOT_REFS {
        let found = git.try_output(&["rev-parse", "--verify", "-q", name])?;
        files.extend(found.ok().map(|oid| (name.to_owned(), oid)));
    }
    if git
        .try_output(&["rev-parse", "--verify", "-q", "refs/stash"])?
        .is_ok()
    {
        let format = "--format=%H%n%gn <%ge>%n%gd%n%gs";
        let log = ["log", "-g", "-z", "--no-patch", "--date=raw", format];
        let listed = git.output(&[&log[..], &["refs/stash", "--"]].concat())?;
        files.push((STASH_LOG.to_owned(), reflog(&listed)));
    }
    Ok(files)
}

/// A log as git keeps it in a file, the oldest first, of entries that it listed, the newest first: name,
/// identity, `stash@{<time>}`, message.
fn reflog(listed: &[u8]) -> Vec<u8> {
    let mut log = Vec::new();
    let mut old: Vec<u8> = Vec::new();
    for entry in listed.split(|&byte| byte == 0).rev() {
        let mut fields = entry.splitn(4, |&byte| byte == b'\n');
        let mut next = || fields.next().unwrap_or_default();
        let (new, who, selector, message) = (next(), next(), next(), next());
        if new.is_empty() {
            continue;
        }
        if old.is_empty() {
            old = vec![b'0'; new.len()];
        }
        let time = selector.splitn(2, |&byte| byte == b'{').nth(1);
        let time = time.and_then(|time| time.strip_suffix(b"}"));
        let time = time.unwrap_or(b"0 +0000");
        for part in [
            &old[..],
            b" ",
            new,
            b" ",
            who,
            b" ",
            time,
            b"\t",
            message,
            b"\n",
        ] {
            log.extend_from_slice(part);
        }
        old = new.to_vec();
    }
    log
}

fn add_files(
    files: &mut Vec<Extra>,
    warnings: &mut Vec<String>,
    from: &Dir,
    path: &[u8],
    depth: usize,
) -> Result<(), GitError> {
    let failed = || GitError::io("read", from.place(path));
    let mut left_out = |why: &io::Error| {
        warnings.push(format!("{} is left out: {why}", escaped(path)));
    };
    let Some(stat) = from.find(path).map_err(failed())? else {
        return Ok(());
    };
    if kind(stat) == FileType::Directory {
        if depth == MAX_DEPTH || files.len() > MAX_FILES {
            return Err(GitError::NotUnderstood {
                place: from.place(path),
                why: "there are more files in it than git would put there".into(),
            });
        }
        for (name, _) in from.names_in(path).map_err(failed())? {
            add_files(
                files,
                warnings,
                from,
                &[path, b"/", &name].concat(),
                depth + 1,
            )?;
        }
        return Ok(());
    }
    match from.file(path) {
        Ok(Some((file, meta))) => {
            let mut content = Vec::new();
            let mut limited = io::Read::take(file, MAX_STATE + 1);
            io::Read::read_to_end(&mut limited, &mut content).map_err(failed())?;
            if content.len() as u64 > MAX_STATE {
                return Err(GitError::TooLarge {
                    path: escaped(path),
                    limit: MAX_STATE,
                });
            }
            files.push(Extra {
                name: path.to_vec(),
                content,
                mtime: seconds(&meta),
            });
        }
        Ok(None) => {}
        Err(error) if is_another_kind(&error) => left_out(&error),
        Err(error) => return Err(failed()(error)),
    }
    Ok(())
}

/// What the host ignores beside `.gitignore`: the user's own file, then the repository's.
pub(super) fn excludes(rules: &Rules) -> Vec<u8> {
    let mut all = Vec::new();
    for content in [&rules.users_excludes, &rules.exclude] {
        all.extend_from_slice(content);
        if !all.ends_with(b"\n") && !all.is_empty() {
            all.push(b'\n');
        }
    }
    all
}
