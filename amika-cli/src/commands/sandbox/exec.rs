//! `amika sandbox exec`.

use crate::App;
use crate::args::sandbox::ExecArgs;
use crate::error::Result;

pub(super) async fn run(_args: &ExecArgs, _app: &App) -> Result<u8> {
    Ok(0)
}
