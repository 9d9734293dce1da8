//! Commits of a sandbox's repository, brought into the repository of this machine that it was made from.
//!
//! Inside, the agent's git lists branches and makes a pack. It may say anything: it is the agent's. Outside,
//! the pack is received under a git directory of ours, beside the repository's objects and apart from them,
//! and looked through there (`receive`). Only what is whole comes into the repository's object store, and
//! only then are refs written, by us (`refs`). Host git never runs in the repository of either side.

mod host;
mod inside;
mod name;
mod receive;
mod refs;
mod scratch;
mod store;

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::Stream;

pub use host::Host;
pub use inside::Inside;
pub use name::{BadName, Branch, BranchName, Oid};

use crate::error::{Error, Kind, Result};
use amika_core::untrusted::Untrusted;

/// Bytes of a list of branches that are read.
const MAX_LIST: usize = 4 << 20;
/// Branches of a sandbox, at most.
const MAX_BRANCHES: usize = 10_000;
/// Characters of foreign text that are shown.
const MAX_SHOWN: usize = 200;
/// How long the agent's git may take for an answer.
pub const ANSWER: Duration = Duration::from_mins(2);
/// How long a question to the host's own git may take that looks through a pack.
const PACK: Duration = Duration::from_hours(1);

/// What a pull may take.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Bytes of the pack.
    pub max_size: u64,
    /// How long the agent's git may send nothing of it: it compresses before the first byte.
    pub silent: Duration,
    /// How long it may take from its first byte to its last, whatever comes.
    pub total: Duration,
}

impl Bounds {
    /// Those for a pack of so many bytes.
    pub fn of(max_size: u64) -> Self {
        Self {
            max_size,
            silent: amika_git::SILENT,
            total: PACK,
        }
    }
}

/// What a program of a sandbox's said.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// Its exit code.
    pub code: i64,
    /// Its standard output, as far as it was read.
    pub stdout: Vec<u8>,
    /// Its standard error, as far as it was read.
    pub stderr: Vec<u8>,
}

/// A piece of a program's output.
#[derive(Clone, Debug)]
pub enum Piece {
    /// Of its standard output.
    Data(bytes::Bytes),
    /// It ended.
    End(Told),
}

/// Where a sandbox's git is asked.
pub trait Source {
    /// Runs git with these arguments and this input, and reads at most `limit` bytes of what it says.
    ///
    /// # Errors
    /// When it cannot be run, says more, or takes longer than [`ANSWER`].
    fn git(
        &self,
        arguments: &[&str],
        input: Vec<u8>,
        limit: usize,
    ) -> impl Future<Output = Result<Told>>;

    /// Runs git and passes on what it writes, to its end.
    ///
    /// # Errors
    /// When it cannot be run.
    fn stream(
        &self,
        arguments: &[&str],
        input: Vec<u8>,
    ) -> impl Future<Output = Result<std::pin::Pin<Box<dyn Stream<Item = Result<Piece>> + Send>>>>;
}

/// What becomes of a branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The repository did not have it.
    New,
    /// It goes on from what the repository had.
    Updated,
    /// It does not go on from what the repository had.
    Forced,
    /// It is as it was.
    Unchanged,
}

/// A branch that was pulled.
#[derive(Clone, Debug)]
pub struct Pulled {
    /// Its name in the sandbox.
    pub branch: BranchName,
    /// The commit that the repository had of it.
    pub old: Option<Oid>,
    /// The commit that it has now.
    pub new: Oid,
    /// How the two stand to each other.
    pub change: Change,
}

/// The directory of refs that a sandbox's branches have in a repository of this machine.
pub fn directory(sandbox: &str) -> String {
    format!("refs/remotes/amika-{sandbox}")
}

/// Pulls branches: all, or those that are named.
///
/// # Errors
/// [`Kind::Repository`] when what comes is not what it says, or cannot be received;
/// [`Kind::Conflict`] when refs cannot be written.
pub async fn pull<S: Source>(
    host: &Host,
    source: &S,
    sandbox: &str,
    wanted: &[BranchName],
    bounds: Bounds,
) -> Result<Vec<Pulled>> {
    let branches = select(list(source, host).await?, wanted)?;
    let remote = directory(sandbox);
    let before = refs::Existing::read(host, &remote)?;
    before.room_for(&branches, host.ignores_case)?;
    let olds: BTreeMap<&BranchName, Oid> = branches
        .iter()
        .filter_map(|branch| Some((&branch.name, before.of(&branch.name)?)))
        .collect();
    let is_same = |branch: &Branch| olds.get(&branch.name) == Some(&branch.tip);
    let changed: Vec<&Branch> = branches.iter().filter(|branch| !is_same(branch)).collect();
    let mut forced = Vec::new();
    if !changed.is_empty() {
        let received = receive::receive(host, source, &before, &changed, bounds).await?;
        for branch in &changed {
            if let Some(old) = olds.get(&branch.name)
                && !received.goes_on_from(old, &branch.tip).await?
            {
                forced.push(branch.name.clone());
            }
        }
        received.keep()?;
        refs::write(host, &remote, &changed)?;
    }
    Ok(branches
        .iter()
        .map(|branch| {
            let old = olds.get(&branch.name).cloned();
            let change = match &old {
                None => Change::New,
                Some(old) if *old == branch.tip => Change::Unchanged,
                Some(_) if forced.contains(&branch.name) => Change::Forced,
                Some(_) => Change::Updated,
            };
            Pulled {
                branch: branch.name.clone(),
                old,
                new: branch.tip.clone(),
                change,
            }
        })
        .collect())
}

/// The branches that a sandbox's git tells of.
async fn list<S: Source>(source: &S, host: &Host) -> Result<Vec<Branch>> {
    let arguments = [
        "for-each-ref",
        "--format=%(objectname) %(refname)",
        "refs/heads",
    ];
    let told = source.git(&arguments, Vec::new(), MAX_LIST).await?;
    if told.code != 0 {
        return Err(no_list(&told));
    }
    let mut branches: Vec<Branch> = Vec::new();
    for line in told.stdout.split(|byte| *byte == b'\n') {
        if line.is_empty() {
            continue;
        }
        let branch = Branch::read(line, host.format).map_err(|why| {
            Error::new(
                Kind::Repository,
                format!("the sandbox's git tells of a branch that is none: {why}"),
            )
            .cause(shown(line))
            .hint("nothing was taken; `amika sandbox exec NAME -- git for-each-ref` shows what it tells")
        })?;
        if branches.len() == MAX_BRANCHES {
            return Err(Error::new(
                Kind::Repository,
                format!("the sandbox has more than {MAX_BRANCHES} branches"),
            )
            .hint("delete those that are done with, inside"));
        }
        branches.push(branch);
    }
    branches.sort_by(|one, other| one.name.cmp(&other.name));
    if branches.windows(2).any(|two| two[0].name == two[1].name) {
        return Err(Error::new(
            Kind::Repository,
            "the sandbox's git tells of one branch twice",
        ));
    }
    Ok(branches)
}

fn no_list(told: &Told) -> Error {
    let error = Error::new(
        Kind::Repository,
        "the branches of the sandbox's repository cannot be listed",
    );
    if told.code == 126 || told.code == 127 {
        return error
            .cause("there is no git in the sandbox, or no repository")
            .hint("install git inside, or use an image that has it");
    }
    error.cause(format!(
        "git ended with {}: {}",
        told.code,
        shown(&told.stderr)
    ))
}

/// Those that are wanted, or all.
fn select(branches: Vec<Branch>, wanted: &[BranchName]) -> Result<Vec<Branch>> {
    if wanted.is_empty() {
        if branches.is_empty() {
            return Err(Error::new(
                Kind::Repository,
                "the sandbox's repository has no branch with a commit",
            )
            .hint("commit inside, and pull again"));
        }
        return Ok(branches);
    }
    for name in wanted {
        if branches.iter().all(|branch| branch.name != *name) {
            let text = name.to_string();
            let names: Vec<String> = branches.iter().map(|it| it.name.to_string()).collect();
            let error = Error::new(
                Kind::Repository,
                format!("the sandbox has no branch \"{text}\""),
            );
            let near = amika_core::nearest::nearest(&text, names.iter().map(String::as_str));
            return Err(match near {
                Some(near) => error.hint(format!("did you mean \"{near}\"?")),
                None => error.hint("without a branch all are pulled"),
            });
        }
    }
    let is_wanted = |branch: &Branch| wanted.contains(&branch.name);
    Ok(branches.into_iter().filter(is_wanted).collect())
}

/// Foreign text, as it can be shown.
pub fn shown(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let text = text.trim();
    Untrusted::new(text).within(MAX_SHOWN).to_string()
}

#[cfg(test)]
mod tests;
