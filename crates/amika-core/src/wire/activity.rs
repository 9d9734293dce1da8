//! Whether a sandbox is at work, and whether its memory ran out.

use serde::{Deserialize, Serialize};

/// Why a sandbox counts as active. `docs/protocol.md` has the thresholds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The setup script runs.
    Setup,
    /// An agent's turn runs: one by `amika sandbox prompt`, or a session of the OpenCode server that says so.
    Turn,
    /// A job runs: a program that was started by `POST /v1/jobs`.
    Job,
    /// Somebody typed into a terminal, or wrote to a program's standard input.
    Input,
    /// A request to OpenCode, other than those that its page sends by itself, came through a tunnel.
    Request,
    /// A tunnel carried more inwards than keep-alives.
    Tunnel,
    /// Programs used the processor.
    Cpu,
    /// Programs used the network.
    Network,
}

impl Reason {
    /// The word in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Setup => "setup",
            Self::Turn => "turn",
            Self::Job => "job",
            Self::Input => "input",
            Self::Request => "request",
            Self::Tunnel => "tunnel",
            Self::Cpu => "cpu",
            Self::Network => "network",
        }
    }
}

/// Answer of `GET /v1/activity`. Nothing is measured before somebody asked for the first time; until then the
/// sandbox counts as active.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Activity {
    /// When it was last active: the wall clock's time now, less [`Activity::idle_ms`].
    pub last_active_at: u64,
    /// How long it has been idle, on a clock that stands still while the machine is suspended.
    pub idle_ms: u64,
    /// Why it counts as active now; empty when it is idle.
    pub active_because: Vec<Reason>,
}

/// What became of a sandbox's processes when its memory limit was reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct OutOfMemory {
    /// Processes that the kernel ended for want of memory, in this boot.
    pub kills: u64,
    /// When amikad noticed the last of them.
    pub last_at: Option<u64>,
}

/// Answer of `GET /v1/execs/{id}`: what is known of a program that `exec-as --id` started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exec {
    /// Whether it runs.
    pub running: bool,
    /// Processes of the sandbox that the kernel ended for want of memory since it was started.
    pub out_of_memory_kills: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_s_word_is_the_one_in_json() {
        for reason in [
            Reason::Setup,
            Reason::Turn,
            Reason::Job,
            Reason::Input,
            Reason::Request,
            Reason::Tunnel,
            Reason::Cpu,
            Reason::Network,
        ] {
            let json = serde_json::to_value(reason).unwrap();
            assert_eq!(json, reason.word());
        }
    }
}
