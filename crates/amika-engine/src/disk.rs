//! What things take on the engine's disk.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use bollard::models::VolumeListResponse;
use bollard::query_parameters::{ListContainersOptionsBuilder, ListVolumesOptions};

use super::{Engine, EngineError};

/// The newest API that tells volumes' sizes in the shape that all older ones do.
const NEWEST_USAGE_API: (usize, usize) = (1, 51);

/// The engine's words while it walks its volumes for somebody else.
const BUSY: &str = "disk usage operation is already running";
/// How often such an engine is asked again, and the pause between: a minute in all.
const BUSY_TRIES: u32 = 240;
const BUSY_PAUSE: Duration = Duration::from_millis(250);

/// What a volume takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VolumeUsage {
    /// Bytes; none when its driver does not tell.
    pub size: Option<u64>,
    /// Whether a container mounts it.
    pub used: bool,
}

impl Engine {
    /// Bytes that the containers with a label wrote to their own layer, by the engine's id. The
    /// engine walks the layers: it takes longer than a list.
    pub async fn container_sizes(&self, label: &str) -> Result<BTreeMap<String, u64>, EngineError> {
        let filters = HashMap::from([("label", vec![label])]);
        let options = ListContainersOptionsBuilder::new()
            .all(true)
            .size(true)
            .filters(&filters)
            .build();
        let list = self
            .docker
            .list_containers(Some(options))
            .await
            .map_err(EngineError::from_bollard)?;
        Ok(list
            .into_iter()
            .filter_map(|container| {
                // An untouched layer is left out of the answer.
                let size = container.size_rw.unwrap_or_default();
                Some((container.id?, u64::try_from(size).unwrap_or_default()))
            })
            .collect())
    }

    /// What every volume on the engine takes, by name. The engine walks them all.
    pub async fn volume_usage(&self) -> Result<BTreeMap<String, VolumeUsage>, EngineError> {
        // Sizes stand in `/system/df` alone. The client library reads that answer only as API 1.52
        // has it; `Volumes` in older ones has the shape of a list of volumes. So the call for a list
        // is sent there, under a version that every engine since 23 (and, unversioned by type, 20.10)
        // answers in that shape.
        let negotiated = self.docker.client_version();
        let (major, minor) =
            (negotiated.major_version, negotiated.minor_version).min(NEWEST_USAGE_API);
        let target = format!("/v{major}.{minor}/system/df?type=volume");
        let docker = self
            .docker
            .clone()
            .with_request_modifier(move |mut request| {
                tracing::debug!(method = %request.method(), uri = %target, "engine");
                if let Some(uri) = redirected(request.uri(), &target) {
                    *request.uri_mut() = uri;
                }
                request
            });
        let mut tries = 0;
        let answer: VolumeListResponse = loop {
            let answer = docker.list_volumes(None::<ListVolumesOptions>).await;
            match answer.map_err(EngineError::from_bollard) {
                // Engines walk their volumes for one asker at a time, and refuse the next.
                Err(error) if tries < BUSY_TRIES && error.to_string().contains(BUSY) => {
                    tries += 1;
                    tokio::time::sleep(BUSY_PAUSE).await;
                }
                other => break other?,
            }
        };
        Ok(answer
            .volumes
            .unwrap_or_default()
            .into_iter()
            .map(|volume| {
                let usage = volume.usage_data;
                let facts = VolumeUsage {
                    size: usage
                        .as_ref()
                        .and_then(|usage| u64::try_from(usage.size).ok()),
                    used: usage.is_some_and(|usage| usage.ref_count > 0),
                };
                (volume.name, facts)
            })
            .collect())
    }
}

/// The same address with another path and query.
fn redirected(uri: &hyper::Uri, target: &str) -> Option<hyper::Uri> {
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(target.parse().ok()?);
    hyper::Uri::from_parts(parts).ok()
}
