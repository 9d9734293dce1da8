//! A container as Amika wants it made, before it is put into the engine's words.

use std::collections::BTreeMap;

use amika_core::capability::Capabilities;
use amika_core::limit::{Cpus, Memory};
use amika_core::port::Protocol;

/// One container with all its volumes; made by one engine call.
#[derive(Clone, Debug, Default)]
pub struct ContainerSpec {
    /// Name of the container, and its host name where it is given no other.
    pub name: String,
    /// Host name, and by which others on its network find it.
    pub hostname: Option<String>,
    /// Image reference or id.
    pub image: String,
    /// Replaces the image's ENTRYPOINT.
    pub entrypoint: Option<Vec<String>>,
    /// Replaces the image's CMD; with a replaced entrypoint the image's CMD is dropped otherwise.
    pub cmd: Option<Vec<String>>,
    /// `KEY=VALUE` entries.
    pub env: Vec<String>,
    /// Labels of the container.
    pub labels: BTreeMap<String, String>,
    /// Replaces the image's USER.
    pub user: Option<String>,
    /// Ports to publish.
    pub ports: Vec<PortSpec>,
    /// Volumes and bind mounts.
    pub mounts: Vec<MountSpec>,
    /// Network to join.
    pub network: String,
    /// Name servers in place of the host's; none are the host's.
    pub dns: Vec<String>,
    /// Capabilities beside the engine's default ones, and those of them that it is not to have.
    pub capabilities: Capabilities,
    /// Limits on what it may use.
    pub limits: Limits,
    /// Whether the engine's own log driver default would grow without bound.
    pub bound_log: bool,
    /// Seccomp profile in place of the engine's own, as JSON.
    pub seccomp: Option<String>,
    /// Settings that a nested engine needs, beyond capabilities.
    pub nested_engine: bool,
    /// Whether it is privileged, which gives more than all capabilities.
    pub privileged: bool,
    /// The health check's command.
    pub healthcheck: Vec<String>,
}

/// A port to publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortSpec {
    /// Address on the host.
    pub host_ip: String,
    /// Port on the host; the engine chooses when absent.
    pub host_port: Option<u16>,
    /// Port in the container.
    pub container_port: u16,
    /// TCP or UDP.
    pub protocol: Protocol,
}

/// Something mounted into the container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MountSpec {
    /// A named volume, made with the container when it does not exist.
    Volume {
        /// Name of the volume.
        name: String,
        /// Absolute path in the container.
        target: String,
        /// Whether it may not be written.
        read_only: bool,
        /// Labels of a volume that is made now.
        labels: BTreeMap<String, String>,
        /// Whether the image's files at the target are kept out of a new volume.
        no_copy: bool,
    },
    /// A directory or file of the host.
    Bind {
        /// Absolute path on the host.
        source: String,
        /// Absolute path in the container.
        target: String,
        /// Whether it may not be written.
        read_only: bool,
    },
}

impl MountSpec {
    /// The place in the container.
    pub fn target(&self) -> &str {
        match self {
            Self::Volume { target, .. } | Self::Bind { target, .. } => target,
        }
    }
}

/// Limits on what a container may use; absent means none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// CPUs, fractions allowed.
    pub cpus: Option<Cpus>,
    /// Memory.
    pub memory: Option<Memory>,
    /// Processes.
    pub pids: Option<i64>,
}
