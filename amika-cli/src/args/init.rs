//! `amika init`.

use std::path::PathBuf;

/// `amika init`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  amika init\n  amika init --dry-run\n  amika init --yes && git add .amika && git commit -m \"Set up sandboxes\"\n\nIt looks at package.json, pyproject.toml, requirements.txt, Cargo.toml, go.mod, Gemfile, Makefile, compose.yaml\nand their like, and runs nothing. Exit codes: 4 there is a configuration already, or nobody said yes; 7 no git\nrepository is here."
)]
pub struct InitArgs {
    /// The repository [default: the current one].
    #[arg(value_hint = clap::ValueHint::DirPath)]
    pub path: Option<PathBuf>,
    /// Write without asking.
    #[arg(short, long)]
    pub yes: bool,
    /// Show what would be written, and write nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Replace a configuration that is there.
    #[arg(short, long)]
    pub force: bool,
}
