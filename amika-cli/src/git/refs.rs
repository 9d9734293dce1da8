//! Which branch the sandbox ends up on, and which refs go with it.

use std::collections::BTreeMap;

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
}

/// The namespaces that go along: what `git clone --mirror` would be asked for by a person who works with
/// the result. Not the stash, bisect, prefetch, and not `refs/original`, which holds what a rewrite removed.
const NAMESPACES: [&str; 5] = [
    "refs/heads/",
    "refs/tags/",
    "refs/remotes/",
    "refs/notes/",
    "refs/replace/",
];

impl Refs {
    /// Reads a repository's refs; the stash too if asked for.
    pub(super) fn read(git: &Git, stash: bool) -> Result<Self, GitError> {
        let mut arguments = vec![
            "for-each-ref",
            "--format=%(objectname) %(refname) %(symref)",
        ];
        arguments.extend(NAMESPACES);
        if stash {
            arguments.push("refs/stash");
        }
        let listed = git.output(&arguments)?;
        let all = listed
            .split(|&byte| byte == b'\n')
            .filter_map(|line| {
                // A name that is no UTF-8 cannot be typed either: left out.
                let mut fields = std::str::from_utf8(line).ok()?.splitn(3, ' ');
                let (oid, name, follows) = (fields.next()?, fields.next()?, fields.next()?);
                let one = Ref {
                    name: name.to_owned(),
                    oid: oid.to_owned(),
                    follows: Some(follows.to_owned()).filter(|follows| !follows.is_empty()),
                };
                Some((one.name.clone(), one))
            })
            .collect();
        let commit = resolve(git, "HEAD")?;
        let head = match git.answer(&["symbolic-ref", "-q", "HEAD"])? {
            Some(target) => {
                let target = String::from_utf8_lossy(&target).trim().to_owned();
                let name = target.strip_prefix("refs/heads/").unwrap_or(&target);
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
        Ok(Self { head, all })
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
        }
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

/// What the sandbox's repository starts on.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Selection {
    /// Its HEAD.
    pub(super) head: Head,
    /// The remote and its branch that a newly made branch follows.
    pub(super) upstream: Option<(String, String)>,
}

/// Decides by `--branch` and `--new-branch`. `remotes` are the names of the remotes, `commit` finds what a
/// tag or an object name means.
pub(super) fn select(
    refs: &Refs,
    remotes: &[String],
    branch: Option<&str>,
    new_branch: Option<&str>,
    commit: impl Fn(&str) -> Result<Option<String>, GitError>,
) -> Result<Selection, GitError> {
    let mut selection = match branch {
        None => Selection {
            head: refs.head.clone(),
            upstream: None,
        },
        Some(name) => existing(refs, remotes, name, commit)?,
    };
    if let Some(name) = new_branch {
        not_in_the_way(refs, remotes, name)?;
        selection = Selection {
            head: Head::Branch {
                name: name.to_owned(),
                commit: selection.head.commit().map(str::to_owned),
            },
            upstream: None,
        };
    }
    Ok(selection)
}

fn existing(
    refs: &Refs,
    remotes: &[String],
    name: &str,
    commit: impl Fn(&str) -> Result<Option<String>, GitError>,
) -> Result<Selection, GitError> {
    let on = |name: &str, oid: &str| Head::Branch {
        name: name.to_owned(),
        commit: Some(oid.to_owned()),
    };
    if let Some(local) = refs.all.get(&format!("refs/heads/{name}")) {
        return Ok(Selection {
            head: on(name, &local.oid),
            upstream: None,
        });
    }
    if refs.head.branch() == Some(name) {
        return Ok(Selection {
            head: refs.head.clone(),
            upstream: None,
        });
    }
    let found: Vec<(&String, &Ref)> = remotes
        .iter()
        .filter_map(|remote| {
            let tracking = refs.all.get(&format!("refs/remotes/{remote}/{name}"))?;
            tracking.follows.is_none().then_some((remote, tracking))
        })
        .collect();
    let one = match found[..] {
        [one] => Some(one),
        _ => found
            .iter()
            .find(|(remote, _)| *remote == "origin")
            .copied(),
    };
    if let Some((remote, tracking)) = one {
        return Ok(Selection {
            head: on(name, &tracking.oid),
            upstream: Some((remote.clone(), format!("refs/heads/{name}"))),
        });
    }
    if !found.is_empty() {
        return Err(GitError::AmbiguousBranch {
            name: name.to_owned(),
            remotes: found
                .into_iter()
                .map(|(remote, _)| remote.clone())
                .collect(),
        });
    }
    let tag = format!("refs/tags/{name}");
    let detached = if refs.all.contains_key(&tag) {
        commit(&tag)?
    } else if name.len() >= 7 && name.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        commit(name)?
    } else {
        None
    };
    match detached {
        Some(oid) => Ok(Selection {
            head: Head::Detached(oid),
            upstream: None,
        }),
        None => Err(GitError::NoSuchBranch {
            name: name.to_owned(),
            at_url: false,
            near: near(refs, remotes, name),
        }),
    }
}

/// The short names of all branches, local and on remotes.
fn branch_names<'a>(refs: &'a Refs, remotes: &'a [String]) -> Vec<&'a str> {
    let mut names: Vec<&str> = refs
        .all
        .values()
        .filter(|one| one.follows.is_none())
        .filter_map(|one| {
            one.name.strip_prefix("refs/heads/").or_else(|| {
                let rest = one.name.strip_prefix("refs/remotes/")?;
                remotes
                    .iter()
                    .find_map(|remote| rest.strip_prefix(remote.as_str())?.strip_prefix('/'))
            })
        })
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn near(refs: &Refs, remotes: &[String], name: &str) -> Vec<String> {
    let all = branch_names(refs, remotes);
    // `origin/main`, as git's own commands would have it.
    let of_remote = remotes
        .iter()
        .find_map(|remote| name.strip_prefix(remote.as_str())?.strip_prefix('/'));
    if let Some(branch) = of_remote.filter(|branch| all.contains(branch)) {
        return vec![branch.to_owned()];
    }
    let nearest = amika_core::nearest::nearest(name, all.iter().copied());
    let mut names: Vec<(f64, &str)> = all
        .into_iter()
        .map(|other| {
            let score = strsim::jaro_winkler(name, other);
            let part = other.contains(name) || name.contains(other);
            let score = if part { score.max(0.9) } else { score };
            let is_nearest = nearest == Some(other);
            (if is_nearest { 1.0 } else { score }, other)
        })
        .filter(|(score, _)| *score > 0.75)
        .collect();
    names.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    names
        .into_iter()
        .take(5)
        .map(|(_, name)| name.to_owned())
        .collect()
}

/// Refuses a new branch that exists, or whose name is a directory of one that does, or the reverse.
fn not_in_the_way(refs: &Refs, remotes: &[String], name: &str) -> Result<(), GitError> {
    let exists = |existing: String, same| GitError::BranchExists {
        name: name.to_owned(),
        existing,
        same,
    };
    if let Some(remote) = remotes.iter().find(|remote| {
        refs.all
            .contains_key(&format!("refs/remotes/{remote}/{name}"))
    }) {
        return Err(exists(format!("{remote}/{name}"), true));
    }
    let unborn = refs.head.branch().filter(|_| refs.head.commit().is_none());
    let local = refs
        .all
        .keys()
        .filter_map(|full| full.strip_prefix("refs/heads/"));
    for other in local.chain(unborn) {
        let beneath =
            |a: &str, b: &str| a.strip_prefix(b).is_some_and(|rest| rest.starts_with('/'));
        if other == name || beneath(other, name) || beneath(name, other) {
            return Err(exists(format!("branch \"{other}\""), other == name));
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn refs(head: Head, names: &[&str]) -> Refs {
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
        }
    }

    fn main_branch() -> Head {
        Head::Branch {
            name: "main".into(),
            commit: Some("oid of refs/heads/main".into()),
        }
    }

    fn choose(refs: &Refs, branch: Option<&str>, new: Option<&str>) -> Result<Selection, GitError> {
        let remotes = ["origin".to_owned(), "up/stream".to_owned()];
        select(refs, &remotes, branch, new, |name| {
            Ok(Some(format!("peeled {name}")))
        })
    }

    #[test]
    fn a_local_branch_wins_over_a_remote_one_over_a_tag() {
        let refs = refs(
            main_branch(),
            &[
                "refs/heads/main",
                "refs/heads/a",
                "refs/remotes/origin/a",
                "refs/remotes/up/stream/b",
                "refs/tags/b",
                "refs/tags/v1",
            ],
        );
        let a = choose(&refs, Some("a"), None).unwrap();
        assert_eq!(a.head.commit(), Some("oid of refs/heads/a"));
        assert_eq!(a.upstream, None);
        let b = choose(&refs, Some("b"), None).unwrap();
        assert_eq!(b.head.branch(), Some("b"));
        assert_eq!(
            b.upstream,
            Some(("up/stream".into(), "refs/heads/b".into()))
        );
        let tag = choose(&refs, Some("v1"), None).unwrap();
        assert_eq!(tag.head, Head::Detached("peeled refs/tags/v1".into()));
        let commit = choose(&refs, Some("0123abc"), None).unwrap();
        assert_eq!(commit.head, Head::Detached("peeled 0123abc".into()));
    }

    #[test]
    fn two_remotes_with_the_branch_are_ambiguous_unless_one_is_origin() {
        let both = refs(
            main_branch(),
            &["refs/remotes/origin/a", "refs/remotes/up/stream/a"],
        );
        let chosen = choose(&both, Some("a"), None).unwrap();
        assert_eq!(
            chosen.upstream,
            Some(("origin".into(), "refs/heads/a".into()))
        );
        let remotes = ["x".to_owned(), "y".to_owned()];
        let both = refs(main_branch(), &["refs/remotes/x/a", "refs/remotes/y/a"]);
        let error = select(&both, &remotes, Some("a"), None, |_| Ok(None)).unwrap_err();
        assert!(
            matches!(error, GitError::AmbiguousBranch { remotes, .. } if remotes == ["x", "y"])
        );
    }

    #[test]
    fn an_unknown_branch_lists_near_names() {
        let refs = refs(
            main_branch(),
            &[
                "refs/heads/main",
                "refs/remotes/origin/feature/new-api",
                "refs/heads/zzz",
                "refs/heads/dev",
            ],
        );
        let near_of = |name: &str| match choose(&refs, Some(name), None) {
            Err(GitError::NoSuchBranch { near, .. }) => near,
            other => panic!("{name}: {other:?}"),
        };
        assert_eq!(near_of("dve"), ["dev"]);
        // By the name that git's own commands have for it.
        assert_eq!(near_of("origin/main"), ["main"]);
        assert_eq!(near_of("origin/feature/new-api"), ["feature/new-api"]);
        let error = choose(&refs, Some("feature/new-apy"), None).unwrap_err();
        assert!(
            matches!(&error, GitError::NoSuchBranch { near, .. } if near == &["feature/new-api"]),
            "{error:?}"
        );
    }

    #[test]
    fn a_new_branch_may_not_exist_nor_stand_on_one_that_does() {
        let refs = refs(
            main_branch(),
            &["refs/heads/main", "refs/heads/a/b", "refs/remotes/origin/c"],
        );
        for taken in ["main", "a", "a/b", "a/b/c", "c"] {
            let error = choose(&refs, None, Some(taken)).unwrap_err();
            assert!(
                matches!(error, GitError::BranchExists { same, .. } if same != ["a", "a/b/c"].contains(&taken)),
                "{taken}: {error}"
            );
        }
        let new = choose(&refs, Some("a/b"), Some("ab")).unwrap();
        assert_eq!(new.head.branch(), Some("ab"));
        assert_eq!(new.head.commit(), Some("oid of refs/heads/a/b"));
    }

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
