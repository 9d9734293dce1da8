//! `amika service …`.

use clap::Subcommand;
use clap::builder::NonEmptyStringValueParser;

/// Verbs of services.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the services of all sandboxes, with their ports and URLs.
    #[command(visible_alias = "ls")]
    List(ListArgs),
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
