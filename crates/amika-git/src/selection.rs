//! Which branch the sandbox ends up on.

use super::error::GitError;
use super::refs::{Head, Ref, Refs};

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
    use super::super::refs::samples::{main_branch, refs};
    use super::*;

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
}
