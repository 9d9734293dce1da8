//! The JSON that amikad answers with on port 60999, and the files it leaves for the host.
//!
//! Times are milliseconds since the Unix epoch, durations are milliseconds; both fit a JSON number.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

mod activity;
mod given;
mod listener;
mod task;

pub use activity::{Activity, Exec, OutOfMemory, Reason};
pub use given::GivenVariables;
pub use listener::{Listener, PortChange, port_changes};
pub use task::{
    BadRequest, COMMAND, JOB_BODY, Job, JobRequest, Program, SignalRequest, Task, TaskState,
    Terminal, TerminalRequest, is_terminal_name,
};

/// Where a boot stands. Phases only ever advance, in the order of the variants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Nothing was started yet.
    Starting,
    /// The setup script runs; CMD waits for it.
    Setup,
    /// CMD was started, or there is none and the sandbox stays up.
    Running,
    /// A stop was asked for, or CMD ended; what is left is being ended.
    Stopping,
    /// Everything ended; the container is about to exit.
    Exited,
}

/// Why a boot ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The setup script did not exit 0, or could not be run; CMD was never started.
    SetupFailed,
    /// CMD ended by itself.
    CmdExited,
    /// A signal asked for the end.
    Signalled,
}

/// How the setup script fared in this boot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum SetupState {
    /// No script, or this boot was told to skip it.
    #[default]
    Absent,
    /// The script runs.
    Running,
    /// The script exited 0.
    Succeeded,
    /// The script exited non-zero, was killed, or could not be started.
    Failed,
    /// A stop was asked for while the script ran.
    Cancelled,
}

/// The setup script in this boot.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Setup {
    /// How it fared.
    pub state: SetupState,
    /// Its exit code, once it exited by itself; 126 or 127 when it could not be started.
    pub exit_code: Option<i32>,
    /// Number of the signal that ended it.
    pub signal: Option<i32>,
    /// The line of the script that failed, where bash can tell it (1-based).
    pub failed_line: Option<u32>,
    /// One sentence on why it failed, for people.
    #[serde(default)]
    pub message: Option<String>,
    /// When it was started.
    pub started_at: Option<u64>,
    /// How long it ran, or has run so far.
    pub duration_ms: Option<u64>,
    /// Bytes of output so far, whether kept or not.
    pub log_bytes: u64,
    /// Whether some of the output was dropped from the middle of the log.
    pub log_truncated: bool,
}

/// Whether CMD runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum CmdState {
    /// Not started (yet).
    #[default]
    Pending,
    /// Running; also when there is no CMD and amikad itself keeps the sandbox up.
    Running,
    /// Ended.
    Exited,
}

/// CMD in this boot.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Cmd {
    /// Whether it runs.
    pub state: CmdState,
    /// Its process id in the container; none when there is no CMD.
    pub pid: Option<i32>,
    /// The program as it was named, never the arguments.
    pub argv0: Option<String>,
    /// Its exit code, once it exited by itself.
    pub exit_code: Option<i32>,
    /// Number of the signal that ended it.
    pub signal: Option<i32>,
    /// When it was started.
    pub started_at: Option<u64>,
}

/// State of a supervised service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ServiceState {
    /// Not wanted, or not installed.
    #[default]
    Off,
    /// Started, not yet answering.
    Starting,
    /// Answering its health check.
    Ready,
    /// Died; will be started again.
    Backoff,
    /// Died too often in a row, was not up in time, or may not be started again; left alone until asked for.
    Failed,
    /// Told to end, alone or together with the sandbox; or it did what it had to do.
    Stopped,
    /// Not started: amikad holds its ports until somebody connects.
    Listening,
}

/// A supervised service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Service {
    /// Whether the environment allows it.
    pub enabled: bool,
    /// Whether its program was found.
    pub installed: bool,
    /// Its state.
    pub state: ServiceState,
    /// The container port it listens on; none where it has only a socket.
    pub port: Option<u16>,
    /// Its process id in the container.
    pub pid: Option<i32>,
    /// How often it was started again.
    pub restarts: u32,
    /// How its last process ended, for people.
    pub last_exit: Option<String>,
    /// Time until the next start, in [`ServiceState::Backoff`].
    pub next_retry_ms: Option<u64>,
}

/// Supervised services by name; [`crate::contract::service`] has the names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct Services(pub BTreeMap<String, Service>);

impl Services {
    /// The service of this name, if amikad knows it.
    pub fn get(&self, name: &str) -> Option<&Service> {
        self.0.get(name)
    }

    /// Its state; [`ServiceState::Off`] where amikad does not know it.
    pub fn state(&self, name: &str) -> ServiceState {
        self.get(name)
            .map_or(ServiceState::Off, |service| service.state)
    }
}

/// Answer of `GET /v1/status`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Status {
    /// [`crate::contract::API_VERSION`].
    pub api: u32,
    /// The daemon's version.
    pub version: String,
    /// The daemon's process id, 1 as an entrypoint.
    pub pid: i32,
    /// A fresh random id for each boot.
    pub boot_id: String,
    /// Where the boot stands.
    pub phase: Phase,
    /// Why it ends or ended.
    pub outcome: Option<Outcome>,
    /// When the phase was entered.
    pub since: u64,
    /// Time since the daemon's start.
    pub uptime_ms: u64,
    /// The setup script.
    pub setup: Setup,
    /// CMD.
    pub cmd: Cmd,
    /// Supervised services.
    pub services: Services,
    /// Children reaped that were not the daemon's own.
    pub reaped_orphans: u64,
    /// Number of the signal that asked for the end.
    pub stop_signal: Option<i32>,
    /// What the kernel ended for want of memory.
    #[serde(default)]
    pub out_of_memory: OutOfMemory,
    /// Where the agent's repository is now; none without one, where that cannot be told, and in what a boot left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<Head>,
}

/// What `HEAD` of a repository says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Head {
    /// A branch, which need not have a commit yet.
    Branch(String),
    /// Detached, at this commit.
    Commit(String),
}

impl Head {
    /// The branch, or as much of the commit as people read.
    pub fn short(&self) -> &str {
        match self {
            Self::Branch(name) => name,
            Self::Commit(oid) => oid.get(..7).unwrap_or(oid),
        }
    }
}

/// What a boot leaves in the state directory, rewritten at every transition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct BootRecord {
    /// The state as `/v1/status` had it at the transition.
    #[serde(flatten)]
    pub status: Status,
    /// The code the container exits with, once known.
    pub container_exit_code: Option<i32>,
    /// The last lines of setup's output (at most 20, at most 8 KiB), when setup failed.
    #[serde(default)]
    pub setup_tail: Vec<String>,
}

/// Instructions for one boot, put into the state directory by `amika` before a start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NextBoot {
    /// Do not run the setup script.
    #[serde(default)]
    pub skip_setup: bool,
    /// Do not start CMD; stay up until told to stop. Implies [`NextBoot::skip_setup`].
    #[serde(default)]
    pub rescue: bool,
}

/// The user's dotfiles: put into the state volume by `amika`, written anew by amikad once they are installed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dotfiles {
    /// Whether they wait for that.
    #[serde(default)]
    pub waits: bool,
    /// Places in the home that they leave as they are, and all beneath: what the sandbox was made with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kept: Vec<String>,
    /// What went wrong, in words.
    #[serde(default)]
    pub failure: Option<String>,
}

impl Dotfiles {
    /// Bytes of it at most: some thousand places with long names.
    pub const LARGEST: usize = 4 << 20;
}

/// What changed in a [`Change`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Changed {
    /// [`Status::phase`].
    Phase,
    /// [`Setup::state`].
    Setup,
    /// [`Cmd::state`].
    Cmd,
    /// [`Status::out_of_memory`]: the kernel ended processes for want of memory.
    OutOfMemory,
    /// [`Service::state`] of the service of this name.
    #[serde(untagged)]
    Service(String),
}

/// One event of `GET /v1/events`: something changed, and this is how everything stands since.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Change {
    /// Number of the event in this boot, from 0.
    pub seq: u64,
    /// When it happened.
    pub at: u64,
    /// What changed.
    pub changed: Changed,
    /// Where the boot stands.
    pub phase: Phase,
    /// Why it ends, once that is known.
    pub outcome: Option<Outcome>,
    /// The setup script.
    pub setup: SetupState,
    /// CMD.
    pub cmd: CmdState,
    /// Processes ended for want of memory so far.
    #[serde(default)]
    pub out_of_memory_kills: u64,
    /// Each supervised service, under its name.
    #[serde(flatten)]
    pub services: BTreeMap<String, ServiceState>,
}

/// Body of the unauthenticated `/readyz` and `/startupz` while they answer 503.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Readiness {
    /// Whether CMD runs (and OpenCode is ready, where that was asked for).
    pub ready: bool,
    /// Where the boot stands.
    pub phase: Phase,
}

/// Answer of `GET /v1/challenge`, by which amikad proves itself; see [`crate::proof`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChallengeAnswer {
    /// The server's nonce, in hexadecimal digits.
    pub nonce: String,
    /// HMAC-SHA-256 over `server` and both nonces, in hexadecimal digits.
    pub proof: String,
}

/// Answer of `GET /v1/services/opencode`: how to sign in. Never logged.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenCodeAccess {
    /// The container port.
    pub port: u16,
    /// User name for HTTP basic authentication.
    pub username: String,
    /// Password for HTTP basic authentication.
    pub password: String,
}

impl std::fmt::Debug for OpenCodeAccess {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenCodeAccess")
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

/// Body of every error that amikad answers with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// What went wrong.
    pub error: ErrorDetail,
}

/// Inner part of [`ErrorBody`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorDetail {
    /// Stable word for programs, such as `unauthorized`.
    pub code: String,
    /// A sentence for people.
    pub message: String,
}
