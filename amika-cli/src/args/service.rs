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
    after_help = "Examples:\n  amika service list\n  amika service list --sandbox-name teal-tokyo"
)]
pub struct ListArgs {
    /// Only the services of this sandbox.
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub sandbox_name: Option<String>,
}
