//! What `--dry-run` shows of a plan.

use std::collections::BTreeSet;

use amika_core::capability::Capability;
use amika_core::contract::{AMIKAD_PORT, OPENCODE_PORT, env, path};
use amika_core::label::{self, SetupScript, key};
use amika_core::settings::{Origin, Origins};
use amika_core::untrusted::Untrusted;
use schemars::JsonSchema;
use serde::Serialize;

use super::dotfiles::DotfilesView;
use super::plan::Plan;
use super::taken::TakenView;
use super::upload::Content;
use crate::networks;
use amika_engine::{LimitFacts, MountSpec};
use amika_git as git;

/// Characters of a path that are shown: the longest that Linux opens.
const PATH: usize = 4096;

/// A plan, for people and programs. Values of environment variables are left out: they may be
/// secret.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PlanView {
    /// Name of the sandbox.
    name: String,
    /// The repository that is cloned in; null without `--git`.
    repository: Option<RepositoryView>,
    /// What of its configuration holds, and whether it is trusted; null without `--git`.
    taken: Option<TakenView>,
    /// The dotfiles that the agent installs; null where none come along.
    dotfiles: Option<DotfilesView>,
    /// Image reference.
    image: String,
    /// ENTRYPOINT in place of the image's.
    entrypoint: Option<Vec<String>>,
    /// CMD in place of the image's.
    cmd: Option<Vec<String>>,
    /// The setup script: a path of this machine, or one in the repository; null for the image's own.
    setup_script: Option<String>,
    /// Names of environment variables.
    env: Vec<String>,
    /// Names of the declared services.
    services: Vec<String>,
    /// Published ports.
    ports: Vec<String>,
    /// Mounts.
    mounts: Vec<String>,
    /// `no_setid` where set-user-id programs and devices cannot be made; null for the engine's own profile, and
    /// `unconfined` for none.
    seccomp: Option<String>,
    /// Files put in before the first start.
    files: Vec<String>,
    /// Network.
    network: String,
    /// What it may use at most.
    limits: LimitFacts,
    /// Who decided what flags, saved settings, the repository's file or the default decide.
    origins: Origins,
    /// Whether that network is made for this sandbox alone.
    own_network: bool,
    /// Capabilities beyond the engine's default.
    cap_added: Vec<String>,
    /// Capabilities of the engine's default that it does not have.
    cap_dropped: Vec<String>,
    /// Whether it is privileged: it has the host's devices too.
    privileged: bool,
    /// Labels.
    labels: std::collections::BTreeMap<String, String>,
}

/// A repository as the sandbox will have it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(super) struct RepositoryView {
    /// Its name, which is its directory's.
    name: String,
    /// Where it comes from: a path of this machine, or a URL without secrets.
    source: String,
    /// Where it goes in the sandbox.
    target: Option<String>,
    /// The branch that the sandbox starts on; null when on a commit by itself.
    branch: Option<String>,
    /// Whether that branch is made in the sandbox.
    new_branch: bool,
    /// The commit that the sandbox starts on; null when there is none yet.
    commit: Option<String>,
    /// Whether the source has changes that are not committed.
    uncommitted_changes: bool,
    /// What comes along.
    content: ContentView,
}

/// What of a repository comes along.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum ContentView {
    /// What lies in the volume (`--from-volume`).
    Volume,
    /// What is committed.
    Committed,
    /// Also what is not (`--no-clean`).
    WorkTree,
    /// Also what is ignored (`--include-ignored`).
    WorkTreeAndIgnored,
}

impl RepositoryView {
    /// The same, with what is told of where it comes from.
    pub(super) fn told_as(mut self, source: &str) -> Self {
        source.clone_into(&mut self.source);
        self
    }

    /// The view of a repository that is to be copied so; `new_branch` says whether one is to be made.
    pub(super) fn of(facts: &git::Facts, copy: git::Copy, new_branch: bool) -> Self {
        Self {
            name: facts.name.clone(),
            source: facts.source.clone(),
            target: None,
            branch: facts.branch.clone(),
            new_branch,
            commit: facts.commit.clone(),
            uncommitted_changes: facts.is_dirty,
            content: match copy {
                git::Copy::Clean => ContentView::Committed,
                git::Copy::Dirty {
                    include_ignored: false,
                } => ContentView::WorkTree,
                git::Copy::Dirty {
                    include_ignored: true,
                } => ContentView::WorkTreeAndIgnored,
            },
        }
    }

    /// That of what is in a volume already.
    pub(super) fn of_volume(repository: label::Repository) -> Self {
        let target = format!("{}/{}", path::WORKSPACE, repository.name);
        Self {
            name: repository.name,
            source: repository
                .source
                .map(|it| it.to_string())
                .unwrap_or_default(),
            target: Some(target),
            branch: repository.branch,
            new_branch: false,
            commit: None,
            uncommitted_changes: false,
            content: ContentView::Volume,
        }
    }

    fn lines(&self) -> Vec<String> {
        let mut out = Vec::new();
        let target = self.target.as_deref().unwrap_or(&self.name);
        let branch = match &self.branch {
            Some(branch) if self.new_branch => format!("{branch} (new)"),
            Some(branch) => branch.clone(),
            None => "none (detached HEAD)".to_owned(),
        };
        let content = match (self.content, self.uncommitted_changes) {
            (ContentView::Volume, _) => "the work in the volume, as it is",
            (ContentView::Committed, false) => "what is committed",
            (ContentView::Committed, true) => "what is committed; uncommitted changes stay behind",
            (_, false) => "the work tree, which has no uncommitted changes",
            (_, true) => "the work tree with its uncommitted changes",
        };
        let ignored = match self.content {
            ContentView::WorkTreeAndIgnored => ", and ignored files",
            ContentView::Volume | ContentView::Committed | ContentView::WorkTree => "",
        };
        let commit = self.commit.as_deref().unwrap_or("none yet");
        let source = Untrusted::new(&self.source).within(PATH);
        let target = Untrusted::new(target).within(PATH);
        out.push(format!("{:<12}{source} -> {target}", "Repository"));
        out.push(format!("{:<12}{}", "Branch", Untrusted::new(&branch)));
        out.push(format!("{:<12}{commit}", "Commit"));
        out.push(format!("{:<12}{content}{ignored}", "Content"));
        out
    }
}

impl PlanView {
    /// The view of a plan, with the repository that is cloned in, and the user's dotfiles.
    pub(super) fn of(
        plan: &Plan,
        repository: Option<RepositoryView>,
        taken: Option<TakenView>,
        dotfiles: Option<DotfilesView>,
    ) -> Self {
        let container = &plan.container;
        Self {
            repository: repository.map(|repository| RepositoryView {
                target: plan.clone_target.clone().or(repository.target),
                ..repository
            }),
            taken,
            dotfiles,
            name: plan.name.to_string(),
            image: container.image.clone(),
            entrypoint: container.entrypoint.clone(),
            cmd: container.cmd.clone(),
            setup_script: match &plan.record.setup_script {
                Some(SetupScript::Host(path) | SetupScript::Repository(path)) => Some(path.clone()),
                None => None,
            },
            services: plan
                .record
                .services
                .iter()
                .map(|service| service.name.clone())
                .collect(),
            env: container
                .env
                .iter()
                .map(|entry| entry.split('=').next().unwrap_or_default().to_owned())
                .collect(),
            ports: container
                .ports
                .iter()
                .map(|port| {
                    let host = port
                        .host_port
                        .map_or_else(|| "(any)".to_owned(), |port| port.to_string());
                    format!(
                        "{}:{host}->{}/{}",
                        port.host_ip,
                        port.container_port,
                        port.protocol.as_str()
                    )
                })
                .collect(),
            mounts: container.mounts.iter().map(mount).collect(),
            seccomp: match &container.seccomp {
                _ if container.nested_engine => Some("unconfined".to_owned()),
                Some(_) => Some("no_setid".to_owned()),
                None => None,
            },
            files: plan
                .uploads
                .iter()
                .flat_map(|upload| upload.files.iter().map(move |file| (upload.at, file)))
                .map(|(at, file)| {
                    let path = format!("{}/{}", at.trim_end_matches('/'), file.path);
                    match &file.content {
                        Content::Link(target) => format!("{path} -> {target}"),
                        Content::Directory => format!("{path}/"),
                        Content::Bytes(bytes) => format!("{path} ({} bytes)", bytes.len()),
                    }
                })
                .collect(),
            network: container.network.clone(),
            limits: LimitFacts::of_spec(&container.limits),
            origins: plan.record.origins.clone().unwrap_or_default(),
            own_network: matches!(plan.network, networks::Choice::Own { .. }),
            cap_added: names(&container.capabilities.added),
            cap_dropped: names(&container.capabilities.dropped),
            privileged: container.privileged,
            // Those that are empty are there to say nothing, and the signature says nothing to people.
            labels: container
                .labels
                .iter()
                .filter(|(key, value)| !value.is_empty() && *key != key::SIGNATURE)
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect(),
        }
    }

    /// It for people, line by line.
    pub fn lines(&self) -> Vec<String> {
        let mut out = Vec::new();
        let words = |words: &Option<Vec<String>>| words.as_ref().map(|words| words.join(" "));
        out.push(format!("{:<12}{}", "Name", self.name));
        if let Some(repository) = &self.repository {
            out.extend(repository.lines());
        }
        if let Some(taken) = &self.taken {
            out.push(format!("{:<12}{}", "Trust", taken.trust.sentence()));
        }
        if let Some(dotfiles) = &self.dotfiles {
            let source = Untrusted::new(&dotfiles.source).within(PATH);
            out.push(format!("{:<12}{source} -> {}", "Dotfiles", dotfiles.target));
        }
        let origins = &self.origins;
        out.push(format!(
            "{:<12}{} ({})",
            "Image",
            Untrusted::new(&self.image),
            origins.image
        ));
        if let Some(script) = &self.setup_script {
            out.push(format!(
                "{:<12}{} ({})",
                "Setup",
                Untrusted::new(script).within(PATH),
                origins.setup_script
            ));
        }
        let is_amikads = |words: &Vec<String>| words.first().is_some_and(|it| it == path::AMIKAD);
        let entrypoint = self.entrypoint.clone().filter(|words| !is_amikads(words));
        for (label, value) in [
            ("Entrypoint", words(&entrypoint)),
            ("Command", words(&self.cmd)),
        ] {
            if let Some(value) = value {
                out.push(format!("{label:<12}{}", Untrusted::new(&value)));
            }
        }
        let certificates = crate::inject::certificate_variables();
        let (own_env, env): (Vec<_>, Vec<_>) = self.env.iter().partition(|name| {
            (name.starts_with("AMIKA_") && name.as_str() != env::OPENCODE_WEB)
                || certificates.iter().any(|(key, _)| key == *name)
        });
        let (own_ports, ports): (Vec<_>, Vec<_>) = self.ports.iter().partition(|port| {
            [AMIKAD_PORT, OPENCODE_PORT]
                .iter()
                .any(|own| port.ends_with(&format!("->{own}/tcp")))
        });
        let is_own = |mount: &&String| {
            let target = mount.split_once(" -> ").map(|(_, target)| target);
            let target = target.and_then(|target| target.split(' ').next());
            target.is_some_and(|it| [path::HOME, path::STATE_DIR, path::AMIKAD_DIR].contains(&it))
        };
        let (own_mounts, mounts): (Vec<_>, Vec<_>) = self.mounts.iter().partition(is_own);
        let (held, mounts): (Vec<_>, Vec<_>) =
            mounts.iter().partition(|mount| is_held(mount, &mounts));
        for name in env {
            let origin = origins.env.get(name);
            let origin = origin.map(|origin| format!(" ({origin})"));
            let name = Untrusted::new(name).within(PATH);
            let origin = origin.unwrap_or_default();
            out.push(format!("{:<12}{name}{origin}", "Environment"));
        }
        if !self.services.is_empty() {
            let services: Vec<String> = self
                .services
                .iter()
                .map(|name| Untrusted::new(name).to_string())
                .collect();
            out.push(format!(
                "{:<12}{} ({})",
                "Services",
                services.join(", "),
                origins.services
            ));
        }
        for (label, values) in [
            ("Port", ports),
            ("Mount", mounts),
            ("File", self.files.iter().collect()),
        ] {
            for value in values {
                let value_shown = Untrusted::new(value).within(2 * PATH);
                let of_file = if label == "Mount" && is_of_file(value, origins) {
                    format!(" ({})", Origin::File)
                } else {
                    String::new()
                };
                out.push(format!("{label:<12}{value_shown}{of_file}"));
            }
        }
        if !held.is_empty() {
            let many = if held.len() == 1 {
                "directory"
            } else {
                "directories"
            };
            out.push(format!(
                "{:<12}{} {many} above, held in place",
                "Mount",
                held.len()
            ));
        }
        // What every sandbox has, and nobody chose.
        let own = [
            (own_env.len(), "variable"),
            (own_ports.len(), "port"),
            (own_mounts.len(), "volume"),
        ];
        let own = own
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}{}", if *count == 1 { "" } else { "s" }));
        let own: Vec<String> = own.collect();
        out.push(format!(
            "{:<12}{} (`-o json` has them)",
            "Amika's own",
            own.join(", ")
        ));
        let seccomp = match self.seccomp.as_deref() {
            Some("no_setid") => Some("no set-user-id programs, no devices"),
            other => other,
        };
        if let Some(seccomp) = seccomp {
            out.push(format!("{:<12}{seccomp}", "Seccomp"));
        }
        let own = if self.own_network { " (its own)" } else { "" };
        let network = Untrusted::new(&self.network);
        out.push(format!("{:<12}{network}{own}", "Network"));
        let limits = crate::view::limits(&self.limits, Some(origins.limits));
        out.push(format!("{:<12}{limits}", "Limits"));
        if self.privileged {
            out.push(format!("{:<12}yes", "Privileged"));
        }
        for (label, names) in [
            ("Cap added", &self.cap_added),
            ("Cap dropped", &self.cap_dropped),
        ] {
            if !names.is_empty() {
                out.push(format!("{label:<12}{}", names.join(", ")));
            }
        }
        out.push(String::new());
        out.push("Nothing was made.".to_owned());
        out
    }
}

fn names(capabilities: &BTreeSet<Capability>) -> Vec<String> {
    capabilities.iter().map(ToString::to_string).collect()
}

/// Whether the repository's file asks for a mount.
fn is_of_file(mount: &str, origins: &Origins) -> bool {
    let target = mount.split_once(" -> ").map(|(_, target)| target);
    let target = target.map(|target| target.strip_suffix(READ_ONLY).unwrap_or(target));
    target.and_then(|target| origins.mounts.get(target)) == Some(&Origin::File)
}

/// Whether a mount is a directory of another one at its own place, writable like that.
fn is_held(mount: &str, all: &[&String]) -> bool {
    let Some((source, target)) = mount.split_once(" -> ") else {
        return false;
    };
    !mount.ends_with(READ_ONLY)
        && all.iter().any(|other| {
            let beneath = other.split_once(" -> ").and_then(|(outer, place)| {
                Some((source.strip_prefix(outer)?, target.strip_prefix(place)?))
            });
            beneath.is_some_and(|(one, other)| one == other && one.starts_with('/'))
        })
}

/// Behind a mount that cannot be written to.
const READ_ONLY: &str = " (read-only)";

fn mount(mount: &MountSpec) -> String {
    let (source, target, read_only) = match mount {
        MountSpec::Volume {
            name,
            target,
            read_only,
            ..
        } => (name, target, read_only),
        MountSpec::Bind {
            source,
            target,
            read_only,
        } => (source, target, read_only),
    };
    format!(
        "{source} -> {target}{}",
        if *read_only { READ_ONLY } else { "" }
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests;
