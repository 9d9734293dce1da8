//! `amika sandbox …`.
#![allow(
    clippy::struct_excessive_bools,
    reason = "each is a flag that is there or not: what a command line is"
)]

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use amika_core::opencode::OpenCodeStart;
use amika_core::size::Size;
use amika_core::trust::Trust;
use clap::Subcommand;
use clap::builder::{
    NonEmptyStringValueParser, PossibleValue, PossibleValuesParser, TypedValueParser,
};

use super::moment::Moment;

mod daily;
mod look;

pub use daily::{
    Awaited, CpArgs, DiffArgs, PullArgs, PushArgs, RenameArgs, RestartArgs, StatsArgs, WaitArgs,
};
pub use look::{InspectArgs, ListArgs, PortArgs, UrlArgs};

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

/// `amika sandbox create`.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(
    group(clap::ArgGroup::new("repository").args(["git", "from_volume"])),
    after_help = "Examples:\n  amika sandbox create --git\n  amika sandbox create --name dev-box --setup-script ./install-deps.sh\n  amika sandbox create --git ./src --port 5432:5432 --env DATABASE_URL\n  amika sandbox create --image debian:trixie -- sleep infinity\n  amika sandbox create --from-volume amika-git-teal-tokyo-app-202601011200004e1b\n\nExit codes: 2 bad arguments, 4 name or port taken, 5 engine not reachable, 6 no such image,\n7 repository, 20 setup script failed (the sandbox stays), 21 not ready in time, 130 interrupted."
)]
pub struct CreateArgs {
    /// Name of the sandbox: a-z, 0-9 and `-`, at most 41 characters [default: a colour and a city].
    #[arg(long)]
    pub name: Option<String>,
    /// Preset image: `coder`, or `coder-dind` with an engine of its own inside.
    #[arg(long, conflicts_with = "image")]
    pub preset: Option<String>,
    /// Any other image; it needs neither a shell nor a libc.
    #[arg(long)]
    pub image: Option<String>,

    /// Clone a repository: the current one, the one that contains PATH, or URL.
    #[arg(long, value_name = "PATH|URL", num_args = 0..=1, default_missing_value = ".", value_parser = NonEmptyStringValueParser::new(), help_heading = "Repository")]
    pub git: Option<String>,
    /// Branch, tag or commit to start on.
    #[arg(
        long,
        value_name = "BRANCH",
        requires = "git",
        help_heading = "Repository"
    )]
    pub branch: Option<String>,
    /// Make this branch and start on it.
    #[arg(
        long,
        value_name = "NAME",
        requires = "git",
        help_heading = "Repository"
    )]
    pub new_branch: Option<String>,
    /// Take staged, changed, untracked and deleted files along too, not only what is committed.
    #[arg(long, requires = "git", help_heading = "Repository")]
    pub no_clean: bool,
    /// With --no-clean: take ignored files along too.
    #[arg(long, requires = "no_clean", help_heading = "Repository")]
    pub include_ignored: bool,

    /// Go on with the work that a deleted sandbox left in a volume; `amika volume list` shows them.
    #[arg(long, value_name = "VOLUME", conflicts_with = "git", value_parser = NonEmptyStringValueParser::new(), help_heading = "Repository")]
    pub from_volume: Option<String>,

    /// Mount a path of this machine: read-only, writable, or as a copy [default: rwcopy]. Repeatable.
    #[arg(
        long,
        value_name = "SOURCE:TARGET[:ro|rw|rwcopy]",
        help_heading = "Mounts and credentials"
    )]
    pub mount: Vec<String>,
    /// Let the sandbox change .git, .amika, .envrc, .vscode and .idea in rw mounts: git, direnv and editors on
    /// this machine run what they name.
    #[arg(long, help_heading = "Mounts and credentials")]
    pub writable_git: bool,
    /// With rw mounts: let the sandbox make set-user-id programs and devices, which may count on this machine.
    #[arg(long, help_heading = "Mounts and credentials")]
    pub allow_setid: bool,
    /// Mount a volume of the engine. Repeatable.
    #[arg(
        long,
        value_name = "NAME:TARGET[:ro|rw]",
        help_heading = "Mounts and credentials"
    )]
    pub volume: Vec<String>,
    /// Agents whose sign-ins are copied in; without a value, all that are found [default: all that are
    /// found, of a repository by URL once it is trusted].
    #[arg(
        long,
        value_name = "claude,codex,opencode",
        num_args = 0..=1,
        default_missing_value = "claude,codex,opencode",
        help_heading = "Mounts and credentials"
    )]
    pub credentials: Option<String>,
    /// Copy no sign-ins.
    #[arg(
        long,
        conflicts_with = "credentials",
        help_heading = "Mounts and credentials"
    )]
    pub no_credentials: bool,
    /// Trust the repository this once: its configuration applies and sign-ins go in, unasked. `ask` and
    /// `never` are the other settings [default: `amika config get trust`].
    #[arg(
        long,
        value_name = "auto|ask|never",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "auto",
        value_parser = trust(),
        requires = "repository",
        help_heading = "Mounts and credentials"
    )]
    pub trust: Option<Trust>,

    /// Script that must exit 0 before CMD starts; runs as root at every start.
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with = "no_setup",
        help_heading = "Setup"
    )]
    pub setup_script: Option<PathBuf>,
    /// Skip the script on later starts, as long as it does not change.
    #[arg(long, help_heading = "Setup")]
    pub setup_once: bool,
    /// No setup script; the repository's image, preset and environment are left out too.
    #[arg(long, help_heading = "Setup")]
    pub no_setup: bool,

    /// Environment variable; without a value, the one of this shell. Repeatable.
    #[arg(long, value_name = "KEY[=VALUE]", help_heading = "Environment")]
    pub env: Vec<String>,
    /// File of environment variables, as docker reads it. Repeatable.
    #[arg(long, value_name = "FILE", help_heading = "Environment")]
    pub env_file: Vec<PathBuf>,

    /// When the OpenCode web server is started: by itself once setup is done with, with the first connection to
    /// its port, or never [default: auto].
    #[arg(long, value_name = "auto|on-demand|off", value_parser = opencode(), help_heading = "Environment")]
    pub opencode: Option<OpenCodeStart>,

    /// Publish a port; without a host port the system chooses one. Repeatable.
    #[arg(
        short,
        long,
        value_name = "[[HOST_IP:]HOST_PORT:]PORT[/PROTOCOL]",
        help_heading = "Network"
    )]
    pub port: Vec<String>,
    /// Host address that ports are published on.
    #[arg(
        long,
        value_name = "IP",
        default_value = "127.0.0.1",
        help_heading = "Network"
    )]
    pub port_host_ip: String,
    /// Publish the OpenCode web server on --port-host-ip in place of 127.0.0.1.
    #[arg(long, help_heading = "Network")]
    pub expose_opencode: bool,
    /// Network to join: `none`, `internal` (nothing but the sandbox itself is reached), or one of the engine
    /// [default: a bridge on which sandboxes do not reach each other].
    #[arg(long, help_heading = "Network")]
    pub network: Option<String>,

    /// Give a capability such as `NET_RAW`, or `ALL`; docs/isolation.md says what fails without which.
    /// Repeatable.
    #[arg(long, value_name = "NAME", help_heading = "Rights")]
    pub cap_add: Vec<String>,
    /// Run the container of the preset `coder-dind` privileged: with all of the host's devices and all
    /// capabilities. What is started with `docker run --privileged` inside needs it, nothing else does.
    #[arg(long, help_heading = "Rights")]
    pub privileged: bool,

    /// With --remote: how much it may use, of CPUs and GiB of memory.
    #[arg(long, value_parser = size(), help_heading = "Limits")]
    pub size: Option<Size>,
    /// CPUs it may use, such as `1.5`.
    #[arg(long, value_name = "N", help_heading = "Limits")]
    pub cpus: Option<String>,
    /// Memory it may use, such as `4g`, or `unlimited` [default: three quarters of the engine's].
    #[arg(long, value_name = "BYTES", help_heading = "Limits")]
    pub memory: Option<String>,
    /// Processes and threads it may have, or `unlimited` [default: 4096].
    #[arg(
        long,
        value_name = "N",
        allow_hyphen_values = true,
        help_heading = "Limits"
    )]
    pub pids: Option<String>,
    /// Give the agent a user id of its own, not 1000, with whom quotas of the kernel are shared.
    #[arg(long, help_heading = "Limits")]
    pub own_uid: bool,

    /// Delete a sandbox of the same name first; its git volume stays.
    #[arg(long)]
    pub replace: bool,
    /// Show what would be made, and make nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Open a shell once it is ready.
    #[arg(long, conflicts_with_all = ["no_wait", "dry_run"])]
    pub connect: bool,
    /// Return once the container is started.
    #[arg(long)]
    pub no_wait: bool,
    /// Do not wait for services to be up.
    #[arg(long)]
    pub no_wait_services: bool,
    /// How long to wait in all, such as `10m` [default: no limit for setup, 60 s for the rest].
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub timeout: Option<Duration>,

    /// What to run in it, in place of the image's CMD.
    #[arg(last = true, value_name = "CMD")]
    pub command: Vec<String>,
}

/// Reads a size, and shows what each comes to.
fn size() -> impl TypedValueParser<Value = Size> {
    let words = Size::ALL.map(|size| PossibleValue::new(size.as_str()).help(size.sentence()));
    PossibleValuesParser::new(words).try_map(|word| word.parse::<Size>())
}

/// Reads when OpenCode is started.
fn opencode() -> impl TypedValueParser<Value = OpenCodeStart> {
    PossibleValuesParser::new(OpenCodeStart::ALL.map(OpenCodeStart::as_str))
        .try_map(|word| word.parse::<OpenCodeStart>())
}

/// Reads a setting of trust.
fn trust() -> impl TypedValueParser<Value = Trust> {
    PossibleValuesParser::new(Trust::ALL.map(Trust::as_str)).try_map(|word| word.parse::<Trust>())
}

/// `amika sandbox logs`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  amika sandbox logs -f teal-tokyo\n  amika sandbox logs teal-tokyo --setup --tail 50\n  amika sandbox logs -f teal-tokyo --job 9f86d081884c7d65"
)]
pub struct LogsArgs {
    /// Name of the sandbox.
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    pub name: String,
    /// Output of the setup script, also of a stopped sandbox.
    #[arg(long, group = "which")]
    pub setup: bool,
    /// Output of the OpenCode web server.
    #[arg(long, group = "which")]
    pub opencode: bool,
    /// Output of the Docker Engine inside (preset `coder-dind`).
    #[arg(long, group = "which")]
    pub dockerd: bool,
    /// The daemon's own log.
    #[arg(long, group = "which")]
    pub amikad: bool,
    /// What a job wrote (`amika sandbox jobs`).
    #[arg(long, value_name = "ID", group = "which")]
    pub job: Option<String>,
    /// How it is shown.
    #[command(flatten)]
    pub show: ShowLog,
    /// Only what was written in the last while, such as `10m`, or since a time (RFC 3339, a date, Unix seconds);
    /// not for --setup, --opencode, --dockerd, --amikad, --job.
    #[arg(long, value_name = "TIME", value_parser = Moment::from_str, conflicts_with = "which")]
    pub since: Option<Moment>,
}

/// How a log is shown.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct ShowLog {
    /// Go on as more is written.
    #[arg(short, long)]
    pub follow: bool,
    /// Pass the log on byte by byte to a terminal too, with whatever steers it.
    #[arg(long)]
    pub raw: bool,
    /// Only the last lines.
    #[arg(short = 'n', long, value_name = "LINES|all", value_parser = Tail::from_str)]
    pub tail: Option<Tail>,
}

impl ShowLog {
    /// How many lines are asked for; none are all.
    pub fn lines(&self) -> Option<usize> {
        self.tail.and_then(|Tail(lines)| lines)
    }
}

/// How many of the last lines; none are all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tail(pub Option<usize>);

impl FromStr for Tail {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(lines) => Ok(Self(Some(lines))),
            Err(_) if text == "all" => Ok(Self(None)),
            Err(_) => Err("use a number of lines, or all".into()),
        }
    }
}

/// `amika sandbox exec`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  amika sandbox exec teal-tokyo -- git status\n  tar c . | amika sandbox exec teal-tokyo -- tar x\n  amika sandbox exec -d teal-tokyo -- cargo test\n\nWith -d it prints the id of a job, for `amika sandbox logs NAME --job ID` and `amika sandbox wait NAME --for job:ID`.\n\nThe exit code is the program's; 125 when amika failed itself, 126 not executable, 127 not found."
)]
pub struct ExecArgs {
    /// Name of the sandbox.
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    pub name: String,
    /// User to run as [default: the agent].
    #[arg(short, long)]
    pub user: Option<String>,
    /// Directory to start in [default: the agent's].
    #[arg(short, long, value_name = "DIR")]
    pub workdir: Option<String>,
    /// Environment variable; without a value, the one of this shell. Repeatable.
    #[arg(short, long, value_name = "KEY[=VALUE]")]
    pub env: Vec<String>,
    /// Give the program a terminal.
    #[arg(short, long)]
    pub tty: bool,
    /// Pass standard input on, which is done in any case.
    #[arg(short, long)]
    pub interactive: bool,
    /// Start the program as a job, print its id, and do not wait for it. It reads nothing, and ends with the sandbox.
    #[arg(short, long, conflicts_with_all = ["tty", "interactive"])]
    pub detach: bool,
    /// Program and arguments.
    #[arg(
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "CMD"
    )]
    pub command: Vec<String>,
}

/// `amika sandbox jobs`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  amika sandbox jobs teal-tokyo\n  amika sandbox jobs teal-tokyo --stop 9f86d081884c7d65\n  amika sandbox jobs teal-tokyo --stop 9f86d081884c7d65 --signal INT\n  amika -o json sandbox jobs teal-tokyo | jq -r '.[] | select(.state == \"running\").id'\n\nJobs are started by `amika sandbox exec -d` and `amika sandbox prompt -d`. They end with the sandbox, and the\nlast 32 that ended are kept until then."
)]
pub struct JobsArgs {
    /// Name of the sandbox.
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    pub name: String,
    /// End this job, and wait until it ended: SIGTERM to all its processes, SIGKILL after a grace. Repeatable.
    #[arg(long, value_name = "ID", value_parser = NonEmptyStringValueParser::new())]
    pub stop: Vec<String>,
    /// Send this signal in place of SIGTERM, and wait for nothing.
    #[arg(long, value_name = "SIGNAL", requires = "stop", value_parser = NonEmptyStringValueParser::new())]
    pub signal: Option<String>,
}

/// `amika sandbox connect`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  amika sandbox connect teal-tokyo\n  amika sandbox connect teal-tokyo --root\n  amika sandbox connect teal-tokyo --session work    stays when the connection is lost\n  amika sandbox connect teal-tokyo --rescue     its setup script fails: look inside\n\nThe exit code is the shell's; 125 when amika failed itself."
)]
pub struct ConnectArgs {
    /// Name of the sandbox.
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    pub name: String,
    /// Start a stopped sandbox without its setup script and without CMD, to mend it; it is stopped
    /// again when the shell ends.
    #[arg(long)]
    pub rescue: bool,
    /// As root.
    #[arg(long)]
    pub root: bool,
    /// A shell that stays when this terminal or the connection goes away, until it ends by itself or with the sandbox:
    /// the same name finds it again, with what it showed last.
    #[arg(long, value_name = "SESSION", value_parser = session, conflicts_with_all = ["rescue", "root"])]
    pub session: Option<String>,
}

fn session(text: &str) -> Result<String, &'static str> {
    if amika_core::wire::is_terminal_name(text) {
        Ok(text.to_owned())
    } else {
        Err("use 1 to 64 of letters, digits, - and _")
    }
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
