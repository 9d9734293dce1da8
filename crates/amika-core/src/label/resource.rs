//! Volumes, networks and images as their labels tell of them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{
    Creator, LabelError, Labels, Reader, RepositorySource, SandboxId, SetupScript, VERSION, key,
};
use crate::name::SandboxName;

/// What a resource with our labels is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A sandbox's container.
    Sandbox,
    /// The container of a service beside a sandbox; goes with the sandbox.
    Service,
    /// A volume with a clone; stays when its sandbox is deleted.
    Git,
    /// A volume that a repository's file names; stays for the repository's other sandboxes, or as the data of a service.
    Named,
    /// The volume at the agent's home; goes with the sandbox.
    Home,
    /// The volume at amikad's state directory; goes with the sandbox.
    State,
    /// A volume with a copy of a host directory; goes with the sandbox.
    RwCopy,
    /// The volume of the Docker Engine inside a sandbox; goes with the sandbox.
    Docker,
    /// A volume that holds amikad's program, shared by many sandboxes.
    Amikad,
    /// The network of sandboxes.
    Network,
    /// An image.
    Image,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 11] = [
        Self::Sandbox,
        Self::Service,
        Self::Git,
        Self::Named,
        Self::Home,
        Self::State,
        Self::RwCopy,
        Self::Docker,
        Self::Amikad,
        Self::Network,
        Self::Image,
    ];

    /// Returns the label's value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sandbox => "sandbox",
            Self::Service => "service",
            Self::Git => "git",
            Self::Named => "named",
            Self::Home => "home",
            Self::State => "state",
            Self::RwCopy => "rwcopy",
            Self::Docker => "docker",
            Self::Amikad => "amikad",
            Self::Network => "network",
            Self::Image => "image",
        }
    }

    /// Whether the resource is a volume that is deleted together with its sandbox.
    pub fn goes_with_sandbox(self) -> bool {
        matches!(self, Self::Home | Self::State | Self::RwCopy | Self::Docker)
    }
}

impl FromStr for Kind {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or(())
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What is known of a resource other than a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceRecord {
    /// What it is.
    pub kind: Kind,
    /// The sandbox it belongs to; none for what is shared.
    pub id: Option<SandboxId>,
    /// That sandbox's name when the resource was made.
    pub sandbox: Option<SandboxName>,
    /// Name of the repository in it, for [`Kind::Git`], or whose file names it, for a [`Kind::Named`] of a repository's.
    pub repository: Option<String>,
    /// What the sandbox of a clone was made with, for [`Kind::Git`]: the clone may outlive it.
    pub made_with: MadeWith,
    /// The host path that its content was copied from, for [`Kind::RwCopy`].
    pub source: Option<String>,
    /// When it was made, in milliseconds since the Unix epoch.
    pub created_at: Option<u64>,
    /// The process that made it: while its sandbox is not there yet, that process is at work on it.
    pub creator: Option<Creator>,
    /// Name of the test run that it belongs to.
    pub test: Option<String>,
}

/// What a sandbox was made with that its repository does not tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MadeWith {
    /// Where the repository came from.
    pub source: Option<RepositorySource>,
    /// Name of the preset, where the image is one.
    pub preset: Option<String>,
    /// Reference of the image, as it was asked for.
    pub image: Option<String>,
    /// The setup script, where it is not the image's own.
    pub setup_script: Option<SetupScript>,
}

impl ResourceRecord {
    /// Returns a record of a resource that belongs to no sandbox.
    pub fn new(kind: Kind) -> Self {
        Self {
            kind,
            id: None,
            sandbox: None,
            repository: None,
            made_with: MadeWith::default(),
            source: None,
            created_at: None,
            creator: None,
            test: None,
        }
    }

    /// Returns the resource's labels.
    pub fn to_labels(&self) -> Labels {
        let made_with = &self.made_with;
        let script = made_with.setup_script.as_ref().map(SetupScript::label);
        [
            (key::KIND, Some(self.kind.to_string())),
            (key::VERSION, Some(VERSION.to_owned())),
            (key::ID, self.id.as_ref().map(ToString::to_string)),
            (key::SANDBOX, self.sandbox.as_ref().map(ToString::to_string)),
            (key::REPO_NAME, self.repository.clone()),
            (
                key::REPO_SOURCE,
                made_with.source.as_ref().map(ToString::to_string),
            ),
            (key::PRESET, made_with.preset.clone()),
            (key::IMAGE, made_with.image.clone()),
            (key::SOURCE, self.source.clone()),
            (key::CREATED_AT, self.created_at.map(|at| at.to_string())),
            (key::TEST, self.test.clone()),
        ]
        .into_iter()
        .chain(script.map(|(key, path)| (key, Some(path.to_owned()))))
        .chain(self.creator.iter().flat_map(Creator::labels))
        .filter_map(|(key, value)| Some((key.to_owned(), value?)))
        .collect()
    }

    /// Reads a resource's labels; `get` looks one up. Only the kind must be there.
    pub fn from_labels<'a>(get: impl Fn(&str) -> Option<&'a str>) -> Result<Self, LabelError> {
        let labels = Reader(get);
        let kind = labels.read(key::KIND, "a kind of resource", |value| value.parse().ok())?;
        labels.check_version()?;
        Ok(Self {
            kind: kind.ok_or(LabelError::Missing { key: key::KIND })?,
            id: labels.read(key::ID, "a sandbox id", |value| value.parse().ok())?,
            sandbox: labels.read(key::SANDBOX, "a sandbox name", |value| value.parse().ok())?,
            repository: labels.text(key::REPO_NAME),
            made_with: MadeWith {
                source: labels.text(key::REPO_SOURCE).map(RepositorySource::from),
                preset: labels.text(key::PRESET),
                image: labels.text(key::IMAGE),
                setup_script: SetupScript::read(&labels),
            },
            source: labels.text(key::SOURCE),
            created_at: labels.number(key::CREATED_AT)?,
            creator: Creator::from_labels(&labels.0),
            test: labels.text(key::TEST),
        })
    }
}

#[cfg(test)]
mod tests {
    use pretty_assertions::assert_eq;

    use super::*;

    fn read(labels: &Labels) -> Result<ResourceRecord, LabelError> {
        ResourceRecord::from_labels(|key| labels.get(key).map(String::as_str))
    }

    #[test]
    fn kinds_read_as_they_print() {
        for kind in Kind::ALL {
            assert_eq!(kind.to_string().parse(), Ok(kind));
            assert_eq!(serde_json::to_string(&kind).unwrap(), format!("\"{kind}\""));
        }
        assert!("Git".parse::<Kind>().is_err());
    }

    #[test]
    fn records_are_read_as_they_were_written() {
        let volume = ResourceRecord {
            kind: Kind::Git,
            id: Some(SandboxId::from_random([1; 16])),
            sandbox: Some("teal-tokyo".parse().unwrap()),
            repository: Some("Hello-World".to_owned()),
            made_with: MadeWith {
                source: Some("https://git.example/Hello-World".into()),
                preset: Some("coder".to_owned()),
                image: Some("amika/coder:1".to_owned()),
                setup_script: Some(SetupScript::Repository("setup.sh".to_owned())),
            },
            source: Some("/src/data".to_owned()),
            created_at: Some(1),
            creator: Some(Creator {
                host: "box".to_owned(),
                boot_id: "b".to_owned(),
                pid: 42,
                started: 4711,
                uid: None,
                pid_namespace: None,
                machine: None,
            }),
            test: Some("t".to_owned()),
        };
        assert_eq!(read(&volume.to_labels()), Ok(volume));
        let network = ResourceRecord::new(Kind::Network);
        assert_eq!(network.to_labels().len(), 2);
        assert_eq!(read(&network.to_labels()), Ok(network));
    }

    #[test]
    fn a_stranger_s_resource_is_told_apart() {
        assert_eq!(
            read(&Labels::new()),
            Err(LabelError::Missing { key: key::KIND })
        );
    }

    #[test]
    fn only_what_the_sandbox_alone_uses_goes_with_it() {
        let going: Vec<Kind> = Kind::ALL
            .into_iter()
            .filter(|kind| kind.goes_with_sandbox())
            .collect();
        assert_eq!(going, [Kind::Home, Kind::State, Kind::RwCopy, Kind::Docker]);
    }
}
