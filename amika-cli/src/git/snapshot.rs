//! The state of a repository when its sandbox was made; later work is told from it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};

use super::command::line;
use super::error::GitError;
use super::plan::{Plan, Tree};

/// What the repository in the sandbox was at its creation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Version of this record.
    pub version: u32,
    /// The repository's name, which is its directory's.
    pub name: String,
    /// Where it came from: a URL without secrets, or a path of the host.
    pub source: String,
    /// `sha1` or `sha256`.
    pub object_format: String,
    /// The branch; `None` when detached.
    pub branch: Option<String>,
    /// The commit; `None` when the branch is unborn.
    pub commit: Option<String>,
    /// The tree of all files that were there, committed or not, ignored ones apart; `None` when there was
    /// none, or when it could not be known. What `git add -A && git write-tree` would print.
    pub tree: Option<String>,
    /// Whether that differs from the commit's.
    pub dirty: bool,
    /// All refs by full name, symbolic ones apart.
    pub refs: BTreeMap<String, String>,
}

/// Reads off the plan what is known, and has git work out the tree of a dirty copy without a trace in the
/// host's repository.
pub(super) fn take(
    plan: &Plan,
    name: &str,
    source: &str,
    scratch: &Path,
) -> Result<Snapshot, GitError> {
    let committed = match plan.head.commit() {
        Some(commit) => {
            let tree = format!("{commit}^{{tree}}");
            Some(plan.git.output(&["rev-parse", "--verify", &tree])?)
        }
        None => None,
    };
    let committed = committed.map(|oid| String::from_utf8_lossy(&line(oid)).into_owned());
    let tree = match plan.tree {
        Tree::Committed { .. } => committed.clone(),
        Tree::Disk { .. } => work_tree(plan, scratch)?,
    };
    let refs = plan.refs.iter().filter(|one| one.follows.is_none());
    Ok(Snapshot {
        version: 1,
        name: name.to_owned(),
        source: source.to_owned(),
        object_format: if plan.location.sha256 {
            "sha256"
        } else {
            "sha1"
        }
        .to_owned(),
        branch: plan.head.branch().map(str::to_owned),
        commit: plan.head.commit().map(str::to_owned),
        dirty: tree != committed,
        tree,
        refs: refs
            .map(|one| (one.name.clone(), one.oid.clone()))
            .collect(),
    })
}

/// The tree of the work tree, its new objects written to a temporary directory. `None` when git cannot
/// read all of it.
///
/// The host's objects are kept out of git's sight while it writes: it sets the time of an object, or of
/// the pack that holds it, when it is asked to write one that is there already.
fn work_tree(plan: &Plan, scratch: &Path) -> Result<Option<String>, GitError> {
    let index = scratch.join("snapshot-index");
    if let Some(host) = &plan.index {
        std::fs::copy(host, &index).map_err(GitError::io("read", host))?;
    }
    let objects = scratch.join("snapshot-objects");
    let lfs = scratch.join("snapshot-lfs");
    let packs = objects.join("pack");
    std::fs::create_dir_all(&packs).map_err(GitError::io("write", &packs))?;
    let git = plan.git.with_index(&index);
    let command = |arguments: &[&str]| {
        let mut command = git.command(arguments);
        command
            .env("GIT_OBJECT_DIRECTORY", &objects)
            // A clean filter of LFS would put the content into the host's store.
            .env("GIT_CONFIG_COUNT", "2")
            .env("GIT_CONFIG_KEY_0", "lfs.storage")
            .env("GIT_CONFIG_VALUE_0", &lfs)
            .env("GIT_CONFIG_KEY_1", "core.compression")
            .env("GIT_CONFIG_VALUE_1", "0");
        command
    };
    let run = |arguments: &[&str]| -> Result<Option<Vec<u8>>, GitError> {
        let mut command = command(arguments);
        let output = command
            .stdin(Stdio::null())
            .output()
            .map_err(GitError::NoGit)?;
        Ok(output.status.success().then_some(output.stdout))
    };
    let host = plan.location.common_dir.join("objects");
    let reading = |arguments: &[&str]| {
        let mut command = command(arguments);
        command.env("GIT_ALTERNATE_OBJECT_DIRECTORIES", &host);
        command
    };
    let old = blobs_to_compare(|arguments| {
        let output = reading(arguments).stdin(Stdio::null()).output();
        let output = output.map_err(GitError::NoGit)?;
        if output.status.success() {
            Ok(output.stdout)
        } else {
            Err(git.failed(arguments, String::from_utf8_lossy(&output.stderr).trim()))
        }
    })?;
    let mut pack = reading(&["pack-objects", "-q", "--window=0"]);
    pack.arg(packs.join("pack"));
    let tree = if (old.is_empty() || feed(pack, &old)?) && run(&["add", "-A", "--", "."])?.is_some()
    {
        // What did not change is not there, and need not be.
        run(&["write-tree", "--missing-ok"])?
    } else {
        None
    };
    for leftover in [&objects, &lfs] {
        // It goes with the temporary directory at the latest.
        let _ = std::fs::remove_dir_all(leftover);
    }
    Ok(tree.map(|oid| String::from_utf8_lossy(&line(oid)).into_owned()))
}

/// Names, one a line, of the blobs that `git add` reads: the old content of files that may have changed
/// decides on their line ends, and attributes count although their file is gone.
///
/// `git` runs a command that reads. Of a file as young as the index, git compares the content even here,
/// through the clean filters, which may write.
fn blobs_to_compare(
    git: impl Fn(&[&str]) -> Result<Vec<u8>, GitError>,
) -> Result<Vec<u8>, GitError> {
    // `:<mode> <mode> <oid> <oid> <status>`, then the path.
    let changed = git(&["diff-files", "-z", "--raw", "--ignore-submodules=all"])?;
    let attributes = git(&["ls-files", "-s", "-z", "--", ":(top,glob)**/.gitattributes"])?;
    let field = |entry: &[u8], number: usize| {
        let oid = entry.split(|&byte| byte == b' ').nth(number)?;
        let is_oid = oid.iter().all(u8::is_ascii_hexdigit) && oid.iter().any(|&byte| byte != b'0');
        is_oid.then(|| [oid, b"\n"].concat())
    };
    let changed = changed
        .split(|&byte| byte == 0)
        .filter(|entry| entry.starts_with(b":1") || entry.starts_with(b":0"))
        .filter_map(|entry| field(entry, 2));
    let attributes = attributes
        .split(|&byte| byte == 0)
        .filter_map(|entry| field(entry, 1));
    let blobs: BTreeSet<Vec<u8>> = changed.chain(attributes).collect();
    Ok(blobs.into_iter().flatten().collect())
}

/// Runs a command that reads `input` to its end before it writes; whether it succeeded.
fn feed(mut command: Command, input: &[u8]) -> Result<bool, GitError> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(GitError::NoGit)?;
    // One that ends early says by its exit code why.
    let _ = child.stdin.take().map(|mut stdin| stdin.write_all(input));
    Ok(child.wait().map_err(GitError::NoGit)?.success())
}
