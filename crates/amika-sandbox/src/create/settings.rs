//! What holds in the end: flag over file over default, each setting by itself.

use std::collections::{BTreeMap, BTreeSet};

use amika_core::capability::{Capabilities, Capability, Purpose};
use amika_core::config::{ImageChoice, RepoConfig};
use amika_core::credential::Selection;
use amika_core::mount::{Access, Mount};
use amika_core::port::{HostIp, Publish};
use amika_core::service::Service;

use super::limits::{self, EngineSize, Wanted};
use super::request::{HostRights, Image, Request, Setup, parse_preset};
use crate::error::{Error, Kind, Result};
use crate::preset::Preset;
use amika_engine::Limits;

/// A sandbox as it will be asked of the engine.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Its image.
    pub image: Image,
    /// Its setup script.
    pub setup: Setup,
    /// Whether a script that succeeded is skipped until it changes.
    pub setup_once: bool,
    /// Its environment.
    pub env: BTreeMap<String, String>,
    /// Ports to publish.
    pub publish: Vec<Publish>,
    /// Declared services.
    pub services: Vec<Service>,
    /// Where ports are published that name no address.
    pub port_host_ip: HostIp,
    /// Whether OpenCode is published there too.
    pub expose_opencode: bool,
    /// Network to join; our own when absent.
    pub network: Option<String>,
    /// Whether the agent has a number that nobody else has.
    pub own_uid: bool,
    /// Limits that were asked for.
    pub wanted: Wanted,
    /// Capabilities that were asked for. No configuration of a repository gives any.
    pub cap_add: BTreeSet<Capability>,
    /// Limits that hold, once [`Settings::fit`] has settled them.
    pub limits: Limits,
    /// What is mounted.
    pub mounts: Vec<Mount>,
    /// What the sandbox may do to the host beyond what others may.
    pub rights: HostRights,
    /// Whose sign-ins are copied in.
    pub credentials: Selection,
    /// What to run in place of the image's CMD.
    pub command: Vec<String>,
}

impl Settings {
    /// Whether an engine of its own runs in it.
    pub fn has_nested_engine(&self) -> bool {
        self.image == Image::Preset(Preset::CoderDind)
    }

    /// How its capabilities differ from the engine's default.
    pub fn capabilities(&self) -> Capabilities {
        let purpose = if self.has_nested_engine() {
            Purpose::NestedEngine
        } else {
            Purpose::Agent
        };
        if self.rights.privileged {
            return Capabilities::privileged();
        }
        let writes_host_files = self
            .mounts
            .iter()
            .any(|mount| matches!(mount, Mount::Host(mount) if mount.access == Access::Rw));
        Capabilities::of(purpose, &self.cap_add, writes_host_files)
    }

    /// Settles what the sandbox may use at most; returns what to warn of.
    ///
    /// # Errors
    /// [`crate::error::Kind::Invalid`] where a flag asks for more than the engine has.
    pub fn fit(&mut self, engine: EngineSize) -> Result<Vec<String>> {
        let (limits, warnings) = limits::settle(&self.wanted, engine)?;
        self.limits = limits;
        Ok(warnings)
    }
}

/// Says what rights a repository's configuration gives to its sandbox that no flag asked for: whoever
/// clones it may not know.
pub fn rights_by_configuration(request: &Request, settings: &Settings) -> Option<String> {
    let is_asked_for = request.image.is_some();
    let has_rights = settings.has_nested_engine();
    (has_rights && !is_asked_for).then(|| {
        format!(
            "{} chooses the preset {}, whose programs have nearly all rights of root on the engine's \
             kernel; if you do not trust this repository, pass `--preset {}`",
            amika_core::config::PATH,
            Preset::CoderDind,
            Preset::Coder,
        )
    })
}

/// Joins the flags with the repository's configuration. `script` is the configured setup script's
/// path once it was found to be usable.
///
/// # Errors
/// When the configuration names a preset that does not exist.
pub fn merge(request: &Request, config: &RepoConfig, script: Option<String>) -> Result<Settings> {
    let image = match (
        &request.image,
        config.sandbox.image.as_ref().map(|image| &image.value),
    ) {
        (Some(image), _) => image.clone(),
        (None, Some(ImageChoice::Image(image))) => Image::Other(image.clone()),
        (None, Some(ImageChoice::Preset(preset))) => Image::Preset(parse_preset(preset)?),
        (None, None) => Image::Preset(Preset::Coder),
    };
    if request.rights.privileged && image != Image::Preset(Preset::CoderDind) {
        return Err(Error::new(
            Kind::Invalid,
            format!("`--privileged` is for the preset {}", Preset::CoderDind),
        )
        .hint("give the capabilities that are needed by their names: `--cap-add NAME`"));
    }
    let setup = match (&request.setup, script) {
        (Some(setup), _) => setup.clone(),
        (None, Some(path)) => Setup::Repository(path),
        (None, None) => Setup::Image,
    };
    let mut env = config.env.clone();
    env.extend(request.env.clone());
    Ok(Settings {
        image,
        setup,
        setup_once: request.setup_once,
        env,
        publish: request.publish.clone(),
        services: config.services.clone(),
        port_host_ip: request.port_host_ip,
        expose_opencode: request.expose_opencode,
        network: request.network.clone(),
        own_uid: request.own_uid,
        wanted: Wanted {
            flags: request.limits,
            file: config.sandbox.limits,
        },
        cap_add: request.cap_add.clone(),
        limits: Limits::default(),
        mounts: request.mounts.clone(),
        rights: request.rights,
        credentials: request.credentials.clone(),
        command: request.command.clone(),
    })
}

#[cfg(test)]
pub(in crate::create) mod tests;
