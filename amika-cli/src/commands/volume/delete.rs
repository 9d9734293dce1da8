//! `amika volume delete`.

use schemars::JsonSchema;
use serde::Serialize;

use super::view;
use crate::App;
use crate::args::volume::DeleteArgs;
use crate::error::{Error, Kind, Result};
use crate::sandboxes::Sandboxes;
use amika_core::text::shell_quote;
use amika_engine::EngineError;

/// What came of one name.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Deleted {
    /// The volume.
    name: String,
    /// What was done, in one word; `failed` when it was not.
    result: &'static str,
    /// Why it failed: the `error` of a failed command.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<serde_json::Value>,
}

pub(super) async fn run(args: &DeleteArgs, app: &App) -> Result<()> {
    let engine = crate::engine::connect(&app.user).await?;
    let mut names: Vec<&String> = Vec::new();
    for name in &args.names {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let mut results = Vec::new();
    for name in names {
        let removed = match view::find(&engine, name)
            .await
            .and_then(|volume| refuse_used(&volume))
        {
            Ok(()) => remove_one(&engine, name).await,
            refused => refused,
        };
        results.push((name, removed));
    }
    tell(results, app)
}

/// Removes volumes and shows which.
pub(super) async fn remove(engine: &Sandboxes, names: &[&String], app: &App) -> Result<()> {
    let mut results = Vec::new();
    for name in names {
        results.push((*name, remove_one(engine, name).await));
    }
    tell(results, app)
}

async fn remove_one(engine: &Sandboxes, name: &str) -> Result<()> {
    engine
        .remove_volume(name)
        .await
        .map_err(|error| match error {
            EngineError::Conflict(message) => {
                Error::new(Kind::Conflict, format!("volume \"{name}\" is in use"))
                    .cause(message)
                    .hint(format!(
                        "`docker ps -a --filter {}` shows by what",
                        shell_quote(&format!("volume={name}"))
                    ))
            }
            other => other.into(),
        })
}

/// Shows what came of each. Each failure is told; the first one is the command's own.
fn tell(results: Vec<(&String, Result<()>)>, app: &App) -> Result<()> {
    if let [(_, Err(_))] = results.as_slice() {
        // One name: its error is the command's error, told once.
        return results.into_iter().try_for_each(|(_, result)| result);
    }
    let mut first: Option<Error> = None;
    let mut all = Vec::new();
    for (name, result) in results {
        let (result, error) = match result {
            Ok(()) => ("deleted", None),
            Err(error) => {
                let json = crate::output::error_json(&error).get("error").cloned();
                if first.is_none() {
                    first = Some(error);
                } else if !app.out.is_json() {
                    app.out.error(&error);
                }
                ("failed", json)
            }
        };
        all.push(Deleted {
            name: name.clone(),
            result,
            error,
        });
    }
    match first {
        Some(error) if app.out.is_json() => {
            Err(error.detail("results", serde_json::to_value(&all).unwrap_or_default()))
        }
        first => {
            app.out.result(&all, |out| {
                for deleted in all.iter().filter(|deleted| deleted.error.is_none()) {
                    writeln!(out, "{}", deleted.name)?;
                }
                Ok(())
            })?;
            first.map_or(Ok(()), Err)
        }
    }
}

fn refuse_used(volume: &view::VolumeView) -> Result<()> {
    let Some(user) = volume.used_by.first() else {
        return Ok(());
    };
    Err(Error::new(
        Kind::Conflict,
        format!(
            "volume \"{}\" is in use by sandbox {}",
            volume.name,
            volume.used_by.join(", ")
        ),
    )
    .hint(format!(
        "`amika sandbox delete {}` first",
        shell_quote(user)
    )))
}
