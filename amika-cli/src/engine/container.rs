//! Containers: making, starting, stopping, looking at, and removing them.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use amika_core::limit::{Cpus, Memory};
use amika_core::port::Protocol;
use bollard::models::{
    ContainerCreateBody, HealthConfig, HostConfig, HostConfigCgroupnsModeEnum, HostConfigLogConfig,
    Mount, MountType, MountVolumeOptions, PortBinding,
};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, InspectContainerOptions, ListContainersOptionsBuilder,
    RemoveContainerOptionsBuilder, StartContainerOptions, StopContainerOptionsBuilder,
};

use super::spec::{ContainerSpec, MountSpec};
use super::{Engine, EngineError};

/// Times between tries to remove a container: 6.35 s in all, as long as an engine at work takes to
/// remove a container of many files.
const REMOVAL_PAUSES: [Duration; 7] = [
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(200),
    Duration::from_millis(400),
    Duration::from_millis(800),
    Duration::from_millis(1600),
    Duration::from_millis(3200),
];

/// The engine's word for what a container does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ContainerState {
    /// Made, never started.
    Created,
    /// Running.
    Running,
    /// Frozen.
    Paused,
    /// Between two runs.
    Restarting,
    /// On its way out.
    Removing,
    /// Ran and ended.
    Exited,
    /// Cannot be run or removed.
    Dead,
}

impl ContainerState {
    fn parse(word: &str) -> Self {
        match word {
            "running" => Self::Running,
            "paused" => Self::Paused,
            "restarting" => Self::Restarting,
            "removing" => Self::Removing,
            "exited" => Self::Exited,
            "dead" => Self::Dead,
            _ => Self::Created,
        }
    }
}

/// One published port as the engine has it now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishedPort {
    /// Address on the host.
    pub host_ip: String,
    /// Port on the host; none while the container does not run and the engine chooses.
    pub host_port: Option<u16>,
    /// Port in the container.
    pub container_port: u16,
    /// TCP or UDP.
    pub protocol: Protocol,
}

/// A container as a list shows it.
#[derive(Clone, Debug)]
pub struct ContainerSummary {
    /// The engine's id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Image reference it was made from.
    pub image: String,
    /// What it does.
    pub state: ContainerState,
    /// The engine's sentence, such as `Exited (3) 2 minutes ago`.
    pub status: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Ports published now.
    pub ports: Vec<PublishedPort>,
    /// Names of the volumes it mounts, with their targets.
    pub volumes: Vec<(String, String)>,
}

/// A container in full.
#[derive(Clone, Debug)]
pub struct ContainerFacts {
    /// The engine's id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its host name inside.
    pub hostname: Option<String>,
    /// What it does.
    pub state: ContainerState,
    /// Exit code of its last run.
    pub exit_code: i64,
    /// Whether the kernel ended it for want of memory.
    pub oom_killed: bool,
    /// The engine's own reason for a failed start.
    pub error: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Image reference it was made from.
    pub image: String,
    /// Ports as they are bound now, while it runs.
    pub ports: Vec<PublishedPort>,
    /// Ports as they were asked for.
    pub port_requests: Vec<PublishedPort>,
    /// Mounts: kind, name or source, target, writable.
    pub mounts: Vec<MountFacts>,
    /// Address on its network.
    pub network: Option<String>,
    /// The health check's word.
    pub health: Option<String>,
}

/// One mount of a container.
#[derive(Clone, Debug, serde::Serialize, schemars::JsonSchema)]
pub struct MountFacts {
    /// `volume`, `bind` or `tmpfs`.
    pub kind: String,
    /// Volume name, or path on the host.
    pub source: String,
    /// Path in the container.
    pub target: String,
    /// Whether it may be written.
    pub writable: bool,
}

impl Engine {
    /// Makes a container and the volumes that it names and that do not exist; returns its id.
    /// Broken off, it goes on: [`Engine::settled`] waits for its end.
    ///
    /// # Errors
    /// [`EngineError::Conflict`] when the name is taken, [`EngineError::NotFound`] without image.
    pub async fn create_container(&self, spec: &ContainerSpec) -> Result<String, EngineError> {
        let options = CreateContainerOptionsBuilder::new()
            .name(&spec.name)
            .build();
        let (docker, body) = (self.docker.clone(), body(spec));
        self.unbroken(async move { docker.create_container(Some(options), body).await })
            .await
            .map(|answer| answer.id)
            .map_err(EngineError::from_bollard)
    }

    /// Starts a container.
    ///
    /// # Errors
    /// [`EngineError::PortTaken`] when a published port is in use.
    pub async fn start_container(&self, name: &str) -> Result<(), EngineError> {
        self.docker
            .start_container(name, None::<StartContainerOptions>)
            .await
            .map_err(EngineError::from_bollard)
    }

    /// Stops a container: its stop signal, then KILL after `grace` seconds (none: its own time).
    pub async fn stop_container(&self, name: &str, grace: Option<i32>) -> Result<(), EngineError> {
        let mut options = StopContainerOptionsBuilder::new();
        if let Some(seconds) = grace {
            options = options.t(seconds);
        }
        self.docker
            .stop_container(name, Some(options.build()))
            .await
            .map_err(EngineError::from_bollard)
    }

    /// Removes a container, running or not. Its named volumes stay.
    ///
    /// The engine refuses at times what it would do a moment later: while another call looks into the
    /// container's files it leaves the container `dead`, "failed to remove root filesystem: … directory
    /// not empty" (moby/moby#30392), and while another removal is under way it answers 409. Both are
    /// tried again for as long as [`REMOVAL_PAUSES`] says.
    ///
    /// # Errors
    /// [`EngineError::NotFound`] also when another removal ended first.
    pub async fn remove_container(&self, name: &str) -> Result<(), EngineError> {
        let mut pauses = REMOVAL_PAUSES.into_iter();
        loop {
            let options = RemoveContainerOptionsBuilder::new()
                .force(true)
                .v(true)
                .build();
            let refusal = match self.docker.remove_container(name, Some(options)).await {
                Ok(()) => return Ok(()),
                Err(error) => EngineError::from_bollard(error),
            };
            match pauses.next() {
                Some(pause) if refusal.is_removal_that_may_pass() => {
                    tokio::time::sleep(pause).await;
                }
                _ => return Err(refusal),
            }
        }
    }

    /// Looks at one container by name or id.
    ///
    /// # Errors
    /// [`EngineError::NotFound`].
    pub async fn inspect_container(&self, name: &str) -> Result<ContainerFacts, EngineError> {
        self.docker
            .inspect_container(name, None::<InspectContainerOptions>)
            .await
            .map(facts)
            .map_err(EngineError::from_bollard)
    }

    /// Lists all containers that have a label, running or not.
    ///
    /// `label` is `key` or `key=value`.
    pub async fn list_containers(&self, label: &str) -> Result<Vec<ContainerSummary>, EngineError> {
        let filters = HashMap::from([("label", vec![label])]);
        let options = ListContainersOptionsBuilder::new()
            .all(true)
            .filters(&filters)
            .build();
        let list = self
            .docker
            .list_containers(Some(options))
            .await
            .map_err(EngineError::from_bollard)?;
        let mut containers: Vec<ContainerSummary> = list.into_iter().map(summary).collect();
        for container in &mut containers {
            // The list says so for ever of one whose removal failed; the container itself knows better.
            if container.state == ContainerState::Removing
                && let Ok(facts) = self.inspect_container(&container.id).await
            {
                container.state = facts.state;
            }
        }
        Ok(containers)
    }

    /// Waits until a container does not run; returns its exit code.
    pub async fn wait_container(&self, name: &str) -> Result<i64, EngineError> {
        use futures_util::StreamExt as _;
        let mut answers = std::pin::pin!(self.docker.wait_container(name, None));
        match answers.next().await {
            Some(Ok(answer)) => Ok(answer.status_code),
            Some(Err(bollard::errors::Error::DockerContainerWaitError { code, .. })) => Ok(code),
            Some(Err(error)) => Err(EngineError::from_bollard(error)),
            None => Err(EngineError::Broken(
                "the engine ended the wait without an answer".into(),
            )),
        }
    }
}

fn body(spec: &ContainerSpec) -> ContainerCreateBody {
    let key = |port: u16, protocol: Protocol| format!("{port}/{protocol}");
    let mut bindings: HashMap<String, Option<Vec<PortBinding>>> = HashMap::new();
    for port in &spec.ports {
        let binding = PortBinding {
            host_ip: Some(port.host_ip.clone()),
            host_port: Some(
                port.host_port
                    .map_or_else(String::new, |port| port.to_string()),
            ),
        };
        bindings
            .entry(key(port.container_port, port.protocol))
            .or_insert_with(|| Some(Vec::new()))
            .get_or_insert_default()
            .push(binding);
    }
    let mut host = HostConfig {
        network_mode: Some(spec.network.clone()),
        mounts: Some(spec.mounts.iter().map(mount).collect()),
        init: Some(false),
        nano_cpus: spec.limits.cpus.map(Cpus::nano),
        memory: spec.limits.memory.map(Memory::bytes),
        pids_limit: spec.limits.pids,
        // The kernel's ephemeral range reaches 60999: without this an outgoing connection could
        // take the port of OpenCode or amikad before they bind it.
        sysctls: Some(HashMap::from([(
            "net.ipv4.ip_local_reserved_ports".to_owned(),
            format!(
                "{}-{}",
                amika_core::contract::RESERVED_PORTS.start(),
                amika_core::contract::RESERVED_PORTS.end()
            ),
        )])),
        ..HostConfig::default()
    };
    if spec.bound_log {
        host.log_config = Some(HostConfigLogConfig {
            typ: Some("json-file".into()),
            config: Some(HashMap::from([
                ("max-size".to_owned(), "10m".to_owned()),
                ("max-file".to_owned(), "3".to_owned()),
            ])),
        });
    }
    if spec.nested_engine {
        // What `--privileged` gives, less SYS_RESOURCE, which not every host has to give.
        host.cap_add = Some(vec!["ALL".into()]);
        host.cap_drop = Some(vec!["SYS_RESOURCE".into()]);
        host.security_opt = Some(vec![
            "seccomp=unconfined".into(),
            "apparmor=unconfined".into(),
        ]);
        // `systempaths=unconfined` is the docker command's word for empty lists.
        host.masked_paths = Some(Vec::new());
        host.readonly_paths = Some(Vec::new());
        host.cgroupns_mode = Some(HostConfigCgroupnsModeEnum::PRIVATE);
    }
    let exposed: Vec<String> = bindings.keys().cloned().collect();
    if !bindings.is_empty() {
        host.port_bindings = Some(bindings);
    }
    ContainerCreateBody {
        hostname: Some(spec.name.clone()),
        image: Some(spec.image.clone()),
        entrypoint: spec.entrypoint.clone(),
        cmd: spec.cmd.clone(),
        env: Some(spec.env.clone()),
        labels: Some(spec.labels.clone().into_iter().collect()),
        user: spec.user.clone(),
        exposed_ports: Some(exposed),
        open_stdin: Some(true),
        stop_timeout: Some(20),
        healthcheck: (!spec.healthcheck.is_empty()).then(|| HealthConfig {
            test: Some(
                std::iter::once("CMD".to_owned())
                    .chain(spec.healthcheck.iter().cloned())
                    .collect(),
            ),
            interval: Some(30_000_000_000),
            ..HealthConfig::default()
        }),
        host_config: Some(host),
        ..ContainerCreateBody::default()
    }
}

fn mount(spec: &MountSpec) -> Mount {
    match spec {
        MountSpec::Volume {
            name,
            target,
            read_only,
            labels,
            no_copy,
        } => Mount {
            typ: Some(MountType::VOLUME),
            source: Some(name.clone()),
            target: Some(target.clone()),
            read_only: Some(*read_only),
            volume_options: Some(MountVolumeOptions {
                no_copy: Some(*no_copy),
                labels: Some(labels.clone().into_iter().collect()),
                ..MountVolumeOptions::default()
            }),
            ..Mount::default()
        },
        MountSpec::Bind {
            source,
            target,
            read_only,
        } => Mount {
            typ: Some(MountType::BIND),
            source: Some(source.clone()),
            target: Some(target.clone()),
            read_only: Some(*read_only),
            ..Mount::default()
        },
    }
}

pub(super) fn summary(item: bollard::models::ContainerSummary) -> ContainerSummary {
    let name = item
        .names
        .unwrap_or_default()
        .into_iter()
        .next()
        .unwrap_or_default();
    let ports = item.ports.unwrap_or_default();
    ContainerSummary {
        id: item.id.unwrap_or_default(),
        name: name.trim_start_matches('/').to_owned(),
        image: item.image.unwrap_or_default(),
        state: item.state.map_or(ContainerState::Created, |s| {
            ContainerState::parse(s.as_ref())
        }),
        status: item.status.unwrap_or_default(),
        labels: item.labels.unwrap_or_default().into_iter().collect(),
        ports: ports
            .into_iter()
            .filter_map(|port| {
                Some(PublishedPort {
                    host_ip: port.ip?,
                    host_port: port.public_port,
                    container_port: port.private_port,
                    protocol: protocol(port.typ.as_ref().map_or("tcp", AsRef::as_ref))?,
                })
            })
            .collect(),
        volumes: item
            .mounts
            .unwrap_or_default()
            .into_iter()
            .filter_map(|mount| Some((mount.name?, mount.destination.unwrap_or_default())))
            .collect(),
    }
}

fn facts(answer: bollard::models::ContainerInspectResponse) -> ContainerFacts {
    let state = answer.state.unwrap_or_default();
    let config = answer.config.unwrap_or_default();
    let network = answer.network_settings.unwrap_or_default();
    let host = answer.host_config.unwrap_or_default();
    ContainerFacts {
        id: answer.id.unwrap_or_default(),
        name: answer
            .name
            .unwrap_or_default()
            .trim_start_matches('/')
            .to_owned(),
        hostname: config.hostname,
        state: state.status.map_or(ContainerState::Created, |word| {
            ContainerState::parse(word.as_ref())
        }),
        exit_code: state.exit_code.unwrap_or_default(),
        oom_killed: state.oom_killed.unwrap_or_default(),
        error: state.error.unwrap_or_default(),
        labels: config.labels.unwrap_or_default().into_iter().collect(),
        image: config.image.unwrap_or_default(),
        ports: published(network.ports.unwrap_or_default()),
        port_requests: published(host.port_bindings.unwrap_or_default()),
        mounts: answer
            .mounts
            .unwrap_or_default()
            .into_iter()
            .map(|mount| MountFacts {
                kind: mount.typ.unwrap_or_default(),
                source: mount.name.or(mount.source).unwrap_or_default(),
                target: mount.destination.unwrap_or_default(),
                writable: mount.rw.unwrap_or_default(),
            })
            .collect(),
        network: host.network_mode,
        health: state
            .health
            .and_then(|health| health.status)
            .map(|word| word.to_string()),
    }
}

fn published(map: HashMap<String, Option<Vec<PortBinding>>>) -> Vec<PublishedPort> {
    let mut ports: Vec<PublishedPort> = map
        .into_iter()
        .flat_map(|(key, bindings)| {
            bindings
                .unwrap_or_default()
                .into_iter()
                .filter_map(move |binding| {
                    let (port, word) = key.split_once('/')?;
                    Some(PublishedPort {
                        host_ip: binding.host_ip.unwrap_or_default(),
                        host_port: binding.host_port.and_then(|port| port.parse().ok()),
                        container_port: port.parse().ok()?,
                        protocol: protocol(word)?,
                    })
                })
        })
        .collect();
    ports.sort_by(|a, b| (a.container_port, &a.host_ip).cmp(&(b.container_port, &b.host_ip)));
    ports
}

fn protocol(word: &str) -> Option<Protocol> {
    match word {
        "tcp" => Some(Protocol::Tcp),
        "udp" => Some(Protocol::Udp),
        _ => None,
    }
}
