//! What holds for a sandbox: a request over what is saved over the repository's file over the default.
//!
//! Each setting is decided by itself, and keeps who decided it. Two follow a rule of their own: of the
//! environment each variable is a setting, and the services are one as a whole ("DB-wins-all: when you save
//! any service definition via the UI, it overrides all TOML-defined services for that repository").

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::limit::{Cpus, Limit, Memory, Pids};
use crate::service::Service;

/// Who decided a setting, from the one that wins to the one that comes last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Whoever asked for the sandbox: a flag, or a field of a request.
    Request,
    /// The settings that are saved for the repository.
    Saved,
    /// The repository's `.amika/config.toml`.
    File,
    /// Nobody: the default.
    #[default]
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Request => "requested",
            Self::Saved => "saved settings",
            Self::File => crate::contract::REPO_CONFIG,
            Self::Default => "default",
        })
    }
}

/// A value, and who decided it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sourced<T> {
    /// The value.
    pub value: T,
    /// Who decided it.
    pub origin: Origin,
}

/// What one of them says; absent where it says nothing. `I` is an image and `S` a setup script as the caller
/// knows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer<I, S> {
    /// The image.
    pub image: Option<I>,
    /// The setup script.
    pub setup_script: Option<S>,
    /// Variables by name.
    pub env: BTreeMap<String, String>,
    /// Variables that are secrets, each with the secret's name.
    pub secret_env: BTreeMap<String, String>,
    /// All services: none at all is something that can be said too.
    pub services: Option<Vec<Service>>,
    /// What the sandbox may use at most.
    pub limits: AskedLimits,
}

impl<I, S> Layer<I, S> {
    /// One that says nothing.
    pub fn silent() -> Self {
        Self {
            image: None,
            setup_script: None,
            env: BTreeMap::new(),
            secret_env: BTreeMap::new(),
            services: None,
            limits: AskedLimits::default(),
        }
    }
}

/// Limits that were asked for; absent where nothing was said of one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AskedLimits {
    /// Processors.
    pub cpus: Option<Cpus>,
    /// Memory.
    pub memory: Option<Limit<Memory>>,
    /// Processes and threads.
    pub pids: Option<Limit<Pids>>,
}

/// The limits that hold as far as somebody asked for one. What holds where nobody did depends on the engine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ResolvedLimits {
    /// Processors.
    pub cpus: Option<Sourced<Cpus>>,
    /// Memory.
    pub memory: Option<Sourced<Limit<Memory>>>,
    /// Processes and threads.
    pub pids: Option<Sourced<Limit<Pids>>>,
}

/// What holds. `None` of image and setup script: nobody said anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved<I, S> {
    /// The image.
    pub image: Option<Sourced<I>>,
    /// The setup script.
    pub setup_script: Option<Sourced<S>>,
    /// Variables by name.
    pub env: BTreeMap<String, Sourced<String>>,
    /// Variables that are secrets, each with the secret's name; none of them has a value too.
    pub secret_env: BTreeMap<String, Sourced<String>>,
    /// The services.
    pub services: Sourced<Vec<Service>>,
    /// The limits.
    pub limits: ResolvedLimits,
}

/// Decides each setting: the first that says something, in the order of the arguments.
pub fn resolve<I, S>(
    request: Layer<I, S>,
    saved: Layer<I, S>,
    file: Layer<I, S>,
) -> Resolved<I, S> {
    let mut resolved = Resolved {
        image: None,
        setup_script: None,
        env: BTreeMap::new(),
        secret_env: BTreeMap::new(),
        services: Sourced::default(),
        limits: ResolvedLimits::default(),
    };
    let mut services = None;
    for (origin, layer) in [
        (Origin::Request, request),
        (Origin::Saved, saved),
        (Origin::File, file),
    ] {
        settle(&mut resolved.image, layer.image, origin);
        settle(&mut resolved.setup_script, layer.setup_script, origin);
        settle(&mut services, layer.services, origin);
        settle(&mut resolved.limits.cpus, layer.limits.cpus, origin);
        settle(&mut resolved.limits.memory, layer.limits.memory, origin);
        settle(&mut resolved.limits.pids, layer.limits.pids, origin);
        for (name, value) in layer.env {
            if !resolved.secret_env.contains_key(&name) {
                let value = Sourced { value, origin };
                resolved.env.entry(name).or_insert(value);
            }
        }
        for (name, value) in layer.secret_env {
            if !resolved.env.contains_key(&name) {
                let value = Sourced { value, origin };
                resolved.secret_env.entry(name).or_insert(value);
            }
        }
    }
    resolved.services = services.unwrap_or_default();
    resolved
}

fn settle<T>(settled: &mut Option<Sourced<T>>, said: Option<T>, origin: Origin) {
    if settled.is_none() {
        *settled = said.map(|value| Sourced { value, origin });
    }
}

/// Who decided each setting of a sandbox.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Origins {
    /// Its image.
    pub image: Origin,
    /// Its setup script.
    pub setup_script: Origin,
    /// Each variable, by name.
    pub env: BTreeMap<String, Origin>,
    /// All of its services.
    pub services: Origin,
    /// Each mount that somebody asked for, by its target.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub mounts: BTreeMap<String, Origin>,
    /// What it may use at most.
    pub limits: LimitOrigins,
}

/// Who decided each limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LimitOrigins {
    /// Processors.
    pub cpus: Origin,
    /// Memory.
    pub memory: Origin,
    /// Processes and threads.
    pub pids: Origin,
}

#[cfg(test)]
mod tests;
