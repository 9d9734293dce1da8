//! What the engine tells of a container, in our own types.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use amika_core::limit::Memory;
use amika_core::port::Protocol;
use bollard::models::{HostConfig, MountPoint, PortBinding};

use crate::network::{JoinedNetwork, joined};
use crate::spec::Limits;

/// The engine's word for what a container does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ContainerState {
    /// Made, never started: the engine says so in its own word, and knows no time of a start.
    Created,
    /// Running.
    Running,
    /// Frozen.
    Paused,
    /// Between two runs.
    Restarting,
    /// Being stopped.
    Stopping,
    /// On its way out.
    Removing,
    /// Ran and ended.
    Exited,
    /// Cannot be run or removed.
    Dead,
    /// The engine has no word for it, or one that is not known here. Nothing follows from it.
    Unknown,
}

impl ContainerState {
    /// Reads the engine's word; `has_started` tells whether it ever ran, where that is known. An engine that lost
    /// sight of a container calls one `created` that ran (Podman after a boot of its machine): that one ended.
    fn read(word: &str, has_started: Option<bool>) -> Self {
        match word {
            "created" => match has_started {
                Some(false) => Self::Created,
                Some(true) => Self::Exited,
                None => Self::Unknown,
            },
            "running" => Self::Running,
            "paused" => Self::Paused,
            "restarting" => Self::Restarting,
            "stopping" => Self::Stopping,
            "removing" => Self::Removing,
            "exited" => Self::Exited,
            "dead" => Self::Dead,
            word => {
                tracing::debug!(word, "a state that is not known");
                Self::Unknown
            }
        }
    }
}

/// Whether a container ever ran, by the time of its last start: an engine has the year 1 for never.
fn has_started(at: Option<&str>) -> Option<bool> {
    at.filter(|at| !at.is_empty())
        .map(|at| !at.starts_with("0001-01-01T00:00:00"))
}

/// Whether the client library knows a state's word; it fails on all of an answer with another.
fn is_known(word: &str) -> bool {
    serde_json::from_value::<bollard::models::ContainerSummaryStateEnum>(word.into()).is_ok()
}

/// Reads a list of containers each by itself: what is not known of one says nothing of the others. One that cannot
/// be read is listed with what there is to tell which it is, since one that is not listed would count as gone.
///
/// # Errors
/// When it is no list, or not even that can be read of one.
pub(super) fn each_summary(json: &str) -> serde_json::Result<Vec<ContainerSummary>> {
    use serde_json::{Value, from_value};
    let entries: Vec<Value> = serde_json::from_str(json)?;
    let read = |mut entry: Value| {
        forget_unknown(entry.get_mut("State"));
        from_value(entry.clone()).or_else(|_| {
            if let Value::Object(fields) = &mut entry {
                let of_use = ["Id", "Names", "Image", "Labels", "Mounts"];
                fields.retain(|field, _| of_use.contains(&field.as_str()));
            }
            from_value(entry)
        })
    };
    let entries = entries.into_iter().map(read);
    entries.map(|entry| entry.map(summary)).collect()
}

/// Reads what an engine tells of one container, also where its state is not known.
///
/// # Errors
/// When it cannot be read for another reason.
pub(super) fn facts_of(json: &str) -> serde_json::Result<ContainerFacts> {
    let mut answer: serde_json::Value = serde_json::from_str(json)?;
    forget_unknown(answer.pointer_mut("/State/Status"));
    serde_json::from_value(answer).map(facts)
}

/// Takes away a word that is not known: without one, the state is unknown. Podman calls one `stopped` that ended
/// and that it has not cleaned up after yet.
fn forget_unknown(word: Option<&mut serde_json::Value>) {
    let Some(word) = word else { return };
    if word == "stopped" {
        *word = "exited".into();
    } else if !word.as_str().is_some_and(is_known) {
        tracing::debug!(%word, "a state that is not known");
        *word = "".into();
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
    /// When it was made, in seconds since the Unix epoch, by the engine's clock.
    pub created_at: Option<u64>,
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
    /// When it ended, in milliseconds since the Unix epoch; none while it runs, and of one that never ran.
    pub finished_at: Option<i64>,
    /// The engine's own reason for a failed start.
    pub error: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Image reference it was made from.
    pub image: String,
    /// The engine's id of that image: another may bear the reference by now.
    pub image_id: String,
    /// CMD, the image's or its own.
    pub cmd: Vec<String>,
    /// Ports as they are bound now, while it runs.
    pub ports: Vec<PublishedPort>,
    /// Ports as they were asked for.
    pub port_requests: Vec<PublishedPort>,
    /// Mounts: kind, name or source, target, writable.
    pub mounts: Vec<MountFacts>,
    /// Names of those of its volumes that nobody asked for but its image (`VOLUME`): they go with it.
    pub anonymous_volumes: BTreeSet<String>,
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
    /// The limits of a container that is to have the same.
    pub fn given(&self) -> Limits {
        let cpus = self.cpus.map(|cpus| cpus.to_string());
        let memory = self
            .memory_bytes
            .and_then(|bytes| i64::try_from(bytes).ok());
        Limits {
            cpus: cpus.and_then(|cpus| cpus.parse().ok()),
            memory: memory.and_then(|bytes| Memory::from_bytes(bytes).ok()),
            pids: self.pids,
        }
    }

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

pub(crate) fn summary(item: bollard::models::ContainerSummary) -> ContainerSummary {
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
        state: item.state.map_or(ContainerState::Unknown, |word| {
            ContainerState::read(word.as_ref(), None)
        }),
        created_at: item.created.and_then(|at| u64::try_from(at).ok()),
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
    let is_up = state.running.unwrap_or_default() || state.paused.unwrap_or_default();
    ContainerFacts {
        anonymous_volumes: anonymous(&host, answer.mounts.as_deref().unwrap_or_default()),
        image_id: answer.image.unwrap_or_default(),
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
        state: state.status.map_or(ContainerState::Unknown, |word| {
            ContainerState::read(word.as_ref(), has_started(state.started_at.as_deref()))
        }),
        exit_code: state.exit_code.unwrap_or_default(),
        oom_killed: state.oom_killed.unwrap_or_default(),
        finished_at: state
            .finished_at
            .filter(|_| !is_up)
            .and_then(|at| ended_at(&at)),
        error: state.error.unwrap_or_default(),
        labels: config.labels.unwrap_or_default().into_iter().collect(),
        image: config.image.unwrap_or_default(),
        cmd: config.cmd.unwrap_or_default(),
        // Podman tells them of one that does not run as well.
        ports: published(network.ports.filter(|_| is_up).unwrap_or_default()),
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

/// The time of an end; an engine has the year 1 for never.
fn ended_at(text: &str) -> Option<i64> {
    let at: jiff::Timestamp = text.parse().ok()?;
    Some(at.as_millisecond()).filter(|at| *at > 0)
}

/// The volumes that have no name but the engine's own, 64 hexadecimal digits, and that no mount asks for.
/// Podman tells all volumes as binds, so that binds say nothing of who asked.
fn anonymous(host: &HostConfig, mounts: &[MountPoint]) -> BTreeSet<String> {
    let is_asked_for = |volume: &str| {
        let mut asked = host.mounts.iter().flatten();
        asked.any(|mount| mount.source.as_deref() == Some(volume))
    };
    let is_engines = |name: &str| name.len() == 64 && name.bytes().all(|it| it.is_ascii_hexdigit());
    let volumes = mounts
        .iter()
        .filter(|mount| mount.typ.as_deref() == Some("volume"));
    volumes
        .filter_map(|mount| mount.name.clone())
        .filter(|name| is_engines(name) && !is_asked_for(name))
        .collect()
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

#[cfg(test)]
mod tests;
