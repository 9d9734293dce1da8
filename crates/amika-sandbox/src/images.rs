//! Preset images on the engine.

use amika_core::label::{Kind, key};
use schemars::JsonSchema;
use serde::Serialize;

use crate::amikad::Daemon;
use crate::error::Result;
use crate::preset::{LABEL_PRESET, LABEL_RECIPE, Preset};
use crate::sandboxes::Sandboxes;
use amika_engine::{EngineError, ImageSummary};

/// A preset image.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ImageView {
    /// Reference.
    pub image: String,
    /// Name of the preset.
    pub preset: String,
    /// Whether its recipe is this amika's.
    pub current: bool,
    /// Size in bytes.
    pub size: i64,
    /// The engine's id.
    pub id: String,
    /// Whether this process may remove it.
    #[serde(skip)]
    pub may_go: bool,
}

/// What `prune` did.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Pruned {
    /// Images that went.
    pub removed: Vec<String>,
    /// Images that a container uses.
    pub in_use: Vec<String>,
}

impl Sandboxes {
    /// The preset images on the engine.
    ///
    /// # Errors
    /// Those of the engine; when this program carries no amikad for it.
    pub async fn images(&self) -> Result<Vec<ImageView>> {
        let daemon = Daemon::for_engine(self).await?;
        let filter = format!("{}={}", key::KIND, Kind::Image);
        let images = self.list_images(&filter).await?;
        let mut views: Vec<ImageView> = images
            .into_iter()
            .filter_map(|image| view(self, image, &daemon))
            .collect();
        views.sort_by(|a, b| {
            (&a.preset, !a.current, &a.image).cmp(&(&b.preset, !b.current, &b.image))
        });
        Ok(views)
    }

    /// Removes preset images whose recipe is out of date and that no container uses; with `all`, the current ones too.
    ///
    /// # Errors
    /// As [`Sandboxes::images`].
    pub async fn prune_images(&self, all: bool) -> Result<Pruned> {
        let mut pruned = Pruned {
            removed: Vec::new(),
            in_use: Vec::new(),
        };
        // A preset that another one is built on goes after it.
        let mut images = self.images().await?;
        images.retain(|image| image.may_go);
        images.sort_by_key(|image| image.preset == "coder");
        for image in images {
            if image.current && !all {
                continue;
            }
            match self.remove_image(&image.image).await {
                Ok(()) | Err(EngineError::NotFound(_)) => pruned.removed.push(image.image),
                Err(EngineError::Conflict(_)) => pruned.in_use.push(image.image),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(pruned)
    }
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
