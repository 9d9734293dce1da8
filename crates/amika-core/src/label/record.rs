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
        if !self.services.is_empty() {
            // Maps with other than string keys are what JSON cannot hold; there is none in here.
            put(key::SERVICES, serde_json::to_string(&self.services).ok());
        }
        if let Some(origins) = &self.origins {
            put(key::ORIGINS, serde_json::to_string(origins).ok());
        }
        match &self.setup_script {
            Some(SetupScript::Host(path)) => put(key::SETUP_HOST_PATH, Some(path.clone())),
            Some(SetupScript::Repository(path)) => put(key::SETUP_REPO_PATH, Some(path.clone())),
            None => {}
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
            services: or_none(services, &mut problems).unwrap_or_default(),
            origins: or_none(origins, &mut problems),
            setup_script: match labels.text(key::SETUP_HOST_PATH) {
                Some(path) => Some(SetupScript::Host(path)),
                None => labels
                    .text(key::SETUP_REPO_PATH)
                    .map(SetupScript::Repository),
            },
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
mod tests {
    use pretty_assertions::assert_eq;
    use proptest::prelude::*;

    use super::*;
    use crate::service::{Scheme, ServicePort};
    use crate::settings::Origin;

    fn read(labels: &Labels) -> Result<SandboxRecord, LabelError> {
        SandboxRecord::from_labels(|key| labels.get(key).map(String::as_str))
    }

    fn full() -> SandboxRecord {
        SandboxRecord {
            id: SandboxId::from_random([7; 16]),
            repository: Some(Repository {
                name: "Hello World".to_owned(),
                source: Some("https://token@example.com/hello".into()),
                branch: Some("main".to_owned()),
            }),
            services: vec![Service {
                name: "api".to_owned(),
                ports: vec![ServicePort {
                    container: "4838/tcp".parse().unwrap(),
                    url_scheme: Some(Scheme::Http),
                    line: 0,
                }],
                run: None,
            }],
            origins: Some(Origins {
                env: [("A".to_owned(), Origin::File)].into(),
                image: Origin::Request,
                ..Origins::default()
            }),
            setup_script: Some(SetupScript::Host("/src/setup.sh".to_owned())),
            credentials: vec![Agent::Claude, Agent::OpenCode],
            copied_files: [("/data/x".to_owned(), "/src/x".to_owned())].into(),
            creator: Some(Creator {
                host: "box".to_owned(),
                boot_id: "b".to_owned(),
                pid: 42,
                started: 4711,
                uid: Some(1000),
                pid_namespace: Some("pid:[1]".to_owned()),
                machine: Some("m".to_owned()),
            }),
            preset: Some("coder".to_owned()),
            image: Some("amika-coder:1".to_owned()),
            agent_cwd: Some("/home/amika/workspace/Hello World".to_owned()),
            user: Some("amika".to_owned()),
            created_at: Some(1_795_336_329_000),
            test: Some("run-1".to_owned()),
        }
    }

    #[test]
    fn the_labels_are_these() {
        let labels = full().to_labels();
        let lines: Vec<String> = labels
            .iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        assert_eq!(
            lines,
            [
                "dev.amika.agent-cwd=/home/amika/workspace/Hello World",
                "dev.amika.copied-files={\"/data/x\":\"/src/x\"}",
                "dev.amika.created-at=1795336329000",
                "dev.amika.creator.boot-id=b",
                "dev.amika.creator.host=box",
                "dev.amika.creator.machine=m",
                "dev.amika.creator.pid=42",
                "dev.amika.creator.pid-namespace=pid:[1]",
                "dev.amika.creator.started=4711",
                "dev.amika.creator.uid=1000",
                "dev.amika.credentials=claude,opencode",
                "dev.amika.id=07070707-0707-4707-8707-070707070707",
                "dev.amika.image=amika-coder:1",
                "dev.amika.kind=sandbox",
                "dev.amika.origins={\"image\":\"request\",\"setup_script\":\"default\",\"env\":{\"A\":\"file\"},\
                 \"services\":\"default\",\"limits\":{\"cpus\":\"default\",\"memory\":\"default\",\"pids\":\"default\"}}",
                "dev.amika.preset=coder",
                "dev.amika.repo.branch=main",
                "dev.amika.repo.name=Hello World",
                "dev.amika.repo.source=https://example.com/hello",
                "dev.amika.services=[{\"name\":\"api\",\"ports\":[{\"port\":4838,\
                 \"protocol\":\"tcp\",\"url_scheme\":\"http\"}]}]",
                "dev.amika.setup.host-path=/src/setup.sh",
                "dev.amika.test=run-1",
                "dev.amika.user=amika",
                "dev.amika.version=1",
            ]
        );
    }

    #[test]
    fn records_are_read_as_they_were_written() {
        let mut record = full();
        assert_eq!(read(&record.to_labels()), Ok(record.clone()));
        record.setup_script = Some(SetupScript::Repository("scripts/setup.sh".to_owned()));
        assert_eq!(read(&record.to_labels()), Ok(record.clone()));
        let bare = SandboxRecord::new(record.id);
        assert_eq!(read(&bare.to_labels()), Ok(bare));
    }

    #[test]
    fn every_key_is_written_and_what_is_empty_is_none() {
        let id = SandboxId::from_random([7; 16]);
        for record in [SandboxRecord::new(id.clone()), full()] {
            let labels = record.to_labels();
            let keys: Vec<&str> = labels.keys().map(String::as_str).collect();
            let mut all = key::ALL;
            all.sort_unstable();
            assert_eq!(keys, all);
        }
        let mut labels = SandboxRecord::new(id.clone()).to_labels();
        // As an older amika wrote them.
        labels.retain(|_, value| !value.is_empty());
        assert_eq!(labels.len(), 3);
        assert_eq!(read(&labels), Ok(SandboxRecord::new(id)));
    }

    #[test]
    fn whatever_one_label_holds_the_rest_is_read() {
        let stand_in = SandboxId::from_random([9; 16]);
        for (key, identified) in [
            (key::ID, false),
            (key::KIND, false),
            (key::VERSION, false),
            (key::SERVICES, true),
            (key::COPIED_FILES, true),
            (key::CREATOR_PID, true),
            (key::CREATOR_STARTED, true),
            (key::CREATED_AT, true),
        ] {
            let mut labels = full().to_labels();
            labels.insert(key.to_owned(), "garbage\n".to_owned());
            let get = |key: &str| labels.get(key).map(String::as_str);
            let reading = SandboxRecord::read(get, stand_in.clone());
            assert_eq!(reading.problems.len(), 1, "{key}");
            assert_eq!(reading.is_identified(), identified, "{key}");
            assert_eq!(reading.record.repository, full().repository, "{key}");
            assert_eq!(reading.record.setup_script, full().setup_script, "{key}");
            let id = if key == key::ID {
                &stand_in
            } else {
                &full().id
            };
            assert_eq!(reading.record.id, *id, "{key}");
        }
    }

    #[test]
    fn a_long_value_is_cut_in_the_error() {
        let mut labels = full().to_labels();
        labels.insert(key::CREATED_AT.to_owned(), "é\u{1b}".repeat(100_000));
        let message = read(&labels).unwrap_err().to_string();
        assert!(message.len() < 1000, "{}", message.len());
        assert!(message.contains("…\", not a number"), "{message}");
        assert!(!message.contains('\u{1b}'), "{message}");
    }

    #[test]
    fn unknown_labels_and_half_a_creator_are_no_errors() {
        let mut labels = full().to_labels();
        labels.insert("dev.amika.future".to_owned(), "x".to_owned());
        labels.insert(
            key::CREDENTIALS.to_owned(),
            "claude,future,opencode".to_owned(),
        );
        labels.insert("com.example".to_owned(), "y".to_owned());
        labels.remove(key::CREATOR_HOST);
        labels.remove(key::VERSION);
        assert_eq!(
            read(&labels),
            Ok(SandboxRecord {
                creator: None,
                ..full()
            })
        );
    }

    #[test]
    fn errors_name_the_label() {
        for (key, value, message) in [
            (key::ID, None, "label dev.amika.id is missing"),
            (
                key::ID,
                Some("x"),
                "label dev.amika.id is \"x\", not a sandbox id",
            ),
            (key::KIND, None, "label dev.amika.kind is missing"),
            (
                key::KIND,
                Some("git"),
                "label dev.amika.kind is \"git\", not sandbox",
            ),
            (
                key::KIND,
                Some("x"),
                "label dev.amika.kind is \"x\", not a kind of resource",
            ),
            (
                key::VERSION,
                Some("2"),
                "label dev.amika.version is \"2\": made by a newer amika, this one knows 1",
            ),
            (
                key::SERVICES,
                Some("{\n"),
                "label dev.amika.services is \"{\\n\", not a list of services",
            ),
            (
                key::ORIGINS,
                Some("file"),
                "label dev.amika.origins is \"file\", not a map of origins",
            ),
            (
                key::CREATED_AT,
                Some("now"),
                "label dev.amika.created-at is \"now\", not a number",
            ),
            (
                key::CREATOR_PID,
                Some("-1"),
                "label dev.amika.creator.pid is \"-1\", not a process id",
            ),
        ] {
            let mut labels = full().to_labels();
            assert!(labels.contains_key(key));
            match value {
                Some(value) => labels.insert(key.to_owned(), value.to_owned()),
                None => labels.remove(key),
            };
            assert_eq!(read(&labels).unwrap_err().to_string(), message);
        }
    }

    proptest! {
        #[test]
        fn no_labels_make_it_panic(changed in proptest::collection::vec((0usize..26, any::<String>()), 0..5)) {
            let mut labels = full().to_labels();
            for (index, value) in changed {
                labels.insert(key::ALL[index].to_owned(), value);
            }
            let get = |key: &str| labels.get(key).map(String::as_str);
            let reading = SandboxRecord::read(get, SandboxId::from_random([9; 16]));
            // What was read stays what it is when it is written and read again.
            prop_assert_eq!(read(&reading.record.to_labels()), Ok(reading.record));
        }
    }
}
