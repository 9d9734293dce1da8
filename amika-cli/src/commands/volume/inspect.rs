//! `amika volume inspect`.

use super::view;
use crate::App;
use crate::args::volume::NameArgs;
use crate::engine::Engine;
use crate::error::Result;

pub(super) async fn run(args: &NameArgs, app: &App) -> Result<()> {
    let engine = Engine::connect().await?;
    let volume = view::find(&engine, &args.name).await?;
    app.out.result(&volume, |out| {
        let kind = volume.kind.to_string();
        let used_by = volume.used_by.join(", ");
        for (label, value) in [
            ("Name", Some(&volume.name)),
            ("Kind", Some(&kind)),
            ("Sandbox", volume.sandbox.as_ref()),
            ("Made for", volume.made_for.as_ref()),
            ("Repository", volume.repository.as_ref()),
            ("Copy of", volume.source.as_ref()),
            ("Used by", Some(&used_by)),
            ("Driver", Some(&volume.driver)),
            ("Mountpoint", Some(&volume.mountpoint)),
        ] {
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                writeln!(out, "{label:<14}{value}")?;
            }
        }
        Ok(())
    })
}
