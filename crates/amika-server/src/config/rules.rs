//! What members may do, how much each user may have, and how much may be asked.

use std::time::Duration;

use amika_core::limit::Memory;
use serde::Deserialize;

use super::ConfigError;

/// What one source says of members: the table `[members]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MembersLayer {
    /// Whether they choose any image.
    pub image: Option<bool>,
    /// Whether they publish ports beyond loopback.
    pub host_ports: Option<bool>,
    /// Whether they make sandboxes with an engine of their own.
    pub coder_dind: Option<bool>,
    /// How many sandboxes a member may have.
    pub max_sandboxes: Option<u32>,
    /// How many processors they may have together.
    pub max_cpus: Option<u32>,
    /// How much memory they may have together, as `32g`.
    pub max_memory: Option<String>,
}

/// What one source says of how much may be asked: the table `[rates]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RatesLayer {
    /// Changes in a minute by one key; 0 is any number.
    pub per_key: Option<u32>,
    /// Requests in a minute from one address; 0 is any number.
    pub per_address: Option<u32>,
}

/// What one source says of how long an answer is held at most: the table `[holds]`, in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HoldsLayer {
    /// For what an agent answers.
    pub agent_send: Option<u32>,
    /// For the end of a deletion.
    pub delete: Option<u32>,
}

/// What members may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Members {
    /// Whether they choose any image.
    pub image: bool,
    /// Whether they publish ports beyond loopback.
    pub host_ports: bool,
    /// Whether they make sandboxes with an engine of their own.
    pub coder_dind: bool,
    /// How much a member may have where nothing else was said of him.
    pub quota: Quota,
}

/// How much a user may have; none is any amount.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quota {
    /// Sandboxes.
    pub sandboxes: Option<u32>,
    /// Processors of all of them together.
    pub cpus: Option<u32>,
    /// Memory of all of them together, in bytes.
    pub memory: Option<i64>,
}

impl Quota {
    /// This, and where it says nothing what `other` says.
    #[must_use]
    pub fn over(self, other: Self) -> Self {
        Self {
            sandboxes: self.sandboxes.or(other.sandboxes),
            cpus: self.cpus.or(other.cpus),
            memory: self.memory.or(other.memory),
        }
    }
}

/// How much may be asked in a minute; 0 is any number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rates {
    /// Changes by one key.
    pub per_key: u32,
    /// Requests from one address.
    pub per_address: u32,
}

/// How long an answer is held at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holds {
    /// For what an agent answers.
    pub agent_send: Duration,
    /// For the end of a deletion: there are clients that hang up after 30 s.
    pub delete: Duration,
}

impl HoldsLayer {
    /// This, and where it says nothing what `other` says.
    #[must_use]
    pub fn over(self, other: Self) -> Self {
        Self {
            agent_send: self.agent_send.or(other.agent_send),
            delete: self.delete.or(other.delete),
        }
    }

    /// What holds.
    pub fn settled(self) -> Holds {
        let seconds =
            |said: Option<u32>, default| Duration::from_secs(said.map_or(default, u64::from));
        Holds {
            agent_send: seconds(self.agent_send, 590),
            delete: seconds(self.delete, 25),
        }
    }
}

impl Default for Rates {
    fn default() -> Self {
        // A hundred changes a second by one key, ten thousand requests a second from one address.
        Self {
            per_key: 6_000,
            per_address: 600_000,
        }
    }
}

impl MembersLayer {
    /// This, and where it says nothing what `other` says.
    #[must_use]
    pub fn over(self, other: Self) -> Self {
        Self {
            image: self.image.or(other.image),
            host_ports: self.host_ports.or(other.host_ports),
            coder_dind: self.coder_dind.or(other.coder_dind),
            max_sandboxes: self.max_sandboxes.or(other.max_sandboxes),
            max_cpus: self.max_cpus.or(other.max_cpus),
            max_memory: self.max_memory.or(other.max_memory),
        }
    }

    /// What holds.
    ///
    /// # Errors
    /// For an amount of memory that is none.
    pub fn settled(self) -> Result<Members, ConfigError> {
        let memory = self.max_memory.map(|text| {
            let read = text.parse::<Memory>().map(Memory::bytes);
            read.map_err(|error| ConfigError::new(format!("members.max_memory: {error}")))
        });
        Ok(Members {
            image: self.image.unwrap_or(false),
            host_ports: self.host_ports.unwrap_or(false),
            coder_dind: self.coder_dind.unwrap_or(false),
            quota: Quota {
                sandboxes: self.max_sandboxes,
                cpus: self.max_cpus,
                memory: memory.transpose()?,
            },
        })
    }
}

impl RatesLayer {
    /// This, and where it says nothing what `other` says.
    #[must_use]
    pub fn over(self, other: Self) -> Self {
        Self {
            per_key: self.per_key.or(other.per_key),
            per_address: self.per_address.or(other.per_address),
        }
    }

    /// What holds.
    pub fn settled(self) -> Rates {
        let default = Rates::default();
        Rates {
            per_key: self.per_key.unwrap_or(default.per_key),
            per_address: self.per_address.unwrap_or(default.per_address),
        }
    }
}
