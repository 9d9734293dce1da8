//! `amika image list`.

use amika_core::label::{Kind, key};
use schemars::JsonSchema;
use serde::Serialize;

use crate::App;
use crate::amikad::Daemon;
use crate::error::Result;
use crate::output::Table;
use crate::preset::{LABEL_PRESET, LABEL_RECIPE, Preset};
use crate::sandboxes::Sandboxes;
use amika_core::text::human_size;
use amika_engine::ImageSummary;

/// A preset image.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ImageView {
    /// Reference.
    pub(super) image: String,
    /// Name of the preset.
    pub(super) preset: String,
    /// Whether its recipe is this amika's.
    pub(super) current: bool,
    /// Size in bytes.
    pub(super) size: i64,
    /// The engine's id.
    pub(super) id: String,
    /// Whether this process may remove it.
    #[serde(skip)]
    pub(super) may_go: bool,
}

pub(super) async fn run(app: &App) -> Result<()> {
    let engine = crate::engine::connect(&app.user).await?;
    let images = views(&engine).await?;
    app.out.result(&images, |out| {
        let mut table = Table::new(["IMAGE", "PRESET", "RECIPE", "SIZE"]);
        for image in &images {
            table.row(vec![
                short(&image.image).to_owned(),
                image.preset.clone(),
                if image.current {
                    "current".into()
                } else {
                    "out of date".into()
                },
                human_size(u64::try_from(image.size).unwrap_or(0)),
            ]);
        }
        table.write(out)
    })
}

/// An id stands for an image without a tag: as much of it as docker shows.
fn short(image: &str) -> &str {
    let end = if image.starts_with("sha256:") {
        19
    } else {
        image.len()
    };
    image.get(..end).unwrap_or(image)
}

/// The preset images on the engine.
pub(super) async fn views(engine: &Sandboxes) -> Result<Vec<ImageView>> {
    let daemon = Daemon::for_engine(engine).await?;
    let filter = format!("{}={}", key::KIND, Kind::Image);
    let images = engine.list_images(&filter).await?;
    let mut views: Vec<ImageView> = images
        .into_iter()
        .filter_map(|image| view(engine, image, &daemon))
        .collect();
    views.sort_by(|a, b| (&a.preset, !a.current, &a.image).cmp(&(&b.preset, !b.current, &b.image)));
    Ok(views)
}

fn view(engine: &Sandboxes, image: ImageSummary, daemon: &Daemon) -> Option<ImageView> {
    // What holds a sandbox's own files was made of a preset, and is none.
    if image.labels.contains_key(key::ID) {
        return None;
    }
    let preset = image.labels.get(LABEL_PRESET)?.clone();
    let recipe = image.labels.get(LABEL_RECIPE)?;
    let current = Preset::parse(&preset)
        .is_some_and(|preset| preset.fingerprint(daemon.fingerprint()) == *recipe);
    let may_go = engine.may_tidy(&image.labels);
    Some(ImageView {
        image: image
            .tags
            .into_iter()
            .next()
            .unwrap_or_else(|| image.id.clone()),
        preset,
        current,
        size: image.size,
        id: image.id,
        may_go,
    })
}
