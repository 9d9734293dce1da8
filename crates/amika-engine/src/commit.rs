//! Making an image of a container's own files, and of nothing else.
//!
//! `commit` alone would not do: engines before 25 write the container's whole configuration into the
//! image, and with it the values of its environment, which may be secrets. So the committed layers
//! are given a description of their own, and the engine's is thrown away.

use std::collections::{BTreeMap, HashMap};

use amika_core::contract::path;
use bollard::models::ContainerConfig;
use bollard::query_parameters::{CommitContainerOptionsBuilder, ImportImageOptionsBuilder};
use bytes::Bytes;
use futures_util::TryStreamExt as _;
use serde_json::json;

use super::{Engine, EngineError};

impl Engine {
    /// Makes an image `reference` of a stopped container's own files, with no more than `labels`.
    ///
    /// # Errors
    /// Those of the engine.
    pub async fn commit_container(
        &self,
        container: &str,
        reference: &str,
        labels: &BTreeMap<String, String>,
    ) -> Result<(), EngineError> {
        let committed = self.commit(container, labels).await?;
        match self.describe(&committed, reference, labels).await {
            Ok(()) => self.remove_image(&committed).await,
            // An engine that keeps images with containerd wants the layers too; what it commits
            // has only the configuration that it was given.
            Err(_) if self.keeps_images_with_containerd().await? => {
                let (name, tag) = reference.rsplit_once(':').unwrap_or((reference, "latest"));
                self.tag_image(&committed, name, tag).await
            }
            Err(error) => {
                self.remove_image(&committed).await?;
                Err(error)
            }
        }
    }

    /// Commits a container; returns the image's id.
    async fn commit(
        &self,
        container: &str,
        labels: &BTreeMap<String, String>,
    ) -> Result<String, EngineError> {
        let config = self.raw(container).await?.config.unwrap_or_default();
        // The engine adds what is not named here, so each variable and label is named.
        let blank = |entry: &String| {
            let key = entry.split_once('=').map_or(entry.as_str(), |(key, _)| key);
            format!("{key}=")
        };
        let mut all: HashMap<String, String> = config
            .labels
            .unwrap_or_default()
            .into_keys()
            .map(|key| (key, String::new()))
            .collect();
        all.extend(labels.clone());
        let body = ContainerConfig {
            // With an ENTRYPOINT named here, the engine takes neither the container's nor its CMD.
            entrypoint: Some(entrypoint()),
            env: Some(config.env.unwrap_or_default().iter().map(blank).collect()),
            labels: Some(all),
            ..ContainerConfig::default()
        };
        let options = CommitContainerOptionsBuilder::new()
            .container(container)
            .pause(false)
            .build();
        self.docker
            .commit_container(options, body)
            .await
            .map(|answer| answer.id)
            .map_err(EngineError::from_bollard)
    }

    /// Makes an image of the layers of another, which the engine has, with a description of its own.
    async fn describe(
        &self,
        image: &str,
        reference: &str,
        labels: &BTreeMap<String, String>,
    ) -> Result<(), EngineError> {
        let image = self
            .docker
            .inspect_image(image)
            .await
            .map_err(EngineError::from_bollard)?;
        let layers = image.root_fs.and_then(|fs| fs.layers).unwrap_or_default();
        let config = json!({
            "architecture": image.architecture,
            "variant": image.variant,
            "os": image.os,
            "created": jiff::Timestamp::now().to_string(),
            "config": { "Entrypoint": entrypoint(), "Labels": labels },
            "rootfs": { "type": "layers", "diff_ids": layers },
        });
        // Layers that the engine knows are not looked for in the archive; names they must have.
        let names: Vec<String> = (0..layers.len()).map(|at| format!("{at}.tar")).collect();
        let manifest = json!([
            { "Config": "config.json", "RepoTags": [reference], "Layers": names }
        ]);
        let archive = archive(&[
            ("config.json", config.to_string()),
            ("manifest.json", manifest.to_string()),
        ])
        .map_err(|error| EngineError::Broken(error.to_string()))?;
        let options = ImportImageOptionsBuilder::new().quiet(true).build();
        let body = bollard::body_full(Bytes::from(archive));
        self.docker
            .import_image(options, body, None)
            .try_for_each(|_| async { Ok(()) })
            .await
            .map_err(EngineError::from_bollard)
    }

    async fn keeps_images_with_containerd(&self) -> Result<bool, EngineError> {
        let info = self
            .docker
            .info()
            .await
            .map_err(EngineError::from_bollard)?;
        Ok(info
            .driver_status
            .into_iter()
            .flatten()
            .flatten()
            .any(|word| word.starts_with("io.containerd.snapshotter")))
    }
}

/// What the image would run: nobody runs it, and it must not be the container's own.
fn entrypoint() -> Vec<String> {
    vec![path::AMIKAD.to_owned(), "run".to_owned()]
}

fn archive(files: &[(&str, String)]) -> std::io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, name, content.as_bytes())?;
    }
    archive.into_inner()
}
