//! `amika completion …`, and the hidden `amika generate …`.

use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};

/// `amika completion`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  source <(amika completion bash)                       this shell only\n  amika completion bash > ~/.local/share/bash-completion/completions/amika\n  amika completion zsh > ~/.zfunc/_amika                with `fpath+=~/.zfunc` before compinit\n  amika completion fish > ~/.config/fish/completions/amika.fish"
)]
pub struct CompletionArgs {
    /// The shell.
    pub shell: Shell,
}

/// Shells that `amika` completes words for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// GNU bash.
    Bash,
    /// The Z shell.
    Zsh,
    /// The fish shell.
    Fish,
}

impl Shell {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Bash => "bash",
            Self::Zsh => "zsh",
            Self::Fish => "fish",
        }
    }
}

/// What can be written from the program's own definitions.
#[derive(Debug, Subcommand)]
pub enum GenerateCommand {
    /// Manual pages, one for each command.
    Man(DirArgs),
    /// The page of the documentation that has every route of a server.
    Api(DirArgs),
    /// JSON schemas of all that `-o json` prints, and which command prints what.
    Schema(DirArgs),
}

/// Where to write.
#[derive(Debug, clap::Args)]
pub struct DirArgs {
    /// The directory; made when it is missing.
    pub dir: PathBuf,
}
