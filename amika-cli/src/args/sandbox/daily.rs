//! What may be typed for the verbs of every day: restart, rename, wait, cp, stats.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::builder::NonEmptyStringValueParser;

use amika_core::limit::Memory;

use super::{StartArgs, duration};
use crate::commits::{BadName, BranchName};
use crate::cp::{InvalidPlace, Place};
use crate::wait::Condition;

/// `amika sandbox restart`.
#[derive(Debug, clap::Args)]
#[command(
    override_usage = "amika sandbox restart [OPTIONS] <NAME>...\n       amika sandbox restart [OPTIONS] --all",
    after_help = "Examples:\n  amika sandbox restart teal-tokyo\n  amika sandbox restart --all --no-wait\n\nOne that is stopped is started. The setup script is read anew from this machine, as `start` does."
)]
pub struct RestartArgs {
    /// What holds for the start.
    #[command(flatten)]
    pub start: StartArgs,
    /// How long programs may take to end before they are killed, such as `5s` [default: 20 s].
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub stop_timeout: Option<Duration>,
}

/// `amika sandbox rename`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  amika sandbox rename teal-tokyo parser-rewrite\n\nIt works while the sandbox runs. Inside, the host name and $AMIKA_SANDBOX_NAME stay the old ones,\nand its volumes keep their names: the engine cannot change them."
)]
pub struct RenameArgs {
    /// The sandbox.
    #[arg(value_name = "OLD", value_parser = NonEmptyStringValueParser::new())]
    pub name: String,
    /// Its new name: a-z, 0-9 and `-`, at most 41 characters.
    #[arg(value_name = "NEW")]
    pub new_name: String,
}

/// `amika sandbox wait`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  amika sandbox wait teal-tokyo\n  amika sandbox wait teal-tokyo --for port:3000 --timeout 2m\n  amika sandbox wait teal-tokyo --for stopped             prints CMD's exit code\n  amika sandbox wait teal-tokyo --for job:9f86d081884c7d65\n\nExit codes: 0 it came true, 3 no such sandbox or job, 4 it does not run, 20 setup script failed,\n21 not in time, 130 interrupted; of a job that ended, the job's own, 128+n for a signal."
)]
pub struct WaitArgs {
    /// Name of the sandbox.
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    pub name: String,
    /// What to wait for: `ready` (setup succeeded, CMD runs), `stopped`, `port:PORT[/udp]`
    /// (a program in the sandbox listens there), or `job:ID` (it ended).
    #[arg(
        long = "for",
        value_name = "CONDITION",
        default_value = "ready",
        value_parser = Awaited::from_str
    )]
    pub condition: Awaited,
    /// How long to wait, such as `10m`; `0` looks once [default: no limit; for `ready` 60 s besides setup].
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub timeout: Option<Duration>,
}

/// What is waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Awaited {
    /// Something of the sandbox.
    Sandbox(Condition),
    /// The end of a job, by its id.
    Job(String),
}

impl std::fmt::Display for Awaited {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sandbox(condition) => condition.fmt(f),
            Self::Job(id) => write!(f, "job:{id}"),
        }
    }
}

impl FromStr for Awaited {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix("job:") {
            Some("") => Err("use job:ID with an id of `amika sandbox jobs`".into()),
            Some(id) => Ok(Self::Job(id.to_owned())),
            None => text
                .parse()
                .map(Self::Sandbox)
                .map_err(|why: String| format!("{why}, or job:ID")),
        }
    }
}

/// `amika sandbox cp`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  amika sandbox cp notes.md teal-tokyo:docs/            into the agent's directory\n  amika sandbox cp teal-tokyo:target/report.html .\n  amika sandbox cp ./fixtures/. teal-tokyo:/tmp/data    what is in the directory\n  amika sandbox cp teal-tokyo:~/.bashrc rose-lima:~/    from one sandbox to another\n  amika sandbox cp teal-tokyo:src - | tar -t            a tar archive\n  tar -c src | amika sandbox cp - teal-tokyo:/tmp\n\nPaths in a sandbox are relative to the agent's directory, `~` is its home. A destination that is a\ndirectory is copied into, one that is not there becomes the copy, as with `docker cp`. Stopped\nsandboxes are copied from and to as well. What comes into a sandbox belongs to its agent, what comes\nout to you. Out of a sandbox come files, directories and links within the copy; devices, set-user-id\nbits and links that could lead elsewhere are left out, with a warning. Git directories are made inert:\ntheir configuration is written anew without what names programs, hooks are left out. A tar archive (`-`)\nis as the sandbox has it: unpack it with care."
)]
pub struct CpArgs {
    /// What to copy: PATH, NAME:PATH, or `-` for a tar archive on standard input.
    #[arg(value_name = "SOURCE", value_parser = place)]
    pub source: Place,
    /// Where to: PATH, NAME:PATH, or `-` for a tar archive on standard output.
    #[arg(value_name = "DESTINATION", value_parser = place)]
    pub destination: Place,
    /// Copy git directories out of a sandbox as they are: git on this machine will run what they name.
    #[arg(long)]
    pub as_is: bool,
}

fn place(text: &str) -> Result<Place, InvalidPlace> {
    text.parse()
}

/// `amika sandbox pull`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  amika sandbox pull teal-tokyo                    all branches\n  amika sandbox pull teal-tokyo main try-it        these\n  amika sandbox pull teal-tokyo --branch try-it    and my branch try-it goes on to the sandbox's\n  amika sandbox pull teal-tokyo --wip              what is not committed, too, as a commit\n  amika sandbox pull teal-tokyo --apply            what is not committed, onto my work tree\n  amika sandbox pull teal-tokyo --patch fix.mbox   as mails for `git am`, and nothing else\n  amika sandbox pull --all                         of all sandboxes of this repository\n\nBranches become refs/remotes/amika-<NAME>/*, a mirror of those in the sandbox, in the repository that it was\nmade from: `git log main..amika-teal-tokyo/main` shows what is new, `git merge` takes it. Index, work tree,\nHEAD, configuration and hooks stay as they are. Of a sandbox that does not run, git is asked in a container\nof its image that has the repository and no network. What comes is looked through before it is let in, and\nno git of this machine runs in the sandbox's repository.\n\nWhat `--wip` takes is kept below refs/amika/, where nothing is ever overwritten. `--apply` changes nothing\nwhere not all of it fits.\n\nWith `--remote` the sandbox must run, and you stand in a clone of what it was made from or name one.\n\nExit codes: 3 no such sandbox, 4 it has no repository or was made from another one, a branch is checked out\nor would lose commits, a difference does not fit; 7 here is no repository, what comes is not whole or not a\nrepository's, or this one cannot take it."
)]
pub struct PullArgs {
    /// Name of the sandbox.
    #[arg(value_parser = NonEmptyStringValueParser::new(), required_unless_present = "all")]
    pub name: Option<String>,
    /// Branches to pull [default: all].
    #[arg(value_name = "BRANCH", value_parser = branch)]
    pub branches: Vec<BranchName>,
    /// The repository of this machine, or a clone of the URL that the sandbox was made from [default: the one that
    /// you stand in where it is one of these, else the one that the sandbox was made from].
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    pub into: Option<PathBuf>,
    /// Make this branch here of the sandbox's of the same name, or of the only one that is pulled; one that is here
    /// goes on to it, unless it is checked out or has other commits.
    #[arg(long, value_name = "BRANCH", value_parser = branch)]
    pub branch: Option<BranchName>,
    /// Take what is not committed, too, as a commit at refs/amika/<NAME>-<ID>/wip.
    #[arg(long)]
    pub wip: bool,
    /// Write commits since the sandbox was made as mails into a file, and nothing into the repository; with `--wip`
    /// one patch with what is not committed.
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath, conflicts_with_all = ["branch", "apply"])]
    pub patch: Option<PathBuf>,
    /// Lay what is not committed on the work tree here, all of it or nothing.
    #[arg(long)]
    pub apply: bool,
    /// Pull from all sandboxes that were made from this repository, and show which is ahead by what.
    #[arg(long, conflicts_with_all = ["name", "branch", "wip", "patch", "apply"])]
    pub all: bool,
    /// Bytes that the sandbox may send, such as `500m`.
    #[arg(long, value_name = "SIZE", default_value = "4g", value_parser = Memory::from_str)]
    pub max_size: Memory,
}

/// `amika sandbox diff`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  amika sandbox diff teal-tokyo\n  amika sandbox diff teal-tokyo --stat\n  amika sandbox diff teal-tokyo src ':!*.lock'\n  amika sandbox diff teal-tokyo >work.patch          for `git apply`\n  amika -o json sandbox diff teal-tokyo | jq '.files[].path'\n\nAll that the sandbox's repository has and did not begin with: what is committed since on what is checked\nout, what is not, and files that git does not know yet; not what it ignores. The git inside tells it, as\nthe agent; of a sandbox that does not run, in a container of its image that has the repository and no\nnetwork. On a terminal it comes through your pager (`git var GIT_PAGER`), and nothing in it but colours\nsteers the terminal; a file or a pipe gets it byte by byte.\n\nExit codes: 3 no such sandbox, 4 it has no repository, 7 git inside cannot tell."
)]
pub struct DiffArgs {
    /// Name of the sandbox.
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    pub name: String,
    /// Only these paths of the repository, as git reads them.
    #[arg(value_name = "PATH", value_hint = clap::ValueHint::Other)]
    pub paths: Vec<String>,
    /// Which files, and how much in each.
    #[arg(long, conflicts_with = "name_only")]
    pub stat: bool,
    /// Which files.
    #[arg(long)]
    pub name_only: bool,
}

/// `amika sandbox push`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  amika sandbox push teal-tokyo                the branch that is checked out here\n  amika sandbox push teal-tokyo main\n  amika sandbox push teal-tokyo main --checkout\n\nThe sandbox's git fetches the branch as refs/remotes/amika-host/BRANCH: its agent sees it with `git log\namika-host/main` and merges it. Its branches, index and work tree stay as they are. With `--checkout` its own\nbranch of that name is checked out and goes on to it, where nothing is uncommitted and nothing would be left\nbehind. With `--remote` you stand in a clone of what it was made from, or name one with `--from`.\n\nExit codes: 3 no such sandbox, 4 it does not run, has no repository or was made from another one, its work\ntree is not clean or its branch has other commits; 7 here is no such branch, or its git does not take it."
)]
pub struct PushArgs {
    /// Name of the sandbox.
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    pub name: String,
    /// The branch of this machine's repository [default: the one that is checked out].
    #[arg(value_name = "BRANCH", value_parser = branch)]
    pub branch: Option<BranchName>,
    /// Check the sandbox's branch of that name out, and bring it on to the commit.
    #[arg(long)]
    pub checkout: bool,
    /// The repository of this machine [default: the one that you stand in where the sandbox was made from it, else the
    /// one that it was made from].
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    pub from: Option<PathBuf>,
}

fn branch(text: &str) -> Result<BranchName, BadName> {
    text.parse()
}

/// `amika sandbox stats`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  amika sandbox stats                       all that run, until Ctrl-C\n  amika sandbox stats teal-tokyo --no-stream\n  amika -o json sandbox stats | jq -c '{sandbox, memory_bytes}'\n\nWith `-o json` each sample is a line of its own; with `--no-stream` there is one document."
)]
pub struct StatsArgs {
    /// Names of sandboxes [default: all that run].
    #[arg(value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub names: Vec<String>,
    /// One look, then the end.
    #[arg(long)]
    pub no_stream: bool,
}
