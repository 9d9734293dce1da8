//! `amika image …`.

use clap::Subcommand;

/// Verbs of images.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Build a preset image, unless it is there and its recipe did not change.
    Build(BuildArgs),
    /// List the images that amika built.
    #[command(
        alias = "ls",
        after_help = "Examples:\n  amika image list\n  amika -o json image list | jq -r '.[] | select(.current).image'"
    )]
    List,
    /// Remove images that amika built, that are out of date, and that no sandbox uses.
    Prune(PruneArgs),
}

/// `amika image build`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  amika image build\n  amika image build coder-dind\n  amika image build coder --base ubuntu:24.04"
)]
pub struct BuildArgs {
    /// The preset: `coder` or `coder-dind`.
    #[arg(default_value = "coder")]
    pub preset: String,
    /// Debian trixie or Ubuntu image to build on.
    ///
    /// Without it: `debian:trixie-slim` if it is there or can be pulled, else a local
    /// `amika-base:trixie`.
    #[arg(long, value_name = "IMAGE", env = "AMIKA_BASE_IMAGE")]
    pub base: Option<String>,
    /// Build although an image of this recipe is there.
    #[arg(long)]
    pub force: bool,
}

/// `amika image prune`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  amika image prune\n  amika image prune --all                   the next create builds anew"
)]
pub struct PruneArgs {
    /// Also those that are up to date.
    #[arg(long)]
    pub all: bool,
}
