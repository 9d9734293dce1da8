//! Where a command works: with this machine's engine, or with a server.

use clap::{Args, Subcommand};

/// Where a command works.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct Place {
    /// With the server that you are signed in to (`amika auth login`).
    #[arg(long, global = true, help_heading = super::EVERYWHERE)]
    pub remote: bool,
    /// With the engine of this machine [default: `amika config get default`].
    #[arg(long, global = true, conflicts_with = "remote", help_heading = super::EVERYWHERE)]
    pub local: bool,
}

/// Verbs that work in either place.
#[derive(Debug, Args)]
pub struct Verbs<T: Subcommand> {
    /// Where.
    #[command(flatten)]
    pub place: Place,
    /// What.
    #[command(subcommand)]
    pub command: T,
}

/// A command of its own that works in either place.
#[derive(Debug, Args)]
pub struct Placed<T: Args> {
    /// Where.
    #[command(flatten)]
    pub place: Place,
    /// What.
    #[command(flatten)]
    pub args: T,
}
