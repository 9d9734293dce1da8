//! Images on the engine that were built here: presets, and those of repositories' Dockerfiles.

use std::collections::BTreeMap;

use amika_core::label::{Kind, key};
use schemars::JsonSchema;
use serde::Serialize;

use crate::amikad::Daemon;
use crate::error::Result;
use crate::preset::{LABEL_PRESET, LABEL_RECIPE, Preset};
use crate::sandboxes::Sandboxes;
use amika_engine::{EngineError, ImageSummary};

/// An image that was built here: a preset's, or one of a repository's Dockerfile.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ImageView {
    /// Reference.
    pub image: String,
    /// Name of the preset; null for one of a Dockerfile.
    pub preset: Option<String>,
    /// Repository and Dockerfile that it was built of, as `NAME/PATH`; null for a preset's.
    pub built_of: Option<String>,
    /// Whether its recipe is this amika's; of a Dockerfile's, whether no newer one was built of that.
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
    /// The images on the engine that were built here.
    ///
    /// # Errors
    /// Those of the engine; when this program carries no amikad for it.
    pub async fn images(&self) -> Result<Vec<ImageView>> {
        let daemon = Daemon::for_engine(self).await?;
        let filter = format!("{}={}", key::KIND, Kind::Image);
        let images = self.list_images(&filter).await?;
        let mut newest: BTreeMap<String, i64> = BTreeMap::new();
        for (of, created) in images
            .iter()
            .filter_map(|it| Some((built_of(it)?, it.created)))
        {
            let newest = newest.entry(of).or_insert(created);
            *newest = created.max(*newest);
        }
        let mut views: Vec<ImageView> = images
            .into_iter()
            .filter_map(|image| view(self, image, &daemon, &newest))
            .collect();
        let key = |view: &ImageView| {
            let ImageView {
                preset, built_of, ..
            } = view;
            (
                preset.is_none(),
                preset.clone(),
                built_of.clone(),
                !view.current,
            )
        };
        views.sort_by(|a, b| (key(a), &a.image).cmp(&(key(b), &b.image)));
        Ok(views)
    }

    /// Removes images that are out of date and that no container uses; with `all`, the current ones too.
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
        images.sort_by_key(|image| match image.preset.as_deref() {
            None => 0,
            Some("coder") => 2,
            Some(_) => 1,
        });
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

/// What an image of a Dockerfile was built of.
fn built_of(image: &ImageSummary) -> Option<String> {
    let of = image.labels.get(key::BUILT_OF)?;
    (!of.is_empty()).then(|| of.clone())
}

fn view(
    engine: &Sandboxes,
    image: ImageSummary,
    daemon: &Daemon,
    newest: &BTreeMap<String, i64>,
) -> Option<ImageView> {
    // What holds a sandbox's own files was made of an image, and is none.
    if image.labels.contains_key(key::ID) {
        return None;
    }
    let built_of = built_of(&image);
    let (preset, current) = if let Some(of) = &built_of {
        (None, newest.get(of) == Some(&image.created))
    } else {
        let preset = image.labels.get(LABEL_PRESET)?.clone();
        let recipe = image.labels.get(LABEL_RECIPE)?;
        let current = Preset::parse(&preset)
            .is_some_and(|preset| preset.fingerprint(daemon.fingerprint()) == *recipe);
        (Some(preset), current)
    };
    let may_go = engine.may_tidy(&image.labels);
    Some(ImageView {
        image: image
            .tags
            .into_iter()
            .next()
            .unwrap_or_else(|| image.id.clone()),
        preset,
        built_of,
        current,
        size: image.size,
        id: image.id,
        may_go,
    })
}
