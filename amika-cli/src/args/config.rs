//! `amika config …`.

use std::path::PathBuf;

use clap::Subcommand;

/// Verbs of a repository's configuration.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Say what `.amika/config.toml` means, and what is wrong with it.
    Check(CheckArgs),
}

/// `amika config check`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  amika config check\n  amika config check ./src -o json\n\nExit codes: 0 all of it applies, 2 it does not, or there is no such file."
)]
pub struct CheckArgs {
    /// The file, or a repository [default: the current one].
    pub path: Option<PathBuf>,
}
