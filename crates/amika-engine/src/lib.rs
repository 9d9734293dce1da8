//! The container engine, in our own types: the only crate that knows bollard.
//!
//! Nothing here reads the environment: who calls says which endpoint is meant, and where docker's
//! configuration is.

mod archive;
mod commit;
mod connect;
mod container;
mod disk;
mod endpoint;
mod error;
mod events;
mod exec;
mod image;
mod listener;
mod logs;
mod network;
mod path;
mod ping;
mod reach;
mod recreate;
mod removal;
mod socket;
mod spec;
mod ssh;
mod stats;
mod system;
mod terminal;
mod volume;

pub use archive::{ArchivedFile, Base, Existing};
pub use connect::Engine;
pub use container::{
    CapabilityFacts, ContainerFacts, ContainerState, ContainerSummary, LimitFacts, MountFacts,
    PublishedPort,
};
pub use endpoint::Endpoint;
pub use error::EngineError;
pub use events::{ContainerEvent, EventQuery, REMEMBERED};
pub use exec::{ExecOutput, ExecSession, ExecSpec};
pub use image::{BuildSpec, ImageFacts, ImageSummary, RegistryLogin};
pub use logs::LogQuery;
pub use network::{JoinedNetwork, Link, Network, NetworkSpec};
pub use path::PathKind;
pub use reach::Reach;
pub use socket::SocketRights;
pub use spec::{ContainerSpec, Limits, MountSpec, PortSpec};
pub use ssh::Caller;
pub use stats::Usage;
pub use system::SystemFacts;
pub use volume::VolumeFacts;
