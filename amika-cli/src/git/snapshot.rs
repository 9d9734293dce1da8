//! The state of a repository when its sandbox was made; later work is told from it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write as _};
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
        Tree::Disk { .. } if plan.is_filtered => None,
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
/// the pack that holds it, when it is asked to write one that is there already. And it is told what to
/// add: `git add` looks into submodules, with what their configuration says.
fn work_tree(plan: &Plan, scratch: &Path) -> Result<Option<String>, GitError> {
    let index = scratch.join("snapshot-index");
    if let Some(host) = &plan.index {
        std::fs::copy(host, &index).map_err(GitError::io("read", host))?;
    }
    let objects = scratch.join("snapshot-objects");
    let lfs = scratch.join("snapshot-lfs");
    let packs = objects.join("pack");
    std::fs::create_dir_all(&packs).map_err(GitError::io("write", &packs))?;
    let git = plan.git.with_index(&index).with_settings(&[
        // A clean filter of LFS would put the content into the host's store.
        ("lfs.storage", &lfs.to_string_lossy()),
        ("core.compression", "0"),
    ]);
    let host = plan.location.common_dir.join("objects");
    let writing = |arguments: &[&str]| {
        let mut command = git.command(arguments);
        command.env("GIT_OBJECT_DIRECTORY", &objects);
        command
    };
    let reading = |arguments: &[&str]| {
        let mut command = writing(arguments);
        command.env("GIT_ALTERNATE_OBJECT_DIRECTORIES", &host);
        let output = command.stdin(Stdio::null()).output();
        let output = output.map_err(GitError::NoGit)?;
        if output.status.success() {
            Ok(output.stdout)
        } else {
            Err(git.failed(arguments, String::from_utf8_lossy(&output.stderr).trim()))
        }
    };
    if is_sparse(&index)? {
        // Its directories are trees of the host, which are to be seen for the files in them.
        reading(&["update-index", "--force-write-index"])?;
    }
    let changes = Changes::read(reading)?;
    let mut pack = writing(&["pack-objects", "-q", "--window=0"]);
    pack.env("GIT_ALTERNATE_OBJECT_DIRECTORIES", &host);
    pack.arg(packs.join("pack"));
    let update = ["update-index", "-z"];
    let remove = [&update[..], &["--force-remove", "--stdin"]].concat();
    let add = [&update[..], &["--add", "--remove", "--replace", "--stdin"]].concat();
    let is_whole = (changes.old.is_empty() || feed(pack, &changes.old)?)
        && feed(writing(&remove), &changes.gone)?
        && feed(writing(&add), &changes.there)?;
    let tree = if is_whole {
        // What did not change is not there, and need not be.
        let written = writing(&["write-tree", "--missing-ok"])
            .stdin(Stdio::null())
            .output()
            .map_err(GitError::NoGit)?;
        written.status.success().then_some(written.stdout)
    } else {
        None
    };
    for leftover in [&objects, &lfs] {
        // It goes with the temporary directory at the latest.
        let _ = std::fs::remove_dir_all(leftover);
    }
    Ok(tree.map(|oid| String::from_utf8_lossy(&line(oid)).into_owned()))
}

/// Whether an index holds whole directories as one entry each.
fn is_sparse(index: &Path) -> Result<bool, GitError> {
    match std::fs::read(index) {
        Ok(content) => Ok(content.windows(4).any(|window| window == b"sdir")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(GitError::io("read", index)(error)),
    }
}

/// What `git add -A` would do, as lists that git reads.
#[derive(Default)]
struct Changes {
    /// Paths that are in the index and not on the disk.
    gone: Vec<u8>,
    /// Paths whose content the disk has.
    there: Vec<u8>,
    /// Names, one a line, of the blobs that git needs to add those: the old content decides on line
    /// ends, and attributes count although their file is gone.
    old: Vec<u8>,
}

impl Changes {
    /// `git` runs a command that reads. Of a file as young as the index, git compares the content even
    /// here, through the clean filters, which may write.
    fn read(git: impl Fn(&[&str]) -> Result<Vec<u8>, GitError>) -> Result<Self, GitError> {
        let mut changes = Self::default();
        let mut blobs: BTreeSet<Vec<u8>> = BTreeSet::new();
        let field = |entry: &[u8], number: usize| {
            let oid = entry.split(|&byte| byte == b' ').nth(number)?;
            let is_oid =
                oid.iter().all(u8::is_ascii_hexdigit) && oid.iter().any(|&byte| byte != b'0');
            is_oid.then(|| [oid, b"\n"].concat())
        };
        // `:<mode> <mode> <oid> <oid> <status>`, then the path.
        let differing = git(&["diff-files", "-z", "--raw", "--ignore-submodules=dirty"])?;
        let mut parts = differing.split(|&byte| byte == 0);
        while let (Some(what), Some(path)) = (parts.next(), parts.next()) {
            if what.starts_with(b":1") || what.starts_with(b":0") {
                // A submodule's is a commit, which is in another repository.
                let is_module = what.starts_with(b":160000");
                blobs.extend(field(what, 2).filter(|_| !is_module));
            }
            let list = if what.ends_with(b"D") {
                &mut changes.gone
            } else {
                &mut changes.there
            };
            list.extend_from_slice(path);
            list.push(0);
        }
        let others = git(&["ls-files", "--others", "--exclude-standard", "-z"])?;
        let others = others.split(|&byte| byte == 0);
        for path in others.filter(|path| !path.is_empty()) {
            // With a slash at its end it is a repository.
            changes
                .there
                .extend_from_slice(path.strip_suffix(b"/").unwrap_or(path));
            changes.there.push(0);
        }
        let attributes = git(&["ls-files", "-s", "-z", "--", ":(top,glob)**/.gitattributes"])?;
        let attributes = attributes.split(|&byte| byte == 0);
        blobs.extend(attributes.filter_map(|entry| field(entry, 1)));
        changes.old = blobs.into_iter().flatten().collect();
        Ok(changes)
    }
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
