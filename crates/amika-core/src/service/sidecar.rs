//! A service that is a container of its own beside the sandbox: a database, a cache, a queue.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Service;
use super::run::{READY_TIMEOUT_S, Ready, ready_timeout_s};

/// How many of them a sandbox has at most: so many find room on a network of its own, which is a `/29`.
pub const MAX_SIDECARS: usize = 4;

/// How many digits of a sandbox's id are in the names of what belongs to its services.
const ID_DIGITS: usize = 8;

/// A container beside the sandbox, reached from the sandbox alone and by the service's name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Sidecar {
    /// Reference of its image.
    pub image: String,
    /// What it runs in place of the image's CMD; empty for that. What was written as one text is given to `sh -c`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// Variables beside the image's own. The sandbox's are not given to it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Volumes of its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<SidecarVolume>,
    /// How one sees from the sandbox that it is up: [`Ready::Http`] or [`Ready::Tcp`]; none where that it runs is all there is
    /// to see.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready: Option<Ready>,
    /// How long it may take to be up, in seconds: 1 to [`super::MAX_READY_TIMEOUT_S`].
    #[serde(default = "ready_timeout_s")]
    pub ready_timeout_s: u32,
}

/// A volume of a service. It is the sandbox's alone, and stays when that is deleted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SidecarVolume {
    /// Its name among those of the service.
    pub name: String,
    /// The place in the service's container, absolute.
    pub target: String,
}

impl Sidecar {
    /// One of an image, of which nothing else is said.
    pub fn of(image: impl Into<String>) -> Self {
        Self {
            image: image.into(),
            command: Vec::new(),
            env: BTreeMap::new(),
            volumes: Vec::new(),
            ready: None,
            ready_timeout_s: READY_TIMEOUT_S,
        }
    }
}

/// Whether any of some services is one.
pub fn has_sidecars(services: &[Service]) -> bool {
    sidecars(services).next().is_some()
}

/// Those of some services, each with its service's name.
pub fn sidecars(services: &[Service]) -> impl Iterator<Item = (&str, &Sidecar)> {
    let services = services.iter();
    services.filter_map(|service| Some((service.name.as_str(), service.sidecar.as_ref()?)))
}

/// Name of a service's container: of its sandbox's id, which stays when that gets another name.
pub fn container(id: &str, service: &str) -> String {
    format!("{}{service}", prefix(id))
}

/// Name of a service's volume on the engine. No service's name has a dot, so no two are the same.
pub fn volume(id: &str, service: &str, volume: &SidecarVolume) -> String {
    format!("{}{service}.{}", prefix(id), volume.name)
}

/// What the names of the volumes of a sandbox's services begin with.
pub fn prefix(id: &str) -> String {
    format!("amika-service-{}-", digits(id))
}

fn digits(id: &str) -> &str {
    id.get(..ID_DIGITS).unwrap_or(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_belongs_to_a_service_is_named_by_the_sandboxs_id() {
        let id = "abcdefghijklmnopqrstuvwxyz";
        let data = SidecarVolume {
            name: "data".to_owned(),
            target: "/var/lib/postgresql/data".to_owned(),
        };
        assert_eq!(container(id, "db"), "amika-service-abcdefgh-db");
        assert_eq!(volume(id, "db", &data), "amika-service-abcdefgh-db.data");
    }

    #[test]
    fn what_is_not_said_is_left_out_and_read_as_it_was() {
        let json = r#"{"image":"redis:7"}"#;
        let read: Sidecar = serde_json::from_str(json).unwrap();
        assert_eq!(read, Sidecar::of("redis:7"));
        let written = serde_json::to_string(&read).unwrap();
        assert_eq!(written, r#"{"image":"redis:7","ready_timeout_s":60}"#);
    }
}
