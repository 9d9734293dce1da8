//! A sandbox as its container's labels tell of it.

use std::collections::BTreeMap;

use super::{Kind, LabelError, Labels, Reader, RepositorySource, SandboxId, VERSION, key};
use crate::credential::Agent;
use crate::service::Service;
use crate::settings::Origins;

/// What is known of a sandbox from its making on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SandboxRecord {
    /// Joins the container with its volumes.
    pub id: SandboxId,
    /// The repository in it, if there is one.
    pub repository: Option<Repository>,
    /// The git volume that it was given in place of a clone: an earlier sandbox's, whose id that bears.
    pub from_volume: Option<String>,
    /// The declared services.
    pub services: Vec<Service>,
    /// Who decided each setting; not told by an earlier version.
    pub origins: Option<Origins>,
    /// The setup script, where it is not the image's own.
    pub setup_script: Option<SetupScript>,
    /// The agents whose sign-ins were copied in.
    pub credentials: Vec<Agent>,
    /// Single files of the host that were copied in by a mount: target to source. No mount of the
    /// container tells of them.
    pub copied_files: BTreeMap<String, String>,
    /// The process that made it; none when the labels do not tell.
    pub creator: Option<Creator>,
    /// Name of the preset, where the image is one.
    pub preset: Option<String>,
    /// Reference of the image, as it was asked for.
    pub image: Option<String>,
    /// The agent's working directory in the container.
    pub agent_cwd: Option<String>,
    /// The user that the agent runs as; none is the image's own.
    pub user: Option<String>,
    /// When it was made, in milliseconds since the Unix epoch.
    pub created_at: Option<u64>,
    /// Name of the test run that it belongs to.
    pub test: Option<String>,
}

/// A repository in a sandbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repository {
    /// Name of its directory.
    pub name: String,
    /// Where it came from.
    pub source: Option<RepositorySource>,
    /// The branch that the sandbox began with; none when detached.
    pub branch: Option<String>,
}

/// Where a setup script is read from at each start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetupScript {
    /// An absolute path on the host.
    Host(String),
    /// A path in the sandbox's own repository, relative to its root.
    Repository(String),
}

impl SetupScript {
    /// The label that tells of it.
    pub(super) fn label(&self) -> (&'static str, &str) {
        match self {
            Self::Host(path) => (key::SETUP_HOST_PATH, path),
            Self::Repository(path) => (key::SETUP_REPO_PATH, path),
        }
    }

    pub(super) fn read<'a, F: Fn(&str) -> Option<&'a str>>(labels: &Reader<F>) -> Option<Self> {
        let host = labels.text(key::SETUP_HOST_PATH).map(Self::Host);
        host.or_else(|| labels.text(key::SETUP_REPO_PATH).map(Self::Repository))
    }
}

/// The process that makes a sandbox, so that another one can tell whether it still lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Creator {
    /// The machine's host name.
    pub host: String,
    /// The machine's boot id: process ids of an earlier boot mean nothing.
    pub boot_id: String,
    /// The process id.
    pub pid: u32,
    /// The process's start time, in the kernel's own count.
    pub started: u64,
    /// The user id that it ran as; not told by an earlier version.
    pub uid: Option<u32>,
    /// The space that its process id is of; not told by an earlier version, or where it cannot be known.
    pub pid_namespace: Option<String>,
    /// Digest of the machine's id; not told by an earlier version, or where it has none.
    pub machine: Option<String>,
}

impl Creator {
    /// The labels that tell of it.
    pub(super) fn labels(&self) -> [(&'static str, Option<String>); 7] {
        [
            (key::CREATOR_HOST, Some(self.host.clone())),
            (key::CREATOR_BOOT_ID, Some(self.boot_id.clone())),
            (key::CREATOR_PID, Some(self.pid.to_string())),
            (key::CREATOR_STARTED, Some(self.started.to_string())),
            (key::CREATOR_UID, self.uid.map(|uid| uid.to_string())),
            (key::CREATOR_PID_NAMESPACE, self.pid_namespace.clone()),
            (key::CREATOR_MACHINE, self.machine.clone()),
        ]
    }

    /// Reads the creator off any resource's labels; none where they do not tell of one.
    pub fn from_labels<'a>(get: impl Fn(&str) -> Option<&'a str>) -> Option<Self> {
        creator(&Reader(get), &mut Vec::new())
    }
}

impl SandboxRecord {
    /// Returns a record of a sandbox of which nothing but its id is known.
    pub fn new(id: SandboxId) -> Self {
        Self {
            id,
            repository: None,
            from_volume: None,
            services: Vec::new(),
            origins: None,
            setup_script: None,
            credentials: Vec::new(),
            copied_files: BTreeMap::new(),
            creator: None,
            preset: None,
            image: None,
            agent_cwd: None,
            user: None,
            created_at: None,
            test: None,
        }
    }

    /// Returns the labels of the container. Every key of Amika's is among them, empty where there is
    /// nothing to tell: what a container has is not taken from its image.
    pub fn to_labels(&self) -> Labels {
        let mut labels: Labels = key::ALL
            .into_iter()
            .map(|key| (key.to_owned(), String::new()))
            .collect();
        let mut put = |key: &str, value: Option<String>| {
            if let Some(value) = value {
                labels.insert(key.to_owned(), value);
            }
        };
        put(key::ID, Some(self.id.to_string()));
        put(key::KIND, Some(Kind::Sandbox.as_str().to_owned()));
        put(key::VERSION, Some(VERSION.to_owned()));
        if let Some(repository) = &self.repository {
            put(key::REPO_NAME, Some(repository.name.clone()));
            put(
                key::REPO_SOURCE,
                repository.source.as_ref().map(ToString::to_string),
            );
            put(key::REPO_BRANCH, repository.branch.clone());
        }
        put(key::FROM_VOLUME, self.from_volume.clone());
        if !self.services.is_empty() {
            // Maps with other than string keys are what JSON cannot hold; there is none in here.
            put(key::SERVICES, serde_json::to_string(&self.services).ok());
        }
        if let Some(origins) = &self.origins {
            put(key::ORIGINS, serde_json::to_string(origins).ok());
        }
        if let Some(script) = &self.setup_script {
            let (key, path) = script.label();
            put(key, Some(path.to_owned()));
        }
        if !self.credentials.is_empty() {
            let names: Vec<&str> = self
                .credentials
                .iter()
                .map(|agent| agent.as_str())
                .collect();
            put(key::CREDENTIALS, Some(names.join(",")));
        }
        if !self.copied_files.is_empty() {
            let json = serde_json::to_string(&self.copied_files).ok();
            put(key::COPIED_FILES, json);
        }
        if let Some(creator) = &self.creator {
            for (key, value) in creator.labels() {
                put(key, value);
            }
        }
        put(key::PRESET, self.preset.clone());
        put(key::IMAGE, self.image.clone());
        put(key::AGENT_CWD, self.agent_cwd.clone());
        put(key::USER, self.user.clone());
        put(key::CREATED_AT, self.created_at.map(|at| at.to_string()));
        put(key::TEST, self.test.clone());
        labels
    }

    /// Reads a container's labels; `get` looks one up. Labels it does not know are left alone, and
    /// of those it knows only id and kind must be there.
    ///
    /// # Errors
    /// The first label that cannot be read.
    pub fn from_labels<'a>(get: impl Fn(&str) -> Option<&'a str>) -> Result<Self, LabelError> {
        let mut reading = Self::read(get, SandboxId::from_random([0; 16]));
        if reading.problems.is_empty() {
            Ok(reading.record)
        } else {
            Err(reading.problems.remove(0))
        }
    }

    /// Reads what can be read of a container's labels, whatever they hold: a label that cannot be
    /// read counts as none, and is told of. `stand_in` is the record's id where the labels have none
    /// that can be read; nothing else may bear it.
    pub fn read<'a>(get: impl Fn(&str) -> Option<&'a str>, stand_in: SandboxId) -> Reading {
        let labels = Reader(get);
        let mut problems = Vec::new();
        match labels.read(key::KIND, "a kind of resource", |value| value.parse().ok()) {
            Ok(Some(Kind::Sandbox)) => {}
            Ok(Some(other)) => problems.push(LabelError::Invalid {
                key: key::KIND,
                value: Kind::as_str(other).to_owned(),
                expected: "sandbox",
            }),
            Ok(None) => problems.push(LabelError::Missing { key: key::KIND }),
            Err(error) => problems.push(error),
        }
        problems.extend(labels.check_version().err());
        let id = match labels.read(key::ID, "a sandbox id", |value| value.parse().ok()) {
            Ok(Some(id)) => id,
            Ok(None) => {
                problems.push(LabelError::Missing { key: key::ID });
                stand_in
            }
            Err(error) => {
                problems.push(error);
                stand_in
            }
        };
        let services = labels.read(key::SERVICES, "a list of services", |json| {
            serde_json::from_str(json).ok()
        });
        let origins = labels.read(key::ORIGINS, "a map of origins", |json| {
            serde_json::from_str(json).ok()
        });
        let copied_files = labels.read(key::COPIED_FILES, "a map of paths", |json| {
            serde_json::from_str(json).ok()
        });
        let record = Self {
            id,
            repository: labels.text(key::REPO_NAME).map(|name| Repository {
                name,
                source: labels.text(key::REPO_SOURCE).map(RepositorySource::from),
                branch: labels.text(key::REPO_BRANCH),
            }),
            from_volume: labels.text(key::FROM_VOLUME),
            services: or_none(services, &mut problems).unwrap_or_default(),
            origins: or_none(origins, &mut problems),
            setup_script: SetupScript::read(&labels),
            credentials: labels
                .get(key::CREDENTIALS)
                .into_iter()
                .flat_map(|names| names.split(','))
                // An agent that a later version knows is none of ours to judge.
                .filter_map(|name| name.parse().ok())
                .collect(),
            copied_files: or_none(copied_files, &mut problems).unwrap_or_default(),
            creator: creator(&labels, &mut problems),
            preset: labels.text(key::PRESET),
            image: labels.text(key::IMAGE),
            agent_cwd: labels.text(key::AGENT_CWD),
            user: labels.text(key::USER),
            created_at: or_none(labels.number(key::CREATED_AT), &mut problems),
            test: labels.text(key::TEST),
        };
        Reading { record, problems }
    }
}

/// What could be read of a container's labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// What they say; what cannot be read is not in it.
    pub record: SandboxRecord,
    /// Which of them cannot be read, and why.
    pub problems: Vec<LabelError>,
}

impl Reading {
    /// Whether it is known which sandbox it is: its kind, its id, and the version of its labels can
    /// be read. The id of the record means something only then.
    pub fn is_identified(&self) -> bool {
        self.problems.iter().all(|problem| {
            !matches!(
                problem,
                LabelError::Version { .. }
                    | LabelError::Missing { .. }
                    | LabelError::Invalid {
                        key: key::KIND | key::ID,
                        ..
                    }
            )
        })
    }
}

/// Returns what was read; what was not is told of.
fn or_none<T>(read: Result<Option<T>, LabelError>, problems: &mut Vec<LabelError>) -> Option<T> {
    read.unwrap_or_else(|error| {
        problems.push(error);
        None
    })
}

/// Returns the creator, or nothing when one of its labels is not there.
fn creator<'a, F: Fn(&str) -> Option<&'a str>>(
    labels: &Reader<F>,
    problems: &mut Vec<LabelError>,
) -> Option<Creator> {
    let pid = labels.read(key::CREATOR_PID, "a process id", |value| value.parse().ok());
    let pid = or_none(pid, problems);
    let started = or_none(labels.number(key::CREATOR_STARTED), problems);
    Some(Creator {
        host: labels.text(key::CREATOR_HOST)?,
        boot_id: labels.text(key::CREATOR_BOOT_ID)?,
        pid: pid?,
        started: started?,
        uid: or_none(
            labels.read(key::CREATOR_UID, "a user id", |value| value.parse().ok()),
            problems,
        ),
        pid_namespace: labels.text(key::CREATOR_PID_NAMESPACE),
        machine: labels.text(key::CREATOR_MACHINE),
    })
}

#[cfg(test)]
mod tests;
