//! The state of a repository when its sandbox was made; later work is told from it.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::command::{Git, line};
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
fn work_tree(plan: &Plan, scratch: &Path) -> Result<Option<String>, GitError> {
    let index = scratch.join("snapshot-index");
    if let Some(host) = &plan.index {
        std::fs::copy(host, &index).map_err(GitError::io("read", host))?;
    }
    let objects = scratch.join("snapshot-objects");
    let lfs = scratch.join("snapshot-lfs");
    std::fs::create_dir_all(&objects).map_err(GitError::io("write", &objects))?;
    let git = plan.git.with_index(&index);
    let run = |git: &Git, arguments: &[&str]| -> Result<Option<Vec<u8>>, GitError> {
        let output = git
            .command(arguments)
            .env("GIT_OBJECT_DIRECTORY", &objects)
            .env(
                "GIT_ALTERNATE_OBJECT_DIRECTORIES",
                plan.location.common_dir.join("objects"),
            )
            // A clean filter of LFS would put the content into the host's store.
            .env("GIT_CONFIG_COUNT", "2")
            .env("GIT_CONFIG_KEY_0", "lfs.storage")
            .env("GIT_CONFIG_VALUE_0", &lfs)
            .env("GIT_CONFIG_KEY_1", "core.compression")
            .env("GIT_CONFIG_VALUE_1", "0")
            .stdin(std::process::Stdio::null())
            .output()
            .map_err(GitError::NoGit)?;
        Ok(output.status.success().then_some(output.stdout))
    };
    let tree = match run(&git, &["add", "-A", "--", "."])? {
        Some(_) => run(&git, &["write-tree"])?,
        None => None,
    };
    for leftover in [&objects, &lfs] {
        // It goes with the temporary directory at the latest.
        let _ = std::fs::remove_dir_all(leftover);
    }
    Ok(tree.map(|oid| String::from_utf8_lossy(&line(oid)).into_owned()))
}
