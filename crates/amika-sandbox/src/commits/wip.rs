//! What is not committed in a sandbox, as a commit on top of what is: made inside, by the agent's git, beside its
//! repository, of which neither work tree nor index nor objects are written.

use super::inside::Inside;
use super::name::Oid;
use super::{Beside, MAX_LIST, Source, shown};
use crate::error::{Error, Kind, Result};

/// Makes a place for an index and objects, and prints it with that of the repository's objects. The index is a copy: what
/// git knows of files by it, it need not read again. One that cannot be read is made anew.
const BEGIN: &str = r#"objects=$(cd "$(git rev-parse --git-path objects)" && pwd) || exit 1
index=$(git rev-parse --git-path index)
t=$(mktemp -d) && mkdir "$t/o" || exit 1
cp -p "$index" "$t/i" 2>/dev/null
GIT_INDEX_FILE="$t/i" git ls-files >/dev/null 2>&1 || rm -f "$t/i"
[ -f "$t/i" ] || GIT_INDEX_FILE="$t/i" git read-tree HEAD 2>/dev/null
printf '%s\n%s\n' "$t" "$objects""#;
/// Removes that place.
const END: &str = r#"rm -rf "${GIT_INDEX_FILE%/i}""#;
/// Bytes of a path.
const MAX_PATHS: usize = 8192;

/// Which ignored files belong to it.
#[derive(Clone, Copy)]
pub enum Left<'l> {
    /// None.
    Ignored,
    /// Those for which this holds, by their paths in the repository.
    Where(&'l (dyn Fn(&[u8]) -> bool + Sync)),
}

/// What is not committed.
pub struct Wip<S = Inside> {
    /// The commit that is checked out; none where there is none yet.
    pub head: Option<Oid>,
    /// A commit of all files; none where nothing is not committed.
    pub commit: Option<Oid>,
    /// The tree of all files.
    pub tree: Oid,
    /// The repository, with the objects of that commit.
    pub inside: S,
}

impl<S: Beside> Wip<S> {
    /// Makes the commit. The same files on the same commit make the same one.
    ///
    /// # Errors
    /// [`Kind::Repository`] where the agent's git cannot make it.
    pub async fn of(inside: &S, sandbox: &str, left: Left<'_>) -> Result<Self> {
        let begun = ask(
            inside,
            &["-c", &alias(BEGIN), "amika"],
            Vec::new(),
            MAX_PATHS,
        )
        .await?;
        let paths = std::str::from_utf8(&begun).unwrap_or_default();
        let (Some(place), Some(objects)) = (paths.lines().next(), paths.lines().nth(1)) else {
            return Err(unmade().cause("git names no place for it"));
        };
        let variables = [
            ("GIT_INDEX_FILE", format!("{place}/i")),
            ("GIT_OBJECT_DIRECTORY", format!("{place}/o")),
            ("GIT_ALTERNATE_OBJECT_DIRECTORIES", objects.to_owned()),
        ];
        let variables = variables.map(|(name, value)| (name.to_owned(), value));
        let beside = inside.clone().with_environment(variables.to_vec());
        let made = Self::made(&beside, sandbox, left).await;
        match made {
            Ok((head, commit, tree)) => Ok(Self {
                head,
                commit,
                tree,
                inside: beside,
            }),
            Err(error) => {
                end(&beside).await;
                Err(error)
            }
        }
    }

    /// Removes what was made inside.
    pub async fn end(self) {
        end(&self.inside).await;
    }

    async fn made(
        beside: &S,
        sandbox: &str,
        left: Left<'_>,
    ) -> Result<(Option<Oid>, Option<Oid>, Oid)> {
        let head = revision(beside, "HEAD^{commit}").await?;
        ask(beside, &["add", "-A"], Vec::new(), MAX_PATHS).await?;
        if let Left::Where(is_wanted) = left {
            let list = ["ls-files", "-o", "-i", "--exclude-standard", "-z"];
            let all = ask(beside, &list, Vec::new(), MAX_LIST).await?;
            let mut wanted = Vec::new();
            for path in all.split(|byte| *byte == 0) {
                if !path.is_empty() && !path.ends_with(b"/") && is_wanted(path) {
                    wanted.extend_from_slice(path);
                    wanted.push(0);
                }
            }
            if !wanted.is_empty() {
                let add = ["update-index", "--add", "-z", "--stdin"];
                ask(beside, &add, wanted, MAX_PATHS).await?;
            }
        }
        let tree = ask(beside, &["write-tree"], Vec::new(), MAX_PATHS).await?;
        let tree = Oid::of_any(tree.trim_ascii()).ok_or_else(unmade)?;
        let old = match head {
            Some(_) => revision(beside, "HEAD^{tree}").await?,
            None => None,
        };
        let is_empty = head.is_none()
            && ask(beside, &["ls-files"], Vec::new(), MAX_LIST)
                .await?
                .is_empty();
        if old.as_ref() == Some(&tree) || is_empty {
            return Ok((head, None, tree));
        }
        let time = match &head {
            Some(head) => {
                let show = ["show", "-s", "--format=%ct", head.as_str()];
                let time = ask(beside, &show, Vec::new(), MAX_PATHS).await?;
                String::from_utf8_lossy(&time).trim().parse::<u64>().ok()
            }
            None => None,
        };
        let time = format!("@{} +0000", time.unwrap_or_default());
        let who = ["AUTHOR", "COMMITTER"].into_iter().flat_map(|role| {
            [
                (format!("GIT_{role}_NAME"), "amika".to_owned()),
                (format!("GIT_{role}_EMAIL"), "amika@localhost".to_owned()),
                (format!("GIT_{role}_DATE"), time.clone()),
            ]
        });
        let author = beside.clone().with_environment(who.collect());
        let message = format!("What was not committed in sandbox {sandbox}");
        let mut arguments = vec!["commit-tree", tree.as_str(), "-m", &message];
        if let Some(head) = &head {
            arguments.extend(["-p", head.as_str()]);
        }
        let commit = ask(&author, &arguments, Vec::new(), MAX_PATHS).await?;
        let commit = Oid::of_any(commit.trim_ascii()).ok_or_else(unmade)?;
        Ok((head, Some(commit), tree))
    }
}

async fn end<S: Source>(beside: &S) {
    let removed = ask(beside, &["-c", &alias(END), "amika"], Vec::new(), MAX_PATHS).await;
    if let Err(error) = removed {
        tracing::debug!(?error, "a temporary directory stays in the sandbox");
    }
}

fn alias(script: &str) -> String {
    format!("alias.amika=!{script}")
}

/// The object that a name leads to; none where there is none.
async fn revision<S: Source>(inside: &S, name: &str) -> Result<Option<Oid>> {
    let told = inside
        .git(
            &["rev-parse", "--verify", "-q", name],
            Vec::new(),
            MAX_PATHS,
        )
        .await?;
    Ok(Oid::of_any(told.stdout.trim_ascii()).filter(|_| told.code == 0))
}

async fn ask<S: Source>(
    inside: &S,
    arguments: &[&str],
    input: Vec<u8>,
    limit: usize,
) -> Result<Vec<u8>> {
    let told = inside.git(arguments, input, limit).await?;
    if told.code == 0 {
        return Ok(told.stdout);
    }
    if told.code == 126 || told.code == 127 {
        return Err(unmade()
            .cause("there is no git in the sandbox, or no repository")
            .hint("install git inside, or use an image that has it"));
    }
    let verb = arguments
        .iter()
        .find(|word| !word.starts_with('-') && !word.contains('='));
    Err(unmade().cause(format!(
        "inside, git {} ended with {}: {}",
        verb.unwrap_or(&""),
        told.code,
        shown(&told.stderr)
    )))
}

fn unmade() -> Error {
    Error::new(
        Kind::Repository,
        "what is not committed in the sandbox cannot be made a commit",
    )
}
