//! Services beside a sandbox that are containers of their own: making and starting them, ending them, and their volumes.
//!
//! They are on the sandbox's own network, where it finds them by their names, and nobody else does. amikad looks whether they
//! are up before it runs setup.

use std::collections::{BTreeMap, BTreeSet};

use amika_core::capability::{Capabilities, Purpose};
use amika_core::label::{Kind, Labels, ResourceRecord, SandboxId, SandboxRecord, key, stamp};
use amika_core::name::SandboxName;
use amika_core::service::{Service, Sidecar, has_sidecars, sidecar, sidecars};
use amika_engine::{
    ContainerFacts, ContainerSpec, ContainerState, EngineError, Limits, MountSpec, VolumeFacts,
};

use crate::error::{self, Error, Result};
use crate::fan_out;
use crate::networks;
use crate::own_services::Asked;
use crate::sandbox::Sandbox;
use crate::sandboxes::Sandboxes;

/// How long one has to end by itself when its sandbox is stopped, in seconds.
const GRACE_S: i32 = 10;
/// So many processes one may have at least, where its sandbox may: some servers begin with dozens.
const LEAST_PIDS: i64 = 256;

/// What they have from their sandbox.
#[derive(Clone, Debug)]
pub(crate) struct Beside<'a> {
    /// The sandbox's id.
    pub id: &'a SandboxId,
    /// Its name.
    pub sandbox: &'a str,
    /// Its services, those of its own programs too.
    pub services: &'a [Service],
    /// Its network.
    pub network: &'a str,
    /// What the sandbox may use at most, and all of them together.
    pub limits: Limits,
    /// What a server stamped it with.
    pub stamp: Labels,
    /// The test run that it belongs to.
    pub test: Option<&'a str>,
    /// Whether the engine's log driver is the one that grows without bound; none where it is asked once one has to be made.
    pub bound_log: Option<bool>,
}

/// Starts those of a sandbox that is about to start; those that are not there are made.
///
/// # Errors
/// As [`start`].
pub(crate) async fn start_of(engine: &Sandboxes, of: &Sandbox) -> Result<()> {
    start_some(engine, of, |_| true).await
}

async fn start_some(
    engine: &Sandboxes,
    of: &Sandbox,
    is_wanted: impl Fn(&str) -> bool,
) -> Result<()> {
    let record = &of.record;
    // The one that it was made for: by hand it may have been put on others.
    let (Some(network), true) = (&of.container.network, has_sidecars(&record.services)) else {
        return Ok(());
    };
    let limits = &of.container.limits;
    let beside = Beside {
        id: &record.id,
        sandbox: &of.name,
        services: &record.services,
        network,
        limits: limits.given(),
        stamp: stamp(&of.container.labels),
        test: record.test.as_deref(),
        bound_log: None,
    };
    let some = sidecars(beside.services).filter(|(name, _)| is_wanted(name));
    start_all(engine, &beside, some).await
}

/// Starts them; those that are not there are made.
///
/// # Errors
/// [`error::Kind::Image`] where an image is gone; [`error::Kind::Conflict`] where somebody else's container has the name;
/// [`error::Kind::Failure`] for one that cannot be started; those of the engine.
pub(crate) async fn start(engine: &Sandboxes, beside: &Beside<'_>) -> Result<()> {
    start_all(engine, beside, sidecars(beside.services)).await
}

async fn start_all<'a>(
    engine: &Sandboxes,
    beside: &Beside<'_>,
    all: impl Iterator<Item = (&'a str, &'a Sidecar)>,
) -> Result<()> {
    let started = all.map(|(name, sidecar)| start_one(engine, beside, name, sidecar));
    fan_out::in_order(started).await.into_iter().collect()
}

async fn start_one(
    engine: &Sandboxes,
    beside: &Beside<'_>,
    service: &str,
    sidecar: &Sidecar,
) -> Result<()> {
    let container = sidecar::container(beside.id.as_str(), service);
    let failed = |error: EngineError| failed(service, sidecar, &error);
    match found(engine, beside.id, &container).await? {
        Some(there) if there.state == ContainerState::Running => return Ok(()),
        Some(there) => {
            networks::rejoin(engine, &there, &engine.networks().await?).await?;
        }
        None => {
            refuse_others_volumes(engine, beside.id, service, sidecar).await?;
            let facts = engine.inspect_network(beside.network).await?;
            let is_internal = facts.is_some_and(|facts| facts.internal);
            let spec = ContainerSpec {
                dns: networks::dns_where(is_internal),
                bound_log: match beside.bound_log {
                    Some(known) => known,
                    None => engine.system().await?.has_unbounded_log(),
                },
                ..spec(beside, service, sidecar)
            };
            engine.create_container(&spec).await.map_err(failed)?;
        }
    }
    engine.start_container(&container).await.map_err(failed)
}

/// Refuses a volume of that name which is no service's of this sandbox: what is in it is somebody else's.
async fn refuse_others_volumes(
    engine: &Sandboxes,
    id: &SandboxId,
    service: &str,
    sidecar: &Sidecar,
) -> Result<()> {
    for volume in &sidecar.volumes {
        let name = sidecar::volume(id.as_str(), service, volume);
        let there = engine.inspect_volume(&name).await?;
        let is_others =
            |labels: &Labels| labels.get(key::ID).map(String::as_str) != Some(id.as_str());
        if there.is_some_and(|there| is_others(&there.labels)) {
            return Err(Error::new(
                error::Kind::Conflict,
                format!(
                    "volume {name} is there already, and is not this sandbox's; it is left alone"
                ),
            ));
        }
    }
    Ok(())
}

/// A container of that name, which is this sandbox's.
async fn found(
    engine: &Sandboxes,
    id: &SandboxId,
    container: &str,
) -> Result<Option<ContainerFacts>> {
    match engine.inspect_container(container).await {
        Ok(facts) if facts.name != container => Ok(None),
        Ok(facts) if is_of(&facts.labels, id) => Ok(Some(facts)),
        Ok(_) => Err(Error::new(
            error::Kind::Conflict,
            format!(
                "the name \"{container}\" is taken by a container that is not amika's; it is left alone"
            ),
        )),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn is_of(labels: &Labels, id: &SandboxId) -> bool {
    let label = |key: &str| labels.get(key).map(String::as_str);
    label(key::KIND) == Some(Kind::Service.as_str()) && label(key::ID) == Some(id.as_str())
}

fn failed(service: &str, sidecar: &Sidecar, error: &EngineError) -> Error {
    let is_network = error.to_string().contains("network");
    let kind = if error.is_not_found() && !is_network {
        error::Kind::Image
    } else {
        error::Kind::Failure
    };
    Error::new(kind, format!("service \"{service}\" cannot be started"))
        .cause(format!("image {}", sidecar.image.escape_debug()))
        .caused_by(error)
}

/// What one of them may use at most: an equal part of what the sandbox may, so that a file that declares some asks for no more of
/// the machine than twice a sandbox.
fn share(beside: &Beside<'_>) -> Limits {
    let among = i64::try_from(sidecars(beside.services).count()).unwrap_or(i64::MAX);
    let Limits { cpus, memory, pids } = beside.limits;
    Limits {
        cpus: cpus.map(|cpus| cpus.shared(among)),
        memory: memory.map(|memory| memory.shared(among)),
        pids: pids.map(|pids| (pids / among.max(1)).max(LEAST_PIDS).min(pids)),
    }
}

fn spec(beside: &Beside<'_>, service: &str, sidecar: &Sidecar) -> ContainerSpec {
    let labels = |kind: Kind| {
        let record = ResourceRecord {
            id: Some(beside.id.clone()),
            sandbox: beside.sandbox.parse::<SandboxName>().ok(),
            created_at: Some(amika_host::clock::now_millis()),
            creator: Some(crate::creator::this_process()),
            test: beside.test.map(str::to_owned),
            ..ResourceRecord::new(kind)
        };
        let mut labels = record.to_labels();
        labels.extend(beside.stamp.clone());
        labels
    };
    let volumes = sidecar.volumes.iter().map(|volume| MountSpec::Volume {
        name: sidecar::volume(beside.id.as_str(), service, volume),
        target: volume.target.clone(),
        read_only: false,
        labels: labels(Kind::Named),
        no_copy: false,
    });
    let env = sidecar.env.iter();
    ContainerSpec {
        name: sidecar::container(beside.id.as_str(), service),
        hostname: Some(service.to_owned()),
        image: sidecar.image.clone(),
        cmd: (!sidecar.command.is_empty()).then(|| sidecar.command.clone()),
        env: env.map(|(name, value)| format!("{name}={value}")).collect(),
        labels: labels(Kind::Service),
        mounts: volumes.collect(),
        network: beside.network.to_owned(),
        capabilities: Capabilities::of(Purpose::Agent, &BTreeSet::new(), false),
        limits: share(beside),
        ..ContainerSpec::default()
    }
}

/// Ends those of a sandbox that was stopped.
///
/// # Errors
/// Those of the engine.
pub(crate) async fn stop(engine: &Sandboxes, record: &SandboxRecord) -> Result<()> {
    let all = sidecars(&record.services)
        .map(async |(service, _)| stop_one(engine, &record.id, service).await);
    fan_out::in_order(all).await.into_iter().collect()
}

async fn stop_one(engine: &Sandboxes, id: &SandboxId, service: &str) -> Result<()> {
    let container = sidecar::container(id.as_str(), service);
    let Some(found) = found(engine, id, &container).await? else {
        return Ok(());
    };
    match engine.stop_container(&found.id, Some(GRACE_S)).await {
        Err(error) if !error.is_not_found() => Err(error.into()),
        _ => Ok(()),
    }
}

/// Ends those of a sandbox that could not be started, or takes away what was made for one that is gone meanwhile.
pub(crate) async fn after_failure(engine: &Sandboxes, of: &Sandbox) {
    if !has_sidecars(&of.record.services) {
        return;
    }
    let id = of.record.id.as_str();
    let ending = async {
        match engine.inspect_container(&of.container.id).await {
            Ok(there) if there.state == ContainerState::Running => Ok(()),
            Err(error) if error.is_not_found() => {
                crate::others::remove(engine, id).await?;
                networks::remove_own(engine, id).await
            }
            _ => stop(engine, &of.record).await,
        }
    };
    if let Err(error) = ending.await {
        tracing::debug!(sandbox = of.name, error = error.message, "services go on");
    }
}

/// The volumes of a sandbox's services.
///
/// # Errors
/// Those of the engine.
pub(crate) async fn volumes(engine: &Sandboxes, id: &str) -> Result<Vec<String>> {
    let volumes = engine.list_volumes(&format!("{}={id}", key::ID)).await?;
    let prefix = sidecar::prefix(id);
    // A volume that a repository's file names for all its sandboxes bears the id of the first.
    let is_ours = |volume: &VolumeFacts| {
        let kind = volume.labels.get(key::KIND).map(String::as_str);
        kind == Some(Kind::Named.as_str()) && volume.name.starts_with(&prefix)
    };
    let ours = volumes.into_iter().filter(is_ours);
    Ok(ours.map(|volume| volume.name).collect())
}

/// How a service's container stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stands {
    /// Its state on the engine; none where it is not there.
    pub state: Option<ContainerState>,
    /// The code that it ended with, where it did.
    pub exit_code: Option<i64>,
}

impl Stands {
    /// Whether it came to an end by itself, or was never there.
    pub(crate) fn is_over(&self) -> bool {
        matches!(
            self.state,
            None | Some(ContainerState::Exited | ContainerState::Dead)
        )
    }

    /// How it last ended, for people.
    pub(crate) fn last_exit(&self) -> Option<String> {
        self.exit_code.map(|code| format!("exit code {code}"))
    }
}

impl Sandboxes {
    /// Asks something of the container of a sandbox's service.
    ///
    /// # Errors
    /// Those of [`start`], and of the engine.
    pub(crate) async fn ask_sidecar(
        &self,
        of: &Sandbox,
        service: &str,
        asked: Asked,
    ) -> Result<()> {
        let _change = self.locks().change(&of.name).await;
        if asked != Asked::Start {
            stop_one(self, &of.record.id, service).await?;
        }
        if asked != Asked::Stop {
            start_some(self, of, |name| name == service).await?;
        }
        Ok(())
    }

    /// How the containers of a sandbox's services stand, by the services' names.
    ///
    /// # Errors
    /// Those of the engine.
    pub async fn sidecars(&self, record: &SandboxRecord) -> Result<BTreeMap<String, Stands>> {
        let all = sidecars(&record.services).map(async |(service, _)| {
            let container = sidecar::container(record.id.as_str(), service);
            let found = found(self, &record.id, &container).await?;
            let over = found
                .as_ref()
                .filter(|it| it.state == ContainerState::Exited);
            let stands = Stands {
                exit_code: over.map(|it| it.exit_code),
                state: found.map(|it| it.state),
            };
            Ok::<_, Error>((service.to_owned(), stands))
        });
        fan_out::in_order(all).await.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use pretty_assertions::assert_eq;

    use super::*;

    #[test]
    fn a_services_container_has_nothing_of_its_sandbox_and_its_own_volumes() {
        let id = SandboxId::from_random([1; 16]);
        let services: Vec<Service> = serde_json::from_str(
            r#"[{"name":"db","ports":[],"sidecar":{"image":"postgres:17","env":{"A":"b"},
                "volumes":[{"name":"data","target":"/data"}]}}]"#,
        )
        .unwrap();
        let beside = Beside {
            id: &id,
            sandbox: "teal-tokyo",
            services: &services,
            network: "amika-teal-tokyo",
            limits: Limits::default(),
            stamp: Labels::new(),
            test: None,
            bound_log: None,
        };
        let (service, sidecar) = sidecars(&services).next().unwrap();
        let spec = spec(&beside, service, sidecar);
        assert_eq!(spec.name, sidecar::container(id.as_str(), "db"));
        assert_eq!(spec.hostname.as_deref(), Some("db"));
        assert_eq!((spec.entrypoint, spec.cmd, spec.user), (None, None, None));
        assert_eq!((spec.env, spec.ports), (vec!["A=b".to_owned()], Vec::new()));
        assert!(is_of(&spec.labels, &id) && !is_of(&spec.labels, &SandboxId::from_random([2; 16])));
        let [
            MountSpec::Volume {
                name,
                target,
                labels,
                ..
            },
        ] = spec.mounts.as_slice()
        else {
            panic!("{:?}", spec.mounts);
        };
        assert_eq!(
            (name.as_str(), target.as_str()),
            (
                sidecar::volume(id.as_str(), "db", &sidecar.volumes[0]).as_str(),
                "/data"
            )
        );
        assert_eq!(labels[key::KIND], Kind::Named.as_str());
    }
}
