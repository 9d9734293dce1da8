//! `amika sandbox rename`.

use amika_core::name::SandboxName;
use schemars::JsonSchema;
use serde::Serialize;

use crate::App;
use crate::args::sandbox::RenameArgs;
use crate::commands::interruptible;
use crate::error::{Error, Kind, Result};
use crate::sandbox::Sandbox;
use amika_engine::EngineError;

/// What `rename` did.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Renamed {
    /// Its name now.
    name: String,
    /// Its name before.
    old_name: String,
    /// Its id, which stays.
    id: String,
}

pub(super) async fn run(args: &RenameArgs, app: &App) -> Result<()> {
    let new = SandboxName::for_new(&args.new_name).map_err(|error| {
        Error::new(
            Kind::Invalid,
            format!("\"{}\" cannot be a sandbox's name", args.new_name),
        )
        .caused_by(&error as &amika_core::name::InvalidName)
    })?;
    let (engine, sandbox) = interruptible(app, async {
        let engine = crate::engine::connect(&app.user).await?;
        let sandbox = Sandbox::find_made(&engine, &args.name).await?;
        Ok((engine, sandbox))
    })
    .await?;
    let renamed = Renamed {
        name: new.to_string(),
        old_name: sandbox.name.clone(),
        id: sandbox.record.id.to_string(),
    };
    if new.as_str() != sandbox.name {
        // Whoever makes or mends a sandbox of either name must not have it change in his hands.
        let old = engine.locks().take_name(&sandbox.name)?;
        let _new = engine.locks().take_name(new.as_str())?;
        crate::unreported::clear(&old);
        engine
            .rename_container(&sandbox.container.id, new.as_str())
            .await
            .map_err(|error| match error {
                EngineError::Conflict(message) => {
                    Error::new(Kind::Conflict, format!("the name \"{new}\" is taken"))
                        .cause(message)
                        .hint("choose another; `amika sandbox list` shows the sandboxes")
                }
                error => error.into(),
            })?;
    }
    app.out.result(&renamed, |out| writeln!(out, "{new}"))?;
    if new.as_str() != renamed.old_name {
        let host = sandbox.container.hostname.as_deref();
        let host = host.map_or_else(String::new, |host| format!(" \"{host}\""));
        app.out.note(&format!(
            "its host name inside stays{host}, and its volumes keep their names"
        ));
    }
    Ok(())
}
