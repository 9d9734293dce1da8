//! `amika image prune`.

use crate::App;
use crate::args::image::PruneArgs;
use crate::error::Result;

pub(super) async fn run(args: &PruneArgs, app: &App) -> Result<()> {
    let engine = crate::engine::connect(&app.user).await?;
    let pruned = engine.prune_images(args.all).await?;
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
