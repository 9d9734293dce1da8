//! Sandboxes whose container was removed behind Amika's back: all that is left of them is volumes.

use std::collections::{BTreeMap, BTreeSet};

use amika_core::label::{Kind, Labels, key, stamp};

use crate::error::Result;
use crate::sandboxes::Sandboxes;
use amika_engine::VolumeFacts;

/// What is left of a sandbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// Its name when its volumes were made.
    pub name: String,
    /// Its id.
    pub id: String,
    /// When it was made, in milliseconds since the Unix epoch.
    pub created_at: Option<u64>,
    /// Name of its repository, which the git volume's label tells.
    pub repository: Option<String>,
    /// Its volumes: one that goes with a sandbox at least.
    pub(crate) volumes: Vec<(Kind, VolumeFacts)>,
}

impl Lost {
    /// Names of its volumes.
    pub fn volume_names(&self) -> Vec<String> {
        let volumes = self.volumes.iter();
        volumes.map(|(_, volume)| volume.name.clone()).collect()
    }

    /// What a server stamped them with.
    pub fn stamp(&self) -> Labels {
        let first = self.volumes.first();
        first.map_or_else(Labels::new, |(_, volume)| stamp(&volume.labels))
    }
}

/// The lost sandboxes, by name. What another `amika` is working on is none.
///
/// # Errors
/// Those of the engine.
pub async fn list(engine: &Sandboxes) -> Result<Vec<Lost>> {
    let mut lost = all(engine).await?;
    let locks = engine.locks();
    lost.retain(|lost| locks.is_free(&format!("sandbox-{}", lost.name)));
    Ok(lost)
}

/// What is left of the sandboxes of this name, for whoever holds the lock of it.
///
/// # Errors
/// Those of the engine.
pub async fn of(engine: &Sandboxes, name: &str) -> Result<Vec<Lost>> {
    let mut lost = all(engine).await?;
    lost.retain(|lost| lost.name == name);
    Ok(lost)
}

pub(crate) async fn all(engine: &Sandboxes) -> Result<Vec<Lost>> {
    // Volumes first: those of a sandbox that is made between the two are then not in the list.
    let volumes = engine.list_volumes(key::ID).await?;
    let sandboxes = format!("{}={}", key::KIND, Kind::Sandbox);
    let containers = engine.list_containers(&sandboxes).await?.into_iter();
    let ids = containers
        .filter_map(|container| container.labels.get(key::ID).cloned())
        .collect();
    Ok(among(&volumes, &ids))
}

/// Which volumes belong to no container of these ids. A git volume alone is no lost sandbox: it
/// outlives its own by design.
pub fn among(volumes: &[VolumeFacts], ids: &BTreeSet<String>) -> Vec<Lost> {
    let mut lost: BTreeMap<&str, Lost> = BTreeMap::new();
    for volume in volumes {
        let label = |key: &str| volume.labels.get(key).map(String::as_str);
        let (Some(id), Some(name), Some(Ok(kind))) = (
            label(key::ID),
            label(key::SANDBOX),
            label(key::KIND).map(str::parse::<Kind>),
        ) else {
            continue;
        };
        if ids.contains(id) {
            continue;
        }
        let entry = lost.entry(id).or_insert_with(|| Lost {
            name: name.to_owned(),
            id: id.to_owned(),
            created_at: None,
            repository: None,
            volumes: Vec::new(),
        });
        entry.volumes.push((kind, volume.clone()));
        let created = label(key::CREATED_AT).and_then(|text| text.parse().ok());
        entry.created_at = entry.created_at.or(created);
        if entry.repository.is_none() {
            entry.repository = label(key::REPO_NAME).map(str::to_owned);
        }
    }
    let mut lost: Vec<Lost> = lost
        .into_values()
        .filter(|lost| {
            lost.volumes
                .iter()
                .any(|(kind, _)| kind.goes_with_sandbox())
        })
        .collect();
    lost.sort_by(|a, b| a.name.cmp(&b.name));
    lost
}

#[cfg(test)]
mod tests {
    use pretty_assertions::assert_eq;

    use super::*;

    fn volume(name: &str, id: &str, kind: Kind) -> VolumeFacts {
        let labels = [
            (key::ID, id),
            (key::SANDBOX, "teal-tokyo"),
            (key::KIND, kind.as_str()),
        ];
        VolumeFacts {
            name: name.to_owned(),
            labels: labels
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .collect(),
            driver: "local".to_owned(),
            mountpoint: String::new(),
        }
    }

    #[test]
    fn a_sandbox_is_lost_when_volumes_of_it_are_all_there_is() {
        let volumes = [
            volume("home-1", "1", Kind::Home),
            volume("git-1", "1", Kind::Git),
            volume("home-2", "2", Kind::Home),
            volume("git-3", "3", Kind::Git),
        ];
        let mut volumes = volumes;
        let repository = (key::REPO_NAME.to_owned(), "parser".to_owned());
        volumes[1].labels.extend([repository]);
        let lost = among(&volumes, &BTreeSet::from(["2".to_owned()]));
        assert_eq!(lost[0].repository.as_deref(), Some("parser"));
        assert_eq!(lost.len(), 1, "{lost:?}");
        assert_eq!((lost[0].id.as_str(), lost[0].volumes.len()), ("1", 2));
    }
}
