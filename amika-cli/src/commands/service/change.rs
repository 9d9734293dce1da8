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
pub(super) struct ChangedView {
    /// The sandbox.
    sandbox: String,
    /// The service.
    service: String,
}

pub(super) async fn run(args: &ChangeArgs, asked: Asked, app: &App) -> Result<u8> {
    let engine = crate::engine::connect(&app.user).await?;
    let mut changed = Vec::new();
    for target in &args.targets {
        let names = engine.ask_services(&target.sandbox, target.service.as_deref(), asked);
        for service in names.await? {
            changed.push(ChangedView {
                sandbox: target.sandbox.clone(),
                service,
            });
        }
    }
    app.out.result(&changed, |out| {
        for ChangedView { sandbox, service } in &changed {
            writeln!(out, "{sandbox}/{}", Untrusted::new(service))?;
        }
        Ok(())
    })?;
    Ok(0)
}
