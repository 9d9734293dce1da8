//! What a copy takes along of a git directory beside objects, refs, configuration and index.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::command::Git;
use super::error::GitError;
use super::source::Location;
use crate::regular_file::{self, Links};

/// A setting that names a file of the user's, and what git takes without it, in `~/.config/git`.
struct UsersFile {
    key: &'static str,
    name: &'static str,
}

const EXCLUDES: UsersFile = UsersFile {
    key: "core.excludesFile",
    name: "ignore",
};
const ATTRIBUTES: UsersFile = UsersFile {
    key: "core.attributesFile",
    name: "attributes",
};
/// Bytes of rules that are taken along.
const MAX_RULES: u64 = 4 << 20;

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

/// Files that go along, by their names in the git directory. Links in it are not followed: git makes none
/// there, and one that somebody else made could lead to any file of this machine.
pub(super) fn files(location: &Location, dirty: bool) -> Vec<(String, PathBuf)> {
    let mut extra = Vec::new();
    for name in ["shallow", "info/attributes"] {
        extra.push((name.to_owned(), location.common_dir.join(name)));
    }
    if dirty {
        for name in IN_PROGRESS {
            let shared = location.common_dir.join(name);
            let own = location.git_dir.join(name);
            let path = if name.starts_with("logs/") {
                shared
            } else {
                own
            };
            add_files(&mut extra, name, &path);
        }
    }
    extra.retain(|(_, path)| path.symlink_metadata().is_ok_and(|meta| meta.is_file()));
    extra
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
    if !location.common_dir.join("reftable").is_dir() {
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

fn add_files(files: &mut Vec<(String, PathBuf)>, name: &str, path: &Path) {
    if !path.symlink_metadata().is_ok_and(|meta| meta.is_dir()) {
        files.push((name.to_owned(), path.to_owned()));
        return;
    }
    let Ok(listed) = std::fs::read_dir(path) else {
        return;
    };
    for entry in listed.flatten() {
        if let Ok(inner) = entry.file_name().into_string() {
            add_files(files, &format!("{name}/{inner}"), &entry.path());
        }
    }
}

/// What the host ignores beside `.gitignore`: the user's own file, then the repository's.
///
/// # Errors
/// Those of git.
pub(super) fn excludes(git: &Git, location: &Location) -> Result<Vec<u8>, GitError> {
    let users = users_file(git, location.root(), &EXCLUDES)?.map(|file| (file, Links::Followed));
    let own = (location.common_dir.join("info/exclude"), Links::Refused);
    let mut rules = Vec::new();
    for (file, links) in users.into_iter().chain([own]) {
        if let Ok((content, _)) = regular_file::read(&file, links, MAX_RULES) {
            rules.extend_from_slice(&content);
            if !rules.ends_with(b"\n") && !rules.is_empty() {
                rules.push(b'\n');
            }
        }
    }
    Ok(rules)
}

/// The user's own attributes, which hold in each of his repositories; `None` where there are none.
///
/// # Errors
/// Those of git.
pub(super) fn attributes_file(git: &Git, root: &Path) -> Result<Option<PathBuf>, GitError> {
    let file = users_file(git, root, &ATTRIBUTES)?;
    Ok(file.filter(|file| file.metadata().is_ok_and(|meta| meta.is_file())))
}

/// Reads those attributes. What cannot be read gives none, as for git.
pub(super) fn attributes(file: Option<&Path>) -> Vec<u8> {
    let read = file.map(|file| regular_file::read(file, Links::Followed, MAX_RULES));
    read.and_then(Result::ok)
        .map_or_else(Vec::new, |(content, _)| content)
}

/// The file that a setting names, or git's default for it. A repository's own configuration may name a
/// file of its work tree and no other: it may have come from anywhere.
fn users_file(git: &Git, root: &Path, which: &UsersFile) -> Result<Option<PathBuf>, GitError> {
    let asked = [
        "config",
        "-z",
        "--show-scope",
        "--type=path",
        "--get",
        which.key,
    ];
    let Some(answer) = git.answer(&asked)? else {
        let base = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from);
        let base = base.or_else(|| Some(std::env::home_dir()?.join(".config")));
        return Ok(base.map(|base| base.join("git").join(which.name)));
    };
    let mut parts = answer.split(|&byte| byte == 0);
    let (Some(scope), Some(file)) = (parts.next(), parts.next()) else {
        return Ok(None);
    };
    let file = root.join(OsStr::from_bytes(file));
    if matches!(scope, b"local" | b"worktree") {
        let real = |path: &Path| path.canonicalize().ok();
        return Ok(real(&file).filter(|file| real(root).is_some_and(|root| file.starts_with(root))));
    }
    Ok(Some(file))
}
