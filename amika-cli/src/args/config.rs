//! `amika config …`.

use std::fmt;
use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};

/// Verbs of configurations.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Say what a repository's `.amika/config.toml` means, and what is wrong with it.
    Check(CheckArgs),
    /// Write a repository's `.amika/config.toml` from another tool's configuration.
    Migrate(MigrateArgs),
    /// Show your own settings.
    Get(GetArgs),
    /// Change one of your own settings.
    Set(SetArgs),
    /// Take one of your own settings back to its default.
    Unset(UnsetArgs),
}

/// The user's own settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Key {
    /// What is done with a repository's configuration and your sign-ins: `auto`, `ask` or `never`.
    Trust,
    /// URLs and paths that are not asked about.
    Trusted,
    /// Where commands work that are given neither `--local` nor `--remote`: `local` or `remote`.
    Default,
    /// Agents whose own settings and skills are copied into new sandboxes: `all`, `none`, or names with commas.
    #[value(name = "agent_config")]
    AgentConfig,
    /// The repository of your dotfiles, which the agent installs in new sandboxes: a path or a URL, or `none`.
    Dotfiles,
}

impl Key {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Trust,
        Self::Trusted,
        Self::Default,
        Self::AgentConfig,
        Self::Dotfiles,
    ];

    /// Its name in the file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trust => "trust",
            Self::Trusted => "trusted",
            Self::Default => "default",
            Self::AgentConfig => "agent_config",
            Self::Dotfiles => "dotfiles",
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// `amika config get`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  amika config get\n  amika config get trust\n  amika -o json config get | jq -r .file"
)]
pub struct GetArgs {
    /// Only this one, its value alone.
    pub key: Option<Key>,
}

/// `amika config set`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  amika config set trust ask\n  amika config set trusted https://example.com/our/project ~/src\n  amika config set default remote\n\nThey stand in $XDG_CONFIG_HOME/amika/config.toml. $AMIKA_TRUST and $AMIKA_DEFAULT win over the\nfile; `create --trust`, and `--local` and `--remote`, over both."
)]
pub struct SetArgs {
    /// Which one.
    pub key: Key,
    /// Its value; several where it is a list, in place of all that is in it.
    #[arg(value_name = "VALUE", required = true)]
    pub values: Vec<String>,
}

/// `amika config unset`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  amika config unset trust")]
pub struct UnsetArgs {
    /// Which one.
    pub key: Key,
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

/// What a configuration is made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Source {
    /// `devcontainer.json`: image, commands, ports and variables.
    Devcontainer,
}

/// `amika config migrate`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  amika config migrate devcontainer --dry-run\n  amika config migrate devcontainer --from .devcontainer/api/devcontainer.json\n\nWhat Amika has no equal for is named with its line; it changes no exit code. 2: the file cannot be read as what it\nis; 3: there is none; 4: there is a configuration already, or several files to choose from."
)]
pub struct MigrateArgs {
    /// Whose configuration.
    pub source: Source,
    /// The repository [default: the current one].
    #[arg(value_hint = clap::ValueHint::DirPath)]
    pub path: Option<PathBuf>,
    /// The file [default: .devcontainer/devcontainer.json, else .devcontainer.json].
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub from: Option<PathBuf>,
    /// Show what would be written, and write nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Replace a configuration that is there.
    #[arg(short, long)]
    pub force: bool,
}
