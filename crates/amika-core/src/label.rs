//! What is written on containers, volumes, networks and images, and how it is read back.
//!
//! Labels are the only record of a sandbox beside the engine's own, and cannot change after the
//! container was made: what can change (name, ports, state) is read from the engine instead. They
//! show in `docker inspect`, so no secret may enter one.

use std::collections::BTreeMap;

mod canonical;
mod id;
mod image;
mod record;
mod resource;
mod source;
mod stamp;

pub use canonical::canonical;
pub use id::{InvalidSandboxId, SandboxId};
pub use image::{is_under_prefix, not_an_images};
pub use record::{Creator, Reading, Repository, SandboxRecord, SetupScript};
pub use resource::{Kind, MadeWith, ResourceRecord};
pub use source::RepositorySource;
pub use stamp::{is_stamp, stamp};

/// Labels by key, in a stable order.
pub type Labels = BTreeMap<String, String>;

/// Version of the set of labels; a program that finds another one must not guess.
pub const VERSION: &str = "1";

/// Label keys.
pub mod key {
    /// What all keys of Amika begin with. Nobody else's key may.
    pub const PREFIX: &str = "dev.amika.";
    /// The sandbox's id: on the container and on all that belongs to it.
    pub const ID: &str = "dev.amika.id";
    /// What the resource is, see [`super::Kind`].
    pub const KIND: &str = "dev.amika.kind";
    /// [`super::VERSION`].
    pub const VERSION: &str = "dev.amika.version";
    /// Name of the sandbox when the resource was made; it may have been renamed since.
    pub const SANDBOX: &str = "dev.amika.sandbox";
    /// Where the content of a volume was copied from: a path on the host.
    pub const SOURCE: &str = "dev.amika.source";
    /// Names of the agents whose sign-ins were copied in, with commas between them.
    pub const CREDENTIALS: &str = "dev.amika.credentials";
    /// Single files of the host that were copied in by a mount, as JSON: target to source.
    pub const COPIED_FILES: &str = "dev.amika.copied-files";
    /// Name of the repository, which is its directory in the sandbox.
    pub const REPO_NAME: &str = "dev.amika.repo.name";
    /// Where the repository came from: a path, or a URL without credentials.
    pub const REPO_SOURCE: &str = "dev.amika.repo.source";
    /// The branch that the sandbox began with.
    pub const REPO_BRANCH: &str = "dev.amika.repo.branch";
    /// The git volume of an earlier sandbox that this one was given in place of a clone.
    pub const FROM_VOLUME: &str = "dev.amika.from-volume";
    /// The declared services, as JSON.
    pub const SERVICES: &str = "dev.amika.services";
    /// Who decided each setting of the sandbox, as JSON.
    pub const ORIGINS: &str = "dev.amika.origins";
    /// Path on the host of the setup script.
    pub const SETUP_HOST_PATH: &str = "dev.amika.setup.host-path";
    /// Path of the setup script, relative to the repository's root.
    pub const SETUP_REPO_PATH: &str = "dev.amika.setup.repo-path";
    /// Host name of the machine whose `amika` made the container.
    pub const CREATOR_HOST: &str = "dev.amika.creator.host";
    /// Boot id of that machine.
    pub const CREATOR_BOOT_ID: &str = "dev.amika.creator.boot-id";
    /// Process id of that `amika`.
    pub const CREATOR_PID: &str = "dev.amika.creator.pid";
    /// Start time of that process, as its kernel counts it: tells it from a later one of that id.
    pub const CREATOR_STARTED: &str = "dev.amika.creator.started";
    /// User id of that process.
    pub const CREATOR_UID: &str = "dev.amika.creator.uid";
    /// The space that its process id is of: containers of one machine count by themselves.
    pub const CREATOR_PID_NAMESPACE: &str = "dev.amika.creator.pid-namespace";
    /// Digest of that machine's id: two machines may have one host name.
    pub const CREATOR_MACHINE: &str = "dev.amika.creator.machine";
    /// Name of the preset, where the image is one.
    pub const PRESET: &str = "dev.amika.preset";
    /// Reference of the image, as it was asked for.
    pub const IMAGE: &str = "dev.amika.image";
    /// The agent's working directory.
    pub const AGENT_CWD: &str = "dev.amika.agent-cwd";
    /// The user that CMD and the agent run as.
    pub const USER: &str = "dev.amika.user";
    /// When the resource was made, in milliseconds since the Unix epoch.
    pub const CREATED_AT: &str = "dev.amika.created-at";
    /// Name of the test run that the resource belongs to.
    pub const TEST: &str = "dev.amika.test";
    /// Fingerprint of the recipe that a preset image was built from.
    pub const RECIPE: &str = "dev.amika.recipe";
    /// What a base image of presets was made from, where Amika's own script made it.
    pub const BASE: &str = "dev.amika.base";
    /// Repository and Dockerfile that an image was built of, as `NAME/PATH`.
    pub const BUILT_OF: &str = "dev.amika.built-of";
    /// Which server made the sandbox; what else that one says of it stands under keys that begin with this one and
    /// a dot.
    pub const SERVER: &str = "dev.amika.server";
    /// What shows that the labels of a sandbox's container are its maker's own: a keyed digest of
    /// [`super::canonical`].
    pub const SIGNATURE: &str = "dev.amika.signature";

    /// All of them.
    pub const ALL: [&str; 33] = [
        ID,
        KIND,
        VERSION,
        SANDBOX,
        SOURCE,
        CREDENTIALS,
        COPIED_FILES,
        REPO_NAME,
        REPO_SOURCE,
        REPO_BRANCH,
        FROM_VOLUME,
        SERVICES,
        ORIGINS,
        SETUP_HOST_PATH,
        SETUP_REPO_PATH,
        CREATOR_HOST,
        CREATOR_BOOT_ID,
        CREATOR_PID,
        CREATOR_STARTED,
        CREATOR_UID,
        CREATOR_PID_NAMESPACE,
        CREATOR_MACHINE,
        PRESET,
        IMAGE,
        AGENT_CWD,
        USER,
        CREATED_AT,
        TEST,
        RECIPE,
        BASE,
        BUILT_OF,
        SERVER,
        SIGNATURE,
    ];
}

/// How much of a value an error shows, in characters.
const SHOWN: usize = 80;

/// A value as an error shows it: escaped, and cut where it is long.
fn shown(value: &str) -> String {
    let cut = value.char_indices().nth(SHOWN).map(|(at, _)| at);
    let rest = if cut.is_some() { "…" } else { "" };
    format!(
        "{}{rest}",
        value[..cut.unwrap_or(value.len())].escape_debug()
    )
}

/// A label that is missing or cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LabelError {
    /// A label without which nothing can be said is not there.
    #[error("label {key} is missing")]
    Missing {
        /// The label.
        key: &'static str,
    },
    /// A label holds something that its reader does not understand.
    #[error("label {key} is \"{}\", not {expected}", shown(.value))]
    Invalid {
        /// The label.
        key: &'static str,
        /// What it holds.
        value: String,
        /// What it should hold.
        expected: &'static str,
    },
    /// The labels were written by a version of Amika that this one does not know.
    #[error("label {} is \"{}\": made by a newer amika, this one knows {VERSION}", key::VERSION, shown(.found))]
    Version {
        /// The version found.
        found: String,
    },
}

/// Looks labels up and reads their values. One that is empty counts as none: it is there only so
/// that no image can put another in its place.
#[derive(Clone, Copy)]
struct Reader<F>(F);

impl<'a, F: Fn(&str) -> Option<&'a str>> Reader<F> {
    fn get(&self, key: &str) -> Option<&'a str> {
        (self.0)(key).filter(|value| !value.is_empty())
    }

    fn text(&self, key: &str) -> Option<String> {
        self.get(key).map(str::to_owned)
    }

    /// Returns the value read by `read`, nothing when there is no such label, an error when it
    /// holds something else.
    fn read<T>(
        &self,
        key: &'static str,
        expected: &'static str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, LabelError> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        let invalid = || LabelError::Invalid {
            key,
            value: value.to_owned(),
            expected,
        };
        read(value).map(Some).ok_or_else(invalid)
    }

    fn number(&self, key: &'static str) -> Result<Option<u64>, LabelError> {
        self.read(key, "a number", |value| value.parse().ok())
    }

    fn check_version(&self) -> Result<(), LabelError> {
        match self.get(key::VERSION) {
            None | Some(VERSION) => Ok(()),
            Some(found) => Err(LabelError::Version {
                found: found.to_owned(),
            }),
        }
    }
}
