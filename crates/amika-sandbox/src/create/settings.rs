//! What holds in the end: flag over saved settings over file over default, each setting by itself.

use std::collections::{BTreeMap, BTreeSet};

use amika_core::capability::{Capabilities, Capability, Purpose};
use amika_core::config::{ImageChoice, RepoConfig, SetupOnce};
use amika_core::contract::env::OPENCODE_WEB;
use amika_core::credential::Selection;
use amika_core::label::Labels;
use amika_core::limit::{Limit, Pids};
use amika_core::mount::{Access, Mount};
use amika_core::opencode::OpenCodeStart;
use amika_core::port::{HostIp, Publish};
use amika_core::service::{Service, add_start_script, has_sidecars};
use amika_core::settings::{self, AskedLimits, Layer, Origin, Origins, ResolvedLimits};

use super::limits::{self, EngineSize};
use super::request::{Dotfiles, HostRights, Image, OwnWays, Request, Setup, parse_preset};
use super::source::Scripts;
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
    /// What a script that succeeded is run again for, where it is not run at each start.
    pub setup_once: Option<SetupOnce>,
    /// Its environment.
    pub env: BTreeMap<String, String>,
    /// Variables that are secrets, each with the secret's name.
    pub secret_env: BTreeMap<String, String>,
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
    pub asked: ResolvedLimits,
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
    /// Whose own settings, skills and the like are copied in.
    pub own_ways: OwnWays,
    /// The dotfiles that the agent installs.
    pub dotfiles: Option<Dotfiles>,
    /// What to run in place of the image's CMD.
    pub command: Vec<String>,
    /// What a server stamps it with.
    pub stamp: Labels,
    /// Who decided what several may decide.
    pub origins: Origins,
}

impl Settings {
    /// Whether an engine of its own runs in it.
    pub fn has_nested_engine(&self) -> bool {
        self.image == Image::Preset(Preset::CoderDind)
    }

    /// Whether there are services beside it that are containers of their own.
    pub fn has_sidecars(&self) -> bool {
        has_sidecars(&self.services)
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
        let settled = limits::settle(&self.asked, engine)?;
        self.limits = settled.limits;
        self.origins.limits = settled.origins;
        Ok(settled.warnings)
    }
}

/// Says what rights a repository's configuration gives to its sandbox that no flag asked for: whoever
/// clones it may not know.
pub(super) fn rights_by_configuration(settings: &Settings) -> Option<String> {
    let is_of_file = settings.origins.image == Origin::File;
    (settings.has_nested_engine() && is_of_file).then(|| {
        format!(
            "{} chooses the preset {}, whose programs have nearly all rights of root on the engine's \
             kernel; if you do not trust this repository, pass `--preset {}`",
            amika_core::config::PATH,
            Preset::CoderDind,
            Preset::Coder,
        )
    })
}

/// A layer of settings as this program knows them. A preset that does not exist is refused only where it
/// would decide.
pub type SettingsLayer = Layer<Result<Image>, Setup>;

/// What the flags say.
fn asked_for(request: &Request) -> SettingsLayer {
    Layer {
        image: request.image.clone().map(Ok),
        setup_script: request.setup.clone(),
        env: with_opencode(&request.env, request.opencode),
        secret_env: request.secret_env.clone(),
        services: None,
        limits: request.limits,
    }
}

/// With the variable that says when OpenCode is started, where that is said by its own name.
fn with_opencode(
    env: &BTreeMap<String, String>,
    start: Option<OpenCodeStart>,
) -> BTreeMap<String, String> {
    let mut env = env.clone();
    env.extend(start.map(|start| (OPENCODE_WEB.to_owned(), start.variable().to_owned())));
    env
}

/// What a repository's configuration says.
fn of_file(config: &RepoConfig, scripts: Scripts<String>) -> SettingsLayer {
    let limits = config.sandbox.limits;
    let image = config.sandbox.image.as_ref().map(|image| &image.value);
    Layer {
        image: image.map(|image| match image {
            ImageChoice::Image(image) => Ok(Image::Other(image.clone())),
            ImageChoice::Preset(preset) => parse_preset(preset).map(Image::Preset),
            ImageChoice::Dockerfile(dockerfile) => Ok(Image::Dockerfile(dockerfile.clone())),
        }),
        setup_script: scripts.setup.map(Setup::Repository),
        env: with_opencode(&config.env, config.sandbox.opencode),
        secret_env: config.secret_env.clone(),
        services: (!config.services.is_empty()).then(|| config.services.clone()),
        limits: AskedLimits {
            cpus: limits.cpus,
            memory: limits.memory.map(Limit::At),
            pids: limits.pids.and_then(Pids::new).map(Limit::At),
        },
    }
}

/// Joins the flags with what is saved for the repository and with its configuration. `scripts` are the
/// configured scripts' paths once they were found to be usable.
///
/// # Errors
/// When the preset that is to hold does not exist, and for flags that do not go with the image.
pub fn merge(
    request: &Request,
    mut saved: SettingsLayer,
    config: &RepoConfig,
    scripts: Scripts<String>,
) -> Result<Settings> {
    let start_script = scripts.start.clone();
    let mut file = of_file(config, scripts);
    for name in &request.without_env {
        for layer in [&mut saved, &mut file] {
            layer.env.remove(name);
            layer.secret_env.remove(name);
        }
    }
    let resolved = settings::resolve(asked_for(request), saved, file);
    let origins = Origins {
        image: origin(resolved.image.as_ref()),
        setup_script: origin(resolved.setup_script.as_ref()),
        env: resolved
            .env
            .iter()
            .chain(&resolved.secret_env)
            .map(|(name, value)| (name.clone(), value.origin))
            .collect(),
        services: resolved.services.origin,
        ..Origins::default()
    };
    let image = match resolved.image {
        Some(image) => image.value?,
        None => Image::Preset(Preset::Coder),
    };
    if request.rights.privileged && image != Image::Preset(Preset::CoderDind) {
        return Err(Error::new(
            Kind::Invalid,
            format!("`--privileged` is for the preset {}", Preset::CoderDind),
        )
        .hint("give the capabilities that are needed by their names: `--cap-add NAME`"));
    }
    let setup = resolved.setup_script.map(|setup| setup.value);
    let once = config.lifecycle.setup_once.clone();
    let once = once.filter(|_| heeds_once(&origins));
    let mut services = resolved.services.value;
    if let Some(path) = start_script {
        add_start_script(&mut services, &path);
    }
    Ok(Settings {
        image,
        setup: setup.unwrap_or(Setup::Image),
        setup_once: once.or_else(|| request.setup_once.then(SetupOnce::default)),
        env: resolved
            .env
            .into_iter()
            .map(|(name, value)| (name, value.value))
            .collect(),
        secret_env: resolved
            .secret_env
            .into_iter()
            .map(|(name, value)| (name, value.value))
            .collect(),
        publish: request.publish.clone(),
        services,
        port_host_ip: request.port_host_ip,
        expose_opencode: request.expose_opencode,
        network: request.network.clone(),
        own_uid: request.own_uid,
        asked: resolved.limits,
        cap_add: request.cap_add.clone(),
        limits: Limits::default(),
        mounts: request.mounts.clone(),
        rights: request.rights,
        credentials: request.credentials.clone(),
        own_ways: request.own_ways.clone(),
        dotfiles: request.dotfiles.clone(),
        command: request.command.clone(),
        stamp: request.stamp.clone(),
        origins,
    })
}

/// Whether what the repository's file says of running once holds: it says it of a script of its own, or of the image's.
pub(super) fn heeds_once(origins: &Origins) -> bool {
    [Origin::File, Origin::Default].contains(&origins.setup_script)
}

fn origin<T>(decided: Option<&settings::Sourced<T>>) -> Origin {
    decided.map(|it| it.origin).unwrap_or_default()
}

#[cfg(test)]
pub(in crate::create) mod tests;
