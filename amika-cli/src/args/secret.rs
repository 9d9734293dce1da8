//! `amika secret …`.

use std::path::PathBuf;

use clap::builder::NonEmptyStringValueParser;
use clap::{Subcommand, ValueEnum};

/// Verbs of secrets.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the names of secrets; their values are shown to nobody.
    #[command(
        visible_alias = "ls",
        after_help = "Examples:\n  amika secret list\n  amika -o json secret list | jq -r '.[].name'"
    )]
    List,
    /// Keep a secret, in place of one of the same name.
    Set(SetArgs),
    /// Delete secrets.
    #[command(visible_alias = "rm")]
    Delete(DeleteArgs),
    /// Keep this machine's sign-ins of agents, for sandboxes of the server; asks first.
    Push(PushArgs),
}

/// Who may use a secret.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Scope {
    /// You alone.
    #[default]
    User,
    /// Everybody on the server; only administrators set it.
    Org,
}

impl Scope {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Org => "org",
        }
    }
}

/// `amika secret set`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  amika secret set NPM_TOKEN                    asks for the value\n  amika secret set NPM_TOKEN < token\n  amika secret set DEPLOY_KEY --file ~/.ssh/deploy --scope org\n\nA line end at the value's end is left out, but of a file's."
)]
pub struct SetArgs {
    /// Its name: letters, digits, `_`, `.` and `-`.
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    pub name: String,
    /// File that holds the value, as it is [default: standard input].
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// What it is for.
    #[arg(long, value_name = "TEXT")]
    pub description: Option<String>,
    /// Who may use it.
    #[arg(long, value_enum, default_value_t)]
    pub scope: Scope,
}

/// `amika secret delete`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  amika secret delete NPM_TOKEN DEPLOY_KEY")]
pub struct DeleteArgs {
    /// Names of secrets.
    #[arg(value_name = "NAME", required = true, value_parser = NonEmptyStringValueParser::new())]
    pub names: Vec<String>,
    /// Of which scope.
    #[arg(long, value_enum, default_value_t)]
    pub scope: Scope,
}

/// `amika secret push`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  amika secret push\n  amika secret push --credentials claude --force\n\nWhat a sandbox of the server is given of them, its `agent_credentials` say (`create --credentials`)."
)]
pub struct PushArgs {
    /// Agents whose sign-ins are taken [default: all that are found].
    #[arg(long, value_name = "claude,codex,opencode")]
    pub credentials: Option<String>,
    /// Name that they are kept under.
    #[arg(long, default_value = "default", value_parser = NonEmptyStringValueParser::new())]
    pub name: String,
    /// Do not ask.
    #[arg(short, long, visible_alias = "yes")]
    pub force: bool,
}
