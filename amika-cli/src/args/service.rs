//! `amika service …`.

use std::str::FromStr;

use clap::Subcommand;
use clap::builder::NonEmptyStringValueParser;

use super::sandbox::ShowLog;

/// Verbs of services.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the services of all sandboxes, with their ports and URLs.
    #[command(visible_alias = "ls")]
    List(ListArgs),
    /// Show what a service that Amika runs has written.
    Logs(LogsArgs),
    /// Start services that Amika runs.
    #[command(
        after_help = "Examples:\n  amika service start teal-tokyo/web\n  amika service start teal-tokyo               all that Amika runs in it"
    )]
    Start(ChangeArgs),
    /// Stop services that Amika runs; the sandbox goes on.
    #[command(
        after_help = "Examples:\n  amika service stop teal-tokyo/web\n  amika service stop teal-tokyo               all that Amika runs in it"
    )]
    Stop(ChangeArgs),
    /// Stop services that Amika runs, and start them again.
    #[command(
        after_help = "Examples:\n  amika service restart teal-tokyo/web\n  amika service restart teal-tokyo               all that Amika runs in it"
    )]
    Restart(ChangeArgs),
}

/// `amika service list`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  amika service list\n  amika service list --sandbox-name teal-tokyo\n  amika service list --all                    with who listens, a line for each port"
)]
pub struct ListArgs {
    /// Only the services of this sandbox.
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub sandbox_name: Option<String>,
    /// Look into the sandboxes: say who listens on each port, and list also ports that no service declares.
    #[arg(short, long)]
    pub all: bool,
}

/// A service of a sandbox, or all of them: `NAME[/SERVICE]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Name of the sandbox.
    pub sandbox: String,
    /// Name of the service; none for all.
    pub service: Option<String>,
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (sandbox, service) = match text.split_once('/') {
            Some((sandbox, service)) => (sandbox, Some(service)),
            None => (text, None),
        };
        if sandbox.is_empty() || service.is_some_and(str::is_empty) {
            return Err("use NAME for all services of a sandbox, or NAME/SERVICE".to_owned());
        }
        Ok(Self {
            sandbox: sandbox.to_owned(),
            service: service.map(str::to_owned),
        })
    }
}

/// `amika service logs`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  amika service logs teal-tokyo\n  amika service logs -f -n 20 teal-tokyo/web"
)]
pub struct LogsArgs {
    /// The sandbox, and which of its services where it runs several.
    #[arg(value_name = "NAME[/SERVICE]")]
    pub target: Target,
    /// How it is shown.
    #[command(flatten)]
    pub show: ShowLog,
}

/// `amika service start`, `stop` and `restart`.
#[derive(Debug, clap::Args)]
pub struct ChangeArgs {
    /// Sandboxes, or single services of them.
    #[arg(value_name = "NAME[/SERVICE]", required = true)]
    pub targets: Vec<Target>,
}
