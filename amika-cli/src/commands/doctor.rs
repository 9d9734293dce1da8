//! `amika doctor`: what is missing, what is left over, and what to do.

use crate::App;
use crate::args::DoctorArgs;
use crate::error::Result;

pub(super) async fn run(_args: &DoctorArgs, _app: &App) -> Result<()> {
    Ok(())
}
