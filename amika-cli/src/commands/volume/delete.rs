//! `amika volume delete`.

use schemars::JsonSchema;
use serde::Serialize;

use super::view;
use crate::App;
use crate::args::volume::DeleteArgs;
use crate::engine::{Engine, EngineError};
use crate::error::{CommandError, ExitCode, Result};

/// What came of one name.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Deleted {
    /// The volume.
    name: String,
    /// What was done, in one word.
    result: &'static str,
}

pub(super) async fn run(args: &DeleteArgs, app: &App) -> Result<()> {
    let engine = Engine::connect().await?;
    let mut names: Vec<&String> = Vec::new();
    for name in &args.names {
        if !names.contains(&name) {
            // All of them are looked at before one goes.
            refuse_used(&view::find(&engine, name).await?)?;
            names.push(name);
        }
    }
    remove(&engine, &names, app).await
}

/// Removes volumes and shows which.
pub(super) async fn remove(engine: &Engine, names: &[&String], app: &App) -> Result<()> {
    let mut done = Vec::new();
    for name in names {
        engine
            .remove_volume(name)
            .await
            .map_err(|error| match error {
                EngineError::Conflict(message) => {
                    CommandError::new(ExitCode::Conflict, format!("volume \"{name}\" is in use"))
                        .cause(message)
                        .hint(format!(
                            "`docker ps -a --filter volume={name}` shows by what"
                        ))
                }
                other => other.into(),
            })?;
        done.push(Deleted {
            name: (*name).clone(),
            result: "deleted",
        });
    }
    app.out.result(&done, |out| {
        for deleted in &done {
            writeln!(out, "{}", deleted.name)?;
        }
        Ok(())
    })
}

fn refuse_used(volume: &view::VolumeView) -> Result<()> {
    let Some(user) = volume.used_by.first() else {
        return Ok(());
    };
    Err(CommandError::new(
        ExitCode::Conflict,
        format!(
            "volume \"{}\" is in use by sandbox {}",
            volume.name,
            volume.used_by.join(", ")
        ),
    )
    .hint(format!("`amika sandbox delete {user}` first")))
}
