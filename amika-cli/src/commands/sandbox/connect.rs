//! `amika sandbox connect`.

use crate::App;
use crate::args::sandbox::ConnectArgs;
use crate::error::Result;

pub(super) async fn run(_args: &ConnectArgs, _app: &App) -> Result<u8> {
    Ok(0)
}
