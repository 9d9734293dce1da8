//! `amika credentials …`.

use clap::Subcommand;
use clap::builder::NonEmptyStringValueParser;

/// Verbs of credentials.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show which sign-ins of this machine a new sandbox gets.
    #[command(visible_alias = "ls")]
    List(ListArgs),
    /// Show who has the newer sign-ins, this machine or a sandbox.
    ///
    /// Agents renew their sign-ins by themselves, and a refresh token serves once: after one side
    /// renewed, the other one's copy is worth nothing.
    Status(StatusArgs),
    /// Copy this machine's sign-ins into a sandbox anew; it may run.
    Refresh(RefreshArgs),
    /// Take sign-ins back that a sandbox renewed.
    ///
    /// Only tokens are taken, and only those of the accounts that this machine is signed in to already:
    /// never settings, API keys, providers or addresses of servers, and no token that is said to run out
    /// in more than a year.
    Pull(PullArgs),
}

/// `amika credentials list`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  amika credentials list\n  amika credentials list --credentials claude"
)]
pub struct ListArgs {
    /// Only these agents.
    #[arg(long, value_name = "claude,codex,opencode")]
    pub credentials: Option<String>,
}

/// `amika credentials status`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  amika credentials status\n  amika credentials status teal-tokyo\n  amika -o json credentials status | jq -r '.[] | select(any(.files[]; .state == \"sandbox_newer\")).sandbox'"
)]
pub struct StatusArgs {
    /// Name of the sandbox [default: all, with a line each].
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    pub name: Option<String>,
}

/// `amika credentials refresh`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  amika credentials refresh teal-tokyo --credentials claude")]
pub struct RefreshArgs {
    /// Name of the sandbox.
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    pub name: String,
    /// Agents whose sign-ins are copied [default: those that the sandbox was made with].
    #[arg(long, value_name = "claude,codex,opencode")]
    pub credentials: Option<String>,
    /// Overwrite newer sign-ins of the sandbox too.
    #[arg(short, long)]
    pub force: bool,
}

/// `amika credentials pull`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  amika credentials pull teal-tokyo --credentials codex")]
pub struct PullArgs {
    /// Name of the sandbox.
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    pub name: String,
    /// Agents whose sign-ins are taken [default: all].
    #[arg(long, value_name = "claude,codex,opencode")]
    pub credentials: Option<String>,
    /// Take another account's tokens too, and those whose account cannot be told.
    #[arg(short, long)]
    pub force: bool,
}
