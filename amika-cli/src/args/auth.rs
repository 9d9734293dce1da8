//! `amika auth …`.

use clap::Subcommand;
use clap::builder::NonEmptyStringValueParser;

/// Verbs of being signed in to a server.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Sign in to a server, for `--remote`.
    Login(LoginArgs),
    /// Say where you are signed in, as whom, and whether the key holds.
    #[command(
        after_help = "Examples:\n  amika auth status\n  amika -o json auth status | jq -r .address"
    )]
    Status,
    /// Forget the key that `amika auth login` kept; it still holds for whoever has it.
    #[command(after_help = "Example:\n  amika auth logout")]
    Logout,
}

/// `amika auth login`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  amika auth login http://localhost:8080                      asks for a key\n  amika auth login https://amika.example --key - < key\n  amika auth login 'http://localhost:8080/#sign-in=aml_…'     by a link, which makes a key\n\nAddress and key are kept in $XDG_CONFIG_HOME/amika/auth.json, which nobody else may read. $AMIKA_API_URL and\n$AMIKA_API_KEY win over it."
)]
pub struct LoginArgs {
    /// Address of the server, or a link to sign in with.
    #[arg(value_name = "URL", value_parser = NonEmptyStringValueParser::new())]
    pub url: String,
    /// Read the key from standard input: `-`.
    #[arg(long, value_name = "-", value_parser = ["-"], allow_hyphen_values = true)]
    pub key: Option<String>,
    /// Also where others can read the key on its way: plain HTTP to another machine.
    #[arg(long)]
    pub insecure_http: bool,
}
