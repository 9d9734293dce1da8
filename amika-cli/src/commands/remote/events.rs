//! `amika events --remote`.

use super::Server;
use super::unsupported;
use crate::App;
use crate::args::events::EventsArgs;
use crate::error::Result;

pub(in crate::commands) async fn run(
    _args: &EventsArgs,
    _server: &Server,
    _app: &App,
) -> Result<u8> {
    Err(unsupported::command("amika events", ""))
}
