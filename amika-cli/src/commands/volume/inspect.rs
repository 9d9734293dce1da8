//! `amika volume inspect`.

use crate::App;
use crate::args::volume::InspectArgs;
use crate::error::Result;
use crate::output::Page;
use crate::volumes::VolumeView;
use amika_core::untrusted::Untrusted;

pub(super) async fn run(args: &InspectArgs, app: &App) -> Result<()> {
    let engine = crate::engine::connect(&app.user).await?;
    let mut volumes = Vec::new();
    for name in &args.names {
        volumes.push(engine.volume(name).await?);
    }
    match volumes.as_slice() {
        [volume] => app.out.result(volume, |out| write_text(volume, out)),
        several => app.out.result(&several, |out| {
            for (at, volume) in several.iter().enumerate() {
                if at > 0 {
                    writeln!(out)?;
                }
                write_text(volume, out)?;
            }
            Ok(())
        }),
    }
}

fn write_text(volume: &VolumeView, out: &mut Page<'_>) -> std::io::Result<()> {
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
            writeln!(out, "{label:<14}{}", Untrusted::new(value))?;
        }
    }
    Ok(())
}
