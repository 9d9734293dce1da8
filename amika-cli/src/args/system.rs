//! `amika system …`.

use clap::Subcommand;

/// Verbs about the engine as Amika uses it.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show what Amika's images, sandboxes and volumes take on disk.
    Df(DfArgs),
}

/// `amika system df`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  amika system df\n  amika system df -v                        each by itself\n\nThe engine measures every volume that it has: it can take a while. Layers that images share count in\neach of them."
)]
pub struct DfArgs {
    /// Show each image, sandbox and volume.
    #[arg(short, long)]
    pub verbose: bool,
}
