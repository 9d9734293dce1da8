//! `amika volume … --remote`.

use super::Server;
use super::unsupported;
use crate::App;
use crate::args::volume::Command;
use crate::error::Result;

/// Runs a verb on a server.
pub(in crate::commands) async fn run(
    _command: Command,
    _server: &Server,
    _app: &App,
) -> Result<()> {
    Err(unsupported::command("amika volume", ""))
}
