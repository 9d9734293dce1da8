//! Commits of a sandbox's repository, brought into the repository of this machine that it was made from.
//!
//! Inside, the agent's git lists branches and makes a pack. It may say anything: it is the agent's. Outside,
//! the pack is received under a git directory of ours, beside the repository's objects and apart from them,
//! and looked through there (`receive`). Only what is whole comes into the repository's object store, and
//! only then are refs written, by us (`refs`). Host git never runs in the repository of either side.

mod apply;
mod host;
mod inside;
mod keep;
mod laid;
mod local;
mod name;
mod patch;
mod receive;
mod refs;
mod scratch;
mod send;
mod store;
mod tips;
mod wip;

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::Stream;

pub use apply::Difference;
pub use host::Host;
pub use inside::Inside;
pub use keep::{Keep, Kept, directory_of, wip_name};
pub use name::{BadName, Branch, BranchName, Oid};
pub use patch::{Patch, write as write_patch};
pub use send::{Sent, push};
pub use tips::{ahead, all_tips};
pub use wip::{Left, Wip};

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
pub const PACK: Duration = Duration::from_hours(1);

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

/// Bytes of a program's words that are kept.
const MAX_WORDS: usize = 4096;

/// Keeps what a program said, as much as is told of it.
pub fn keep(words: &mut Vec<u8>, more: &[u8]) {
    let room = MAX_WORDS.saturating_sub(words.len());
    words.extend_from_slice(&more[..more.len().min(room)]);
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

/// Where a sandbox's git can be asked with variables of its own: what is not committed is made a commit beside its repository.
pub trait Beside: Source + Clone {
    /// The same repository, whose git is told this besides.
    #[must_use]
    fn with_environment(self, variables: Vec<(String, String)>) -> Self;
}

/// Where a sandbox's git is given something.
pub trait Sink: Source {
    /// Runs git with a file as its input, of whatever size.
    ///
    /// # Errors
    /// When it cannot be run, or takes longer than [`PACK`].
    fn feed(&self, arguments: &[&str], file: std::fs::File) -> impl Future<Output = Result<Told>>;
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

/// What is to come.
#[derive(Clone, Copy, Debug)]
pub struct Request<'r> {
    /// The sandbox's name.
    pub sandbox: &'r str,
    /// Branches that are to be mirrored: these, or all where none is named; without a list none.
    pub branches: Option<&'r [BranchName]>,
    /// A branch of the repository that is to be made of one of those, or to go on to it.
    pub local: Option<&'r BranchName>,
    /// What is kept under names of its own.
    pub keep: Option<&'r Keep>,
    /// What is laid on the work tree.
    pub apply: Option<&'r Difference>,
    /// What may come.
    pub bounds: Bounds,
}

/// What came.
#[derive(Clone, Debug, Default)]
pub struct Taken {
    /// The branches that are mirrored.
    pub branches: Vec<Pulled>,
    /// The repository's own branch.
    pub local: Option<Pulled>,
    /// What is kept.
    pub kept: Vec<Kept>,
    /// Paths that were laid on the work tree and that direnv, editors or agents of this machine act on; what steers terminals
    /// is escaped.
    pub acted_on: Vec<String>,
}

/// Brings commits into a repository. Nothing is written before all is there and may be.
///
/// # Errors
/// [`Kind::Repository`] when what comes is not what it says, or cannot be received;
/// [`Kind::Conflict`] when refs cannot be written, a branch is checked out or would not go on from where it is, or a
/// difference does not fit.
pub async fn pull<S: Source>(host: &Host, source: &S, request: Request<'_>) -> Result<Taken> {
    let branches = match request.branches {
        Some(wanted) => select(list(source, host).await?, wanted)?,
        None => Vec::new(),
    };
    let remote = directory(request.sandbox);
    let before = refs::Existing::read(host, &remote)?;
    before.room_for(&branches, host.ignores_case)?;
    let local = request
        .local
        .map(|name| local::plan(host, &before, &branches, name));
    let local = local.transpose()?;
    let kept = request.keep.map(|keep| keep.plan(&before));
    let kept = kept.unwrap_or_default();
    let olds: BTreeMap<&BranchName, Oid> = branches
        .iter()
        .filter_map(|branch| Some((&branch.name, before.of(&branch.name)?)))
        .collect();
    let is_same = |branch: &Branch| olds.get(&branch.name) == Some(&branch.tip);
    let changed: Vec<&Branch> = branches.iter().filter(|branch| !is_same(branch)).collect();
    let mut updates: Vec<refs::Update> = (changed.iter())
        .map(|branch| refs::Update {
            name: [remote.as_bytes(), b"/", branch.name.as_bytes()].concat(),
            tip: branch.tip.clone(),
            expected: None,
        })
        .collect();
    updates.extend(local.iter().filter_map(local::Plan::update));
    updates.extend(kept.iter().filter_map(Kept::update));
    let mut forced = Vec::new();
    let mut acted_on = Vec::new();
    if !updates.is_empty() || request.apply.is_some() {
        let tips = wanted_tips(&changed, local.as_ref(), &kept, request.apply);
        let received = receive::receive(host, source, &before, &tips, request.bounds).await?;
        for branch in &changed {
            if let Some(old) = olds.get(&branch.name)
                && !received.goes_on_from(old, &branch.tip).await?
            {
                forced.push(branch.name.clone());
            }
        }
        if let Some(plan) = &local {
            plan.must_go_on(&received).await?;
        }
        let fitting = match request.apply {
            Some(difference) => Some(received.fitting(host, difference).await?),
            None => None,
        };
        received.keep()?;
        refs::write(host, &updates)?;
        if let Some(fitting) = fitting {
            acted_on = fitting.lay().await?;
        }
    }
    let pulled = |branch: &Branch| {
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
    };
    Ok(Taken {
        branches: branches.iter().map(pulled).collect(),
        local: local.map(local::Plan::pulled),
        kept,
        acted_on,
    })
}

/// The commits that have to come, each with what it is called where it does not.
fn wanted_tips(
    changed: &[&Branch],
    local: Option<&local::Plan>,
    kept: &[Kept],
    apply: Option<&Difference>,
) -> Vec<Tip> {
    let mut tips: Vec<Tip> = (changed.iter())
        .map(|branch| Tip::of_branch(&branch.name, &branch.tip))
        .collect();
    tips.extend(local.map(local::Plan::tip));
    tips.extend(kept.iter().map(Kept::tip));
    tips.extend(apply.map(Difference::tip));
    tips
}

/// A commit that has to come.
#[derive(Clone, Debug)]
pub(crate) struct Tip {
    /// What it is, for messages.
    what: String,
    commit: Oid,
}

impl Tip {
    fn of_branch(name: &BranchName, commit: &Oid) -> Self {
        Self {
            what: format!("its branch \"{name}\""),
            commit: commit.clone(),
        }
    }
}

/// The commit that a branch of the sandbox leads to; without one, the one that is checked out.
///
/// # Errors
/// [`Kind::Repository`] where there is none.
pub async fn tip<S: Source>(host: &Host, source: &S, branch: Option<&BranchName>) -> Result<Oid> {
    if let Some(name) = branch {
        let mut branches = select(list(source, host).await?, std::slice::from_ref(name))?;
        if let Some(branch) = branches.pop() {
            return Ok(branch.tip);
        }
    }
    let arguments = ["rev-parse", "--verify", "-q", "HEAD^{commit}"];
    let told = source.git(&arguments, Vec::new(), MAX_LIST).await?;
    let head = Oid::read(told.stdout.trim_ascii(), host.format).filter(|_| told.code == 0);
    head.ok_or_else(|| {
        Error::new(
            Kind::Repository,
            "nothing is committed in the sandbox's repository",
        )
        .hint("commit inside, and pull again; or `--wip` takes what is not committed")
    })
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
