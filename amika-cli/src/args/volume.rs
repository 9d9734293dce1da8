//! `amika volume …`.

use clap::Subcommand;

/// Verbs of volumes.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the volumes of sandboxes, also of those that are gone.
    #[command(visible_alias = "ls")]
    List,
    /// Show everything about one volume.
    Inspect(NameArgs),
    /// Remove volumes that no container uses. What is in them is lost.
    #[command(visible_alias = "rm")]
    Delete(DeleteArgs),
    /// Remove the git volumes whose sandbox is gone.
    ///
    /// They may hold commits and changes that are nowhere else, and nobody can tell without running
    /// what is in them: so it asks, or wants `--force`.
    Prune(PruneArgs),
}

/// One volume.
#[derive(Debug, clap::Args)]
pub struct NameArgs {
    /// Name of the volume.
    pub name: String,
}

/// `amika volume delete`.
#[derive(Debug, clap::Args)]
pub struct DeleteArgs {
    /// Names of volumes.
    #[arg(required = true)]
    pub names: Vec<String>,
}

/// `amika volume prune`.
#[derive(Debug, clap::Args)]
pub struct PruneArgs {
    /// Remove them without asking, whatever work is in them.
    #[arg(short, long, visible_alias = "yes")]
    pub force: bool,
    /// Only those that were made for this sandbox.
    #[arg(long, value_name = "NAME")]
    pub sandbox_name: Option<String>,
}
