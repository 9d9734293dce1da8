//! A sandbox as it is now: its record, its container, and what its amikad says.

mod beginning;

use std::time::Duration;

use amika_core::contract::service::OPENCODE;
use amika_core::credential::Agent;
use amika_core::label::{Kind, SetupScript, key};
use amika_core::settings::Origins;
use amika_core::wire::{Activity, BootRecord, OpenCodeAccess, ServiceState, Status};
use schemars::JsonSchema;
use serde::Serialize;

pub use beginning::Beginning;

use crate::daemon::read_boot_record;
use crate::error::Result;
use crate::overlay::{self, Role};
use crate::sandbox::{Answer, Sandbox, State};
use crate::sandboxes::Sandboxes;
use crate::sign_ins;
use crate::trust::Trust;
use crate::view::SandboxView;
use amika_engine::{CapabilityFacts, LimitFacts};

/// A daemon that says nothing for so long, by its port and by the relay, does not answer.
const LONGEST_ANSWER: Duration = Duration::from_secs(5);

/// What `inspect` shows.
#[derive(Debug, Serialize, JsonSchema)]
pub struct InspectView {
    /// What all are told of it.
    #[serde(flatten)]
    pub sandbox: SandboxView,
    /// Whose its record is: what it says of paths of this machine is followed unless it is foreign.
    pub record: Trust,
    /// Why labels of it cannot be read; what they would say is left out.
    pub unreadable_labels: Vec<String>,
    /// The engine's id of the container.
    pub container: String,
    /// The user that the agent runs as.
    pub user: Option<String>,
    /// CMD and its arguments, the image's or its own.
    pub cmd: Vec<String>,
    /// The agent's working directory.
    pub agent_cwd: Option<String>,
    /// The setup script: a path of the host, or one in the repository.
    pub setup_script: Option<String>,
    /// What its repository was when it was made; null without a repository, and where that is not recorded.
    pub began_with: Option<Beginning>,
    /// Network it joined.
    pub network: Option<String>,
    /// The health check's word.
    pub health: Option<String>,
    /// Names of the declared services.
    pub services: Vec<String>,
    /// What it may use at most.
    pub limits: LimitFacts,
    /// Who decided what flags, saved settings, the repository's file or the default decide; null where it was made
    /// by a version that did not record it.
    pub origins: Option<Origins>,
    /// Which system calls the kernel takes from it.
    pub seccomp: Seccomp,
    /// Its capabilities.
    pub capabilities: CapabilityFacts,
    /// What is mounted.
    pub mounts: Vec<MountView>,
    /// Agents whose sign-ins were copied in, when it was made or by a later `credentials refresh`.
    pub credentials: Vec<Agent>,
    /// How to sign in to OpenCode; none while it does not run.
    pub opencode: Option<OpenCodeView>,
    /// Whether anything goes on in it, measured from the first such question on; none when it does not run.
    pub activity: Option<Activity>,
    /// What amikad says now; none when it does not run.
    pub status: Option<Status>,
    /// How the last boot went, when it does not run.
    pub last_boot: Option<BootRecord>,
}

/// A mount.
#[derive(Debug, Serialize, JsonSchema)]
pub struct MountView {
    /// `volume`, `bind` or `tmpfs`; `file` for a single file that was copied in.
    pub kind: String,
    /// Volume name, or path on the host.
    pub source: String,
    /// Path in the container.
    pub target: String,
    /// Whether it may be written.
    pub writable: bool,
    /// What a volume of the sandbox holds.
    pub holds: Option<Kind>,
    /// The host path that it is a copy of.
    pub copy_of: Option<String>,
    /// What it is for, where it lies over a writable mount: `protects` what is there from being changed, or
    /// `holds_in_place` a directory with something protected in it; null for others.
    pub over: Option<Role>,
    /// Whether that is only what a foreign record says.
    pub claimed: bool,
}

/// Which system calls the kernel takes from a sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Seccomp {
    /// Those of the engine's own profile.
    Default,
    /// Those, but for set-user-id programs and devices.
    NoSetid,
    /// All.
    Unconfined,
    /// Those of some other profile.
    Other,
}

impl Seccomp {
    fn of(profile: Option<&str>) -> Self {
        match profile {
            None => Self::Default,
            Some("unconfined") => Self::Unconfined,
            Some(profile) if crate::seccomp::is_ours(profile) => Self::NoSetid,
            Some(_) => Self::Other,
        }
    }
}

/// How to sign in to OpenCode.
#[derive(Debug, Serialize, JsonSchema)]
pub struct OpenCodeView {
    #[expect(missing_docs, reason = "its documented schema has no words for it")]
    pub url: Option<String>,
    #[expect(missing_docs, reason = "its documented schema has no words for it")]
    pub username: String,
    /// None where it was not asked for.
    pub password: Option<String>,
}

impl InspectView {
    /// Takes out what signs somebody in.
    pub fn hide_secrets(&mut self) {
        if let Some(opencode) = &mut self.opencode {
            opencode.password = None;
        }
    }
}

impl Sandboxes {
    /// Looks at a sandbox. What several have to tell of it is asked side by side, and an amikad that does not answer
    /// is waited for once.
    ///
    /// # Errors
    /// [`crate::error::Kind::NotFound`]; when the user's key cannot be read; those of the engine.
    pub async fn inspect(&self, name: &str) -> Result<InspectView> {
        let sandbox = Sandbox::find_any(self, name).await?;
        let trust = sandbox.trust(self)?;
        let (told, began_with, mounts, agents) = futures_util::join!(
            told(self, &sandbox),
            Beginning::of(self, &sandbox),
            mounts(self, &sandbox, trust),
            sign_ins::agents(self, &sandbox.container.id, &sandbox.record),
        );
        let told = told?;
        let (container, record) = (&sandbox.container, &sandbox.record);
        let state = State::tell(
            container.state,
            record,
            told.answer,
            told.last_boot.as_ref(),
        );
        let base = SandboxView::of(&sandbox, state).told_by(told.status.as_ref());
        Ok(InspectView {
            record: trust,
            unreadable_labels: sandbox.problems.iter().map(ToString::to_string).collect(),
            container: container.id.clone(),
            user: record.user.clone(),
            cmd: container.cmd.clone(),
            agent_cwd: record.agent_cwd.clone(),
            setup_script: record.setup_script.as_ref().map(|script| match script {
                SetupScript::Host(path) => path.clone(),
                SetupScript::Repository(path) => format!("{path} (in the repository)"),
            }),
            began_with,
            network: container.network.clone(),
            health: container.health.clone(),
            services: (record.services.iter())
                .map(|service| service.name.clone())
                .collect(),
            limits: container.limits,
            origins: record.origins.clone(),
            seccomp: Seccomp::of(container.seccomp.as_deref()),
            capabilities: container.capabilities.clone(),
            mounts: mounts?,
            credentials: agents.into_iter().collect(),
            opencode: told.access.map(|access| OpenCodeView {
                url: base.opencode_url.clone(),
                username: access.username,
                password: Some(access.password),
            }),
            activity: told.activity,
            status: told.status,
            last_boot: told.last_boot,
            sandbox: base,
        })
    }
}

/// What a sandbox's amikad says, or left behind.
struct Told {
    answer: Answer,
    status: Option<Status>,
    activity: Option<Activity>,
    access: Option<OpenCodeAccess>,
    last_boot: Option<BootRecord>,
}

async fn told(engine: &Sandboxes, sandbox: &Sandbox) -> Result<Told> {
    let mut told = Told {
        answer: Answer::NotAsked,
        status: None,
        activity: None,
        access: None,
        last_boot: None,
    };
    if sandbox.is_running() && sandbox.is_identified() {
        let client = sandbox.client(engine)?;
        let deadline = tokio::time::Instant::now() + LONGEST_ANSWER;
        let asked = tokio::time::timeout_at(deadline, client.status());
        told.status = asked.await.ok().and_then(Result::ok);
        told.answer = Answer::of(told.status.as_ref());
        if let Some(status) = &told.status {
            // An amikad of an earlier version knows no such question.
            let activity = tokio::time::timeout_at(deadline, client.activity());
            let is_on = status.services.state(OPENCODE) != ServiceState::Off;
            let access = async {
                if is_on {
                    client.opencode_access().await.ok()
                } else {
                    None
                }
            };
            let access = tokio::time::timeout_at(deadline, access);
            let (activity, access) = futures_util::join!(activity, access);
            told.activity = activity.ok().and_then(Result::ok);
            told.access = access.ok().flatten();
        }
    } else if !sandbox.is_running() && !sandbox.is_dead() {
        told.last_boot = read_boot_record(engine, &sandbox.container.id).await?;
    }
    Ok(told)
}

/// The mounts, by target; volumes with what they hold.
async fn mounts(engine: &Sandboxes, sandbox: &Sandbox, trust: Trust) -> Result<Vec<MountView>> {
    let volumes =
        crate::belongings::volumes(engine, &sandbox.container.id, &sandbox.record).await?;
    let mut mounts: Vec<MountView> = sandbox
        .container
        .mounts
        .iter()
        .map(|mount| {
            let volume = volumes.iter().find(|(_, facts)| facts.name == mount.source);
            let copy_of = volume.and_then(|(_, facts)| facts.labels.get(key::SOURCE).cloned());
            MountView {
                kind: mount.kind.clone(),
                source: mount.source.clone(),
                target: mount.target.clone(),
                writable: mount.writable,
                holds: volume.map(|(kind, _)| *kind),
                copy_of,
                over: overlay::role(mount, &sandbox.container.mounts),
                claimed: false,
            }
        })
        .collect();
    let files = sandbox.record.copied_files.iter();
    mounts.extend(files.map(|(target, source)| MountView {
        kind: "file".to_owned(),
        source: source.clone(),
        target: target.clone(),
        writable: true,
        holds: None,
        copy_of: Some(source.clone()),
        over: None,
        claimed: !trust.follows_host_paths(),
    }));
    mounts.sort_by(|a, b| a.target.cmp(&b.target));
    Ok(mounts)
}
