//! The state of a repository when its sandbox was made; later work is told from it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde::{Deserialize, Serialize};

use super::command::{Git, line};
use super::error::GitError;
use super::generated::object_path;
use super::index::{HostIndex, Mode};
use super::plan::{Plan, Tree};
use super::refs;
use super::worktree::{Found, Reader};

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
    let committed = plan.committed_tree.clone();
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
    if let Some(read) = plan.location.index()? {
        let host = plan.location.generated().git_dir.join("index");
        std::fs::copy(&host, &index).map_err(GitError::io("read", host))?;
        // Racy entries are told by the index's own age.
        let copy = std::fs::File::options().write(true).open(&index);
        copy.and_then(|copy| copy.set_modified(read.modified()))
            .map_err(GitError::io("write", &index))?;
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
    let generated = plan.location.generated();
    let host = object_path(&[&generated.objects, &generated.borrowed]);
    let run = |mut command: Command, arguments: &[&str], input: &[u8], sees_host: bool| {
        command.env("GIT_OBJECT_DIRECTORY", &objects);
        if sees_host {
            command.env("GIT_ALTERNATE_OBJECT_DIRECTORIES", &host);
        } else {
            command.env_remove("GIT_ALTERNATE_OBJECT_DIRECTORIES");
        }
        Git::run(&mut command, arguments, input.to_vec())
    };
    let reading = |arguments: &[&str]| {
        let output = run(git.command(arguments), arguments, b"", true)?;
        if output.status.success() {
            Ok(output.stdout)
        } else {
            Err(Git::failed(
                arguments,
                String::from_utf8_lossy(&output.stderr).trim(),
            ))
        }
    };
    let feed = |arguments: &[&str], input: &[u8], sees_host: bool| -> Result<bool, GitError> {
        if input.is_empty() {
            return Ok(true);
        }
        let output = run(git.command(arguments), arguments, input, sees_host)?;
        Ok(output.status.success())
    };
    let is_sparse = plan.location.index()?.is_some_and(HostIndex::is_sparse);
    if is_sparse {
        // Its directories are trees of the host, which are to be seen for the files in them.
        reading(&["update-index", "--force-write-index"])?;
    }
    let changes = Changes::read(plan, reading)?;
    let pack = packs.join("pack");
    let pack = pack.to_string_lossy();
    let update = ["update-index", "-z"];
    let remove = [&update[..], &["--force-remove", "--stdin"]].concat();
    let add = [&update[..], &["--add", "--remove", "--replace", "--stdin"]].concat();
    let modules = [&update[..], &["--add", "--replace", "--index-info"]].concat();
    let is_whole = feed(
        &["pack-objects", "-q", "--window=0", &pack],
        &changes.old,
        true,
    )? && feed(&remove, &changes.gone, false)?
        && feed(&add, &changes.there, false)?
        && feed(&modules, &changes.modules, false)?;
    let tree = if is_whole {
        // What did not change is not there, and need not be.
        let arguments = ["write-tree", "--missing-ok"];
        let written = run(git.command(&arguments), &arguments, b"", false)?;
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

/// What `git add -A` would do, as lists that git reads.
#[derive(Default)]
struct Changes {
    /// Paths that are in the index and not on the disk.
    gone: Vec<u8>,
    /// Paths whose content the disk has.
    there: Vec<u8>,
    /// Commits of repositories inside, as entries of an index: git is not asked to look into them.
    modules: Vec<u8>,
    /// Names, one a line, of the blobs that git needs to add those: the old content decides on line
    /// ends, and attributes count although their file is gone.
    old: Vec<u8>,
}

impl Changes {
    /// `git` runs a command that reads. Of a file as young as the index, git compares the content even
    /// here, through the clean filters, which may write.
    fn read(
        plan: &Plan,
        git: impl Fn(&[&str]) -> Result<Vec<u8>, GitError>,
    ) -> Result<Self, GitError> {
        let mut changes = Self::default();
        let mut blobs: BTreeSet<Vec<u8>> = BTreeSet::new();
        let field = |entry: &[u8], number: usize| {
            let oid = entry.split(|&byte| byte == b' ').nth(number)?;
            let is_oid =
                oid.iter().all(u8::is_ascii_hexdigit) && oid.iter().any(|&byte| byte != b'0');
            is_oid.then(|| [oid, b"\n"].concat())
        };
        // `:<mode> <mode> <oid> <oid> <status>`, then the path.
        let differing = git(&["diff-files", "-z", "--raw", "--ignore-submodules=all"])?;
        let mut parts = differing.split(|&byte| byte == 0);
        while let (Some(what), Some(path)) = (parts.next(), parts.next()) {
            // A submodule's is a commit, which is in another repository.
            let is_module = what.starts_with(b":160000");
            if what.starts_with(b":1") || what.starts_with(b":0") {
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
            if !path.ends_with(b"/") {
                changes.there.extend_from_slice(path);
                changes.there.push(0);
            }
        }
        changes.modules(plan)?;
        if let Some(index) = plan.location.index()? {
            let attributes = index.objects_named(b".gitattributes");
            blobs.extend(attributes.map(|oid| [oid.as_bytes(), b"\n"].concat()));
        }
        changes.old = blobs.into_iter().flatten().collect();
        Ok(changes)
    }

    /// Repositories inside: what each that is copied has checked out, and those that are gone.
    fn modules(&mut self, plan: &Plan) -> Result<(), GitError> {
        for child in &plan.children {
            let path = child.place.tree.strip_prefix(&plan.place.tree[..]);
            let path = path.unwrap_or_default();
            let path = path.strip_prefix(b"/").unwrap_or(path);
            if let Some(commit) = refs::resolve(&child.git, "HEAD")? {
                let mode = format!("{:o} {commit} 0\t", Mode::Gitlink.of_index().bits());
                self.modules.extend_from_slice(mode.as_bytes());
                self.modules.extend_from_slice(path);
                self.modules.push(0);
            }
        }
        let (Some(index), Some(tree)) = (plan.location.index()?, plan.location.tree()) else {
            return Ok(());
        };
        let mut reader = Reader::new(tree);
        let links = index.entries().into_iter();
        for entry in links.filter(|entry| entry.mode == Mode::Gitlink) {
            let found = reader
                .find(&entry.path)
                .map_err(GitError::io("read", tree.place(&entry.path)))?;
            let list = match found {
                Found::Directory => continue,
                Found::Nothing => &mut self.gone,
                Found::Symlink { .. } | Found::File { .. } => &mut self.there,
            };
            list.extend_from_slice(&entry.path);
            list.push(0);
        }
        Ok(())
    }
}
