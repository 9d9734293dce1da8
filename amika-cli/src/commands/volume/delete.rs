//! `amika volume delete`.

use schemars::JsonSchema;
use serde::Serialize;

use crate::App;
use crate::args::volume::DeleteArgs;
use crate::error::{Error, Result};
use crate::rescue::Rescue;
use crate::sandboxes::Sandboxes;

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
    let rescue = args.rescue.then(|| Rescue {
        into: args.into.clone(),
    });
    for name in names {
        let deleting = async {
            stored(&engine, name, rescue.as_ref(), app).await?;
            engine.delete_volume(name).await
        };
        results.push((name, deleting.await));
    }
    tell(results, app)
}

/// Stores what is in a volume where that is wanted, and says where.
async fn stored(engine: &Sandboxes, name: &str, rescue: Option<&Rescue>, app: &App) -> Result<()> {
    if let Some(rescue) = rescue {
        let rescued = engine.rescue_volume(name, rescue).await?;
        for line in rescued.lines() {
            app.out.note(&line);
        }
    }
    Ok(())
}

/// Removes volumes and shows which.
pub(super) async fn remove(
    engine: &Sandboxes,
    names: &[String],
    rescue: Option<&Rescue>,
    app: &App,
) -> Result<()> {
    let mut results = Vec::new();
    for name in names {
        let deleting = async {
            stored(engine, name, rescue, app).await?;
            engine.remove_unused_volume(name).await
        };
        results.push((name, deleting.await));
    }
    tell(results, app)
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
