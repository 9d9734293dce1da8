//! The refs of a repository, and those that go into the sandbox.

use std::collections::BTreeMap;

use amika_core::repo_path::escaped;

use super::command::Git;
use super::error::GitError;

/// A ref that goes into the sandbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ref {
    /// Its full name.
    pub(super) name: String,
    /// What it points to.
    pub(super) oid: String,
    /// The ref it follows, for a symbolic one.
    pub(super) follows: Option<String>,
}

/// What HEAD is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Head {
    /// A branch, by its short name; no commit when it is unborn.
    Branch {
        /// Without `refs/heads/`.
        name: String,
        /// Its tip.
        commit: Option<String>,
    },
    /// A commit by itself.
    Detached(String),
}

impl Head {
    /// The commit, when there is one.
    pub(super) fn commit(&self) -> Option<&str> {
        match self {
            Self::Branch { commit, .. } => commit.as_deref(),
            Self::Detached(commit) => Some(commit),
        }
    }

    /// The branch's short name, when on one.
    pub(super) fn branch(&self) -> Option<&str> {
        match self {
            Self::Branch { name, .. } => Some(name),
            Self::Detached(_) => None,
        }
    }

    /// The content of the file `HEAD`.
    pub(super) fn file(&self) -> String {
        match self {
            Self::Branch { name, .. } => format!("ref: refs/heads/{name}\n"),
            Self::Detached(commit) => format!("{commit}\n"),
        }
    }

    /// How it is named to a person.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Branch { name, .. } => format!("\"{name}\""),
            Self::Detached(commit) => format!("the commit {}", &commit[..commit.len().min(12)]),
        }
    }
}

/// What a repository has.
#[derive(Debug)]
pub(super) struct Refs {
    /// As on the host.
    pub(super) head: Head,
    /// All refs that may go along, by name.
    pub(super) all: BTreeMap<String, Ref>,
    /// Names of those that cannot, made readable.
    pub(super) left_out: Vec<String>,
}

/// The namespaces that go along: what `git clone --mirror` would be asked for by a person who works with
/// the result. Not prefetch, and not `refs/original`, which holds what a rewrite removed.
const NAMESPACES: [&str; 5] = [
    "refs/heads/",
    "refs/tags/",
    "refs/remotes/",
    "refs/notes/",
    "refs/replace/",
];

/// What goes along besides with a copy of a work tree: the stash, and what a bisection or a rebase in
/// progress has.
const OF_WORK_TREE: [&str; 4] = [
    "refs/stash",
    "refs/bisect/",
    "refs/rewritten/",
    "refs/worktree/",
];

impl Refs {
    /// Reads a repository's refs; those of its work tree too if asked for.
    pub(super) fn read(git: &Git, work_tree: bool) -> Result<Self, GitError> {
        let mut arguments = vec![
            "for-each-ref",
            "--format=%(objectname) %(refname) %(symref)",
        ];
        arguments.extend(NAMESPACES);
        if work_tree {
            arguments.extend(OF_WORK_TREE);
        }
        let listed = git.output(&arguments)?;
        let mut all = BTreeMap::new();
        let mut left_out = Vec::new();
        for line in listed.split(|&byte| byte == b'\n') {
            let Ok(text) = std::str::from_utf8(line) else {
                // Nobody could type it, and no label of the sandbox could hold it.
                let name = line.split(|&byte| byte == b' ').nth(1);
                left_out.extend(name.map(escaped));
                continue;
            };
            let mut fields = text.splitn(3, ' ');
            let (Some(oid), Some(name), Some(follows)) =
                (fields.next(), fields.next(), fields.next())
            else {
                continue;
            };
            let one = Ref {
                name: name.to_owned(),
                oid: oid.to_owned(),
                follows: Some(follows.to_owned()).filter(|follows| !follows.is_empty()),
            };
            all.insert(one.name.clone(), one);
        }
        let commit = resolve(git, "HEAD")?;
        let head = match git.answer(&["symbolic-ref", "-q", "HEAD"])? {
            Some(target) => {
                let target = String::from_utf8_lossy(&target).trim().to_owned();
                let name = target.strip_prefix("refs/heads/").unwrap_or(&target);
                if commit.is_none() {
                    is_unborn(git)?;
                }
                Head::Branch {
                    name: name.to_owned(),
                    commit,
                }
            }
            None => Head::Detached(commit.ok_or(GitError::Output {
                command: "symbolic-ref",
                output: "HEAD is neither a branch nor a commit".into(),
            })?),
        };
        Ok(Self {
            head,
            all,
            left_out,
        })
    }

    /// The refs of a bare copy of a remote, as a clone of that remote has them: all branches beneath
    /// `refs/remotes/<remote>/`, and of its own only the default.
    pub(super) fn into_clone_of(self, remote: &str) -> Self {
        let default = self.head.branch().map(str::to_owned);
        let mut all = BTreeMap::new();
        let mut add = |one: Ref| all.insert(one.name.clone(), one);
        for (name, one) in self.all {
            if let Some(branch) = name.strip_prefix("refs/heads/") {
                let tracking = format!("refs/remotes/{remote}/{branch}");
                if default.as_deref() == Some(branch) {
                    add(one.clone());
                    add(Ref {
                        name: format!("refs/remotes/{remote}/HEAD"),
                        oid: one.oid.clone(),
                        follows: Some(tracking.clone()),
                    });
                }
                add(Ref {
                    name: tracking,
                    ..one
                });
            } else if name.starts_with("refs/tags/") {
                add(one);
            }
        }
        Self {
            head: self.head,
            all,
            left_out: self.left_out,
        }
    }
}

/// Asserts that HEAD leads to nothing: what it leads to and is no commit is broken, or a lie.
fn is_unborn(git: &Git) -> Result<(), GitError> {
    match git.try_output(&["rev-parse", "--verify", "-q", "HEAD"])? {
        Ok(oid) => Err(GitError::Lie {
            oid: String::from_utf8_lossy(&oid).trim().to_owned(),
            why: "HEAD leads to it, and it is no commit, or not there",
        }),
        Err(_) => Ok(()),
    }
}

/// A name's commit, when it has one.
pub(super) fn resolve(git: &Git, name: &str) -> Result<Option<String>, GitError> {
    let wanted = format!("{name}^{{commit}}");
    let found = git.try_output(&["rev-parse", "--verify", "-q", "--end-of-options", &wanted])?;
    Ok(found
        .ok()
        .map(|oid| String::from_utf8_lossy(&oid).trim().to_owned()))
}

/// Whether git takes the name for a branch.
pub(super) fn check_name(git: &Git, name: &str) -> Result<(), GitError> {
    let full = format!("refs/heads/{name}");
    let fine = !name.starts_with('-')
        && name != "HEAD"
        && git.try_output(&["check-ref-format", &full])?.is_ok();
    if fine {
        Ok(())
    } else {
        Err(GitError::BadBranchName {
            name: name.to_owned(),
        })
    }
}

/// Refs for tests.
#[cfg(test)]
pub(super) mod samples {
    use super::*;

    pub(crate) fn refs(head: Head, names: &[&str]) -> Refs {
        let one = |name: &&str| {
            let one = Ref {
                name: (*name).to_owned(),
                oid: format!("oid of {name}"),
                follows: None,
            };
            (one.name.clone(), one)
        };
        Refs {
            head,
            all: names.iter().map(one).collect(),
            left_out: Vec::new(),
        }
    }

    pub(crate) fn main_branch() -> Head {
        Head::Branch {
            name: "main".into(),
            commit: Some("oid of refs/heads/main".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::samples::{main_branch, refs};

    #[test]
    fn a_clone_has_the_remotes_branches_as_tracking_refs() {
        let bare = refs(
            main_branch(),
            &["refs/heads/main", "refs/heads/a", "refs/tags/v1"],
        );
        let cloned = bare.into_clone_of("origin");
        let names: Vec<_> = cloned.all.keys().map(String::as_str).collect();
        assert_eq!(
            names,
            [
                "refs/heads/main",
                "refs/remotes/origin/HEAD",
                "refs/remotes/origin/a",
                "refs/remotes/origin/main",
                "refs/tags/v1"
            ]
        );
    }
}
