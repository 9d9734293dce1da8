//! What the engine tells of a container, in our own types.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use amika_core::port::Protocol;
use bollard::models::{HostConfig, PortBinding};

use crate::engine::network::{JoinedNetwork, joined};
use crate::engine::spec::Limits;

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
    /// The networks that it was put on.
    pub networks: Vec<JoinedNetwork>,
}

impl ContainerSummary {
    /// Whether its health check succeeded at its last run, since this start of it.
    pub fn is_healthy(&self) -> bool {
        self.status.ends_with("(healthy)")
    }
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
    /// CMD, the image's or its own.
    pub cmd: Vec<String>,
    /// Ports as they are bound now, while it runs.
    pub ports: Vec<PublishedPort>,
    /// Ports as they were asked for.
    pub port_requests: Vec<PublishedPort>,
    /// Mounts: kind, name or source, target, writable.
    pub mounts: Vec<MountFacts>,
    /// The network that it was made for.
    pub network: Option<String>,
    /// The networks that it was put on.
    pub networks: Vec<JoinedNetwork>,
    /// The health check's word.
    pub health: Option<String>,
    /// What it may use at most.
    pub limits: LimitFacts,
    /// Its seccomp profile where it is not the engine's own: `unconfined`, or JSON.
    pub seccomp: Option<String>,
    /// Its capabilities.
    pub capabilities: CapabilityFacts,
}

/// How a container's capabilities differ from the engine's default.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
pub struct CapabilityFacts {
    /// Given beyond it, without `CAP_`; `ALL` is all.
    pub added: Vec<String>,
    /// Taken away.
    pub dropped: Vec<String>,
}

impl CapabilityFacts {
    /// Engines put the prefix before names that came without one.
    fn of(host: &HostConfig) -> Self {
        let bare = |names: &Option<Vec<String>>| {
            let names = names.iter().flatten();
            let bare = names.map(|name| name.strip_prefix("CAP_").unwrap_or(name).to_owned());
            bare.collect::<BTreeSet<_>>().into_iter().collect()
        };
        Self {
            added: bare(&host.cap_add),
            dropped: bare(&host.cap_drop),
        }
    }
}

/// What a container may use at most; none is no limit of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize, schemars::JsonSchema)]
pub struct LimitFacts {
    /// Processors.
    pub cpus: Option<f64>,
    /// Memory in bytes.
    pub memory_bytes: Option<u64>,
    /// Processes and threads.
    pub pids: Option<i64>,
}

impl LimitFacts {
    /// What a container that is made so will have.
    pub fn of_spec(limits: &Limits) -> Self {
        Self {
            cpus: limits.cpus.map(|cpus| processors(cpus.nano())),
            memory_bytes: limits
                .memory
                .and_then(|memory| u64::try_from(memory.bytes()).ok()),
            pids: limits.pids,
        }
    }

    /// The engine has 0 for no limit, and -1 for no limit of processes.
    fn of(host: &HostConfig) -> Self {
        let set = |value: Option<i64>| value.filter(|value| *value > 0);
        Self {
            cpus: set(host.nano_cpus).map(processors),
            memory_bytes: set(host.memory).and_then(|bytes| u64::try_from(bytes).ok()),
            pids: set(host.pids_limit),
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "nobody has 2^53 billionths of a processor"
)]
fn processors(nano: i64) -> f64 {
    nano as f64 / 1e9
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

pub(in crate::engine) fn summary(item: bollard::models::ContainerSummary) -> ContainerSummary {
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
        networks: joined(item.network_settings.and_then(|settings| settings.networks)),
        volumes: item
            .mounts
            .unwrap_or_default()
            .into_iter()
            .filter_map(|mount| Some((mount.name?, mount.destination.unwrap_or_default())))
            .collect(),
    }
}

pub(super) fn facts(answer: bollard::models::ContainerInspectResponse) -> ContainerFacts {
    let state = answer.state.unwrap_or_default();
    let config = answer.config.unwrap_or_default();
    let network = answer.network_settings.unwrap_or_default();
    let host = answer.host_config.unwrap_or_default();
    ContainerFacts {
        limits: LimitFacts::of(&host),
        seccomp: seccomp(&host),
        capabilities: CapabilityFacts::of(&host),
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
        cmd: config.cmd.unwrap_or_default(),
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
        networks: joined(network.networks),
        health: state
            .health
            .and_then(|health| health.status)
            .map(|word| word.to_string()),
    }
}

/// The engine takes `seccomp:` as well.
fn seccomp(host: &HostConfig) -> Option<String> {
    let options = host.security_opt.as_ref()?.iter();
    let profile = |option: &String| {
        let rest = option.strip_prefix("seccomp")?;
        rest.strip_prefix(['=', ':']).map(str::to_owned)
    };
    options.rev().find_map(profile)
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
