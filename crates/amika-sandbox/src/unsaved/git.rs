//! What would be lost with a clone, in git's words: commits that no remote has, changed files, stashes.
//!
//! The agent's git counts, inside: where the sandbox runs, in it; else in a container of its image that has the clone
//! and nothing else. Git of this machine never opens a sandbox's repository.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::time::Duration;

use amika_core::contract::path;
use amika_core::label::Kind;
use serde::Deserialize;

use crate::commits::{Inside, Source, Told, shown};
use crate::error::Result;
use crate::git_helper::GitHelper;
use crate::sandbox::Sandbox;
use crate::sandboxes::Sandboxes;
use amika_engine::{MountFacts, VolumeFacts};

/// How long git may count in all.
const LONGEST: Duration = Duration::from_secs(30);
/// Bytes of an answer of git's.
const ANSWER: usize = 16 << 20;
/// Bytes of the record of how the repository began.
const RECORD: usize = 8 << 20;

/// Prints the tree of the work tree, as the record of the repository's beginning has it. Its index and objects are put
/// elsewhere: the repository is not written, and may be on a mount that cannot be.
const TREE: &str = r#"objects=$(cd "$(git rev-parse --git-path objects)" && pwd) || exit 1
t=$(mktemp -d) && mkdir "$t/o" || exit 1
export GIT_ALTERNATE_OBJECT_DIRECTORIES="$objects" GIT_OBJECT_DIRECTORY="$t/o" GIT_INDEX_FILE="$t/i"
git read-tree HEAD 2>/dev/null
git add -A && git write-tree
code=$?
rm -rf "$t"
exit $code"#;

/// What is in a clone that goes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Clone {
    /// Its path in the sandbox, or its volume's name.
    pub place: String,
    told: Result<Counts, String>,
}

/// What would be lost with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    /// Commits that were not copied in and that no remote has.
    commits: usize,
    /// Branches with such commits.
    branches: usize,
    /// Files that are not committed as they are.
    files: usize,
    /// Stashed changes.
    stashes: usize,
}

impl self::Clone {
    /// Whether it keeps from deleting: there is something in it, or nobody can tell.
    pub(super) fn is_in_the_way(&self) -> bool {
        self.told
            .as_ref()
            .map_or(true, |counts| *counts != Counts::default())
    }

    /// Whether `amika sandbox pull` would bring some of it: it brings commits, and needs the git inside.
    pub(super) fn has_commits(&self) -> bool {
        self.told.as_ref().is_ok_and(|counts| counts.commits > 0)
    }

    /// Whether there may be files in it that only a copy brings.
    pub(super) fn has_files(&self) -> bool {
        self.told.as_ref().map_or(true, |counts| counts.files > 0)
    }

    /// Whether it is known that there is something.
    pub(super) fn is_known(&self) -> bool {
        self.told.is_ok() && self.is_in_the_way()
    }
}

impl fmt::Display for self::Clone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = &self.place;
        match &self.told {
            Ok(counts) => write!(f, "in {place}: {counts}"),
            Err(why) => write!(f, "what is in {place} cannot be told: {why}"),
        }
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |count: usize, one: &str, many: &str| {
            format!("{count} {}", if count == 1 { one } else { many })
        };
        let mut parts = Vec::new();
        if self.commits > 0 {
            let commits = count(self.commits, "commit", "commits");
            let on = match self.branches {
                0 => String::new(),
                branches => format!(" on {}", count(branches, "branch", "branches")),
            };
            parts.push(format!("{commits}{on} that no remote has"));
        }
        if self.files > 0 {
            parts.push(count(self.files, "changed file", "changed files"));
        }
        if self.stashes > 0 {
            parts.push(count(self.stashes, "stash", "stashes"));
        }
        f.write_str(&parts.join(", "))
    }
}

/// A clone of which nobody can tell.
pub(super) fn unknown(place: &str, why: &str) -> self::Clone {
    self::Clone {
        place: place.to_owned(),
        told: Err(why.to_owned()),
    }
}

/// One in which so much was counted.
#[cfg(test)]
pub(crate) fn counted(place: &str, commits: usize, files: usize) -> self::Clone {
    self::Clone {
        place: place.to_owned(),
        told: Ok(Counts {
            commits,
            files,
            ..Counts::default()
        }),
    }
}

/// The clones of a sandbox that go with its git volumes.
///
/// # Errors
/// Those of the engine, but for what git itself could not do.
pub(super) async fn of_sandbox(
    engine: &Sandboxes,
    sandbox: &Sandbox,
    going: &[(Kind, VolumeFacts)],
) -> Result<Vec<self::Clone>> {
    let mut clones = Vec::new();
    for (_, volume) in going.iter().filter(|(kind, _)| *kind == Kind::Git) {
        let mut mounts = sandbox.container.mounts.iter();
        let Some(mount) = mounts.find(|mount| mount.source == volume.name) else {
            clones.push(unknown(&volume.name, "it is mounted nowhere"));
            continue;
        };
        let counted = tokio::time::timeout(LONGEST, count(engine, sandbox, mount)).await;
        let told = match counted {
            Ok(Ok(counts)) => Ok(counts),
            Ok(Err(why)) => Err(why),
            Err(_) => Err(format!("git did not answer within {} s", LONGEST.as_secs())),
        };
        clones.push(self::Clone {
            place: mount.target.clone(),
            told,
        });
    }
    Ok(clones)
}

async fn count(
    engine: &Sandboxes,
    sandbox: &Sandbox,
    mount: &MountFacts,
) -> Result<Counts, String> {
    let record = engine
        .read_regular_file(&sandbox.container.id, path::GIT_SNAPSHOT, RECORD)
        .await;
    let began = record.ok().flatten();
    let began = began.and_then(|file| serde_json::from_slice::<Began>(&file.content).ok());
    let began = began.unwrap_or_default();
    if sandbox.is_running() {
        let inside = Inside::new(engine, sandbox, &mount.target);
        return count_with(&inside, &began).await;
    }
    let helper = GitHelper::start(engine, sandbox, mount, LONGEST).await;
    let helper = helper.map_err(|error| {
        format!("the sandbox does not run, and no container can count for it: {error}")
    })?;
    let inside = Inside::new(engine, sandbox, &mount.target).of_container(helper.id());
    let counted = count_with(&inside, &began).await;
    helper.end(engine).await;
    counted
}

/// What of the record of the repository's beginning is of use here. Whoever is root in the sandbox may have written
/// anything.
#[derive(Debug, Default, Deserialize)]
struct Began {
    #[serde(default)]
    commit: Option<String>,
    #[serde(default)]
    tree: Option<String>,
    #[serde(default)]
    dirty: bool,
    #[serde(default)]
    refs: BTreeMap<String, String>,
}

impl Began {
    /// Lines for `git rev-list --stdin`: what was copied in is not asked for.
    fn known(&self) -> String {
        let is_oid = |oid: &&String| {
            matches!(oid.len(), 40 | 64) && oid.bytes().all(|byte| byte.is_ascii_hexdigit())
        };
        let all = self.refs.values().chain(&self.commit).filter(is_oid);
        let unique: HashSet<&String> = all.collect();
        let lines = unique.into_iter().flat_map(|oid| ["^", oid, "\n"]);
        lines.collect()
    }
}

async fn count_with<S: Source>(inside: &S, began: &Began) -> Result<Counts, String> {
    let commits = [
        "rev-list",
        "--ignore-missing",
        "--exclude=refs/stash",
        "--exclude=refs/remotes/*",
        "--all",
        "--not",
        "--remotes",
        "--stdin",
    ];
    let lost = ask(inside, &commits, began.known().into_bytes()).await?;
    let lost: HashSet<&[u8]> = lines(&lost).collect();
    let branches = ["for-each-ref", "--format=%(objectname)", "refs/heads"];
    let branches = ask(inside, &branches, Vec::new()).await?;
    let status = ["status", "--porcelain=v1", "-z", "--untracked-files=all"];
    let status = ask(inside, &status, Vec::new()).await?;
    let mut files = changed(&status);
    if files > 0 && began.dirty {
        // As it came along: what was not committed on the host is there still.
        if let Some(tree) = &began.tree
            && is_still(inside, tree).await
        {
            files = 0;
        }
    }
    // Without one, git says so by its code.
    let stashes = ["rev-list", "--walk-reflogs", "refs/stash", "--"];
    let stashes = inside.git(&stashes, Vec::new(), ANSWER).await;
    let stashes = stashes.map_or(0, |told| {
        if told.code == 0 {
            lines(&told.stdout).count()
        } else {
            0
        }
    });
    Ok(Counts {
        commits: lost.len(),
        branches: lines(&branches).filter(|tip| lost.contains(tip)).count(),
        files,
        stashes,
    })
}

/// Whether the work tree, with all that is not ignored, is this tree.
async fn is_still<S: Source>(inside: &S, tree: &str) -> bool {
    let alias = format!("alias.amika-tree=!{TREE}");
    let now = ask(inside, &["-c", &alias, "amika-tree"], Vec::new()).await;
    now.is_ok_and(|now| lines(&now).next() == Some(tree.as_bytes()))
}

async fn ask<S: Source>(inside: &S, arguments: &[&str], input: Vec<u8>) -> Result<Vec<u8>, String> {
    match inside.git(arguments, input, ANSWER).await {
        Ok(Told {
            code: 0, stdout, ..
        }) => Ok(stdout),
        Ok(Told {
            code: 126 | 127, ..
        }) => Err("there is no git in the sandbox".to_owned()),
        Ok(told) => Err(format!(
            "git {} ended with {}: {}",
            arguments.first().unwrap_or(&""),
            told.code,
            shown(&told.stderr)
        )),
        Err(error) => Err(error.message),
    }
}

fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
}

/// How many files `git status --porcelain=v1 -z` tells of.
fn changed(text: &[u8]) -> usize {
    let mut lines = text
        .split(|byte| *byte == 0)
        .filter(|line| !line.is_empty());
    let mut files = 0;
    while let Some(line) = lines.next() {
        files += 1;
        // The name before follows.
        if matches!(line.first(), Some(b'R' | b'C')) {
            lines.next();
        }
    }
    files
}

#[cfg(test)]
mod tests;
