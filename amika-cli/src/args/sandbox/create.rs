//! What may be typed for `amika sandbox create`.

use std::path::PathBuf;
use std::time::Duration;

use crate::args::sandbox::duration;
use amika_core::credential::AgentNames;
use amika_core::dotfiles::DotfilesSource;
use amika_core::opencode::OpenCodeStart;
use amika_core::size::Size;
use amika_core::trust::Trust;
use clap::builder::{
    NonEmptyStringValueParser, PossibleValue, PossibleValuesParser, TypedValueParser,
};

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
    /// Agents whose own settings, skills, commands, memory files and MCP servers are copied in, without secrets; without a value, all
    /// that are found, and `none` of none [default: `amika config get agent_config`].
    #[arg(
        long,
        value_name = "claude,codex,opencode",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "all",
        help_heading = "Mounts and credentials"
    )]
    pub agent_config: Option<AgentNames>,
    /// A repository of your dotfiles, which the agent installs before setup: a path or a URL; `none` for none
    /// [default: `amika config get dotfiles`].
    #[arg(
        long,
        value_name = "URL|PATH",
        value_hint = clap::ValueHint::DirPath,
        help_heading = "Mounts and credentials"
    )]
    pub dotfiles: Option<DotfilesSource>,
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
