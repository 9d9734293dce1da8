//! Services beside a sandbox that are containers of their own: making and starting them, ending them, and their volumes.
//!
//! They are on the sandbox's own network, where it finds them by their names, and nobody else does. amikad looks whether they
//! are up before it runs setup.

use std::collections::{BTreeMap, BTreeSet};

use amika_core::capability::{Capabilities, Purpose};
use amika_core::label::{Kind, Labels, ResourceRecord, SandboxId, SandboxRecord, key, stamp};
use amika_core::name::SandboxName;
use amika_core::service::{Service, Sidecar, sidecar, sidecars};
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
    /// What each of them may use at most.
    pub limits: Limits,
    /// What a server stamped it with.
    pub stamp: Labels,
    /// The test run that it belongs to.
    pub test: Option<&'a str>,
    /// Whether the engine's log driver is the one that grows without bound.
    pub bound_log: bool,
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
    let network = of.container.networks.first();
    let (Some(network), Some(_)) = (network, sidecars(&record.services).next()) else {
        return Ok(());
    };
    let limits = &of.container.limits;
    let beside = Beside {
        id: &record.id,
        sandbox: &of.name,
        services: &record.services,
        network: &network.name,
        limits: limits.given(),
        stamp: stamp(&of.container.labels),
        test: record.test.as_deref(),
        bound_log: engine.system().await?.log_driver == "json-file",
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
            if is_cut_off(engine, &there, beside.network).await? {
                engine.reconnect(&there.id, beside.network).await?;
            }
        }
        None => {
            let facts = engine.inspect_network(beside.network).await?;
            let is_internal = facts.is_some_and(|facts| facts.internal);
            let spec = spec(beside, service, sidecar, networks::dns_where(is_internal));
            engine.create_container(&spec).await.map_err(failed)?;
        }
    }
    engine.start_container(&container).await.map_err(failed)
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

/// Whether the network that it was on is gone, and another one has the name.
async fn is_cut_off(engine: &Sandboxes, there: &ContainerFacts, network: &str) -> Result<bool> {
    let now = engine.networks().await?;
    let now = now.iter().find(|it| it.name == network);
    let then = there.networks.iter().find(|it| it.name == network);
    Ok(match (now, then.and_then(|it| it.id.as_deref())) {
        (Some(now), Some(then)) => now.id != then && now.name != then,
        _ => false,
    })
}

fn failed(service: &str, sidecar: &Sidecar, error: &EngineError) -> Error {
    let kind = if error.is_not_found() {
        error::Kind::Image
    } else {
        error::Kind::Failure
    };
    Error::new(kind, format!("service \"{service}\" cannot be started"))
        .cause(format!("image {}", sidecar.image.escape_debug()))
        .caused_by(error)
}

fn spec(beside: &Beside<'_>, service: &str, sidecar: &Sidecar, dns: Vec<String>) -> ContainerSpec {
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
        dns,
        capabilities: Capabilities::of(Purpose::Agent, &BTreeSet::new(), false),
        limits: beside.limits,
        bound_log: beside.bound_log,
        ..ContainerSpec::default()
    }
}

/// Ends those of a sandbox that was stopped.
///
/// # Errors
/// Those of the engine.
pub(crate) async fn stop(engine: &Sandboxes, record: &SandboxRecord) -> Result<()> {
    let all = sidecars(&record.services).map(async |(service, _)| {
        let container = sidecar::container(record.id.as_str(), service);
        match engine.stop_container(&container, Some(GRACE_S)).await {
            Err(error) if !error.is_not_found() => Err(Error::from(error)),
            _ => Ok(()),
        }
    });
    fan_out::in_order(all).await.into_iter().collect()
}

/// The volumes of a sandbox's services.
///
/// # Errors
/// Those of the engine.
pub(crate) async fn volumes(engine: &Sandboxes, id: &str) -> Result<Vec<String>> {
    let volumes = engine.list_volumes(&format!("{}={id}", key::ID)).await?;
    let is_ours = |volume: &VolumeFacts| {
        volume.labels.get(key::KIND).map(String::as_str) == Some(Kind::Named.as_str())
    };
    let ours = volumes.into_iter().filter(is_ours);
    Ok(ours.map(|volume| volume.name).collect())
}

/// How a service's container stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stands {
    /// Its state on the engine; none where it is not there.
    pub state: Option<ContainerState>,
    /// How it last ended, for people.
    pub last_exit: Option<String>,
}

impl Stands {
    /// Whether it came to an end by itself, or was never there.
    pub(crate) fn is_over(&self) -> bool {
        matches!(
            self.state,
            None | Some(ContainerState::Exited | ContainerState::Dead)
        )
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
        let container = sidecar::container(of.record.id.as_str(), service);
        if asked != Asked::Start {
            match self.stop_container(&container, Some(GRACE_S)).await {
                Err(error) if !error.is_not_found() => return Err(error.into()),
                _ => {}
            }
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
                last_exit: over.map(|it| format!("exit code {}", it.exit_code)),
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
            bound_log: true,
        };
        let (service, sidecar) = sidecars(&services).next().unwrap();
        let spec = spec(&beside, service, sidecar, Vec::new());
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
