//! `amika server`.

use std::net::SocketAddr;
use std::path::PathBuf;

use amika_server::config::{Cidr, Layer};
use clap::Subcommand;

/// `amika server`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  amika server                                      on this machine's loopback addresses, port 8080\n  amika server --listen 0.0.0.0:443 --tls-cert cert.pem --tls-key key.pem\n  amika server backup /var/backups/amika-monday\n\nThe first start makes the first administrator and prints a key. Each option is also a variable of the\nenvironment, such as AMIKA_SERVER_LISTEN, and a key of the file that --config names, such as listen; an\noption wins over the environment, and that over the file."
)]
pub struct ServerArgs {
    /// What it is told about itself.
    #[command(flatten)]
    pub told: ServerTold,
    /// What to do in place of serving.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// Options of the server.
#[derive(Debug, clap::Args)]
pub struct ServerTold {
    /// Read settings from this TOML file.
    #[arg(long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
    /// Keep everything in this directory [default: server, in `$XDG_DATA_HOME/amika`].
    #[arg(long, value_name = "DIR", global = true)]
    pub data: Option<PathBuf>,
    /// Listen on this address; may be given several times [default: port 8080 of both loopback addresses].
    #[arg(long, value_name = "ADDR:PORT")]
    pub listen: Vec<SocketAddr>,
    /// Speak TLS with this certificate chain (PEM). It is read anew when it changes, and on SIGHUP.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// Key of the certificate (PEM).
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// Speak plain HTTP on addresses beyond loopback: keys go in the clear unless something before it speaks TLS.
    #[arg(long)]
    pub insecure_http: bool,
    /// Allow repositories at `http://` and at private addresses.
    #[arg(long)]
    pub allow_private_git: bool,
    /// A domain name of this server.
    #[arg(long, value_name = "NAME")]
    pub domain: Option<String>,
    /// The address that people use, such as `https://amika.example.com`.
    #[arg(long, value_name = "URL")]
    pub public_url: Option<String>,
    /// Believe X-Forwarded-For from this network; may be given several times.
    #[arg(long, value_name = "CIDR")]
    pub trusted_proxy: Vec<Cidr>,
}

impl ServerTold {
    /// What the options say.
    pub fn layer(&self) -> Layer {
        let some = |given: &Vec<SocketAddr>| (!given.is_empty()).then(|| given.clone());
        Layer {
            listen: some(&self.listen),
            data: self.data.clone(),
            tls_cert: self.tls_cert.clone(),
            tls_key: self.tls_key.clone(),
            insecure_http: self.insecure_http.then_some(true),
            allow_private_git: self.allow_private_git.then_some(true),
            domain: self.domain.clone(),
            public_url: self.public_url.clone(),
            trusted_proxy: (!self.trusted_proxy.is_empty()).then(|| self.trusted_proxy.clone()),
            ..Layer::default()
        }
    }
}

/// Verbs about a server's data.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Look whether the server could start: its settings, keys, database and secrets.
    Check(CheckArgs),
    /// Copy the server's data to a new directory; it may run meanwhile.
    Backup(BackupArgs),
    /// Put a backup in the place of the server's data, which is kept.
    Restore(RestoreArgs),
    /// Make keys without a server.
    #[command(subcommand)]
    Key(KeyCommand),
}

/// `amika server check`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  amika server check\n  amika server check --data /srv/amika")]
pub struct CheckArgs {}

/// `amika server backup`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  amika server backup /var/backups/amika-monday\n\nThe backup holds the keys too: whoever has it can read every secret."
)]
pub struct BackupArgs {
    /// A directory that is not there yet.
    #[arg(value_name = "DIR")]
    pub to: PathBuf,
}

/// `amika server restore`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  amika server restore /var/backups/amika-monday\n  amika server restore ~/.local/share/amika/server/backups/amika-v1-1764406034056.db\n\nThe server must not run."
)]
pub struct RestoreArgs {
    /// A backup, or a copy of the database alone.
    #[arg(value_name = "FROM")]
    pub from: PathBuf,
}

/// `amika server key …`.
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Make a key for an administrator who lost his; the server must not run.
    Create(KeyCreateArgs),
}

/// `amika server key create`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  amika server key create --admin")]
pub struct KeyCreateArgs {
    /// Of the administrator who has been there longest; there is no other kind.
    #[arg(long, required = true)]
    pub admin: bool,
}
