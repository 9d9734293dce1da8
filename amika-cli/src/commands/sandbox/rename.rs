//! `amika sandbox rename`.

use amika_core::name::SandboxName;
use schemars::JsonSchema;
use serde::Serialize;

use crate::App;
use crate::args::sandbox::RenameArgs;
use crate::commands::interruptible;
use crate::error::{Error, Kind, Result};

/// What `rename` did.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::commands) struct Renamed {
    /// Its name now.
    pub(in crate::commands) name: String,
    /// Its name before.
    pub(in crate::commands) old_name: String,
    /// Its id, which stays.
    pub(in crate::commands) id: String,
}

pub(super) async fn run(args: &RenameArgs, app: &App) -> Result<()> {
    let new = SandboxName::for_new(&args.new_name).map_err(|error| {
        Error::new(
            Kind::Invalid,
            format!("\"{}\" cannot be a sandbox's name", args.new_name),
        )
        .caused_by(&error as &amika_core::name::InvalidName)
    })?;
    let engine = interruptible(app, async { Ok(crate::engine::connect(&app.user).await?) }).await?;
    let done = engine
        .rename(&args.name, &new, app.interrupt.cancel())
        .await?;
    let renamed = Renamed {
        name: new.to_string(),
        old_name: done.old_name,
        id: done.id.to_string(),
    };
    renamed.tell(app)?;
    if new.as_str() != renamed.old_name {
        let host = done.hostname.as_deref();
        let host = host.map_or_else(String::new, |host| format!(" \"{host}\""));
        app.out.note(&format!(
            "its host name inside stays{host}, and its volumes keep their names"
        ));
    }
    Ok(())
}

impl Renamed {
    /// Prints it.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub(in crate::commands) fn tell(&self, app: &App) -> Result<()> {
        app.out.result(self, |out| writeln!(out, "{}", self.name))
    }
}
