//! A sandbox as the API shows it: of what the store holds, what is on the engine, and what is being done.

use std::collections::BTreeMap;

use amika_core::label::key;
use amika_core::port::HostIp;
use amika_core::size::Size;
use amika_sandbox::sandbox::State as Is;
use serde::Serialize;
use utoipa::ToSchema;

use super::idle::{Heard, Pace};
use super::look::{OWNER, Seen};
use super::operations::Kind;
use super::sign_ins::{ResolvedAgentCredential, secret_names};
use crate::clock::shown;
use crate::state::ORG;
use crate::store::{Failure, SandboxRow, SandboxServiceRow};

/// Exit code of a program that SIGTERM ended, which a stop sends it: that is no failure.
const TERMINATED: i64 = 128 + 15;

/// What a sandbox does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, serde::Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SandboxState {
    /// It is being made or started, or its setup runs.
    Initializing,
    /// CMD runs.
    Started,
    /// It is being stopped.
    Stopping,
    /// It is stopped, or its CMD ended.
    Stopped,
    /// It is being deleted.
    Deleting,
    /// What was asked for last did not come to be; `error_message` says why.
    Failed,
}

impl SandboxState {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Initializing => "initializing",
            Self::Started => "started",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Deleting => "deleting",
            Self::Failed => "failed",
        }
    }
}

/// The same in more words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SandboxStatus {
    /// It is being made.
    Creating,
    /// It is being started, or its setup runs.
    Starting,
    /// CMD runs.
    Running,
    /// It is being stopped or deleted.
    Stopping,
    /// It is stopped, or frozen.
    Suspended,
    /// What was asked for last did not come to be.
    Failed,
    /// Its engine or amikad has no word for it.
    Unknown,
}

/// How its setup went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SetupStatus {
    /// It runs.
    SetupRunning,
    /// It succeeded.
    Ok,
    /// The setup script failed: CMD did not run.
    SetupFailed,
    /// The repository or the branch could not be had.
    GitFailed,
    /// Something else failed before setup.
    SysSetupFailed,
}

/// Where a sandbox comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SandboxOrigin {
    /// This server made it.
    Server,
    /// `amika` on a command line.
    Cli,
    /// Another server.
    Foreign,
}

/// A port that a sandbox publishes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SandboxPort {
    name: String,
    /// Empty where no URL is wanted.
    url: String,
    host_port: u16,
    container_port: u16,
    protocol: String,
}

/// Who made a sandbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct CreatedBy {
    name: Option<String>,
    email: Option<String>,
}

/// A sandbox. What is not known is null.
#[allow(clippy::struct_field_names, reason = "the members' names are others'")]
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Sandbox {
    pub(crate) id: String,
    pub(crate) name: String,
    user_id: Option<String>,
    org_id: &'static str,
    provider: String,
    provider_sandbox_id: Option<String>,
    provider_url: Option<String>,
    amika_opencode_web: Option<String>,
    repo_name: Option<String>,
    repo_provider: Option<String>,
    repo_id: Option<String>,
    pub(crate) repo_url: Option<String>,
    branch: Option<String>,
    commit_hash: Option<String>,
    snapshot: Option<String>,
    current_session_id: Option<String>,
    services: Vec<SandboxPort>,
    pub(crate) created_at: Option<String>,
    updated_at: Option<String>,
    pub(crate) state: SandboxState,
    status: SandboxStatus,
    setup_status: Option<SetupStatus>,
    error_message: Option<String>,
    sandbox_preset: Option<String>,
    sandbox_size: Option<Size>,
    secret_names: Vec<String>,
    resolved_agent_credentials: Vec<ResolvedAgentCredential>,
    created_by: CreatedBy,
    origin: SandboxOrigin,
    /// Idle minutes until it is stopped; 0: never.
    auto_stop_interval: i64,
    /// Minutes after a stop until it is deleted; null: never.
    auto_delete_interval: Option<i64>,
    last_active_at: Option<String>,
    active_because: Vec<String>,
    auto_stop_at: Option<String>,
    auto_delete_at: Option<String>,
    /// What is being done to it.
    operation_id: Option<String>,
    pub(crate) metadata: BTreeMap<String, String>,
}

impl Sandbox {
    /// The same with services that were added while it ran. `origin` is where a port is found by the port route, which
    /// is the way to those, and `is_far` to all.
    #[must_use]
    pub fn routed<'a>(
        mut self,
        added: impl IntoIterator<Item = &'a SandboxServiceRow>,
        is_far: bool,
        origin: impl Fn(&str, u16) -> String,
    ) -> Self {
        for service in &mut self.services {
            if is_far && !service.url.is_empty() {
                service.url = origin(&self.id, service.container_port);
            }
        }
        for row in added {
            let url = row.url_scheme.as_ref();
            self.services.push(SandboxPort {
                name: row.name.clone(),
                url: url.map(|_| origin(&self.id, row.port)).unwrap_or_default(),
                host_port: row.port,
                container_port: row.port,
                protocol: "tcp".to_owned(),
            });
        }
        self
    }

    /// It as JSON, without what changes all the time though nothing happens.
    pub fn lasting(&self) -> Vec<u8> {
        let lasting = Self {
            last_active_at: None,
            active_because: Vec::new(),
            auto_stop_at: None,
            ..self.clone()
        };
        serde_json::to_vec(&lasting).unwrap_or_default()
    }
}

/// What is known of a sandbox; one of the first two is there.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// What the store holds.
    pub row: Option<&'a SandboxRow>,
    /// What is on the engine.
    pub seen: Option<&'a Seen>,
    /// What is being done: its id and what it is.
    pub doing: Option<(&'a str, Kind)>,
    /// When it was active, or stopped.
    pub heard: Option<&'a Heard>,
    /// The conversation with an agent that was gone on with last.
    pub session: Option<&'a str>,
}

/// What it does, in three words.
pub fn states(
    is: Option<Is>,
    doing: Option<Kind>,
    failure: Option<&Failure>,
) -> (SandboxState, SandboxStatus, Option<SetupStatus>) {
    use {SandboxState as S, SandboxStatus as T, SetupStatus as U};
    let setup = failure.map(setup_of);
    match (doing, is) {
        (Some(Kind::Delete), _) => (S::Deleting, T::Stopping, None),
        (Some(Kind::Stop), _) => (S::Stopping, T::Stopping, None),
        (Some(Kind::Create | Kind::Start | Kind::Restart), Some(Is::Setup)) => {
            (S::Initializing, T::Starting, Some(U::SetupRunning))
        }
        (Some(Kind::Create), _) => (S::Initializing, T::Creating, None),
        (Some(Kind::Start | Kind::Restart), _) => (S::Initializing, T::Starting, None),
        (None, None) => (S::Failed, T::Failed, setup.or(Some(U::SysSetupFailed))),
        (None, Some(is)) => match is {
            Is::Setup => (S::Initializing, T::Starting, Some(U::SetupRunning)),
            Is::Running => (S::Started, T::Running, Some(U::Ok)),
            Is::Unresponsive => (S::Started, T::Unknown, None),
            Is::Stopping => (S::Stopping, T::Stopping, None),
            Is::SetupFailed => (S::Failed, T::Failed, Some(U::SetupFailed)),
            Is::Stopped if failure.is_some() => (S::Failed, T::Failed, setup),
            Is::Stopped | Is::Paused => (S::Stopped, T::Suspended, None),
            Is::Creating => (S::Initializing, T::Creating, None),
            Is::Interrupted | Is::Dead | Is::Lost => {
                (S::Failed, T::Failed, setup.or(Some(U::SysSetupFailed)))
            }
            Is::Unknown => (S::Stopped, T::Unknown, None),
        },
    }
}

fn setup_of(failure: &Failure) -> SetupStatus {
    match failure.code.as_str() {
        "setup_failed" => SetupStatus::SetupFailed,
        "repository" => SetupStatus::GitFailed,
        _ => SetupStatus::SysSetupFailed,
    }
}

/// A sandbox as it is shown; `owner` is its user's name and address.
pub fn sandbox(known: Known<'_>, owner: Option<(&str, Option<&str>)>) -> Sandbox {
    let Known {
        row,
        seen,
        doing,
        heard,
        session,
    } = known;
    let view = seen.map(|seen| &seen.view);
    let failure = row.and_then(|row| row.failure.as_ref());
    let (state, status, setup_status) =
        states(view.map(|view| view.state), doing.map(|it| it.1), failure);
    let asked = |member: &str| row.and_then(|row| row.request.get(member)?.as_str());
    let repository = view.and_then(|view| view.repository.as_ref());
    let exit_code = view
        .and_then(|view| view.exit_code)
        .filter(|code| ![0, TERMINATED].contains(code));
    let ended = (state == SandboxState::Stopped)
        .then_some(exit_code)
        .flatten();
    let is_failed = state == SandboxState::Failed;
    let error_message = match failure {
        Some(failure) if is_failed => Some(failure.message.clone()),
        _ if is_failed && seen.is_none() => {
            Some("its container was removed by somebody else".to_owned())
        }
        _ if setup_status == Some(SetupStatus::SetupFailed) => {
            Some("the setup script failed".to_owned())
        }
        _ => ended.map(|code| format!("its command ended with exit code {code}")),
    };
    let stamped = |label: &str| seen.and_then(|seen| seen.stamp.get(label)).cloned();
    let created_at = view.and_then(|view| i64::try_from(view.created_at?).ok());
    // What was heard may be of before a start or a stop.
    let is_up = matches!(state, SandboxState::Initializing | SandboxState::Started);
    let timer = |at: fn(&Heard, &SandboxRow) -> Option<i64>| Some(shown(at(heard?, row?)?));
    let (last_active_at, active_because) = match heard.map(|heard| &heard.pace) {
        Some(Pace::Up {
            last_active_at,
            because,
            ..
        }) => (Some(shown(*last_active_at)), because.clone()),
        _ => (None, Vec::new()),
    };
    Sandbox {
        id: row
            .map(|row| row.id.clone())
            .or(seen.map(|it| it.id().to_owned()))
            .unwrap_or_default(),
        name: view
            .map(|it| it.name.clone())
            .or(row.map(|it| it.name.clone()))
            .unwrap_or_default(),
        user_id: row
            .map(|row| row.user_id.clone())
            .or_else(|| stamped(OWNER)),
        org_id: ORG,
        provider: asked("provider").unwrap_or("docker").to_owned(),
        provider_sandbox_id: seen.map(|seen| seen.container.clone()),
        provider_url: None,
        amika_opencode_web: row.and_then(|row| match row.request.get("amika_opencode_web")? {
            serde_json::Value::String(text) => Some(text.clone()),
            serde_json::Value::Number(number) => Some(number.to_string()),
            _ => None,
        }),
        repo_name: repository.map(|it| it.name.clone()),
        repo_provider: None,
        repo_id: None,
        repo_url: asked("repo_url")
            .map(str::to_owned)
            .or_else(|| repository.and_then(|it| it.source.clone())),
        branch: repository
            .and_then(|it| it.branch.clone())
            .or_else(|| asked("branch").map(str::to_owned)),
        commit_hash: None,
        snapshot: None,
        current_session_id: session.map(str::to_owned),
        services: view
            .map(|view| view.ports.iter().filter_map(port).collect())
            .unwrap_or_default(),
        created_at: row.map(|row| row.created_at).or(created_at).map(shown),
        updated_at: row.map(|row| row.updated_at).or(created_at).map(shown),
        state,
        status,
        setup_status,
        error_message,
        sandbox_preset: view
            .and_then(|it| it.preset.clone())
            .or_else(|| asked("preset").map(str::to_owned)),
        sandbox_size: asked("size").and_then(|size| size.parse().ok()),
        secret_names: row
            .map(|row| secret_names(&row.secret_env))
            .unwrap_or_default(),
        resolved_agent_credentials: row.map(|row| row.credentials.clone()).unwrap_or_default(),
        created_by: CreatedBy {
            name: owner.map(|(name, _)| name.to_owned()),
            email: owner.and_then(|(_, email)| email).map(str::to_owned),
        },
        origin: origin(row, seen),
        auto_stop_interval: row.map_or(0, |row| row.auto_stop),
        auto_delete_interval: row.and_then(|row| row.auto_delete),
        last_active_at,
        active_because,
        auto_stop_at: timer(Heard::auto_stop_at).filter(|_| is_up),
        auto_delete_at: timer(Heard::auto_delete_at).filter(|_| !is_up),
        operation_id: doing.map(|(id, _)| id.to_owned()),
        metadata: row.map(|row| row.metadata.clone()).unwrap_or_default(),
    }
}

fn origin(row: Option<&SandboxRow>, seen: Option<&Seen>) -> SandboxOrigin {
    match seen {
        _ if row.is_some() => SandboxOrigin::Server,
        Some(seen) if seen.stamp.contains_key(key::SERVER) => SandboxOrigin::Server,
        Some(seen) if seen.has_server => SandboxOrigin::Foreign,
        _ => SandboxOrigin::Cli,
    }
}

/// A port that is published; on this machine its URL is the one of the services document.
fn port(view: &amika_sandbox::view::PortView) -> Option<SandboxPort> {
    let local = view.host_ip.parse::<HostIp>() == Ok(HostIp::default());
    let url = view.url.clone().filter(|_| local || view.url.is_some());
    Some(SandboxPort {
        name: view
            .service
            .clone()
            .unwrap_or_else(|| view.container_port.to_string()),
        url: url.unwrap_or_default(),
        host_port: view.host_port?,
        container_port: view.container_port,
        protocol: view.protocol.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use {SandboxState as S, SandboxStatus as T, SetupStatus as U};

    #[test]
    fn three_words_tell_what_it_does_whatever_the_engine_and_the_server_are_at() {
        let failed = |code: &str| Failure {
            code: code.to_owned(),
            message: String::new(),
        };
        let (git, setup) = (failed("repository"), failed("setup_failed"));
        for (is, doing, failure, expected) in [
            (
                None,
                Some(Kind::Create),
                None,
                (S::Initializing, T::Creating, None),
            ),
            (
                Some(Is::Setup),
                Some(Kind::Create),
                None,
                (S::Initializing, T::Starting, Some(U::SetupRunning)),
            ),
            (
                Some(Is::Stopped),
                Some(Kind::Start),
                Some(&setup),
                (S::Initializing, T::Starting, None),
            ),
            (
                Some(Is::Running),
                Some(Kind::Stop),
                None,
                (S::Stopping, T::Stopping, None),
            ),
            (
                Some(Is::Running),
                Some(Kind::Delete),
                None,
                (S::Deleting, T::Stopping, None),
            ),
            (
                None,
                None,
                Some(&git),
                (S::Failed, T::Failed, Some(U::GitFailed)),
            ),
            (
                None,
                None,
                None,
                (S::Failed, T::Failed, Some(U::SysSetupFailed)),
            ),
            (
                Some(Is::Running),
                None,
                None,
                (S::Started, T::Running, Some(U::Ok)),
            ),
            (
                Some(Is::Running),
                None,
                Some(&setup),
                (S::Started, T::Running, Some(U::Ok)),
            ),
            (
                Some(Is::Stopped),
                None,
                None,
                (S::Stopped, T::Suspended, None),
            ),
            (
                Some(Is::Stopped),
                None,
                Some(&setup),
                (S::Failed, T::Failed, Some(U::SetupFailed)),
            ),
            (
                Some(Is::SetupFailed),
                None,
                None,
                (S::Failed, T::Failed, Some(U::SetupFailed)),
            ),
            (
                Some(Is::Unresponsive),
                None,
                None,
                (S::Started, T::Unknown, None),
            ),
            (
                Some(Is::Paused),
                None,
                None,
                (S::Stopped, T::Suspended, None),
            ),
            (
                Some(Is::Dead),
                None,
                None,
                (S::Failed, T::Failed, Some(U::SysSetupFailed)),
            ),
        ] {
            assert_eq!(
                states(is, doing, failure),
                expected,
                "{is:?} {doing:?} {failure:?}"
            );
        }
    }
}
