//! `amika service start|stop|restart`.

use schemars::JsonSchema;
use serde::Serialize;

use crate::App;
use crate::args::service::ChangeArgs;
use crate::error::Result;
use crate::own_services::Asked;
use amika_core::untrusted::Untrusted;

/// A service of which something was asked.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::commands) struct ChangedView {
    /// The sandbox.
    sandbox: String,
    /// The service.
    service: String,
}

impl ChangedView {
    /// One of a sandbox.
    pub(in crate::commands) fn of(sandbox: &str, service: String) -> Self {
        Self {
            sandbox: sandbox.to_owned(),
            service,
        }
    }
}

pub(super) async fn run(args: &ChangeArgs, asked: Asked, app: &App) -> Result<u8> {
    let engine = crate::engine::connect(&app.user).await?;
    let mut changed = Vec::new();
    for target in &args.targets {
        let names = engine.ask_services(&target.sandbox, target.service.as_deref(), asked);
        for service in names.await? {
            changed.push(ChangedView::of(&target.sandbox, service));
        }
    }
    tell(&changed, app).map(|()| 0)
}

/// Prints which they were.
///
/// # Errors
/// When standard output cannot be written.
pub(in crate::commands) fn tell(changed: &Vec<ChangedView>, app: &App) -> Result<()> {
    app.out.result(changed, |out| {
        for ChangedView { sandbox, service } in changed {
            writeln!(out, "{sandbox}/{}", Untrusted::new(service))?;
        }
        Ok(())
    })
}
