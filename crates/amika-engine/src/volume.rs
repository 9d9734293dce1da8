//! Named volumes.

use std::collections::{BTreeMap, HashMap};

use amika_core::name::can_be_on_an_engine;
use bollard::models::VolumeCreateRequest;
use bollard::query_parameters::{ListVolumesOptionsBuilder, RemoveVolumeOptions};

use super::removal::until_let_go;
use super::{Engine, EngineError};

/// A volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeFacts {
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// The driver that holds it.
    pub driver: String,
    /// Where the driver holds it, on the engine's machine.
    pub mountpoint: String,
}

impl Engine {
    /// Makes a volume, or finds the one of that name.
    pub async fn create_volume(
        &self,
        name: &str,
        labels: BTreeMap<String, String>,
    ) -> Result<(), EngineError> {
        let request = VolumeCreateRequest {
            name: Some(name.to_owned()),
            labels: Some(labels.into_iter().collect()),
            ..VolumeCreateRequest::default()
        };
        self.docker
            .create_volume(request)
            .await
            .map(drop)
            .map_err(EngineError::from_bollard)
    }

    /// Looks at a volume; `None` when there is none. The engine is not asked for what none can be called.
    pub async fn inspect_volume(&self, name: &str) -> Result<Option<VolumeFacts>, EngineError> {
        if !can_be_on_an_engine(name) {
            return Ok(None);
        }
        match self
            .docker
            .inspect_volume(name)
            .await
            .map_err(EngineError::from_bollard)
        {
            Ok(volume) => Ok(Some(facts(volume))),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Lists the volumes that have a label (`key` or `key=value`), by name.
    pub async fn list_volumes(&self, label: &str) -> Result<Vec<VolumeFacts>, EngineError> {
        self.volumes(HashMap::from([("label", vec![label])])).await
    }

    /// The same of those that no container has, running or not.
    ///
    /// # Errors
    /// Those of the engine.
    pub async fn unused_volumes(&self, label: &str) -> Result<Vec<VolumeFacts>, EngineError> {
        let filters = [("label", vec![label]), ("dangling", vec!["true"])];
        self.volumes(HashMap::from(filters)).await
    }

    async fn volumes(
        &self,
        filters: HashMap<&str, Vec<&str>>,
    ) -> Result<Vec<VolumeFacts>, EngineError> {
        let options = ListVolumesOptionsBuilder::new().filters(&filters).build();
        let answer = self
            .docker
            .list_volumes(Some(options))
            .await
            .map_err(EngineError::from_bollard)?;
        let mut list: Vec<_> = answer
            .volumes
            .unwrap_or_default()
            .into_iter()
            .map(facts)
            .collect();
        list.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(list)
    }

    /// As [`Engine::remove_volume`], for a volume whose containers are gone: an engine at work lets go of
    /// it a moment after it said so, above all when two ask for the same.
    ///
    /// # Errors
    /// [`EngineError::Conflict`] when another container uses it.
    pub async fn remove_freed_volume(&self, name: &str) -> Result<(), EngineError> {
        let may_pass = |refusal: &EngineError| match refusal {
            // The words of Docker and of Podman.
            EngineError::Conflict(why) => why.contains("in use") || why.contains("being used"),
            _ => false,
        };
        until_let_go(may_pass, || self.remove_volume(name)).await
    }

    /// Removes a volume; one that does not exist counts as removed.
    ///
    /// # Errors
    /// [`EngineError::Conflict`] while a container uses it.
    pub async fn remove_volume(&self, name: &str) -> Result<(), EngineError> {
        if !can_be_on_an_engine(name) {
            return Ok(());
        }
        match self
            .docker
            .remove_volume(name, None::<RemoveVolumeOptions>)
            .await
            .map_err(EngineError::from_bollard)
        {
            Err(error) if !error.is_not_found() => Err(error),
            _ => Ok(()),
        }
    }
}

fn facts(volume: bollard::models::Volume) -> VolumeFacts {
    VolumeFacts {
        name: volume.name,
        labels: volume.labels.into_iter().collect(),
        driver: volume.driver,
        mountpoint: volume.mountpoint,
    }
}
