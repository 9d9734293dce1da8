//! `amika credentials refresh`: this machine's sign-ins, copied into a sandbox anew.

use std::sync::Arc;

use crate::App;
use crate::args::credentials::RefreshArgs;
use crate::credentials::RefreshRequest;
use crate::error::Result;

pub(super) async fn run(args: &RefreshArgs, app: &App) -> Result<()> {
    let engine = crate::engine::connect(&app.user).await?;
    let request = RefreshRequest {
        selection: super::selection(args.credentials.as_deref())?,
        force: args.force,
    };
    let out = Arc::new(app.out.clone());
    let done = engine.refresh_credentials(&args.name, request, out).await?;
    app.out.result(&done, |out| {
        for path in &done.copied {
            writeln!(out, "~/{path}")?;
        }
        Ok(())
    })
}
