//! `amika sandbox …`.
#![allow(
    clippy::struct_excessive_bools,
    reason = "each is a flag that is there or not: what a command line is"
)]

use std::path::PathBuf;
use std::time::Duration;

use clap::Subcommand;
use clap::builder::NonEmptyStringValueParser;

mod create;
mod daily;
mod inside;
mod look;

pub use create::CreateArgs;
pub use daily::{
    Awaited, CpArgs, DiffArgs, PullArgs, PushArgs, RenameArgs, RestartArgs, StatsArgs, WaitArgs,
};
pub use inside::{ConnectArgs, ExecArgs, JobsArgs, LogsArgs, ShowLog};
pub use look::{CodeArgs, Editor, InspectArgs, ListArgs, PortArgs, UrlArgs};

/// Verbs of sandboxes.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a sandbox and wait until it is ready.
    Create(Box<CreateArgs>),
    /// List sandboxes.
    #[command(visible_aliases = ["ls", "ps"])]
    List(ListArgs),
    /// Show everything about one sandbox.
    Inspect(InspectArgs),
    /// Print the URLs of a sandbox's services.
    Url(UrlArgs),
    /// Print where ports of a sandbox are published.
    Port(PortArgs),
    /// Show a sandbox's log.
    Logs(LogsArgs),
    /// Run a program in a sandbox.
    Exec(ExecArgs),
    /// Open a shell in a sandbox.
    Connect(ConnectArgs),
    /// List what runs in a sandbox without anybody who waits for it, and what ran.
    Jobs(JobsArgs),
    /// Give the agent in a sandbox something to do, and show what it says.
    Prompt(super::agent::PromptArgs),
    /// Open a sandbox's OpenCode in the browser, signed in.
    Open(super::agent::OpenArgs),
    /// Open a sandbox's directory in an editor.
    Code(CodeArgs),
    /// Bring ports of a sandbox to this machine, published or not.
    Forward(super::forward::ForwardArgs),
    /// Start a stopped sandbox; its setup script runs again.
    Start(StartArgs),
    /// Stop running sandboxes.
    Stop(StopArgs),
    /// Stop sandboxes and start them again; their setup scripts run again.
    Restart(RestartArgs),
    /// Give a sandbox another name.
    Rename(RenameArgs),
    /// Wait until a sandbox is ready, has stopped, or listens on a port.
    Wait(WaitArgs),
    /// Copy files between this machine and sandboxes.
    Cp(CpArgs),
    /// Show what changed in a sandbox's repository since it was made.
    Diff(DiffArgs),
    /// Bring a sandbox's work into the repository of this machine that it was made from.
    Pull(PullArgs),
    /// Bring new commits of this machine's repository into a sandbox's.
    Push(PushArgs),
    /// Show what running sandboxes use: processor, memory, network, disk.
    Stats(StatsArgs),
    /// Trust the record of a sandbox that your amika did not make: follow the paths that it names.
    Adopt(AdoptArgs),
    /// Delete sandboxes; their git volumes stay.
    #[command(visible_alias = "rm")]
    Delete(DeleteArgs),
}

/// `amika sandbox start`.
#[derive(Debug, clap::Args)]
#[command(
    override_usage = "amika sandbox start [OPTIONS] <NAME>...\n       amika sandbox start [OPTIONS] --all",
    after_help = "Examples:\n  amika sandbox start teal-tokyo\n  amika sandbox start --all --no-wait\n  amika sandbox start teal-tokyo --skip-setup"
)]
pub struct StartArgs {
    /// Names of sandboxes.
    #[arg(value_name = "NAME", required_unless_present = "all", value_parser = NonEmptyStringValueParser::new())]
    pub names: Vec<String>,
    /// All sandboxes that are stopped; with `restart`, all that run.
    #[arg(long, conflicts_with = "names")]
    pub all: bool,
    /// Do not run the setup script this time.
    #[arg(long, conflicts_with = "setup_script")]
    pub skip_setup: bool,
    /// Use this script from now on.
    #[arg(long, value_name = "FILE")]
    pub setup_script: Option<PathBuf>,
    /// Publish on other host ports where programs took the sandbox's own meanwhile; its files stay.
    #[arg(long)]
    pub reassign_ports: bool,
    /// Return once the container is started.
    #[arg(long)]
    pub no_wait: bool,
    /// Do not wait for services to be up.
    #[arg(long)]
    pub no_wait_services: bool,
    /// How long to wait in all, such as `10m` [default: no limit for setup, 60 s for the rest].
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub timeout: Option<Duration>,
}

/// `amika sandbox stop`.
#[derive(Debug, clap::Args)]
#[command(
    override_usage = "amika sandbox stop [OPTIONS] <NAME>...\n       amika sandbox stop [OPTIONS] --all",
    after_help = "Examples:\n  amika sandbox stop teal-tokyo rose-lima\n  amika sandbox stop --all --timeout 5s"
)]
pub struct StopArgs {
    /// Names of sandboxes.
    #[arg(value_name = "NAME", required_unless_present = "all", value_parser = NonEmptyStringValueParser::new())]
    pub names: Vec<String>,
    /// All running sandboxes.
    #[arg(long, conflicts_with = "names")]
    pub all: bool,
    /// How long programs may take to end before they are killed, such as `5s` [default: 20 s].
    #[arg(short, long, value_name = "DURATION", value_parser = duration)]
    pub timeout: Option<Duration>,
}

/// `amika sandbox adopt`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  amika sandbox adopt teal-tokyo\n  amika sandbox adopt --force teal-tokyo rose-lima\n\nShows what the record says of this machine, and asks. A sandbox needs it that was made by an older\namika, with sudo, or by somebody else, to have its setup script read from this machine again."
)]
pub struct AdoptArgs {
    /// Names of sandboxes.
    #[arg(value_name = "NAME", required = true, value_parser = NonEmptyStringValueParser::new())]
    pub names: Vec<String>,
    /// Do not ask.
    #[arg(short, long, visible_alias = "yes")]
    pub force: bool,
}

/// `amika sandbox delete`.
#[derive(Debug, clap::Args)]
#[command(
    override_usage = "amika sandbox delete [OPTIONS] <NAME>...\n       amika sandbox delete [OPTIONS] --all",
    after_help = "Examples:\n  amika sandbox delete teal-tokyo\n  amika sandbox rm --force --all\n  amika sandbox rm --volumes teal-tokyo      the clone and the work in it too\n  amika sandbox rm --rescue --volumes teal-tokyo   the same, once all work in it is stored here\n\nWhat `--rescue` stores: branches, tags and stashes that this machine has not, and what is not committed with\nfiles that git ignores, below refs/amika/<NAME>-<ID>/ of the repository; other files of the sandbox as a tar\narchive in its git directory. Nothing is deleted where not all of it could be stored. `amika rm` is the same."
)]
pub struct DeleteArgs {
    /// Names of sandboxes.
    #[arg(value_name = "NAME", required_unless_present = "all", value_parser = NonEmptyStringValueParser::new())]
    pub names: Vec<String>,
    /// All sandboxes.
    #[arg(long, conflicts_with = "names")]
    pub all: bool,
    /// Delete without asking, also when work would be lost.
    #[arg(short, long)]
    pub force: bool,
    /// Remove the git volume too. What is in it is lost.
    #[arg(long)]
    pub volumes: bool,
    /// Store all work in it on this machine first, in the repository that the sandbox was made from.
    #[arg(long)]
    pub rescue: bool,
    /// The repository for `--rescue` [default: the one that you stand in where the sandbox was made from it, else the
    /// one that it was made from].
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath, requires = "rescue")]
    pub into: Option<PathBuf>,
}

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    amika_core::duration::parse(text).map_err(|error| error.to_string())
}
