//! `amika image prune`.

use schemars::JsonSchema;
use serde::Serialize;

use super::list::views;
use crate::App;
use crate::args::image::PruneArgs;
use crate::error::Result;
use amika_engine::EngineError;

/// What `prune` did.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Pruned {
    /// Images that went.
    removed: Vec<String>,
    /// Images that a container uses.
    in_use: Vec<String>,
}

pub(super) async fn run(args: &PruneArgs, app: &App) -> Result<()> {
    let engine = crate::engine::connect(&app.user).await?;
    let mut pruned = Pruned {
        removed: Vec::new(),
        in_use: Vec::new(),
    };
    // A preset that another one is built on goes after it.
    let mut images = views(&engine).await?;
    images.retain(|image| image.may_go);
    images.sort_by_key(|image| image.preset == "coder");
    for image in images {
        if image.current && !args.all {
            continue;
        }
        match engine.remove_image(&image.image).await {
            Ok(()) | Err(EngineError::NotFound(_)) => pruned.removed.push(image.image),
            Err(EngineError::Conflict(_)) => pruned.in_use.push(image.image),
            Err(error) => return Err(error.into()),
        }
    }
    app.out.result(&pruned, |out| {
        for image in &pruned.removed {
            writeln!(out, "{image}")?;
        }
        Ok(())
    })?;
    for image in &pruned.in_use {
        app.out.note(&format!("{image} stays: a sandbox uses it"));
    }
    Ok(())
}
