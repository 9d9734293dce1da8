//! The plan of a sandbox: pure, so that a test makes one without an engine.

use std::collections::BTreeMap;

use amika_core::contract::{self, AMIKAD_PORT, OPENCODE_PORT, env, path};
use amika_core::credential::Agent;
use amika_core::exec_limit;
use amika_core::label::{self, Kind, Labels, MadeWith, ResourceRecord, SandboxRecord, SetupScript};
use amika_core::name::SandboxName;
use amika_core::port::{HostIp, Protocol};
use amika_core::service::Binding;
use amika_core::setup_once;
use amika_core::volume;

use super::copy::{Copy, What};
use super::facts::Facts;
use super::file_mounts::told;
use super::mounts;
use super::request::{Image, Setup};
use super::settings::Settings;
use super::upload::Upload;
use crate::error::{self, Error, Result};
use crate::given::Given;
use crate::inject;
use crate::networks::Choice;
use crate::trust::RecordKey;
use amika_engine::{ContainerSpec, MountSpec, PortSpec};

/// What will be made, in the order of its making.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Name of the sandbox.
    pub name: SandboxName,
    /// Its record, as the labels hold it.
    pub record: SandboxRecord,
    /// What a server stamps the container with.
    pub stamp: Labels,
    /// What the record is signed with.
    pub record_key: RecordKey,
    /// The container with its volumes.
    pub container: ContainerSpec,
    /// The network, which may be ours to make.
    pub network: Choice,
    /// Volumes that are made with the container and unmade with it.
    pub volumes: Vec<String>,
    /// Volume of the clone; it is unmade when creation fails, and stays when the sandbox goes.
    pub git_volume: Option<String>,
    /// Where the clone goes.
    pub clone_target: Option<String>,
    /// Files put in before the first start.
    pub uploads: Vec<Upload>,
    /// Copies of host files and directories, made before the first start.
    pub copies: Vec<Copy>,
    /// Volumes of the user that are made now: unmade when creation fails, the user's afterwards.
    pub user_volumes: Vec<String>,
    /// The agent's user and group, where the image's metadata tells their numbers.
    pub owner: Option<(u32, u32)>,
    /// The user's and the services' ports, each with its place on the host.
    pub bindings: Vec<Binding>,
}

impl Plan {
    /// Puts other host ports in place of those that turned out to be taken.
    pub fn rebind(&mut self, bindings: Vec<Binding>, settings: &Settings) {
        self.container.ports = published(settings, &self.network, &bindings);
        self.bindings = bindings;
    }

    /// Adds the sign-ins to copy in, and whose they are.
    pub fn add_credentials(&mut self, upload: Upload, agents: Vec<Agent>) {
        self.uploads.push(upload);
        self.record.credentials = agents;
        self.container.labels = signed(&self.record, &self.stamp, &self.record_key);
    }
}

impl Plan {
    /// Adds what it is given that neither its environment nor a label tells.
    pub fn give(&mut self, given: &Given) {
        self.uploads.extend(super::given::uploads(given));
        let agents = given.agents();
        if !agents.is_empty() {
            self.record.credentials = agents;
            self.container.labels = signed(&self.record, &self.stamp, &self.record_key);
        }
    }
}

fn signed(record: &SandboxRecord, stamp: &Labels, key: &RecordKey) -> Labels {
    let mut labels = record.to_labels();
    labels.extend(stamp.clone());
    key.sign(&mut labels);
    // Over what an image says of itself: an editor that attaches comes in as the agent.
    labels.insert(DEVCONTAINER.to_owned(), devcontainer(record));
    labels
}

/// Label in which editors look for how to work in a container: the Dev Containers specification.
const DEVCONTAINER: &str = "devcontainer.metadata";

/// Who works in the sandbox, and where, as editors want to be told.
fn devcontainer(record: &SandboxRecord) -> String {
    let user = record.user.as_deref().unwrap_or("root");
    // `USER app:staff` names a group too, which is no part of a user's name.
    let user = user.split(':').next().unwrap_or(user);
    let folder = record.agent_cwd.as_deref().unwrap_or(path::WORKSPACE);
    serde_json::json!([{ "remoteUser": user, "workspaceFolder": folder }]).to_string()
}

/// The repository of a sandbox.
#[derive(Clone, Debug)]
pub(super) struct Repository {
    /// What the labels say of it.
    pub label: label::Repository,
    /// The volume that it lies in already; without one it is cloned into one of its own.
    pub volume: Option<String>,
}

/// Makes the plan. `bindings` are the user's and the services' ports, each with its place on the
/// host.
pub(super) fn plan(
    name: &SandboxName,
    settings: &Settings,
    facts: &Facts,
    repository: Option<&Repository>,
    bindings: Vec<Binding>,
) -> Plan {
    let is_preset = matches!(settings.image, Image::Preset(_));
    let agent_cwd = agent_cwd(repository);
    let mut record = record(settings, facts, repository, &agent_cwd);
    let mut mounts = vec![
        own_volume(
            volume::home(name, facts.stamp),
            Kind::Home,
            path::HOME,
            name,
            None,
            settings,
            facts,
        ),
        own_volume(
            volume::state(name, facts.stamp),
            Kind::State,
            path::STATE_DIR,
            name,
            None,
            settings,
            facts,
        ),
    ];
    let mut volumes = vec![
        volume::home(name, facts.stamp),
        volume::state(name, facts.stamp),
    ];
    let nested_engine = settings.has_nested_engine();
    // Unless the user has one for it.
    if nested_engine
        && !(settings.mounts.iter()).any(|mount| mount.target().as_str() == path::DOCKER_DIR)
    {
        let volume = volume::docker(name, facts.stamp);
        let (kind, at) = (Kind::Docker, path::DOCKER_DIR);
        mounts.push(own_volume(
            volume.clone(),
            kind,
            at,
            name,
            None,
            settings,
            facts,
        ));
        volumes.push(volume);
    }
    let mut git_volume = None;
    if let Some(repository) = repository {
        let repo = &repository.label.name;
        let target = format!("{}/{repo}", path::WORKSPACE);
        if let Some(volume) = &repository.volume {
            mounts.push(MountSpec::Volume {
                name: volume.clone(),
                target,
                read_only: false,
                labels: Labels::new(),
                no_copy: true,
            });
        } else {
            let volume = volume::git(name, repo, facts.stamp);
            let kind = Kind::Git;
            let of = Some(&record);
            mounts.push(own_volume(
                volume.clone(),
                kind,
                &target,
                name,
                of,
                settings,
                facts,
            ));
            git_volume = Some(volume);
        }
    }
    if let Some(injection) = &facts.injection {
        mounts.push(injection.mount());
    }
    let of = repository.map(|repository| repository.label.name.as_str());
    let planned = mounts::plan(name, &settings.mounts, of, &settings.stamp, facts);
    record.copied_files = planned
        .copies
        .iter()
        .filter_map(|copy| match &copy.what {
            What::File(source) => Some((copy.target.clone(), source.display().to_string())),
            What::RepositoryFile { path, .. } => Some((copy.target.clone(), told(path))),
            What::Directory(_) | What::RepositoryDirectory(_) | What::EmptyVolume => None,
        })
        .collect();
    mounts.extend(planned.specs);
    volumes.extend(planned.volumes);
    volumes.sort();
    let mut uploads = uploads(settings, is_preset, &agent_cwd);
    uploads.extend(planned.uploads);
    let (entrypoint, cmd) = command(settings, facts, is_preset);
    let container = ContainerSpec {
        name: name.to_string(),
        hostname: None,
        image: facts.image_reference.clone(),
        entrypoint,
        cmd,
        env: environment(name, settings, facts, &agent_cwd),
        labels: signed(&record, &settings.stamp, &facts.record_key),
        // amikad needs root to prepare the home and to become the agent; CMD runs as the image's
        // own user.
        user: (!facts.image.user.is_empty()).then(|| "0:0".to_owned()),
        ports: published(settings, &facts.network, &bindings),
        mounts,
        limits: settings.limits,
        seccomp: facts.sources.seccomp.clone(),
        network: facts.network.name(name.as_str()),
        dns: facts.network.dns(),
        capabilities: settings.capabilities(),
        bound_log: facts.unbounded_log,
        nested_engine,
        privileged: settings.rights.privileged,
        // Healthy is a sandbox whose CMD runs: `list` need not ask those.
        healthcheck: vec![path::AMIKAD.into(), "health".into(), "--ready".into()],
    };
    Plan {
        name: name.clone(),
        record,
        network: facts.network.clone(),
        stamp: settings.stamp.clone(),
        record_key: facts.record_key.clone(),
        container,
        volumes,
        clone_target: git_volume.as_ref().map(|_| agent_cwd.clone()),
        git_volume,
        uploads,
        copies: planned.copies,
        user_volumes: facts.sources.new_volumes.iter().cloned().collect(),
        owner: facts
            .sources
            .agent
            .or_else(|| owner(is_preset, &facts.image.user)),
        bindings,
    }
}

fn agent_cwd(repository: Option<&Repository>) -> String {
    match repository {
        Some(repository) => format!("{}/{}", path::WORKSPACE, repository.label.name),
        None => path::WORKSPACE.to_owned(),
    }
}

fn record(
    settings: &Settings,
    facts: &Facts,
    repository: Option<&Repository>,
    agent_cwd: &str,
) -> SandboxRecord {
    SandboxRecord {
        repository: repository.map(|repository| repository.label.clone()),
        from_volume: repository.and_then(|repository| repository.volume.clone()),
        services: settings.services.clone(),
        origins: Some(settings.origins.clone()),
        setup_script: match &settings.setup {
            Setup::File { path, .. } => Some(SetupScript::Host(path.display().to_string())),
            Setup::Repository(path) => Some(SetupScript::Repository(path.clone())),
            Setup::Text(_) | Setup::Image | Setup::Off => None,
        },
        creator: Some(facts.creator.clone()),
        preset: match &settings.image {
            Image::Preset(preset) => Some(preset.name().to_owned()),
            Image::Other(_) | Image::Dockerfile(_) => None,
        },
        image: Some(facts.image_reference.clone()),
        agent_cwd: Some(agent_cwd.to_owned()),
        user: match &settings.image {
            Image::Preset(_) => Some(contract::AGENT_USER.to_owned()),
            Image::Other(_) | Image::Dockerfile(_) => {
                Some(facts.image.user.clone()).filter(|user| !user.is_empty())
            }
        },
        created_at: Some(facts.now),
        test: facts.test.clone(),
        ..SandboxRecord::new(facts.id.clone())
    }
}

/// A volume that is made with the container; a clone's tells what its sandbox is made with, since it may outlive that, and
/// that this user said so.
fn own_volume(
    volume: String,
    kind: Kind,
    target: &str,
    name: &SandboxName,
    clone_of: Option<&SandboxRecord>,
    settings: &Settings,
    facts: &Facts,
) -> MountSpec {
    let repository = clone_of.and_then(|record| record.repository.as_ref());
    let mut labels = ResourceRecord {
        id: Some(facts.id.clone()),
        sandbox: Some(name.clone()),
        repository: repository.map(|repository| repository.name.clone()),
        made_with: clone_of.map(made_with).unwrap_or_default(),
        created_at: Some(facts.now),
        creator: Some(facts.creator.clone()),
        test: facts.test.clone(),
        ..ResourceRecord::new(kind)
    }
    .to_labels();
    labels.extend(settings.stamp.clone());
    if clone_of.is_some() {
        facts.record_key.sign(&mut labels);
    }
    MountSpec::Volume {
        name: volume,
        target: target.to_owned(),
        read_only: false,
        labels,
        no_copy: kind == Kind::Git,
    }
}

fn made_with(record: &SandboxRecord) -> MadeWith {
    let repository = record.repository.as_ref();
    MadeWith {
        source: repository.and_then(|repository| repository.source.clone()),
        preset: record.preset.clone(),
        image: record.image.clone(),
        setup_script: record.setup_script.clone(),
    }
}

/// ENTRYPOINT and CMD. A preset's stay; any other image's are wrapped by amikad.
fn command(
    settings: &Settings,
    facts: &Facts,
    is_preset: bool,
) -> (Option<Vec<String>>, Option<Vec<String>>) {
    let given = (!settings.command.is_empty()).then(|| settings.command.clone());
    if is_preset {
        return (None, given);
    }
    let image = &facts.image;
    let mut entrypoint = vec![path::AMIKAD.to_owned(), "run".to_owned()];
    if !image.user.is_empty() {
        entrypoint.extend(["--user".to_owned(), image.user.clone()]);
    }
    let workdir = match image.workdir.as_str() {
        "" => "/",
        workdir => workdir,
    };
    // A preset's own: its CMD starts where the agent does.
    if workdir != path::WORKSPACE {
        entrypoint.extend(["--workdir".to_owned(), workdir.to_owned()]);
    }
    entrypoint.push("--".to_owned());
    entrypoint.extend(image.entrypoint.iter().cloned());
    (Some(entrypoint), given.or_else(|| Some(image.cmd.clone())))
}

fn environment(
    name: &SandboxName,
    settings: &Settings,
    facts: &Facts,
    agent_cwd: &str,
) -> Vec<String> {
    let mut all: BTreeMap<String, String> = facts.proxies.iter().cloned().collect();
    if facts
        .injection
        .as_ref()
        .is_some_and(inject::Injection::has_certificates)
    {
        all.extend(inject::certificate_variables());
    }
    all.extend(settings.env.clone());
    // The password is moved to the state volume: only OpenCode's process gets it.
    all.remove(env::OPENCODE_PASSWORD);
    all.insert(env::AGENT_CWD.into(), agent_cwd.to_owned());
    all.insert(env::SANDBOX_NAME.into(), name.to_string());
    all.insert(env::TOKEN_SHA256.into(), facts.token_sha256.clone());
    if let Some((uid, gid)) = facts.sources.agent {
        all.insert(env::AGENT_UID.into(), uid.to_string());
        all.insert(env::AGENT_GID.into(), gid.to_string());
    }
    if let Some(once) = &settings.setup_once {
        all.insert(env::SETUP_ONCE.into(), setup_once::value(&once.files));
    }
    all.into_iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect()
}

/// Refuses what no process can be started with, before anything is made: the engine would make the container
/// all the same, and nothing in it would run.
///
/// # Errors
/// [`error::Kind::Invalid`], with what is too long; its value may be a secret and is not in it.
pub(super) fn can_be_executed(plan: &Plan, given: Option<&Given>) -> Result<()> {
    let ContainerSpec {
        entrypoint,
        cmd,
        env,
        ..
    } = &plan.container;
    let command = cmd.as_deref().unwrap_or_default();
    let entrypoint = entrypoint.as_deref().unwrap_or_default();
    let own = || env.iter().filter_map(|variable| variable.split_once('='));
    let given = given.into_iter().flat_map(|it| it.variables.of_agents());
    exec_limit::check(command, own().chain(given))
        .and_then(|()| exec_limit::check(&[entrypoint, command].concat(), own()))
        .map_err(|error| Error::new(error::Kind::Invalid, error.to_string()))
}

/// The ports to publish: the settled ones, and Amika's own two on a port that the engine chooses.
fn published(settings: &Settings, network: &Choice, bindings: &[Binding]) -> Vec<PortSpec> {
    if !network.publishes_ports() {
        return Vec::new();
    }
    let own = |container_port, host_ip: HostIp| PortSpec {
        host_ip: host_ip.addr().to_string(),
        host_port: None,
        container_port,
        protocol: Protocol::Tcp,
    };
    let opencode_ip = if settings.expose_opencode {
        settings.port_host_ip
    } else {
        HostIp::LOCALHOST
    };
    bindings
        .iter()
        .map(|binding| PortSpec {
            host_ip: binding.host_ip.addr().to_string(),
            host_port: Some(binding.host_port.get()),
            container_port: binding.container.port().get(),
            protocol: binding.container.protocol(),
        })
        .chain([
            own(AMIKAD_PORT, HostIp::LOCALHOST),
            own(OPENCODE_PORT, opencode_ip),
        ])
        .collect()
}

fn uploads(settings: &Settings, is_preset: bool, agent_cwd: &str) -> Vec<Upload> {
    let mut uploads = Vec::new();
    if settings
        .services
        .iter()
        .any(amika_core::service::Service::is_run)
    {
        uploads.push(Upload::services(&settings.services));
    }
    match &settings.setup {
        Setup::File { content, .. } | Setup::Text(content) => {
            uploads.push(Upload::setup_script(content.clone()));
        }
        Setup::Repository(relative) => {
            uploads.push(Upload::setup_link(&format!("{agent_cwd}/{relative}")));
        }
        // A preset's own script does nothing already.
        Setup::Off if !is_preset => {
            uploads.push(Upload::setup_script(contract::NOOP_SETUP.to_vec()));
        }
        Setup::Off | Setup::Image => {}
    }
    if let Some(password) = settings.env.get(env::OPENCODE_PASSWORD) {
        uploads.push(Upload::opencode_password(password));
    }
    uploads
}

/// User and group of the agent, unless only the image's own files tell their numbers.
fn owner(is_preset: bool, user: &str) -> Option<(u32, u32)> {
    if is_preset {
        return Some((1000, 1000));
    }
    if user.is_empty() {
        return Some((0, 0));
    }
    let (uid, gid) = user.split_once(':').unwrap_or((user, "0"));
    Some((uid.parse().ok()?, gid.parse().ok()?))
}

#[cfg(test)]
mod tests;
