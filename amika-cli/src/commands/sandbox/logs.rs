//! `amika sandbox logs`.

use crate::App;
use crate::args::sandbox::LogsArgs;
use crate::error::Result;

pub(super) async fn run(_args: &LogsArgs, _app: &App) -> Result<()> {
    Ok(())
}
