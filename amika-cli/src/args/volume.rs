//! `amika volume …`.

use std::path::PathBuf;

use amika_core::name::SandboxName;
use clap::Subcommand;
use clap::builder::{NonEmptyStringValueParser, TypedValueParser as _};

/// Verbs of volumes.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the volumes of sandboxes, also of those that are gone.
    #[command(
        visible_alias = "ls",
        after_help = "Examples:\n  amika volume list\n  amika -o json volume list | jq -r '.[].name'"
    )]
    List,
    /// Show everything about volumes.
    Inspect(InspectArgs),
    /// Remove volumes that no container uses. What is in them is lost.
    #[command(visible_alias = "rm")]
    Delete(DeleteArgs),
    /// Remove the git volumes whose sandbox is gone.
    ///
    /// They may hold commits and changes that are nowhere else, and nobody can tell without running
    /// what is in them: so it asks, or wants `--force`, or `--rescue`, which stores it first.
    Prune(PruneArgs),
}

/// `amika volume inspect`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  amika volume inspect amika-git-teal-tokyo-app-20261122101940a311\n  amika -o json volume inspect NAME NAME | jq -r '.[].mountpoint'"
)]
pub struct InspectArgs {
    /// Names of volumes. With `-o json` one is an object, several are a list of such objects.
    #[arg(value_name = "NAME", required = true, value_parser = NonEmptyStringValueParser::new())]
    pub names: Vec<String>,
}

/// `amika volume delete`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  amika volume delete amika-git-teal-tokyo-app-20261122101940a311\n  amika volume delete --rescue amika-git-teal-tokyo-app-20261122101940a311\n\n`--rescue` stores commits, stashes and what is not committed below refs/amika/ of the repository, other files\nas a tar archive in its git directory. Git is asked in a container of a preset's image that has the volume and no\nnetwork."
)]
pub struct DeleteArgs {
    /// Names of volumes.
    #[arg(value_name = "NAME", required = true, value_parser = NonEmptyStringValueParser::new())]
    pub names: Vec<String>,
    /// Store what is in them on this machine first.
    #[arg(long)]
    pub rescue: bool,
    /// The repository for `--rescue` [default: the one that you stand in].
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath, requires = "rescue")]
    pub into: Option<PathBuf>,
}

/// `amika volume prune`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  amika volume prune\n  amika volume prune --force --sandbox-name teal-tokyo\n  amika volume prune --rescue --into ~/src/app"
)]
pub struct PruneArgs {
    /// Remove them without asking, whatever work is in them.
    #[arg(short, long, visible_alias = "yes")]
    pub force: bool,
    /// Only those that were made for this sandbox.
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new().try_map(SandboxName::try_from))]
    pub sandbox_name: Option<SandboxName>,
    /// Store what is in them on this machine first.
    #[arg(long)]
    pub rescue: bool,
    /// The repository for `--rescue` [default: the one that you stand in].
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath, requires = "rescue")]
    pub into: Option<PathBuf>,
}
