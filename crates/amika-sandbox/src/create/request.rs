//! What is asked for, parsed and checked before the engine is spoken to.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use amika_core::capability::Capability;
use amika_core::config::Dockerfile;
use amika_core::credential::Selection;
use amika_core::label::{Labels, is_stamp};
use amika_core::mount::Mount;
use amika_core::name::SandboxName;
use amika_core::opencode::OpenCodeStart;
use amika_core::port::{HostIp, Publish};
use amika_core::settings::AskedLimits;

use super::allowed::Allowed;
use super::from_volume::WantedVolume;
use super::repository::Wanted;
use super::settings::SettingsLayer;
use super::trust::Trusting;
use crate::error::{Error, Kind, Result};
use crate::given::Secrets;
use crate::host_path;
use crate::preset::Preset;
use crate::ready::Until;
use amika_core::text::shell_path;

/// Which image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Image {
    /// One of ours.
    Preset(Preset),
    /// Any other.
    Other(String),
    /// One that is built of a file of the repository.
    Dockerfile(Dockerfile),
}

/// Where the setup script comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Setup {
    /// What the image brings; a preset brings a no-op.
    Image,
    /// None, whatever the image brings.
    Off,
    /// A file of the host, copied into the sandbox at each start.
    File {
        /// Absolute path.
        path: PathBuf,
        /// Its content now.
        content: Vec<u8>,
    },
    /// This very script, which no file of this machine holds: later starts run what the sandbox has.
    Text(Vec<u8>),
    /// A file of the sandbox's own repository, relative to its root.
    Repository(String),
}

/// What a sandbox may do to the host, where a flag allows it. No configuration of a repository does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HostRights {
    /// Change what the host runs by itself in its writable mounts, `.git` first.
    pub writable_git: bool,
    /// Make set-user-id programs and devices in its writable mounts.
    pub allow_setid: bool,
    /// All: its container is privileged, and has the host's devices.
    pub privileged: bool,
}

/// A sandbox as it is asked for; absent means that the repository's configuration decides.
#[derive(Clone, Debug)]
pub struct Request {
    /// Its name; made up when absent.
    pub name: Option<SandboxName>,
    /// Its image.
    pub image: Option<Image>,
    /// Its setup script.
    pub setup: Option<Setup>,
    /// Whether a script that succeeded is skipped until it changes.
    pub setup_once: bool,
    /// Its environment.
    pub env: BTreeMap<String, String>,
    /// When OpenCode is started; `env` and the repository's configuration may say so too.
    pub opencode: Option<OpenCodeStart>,
    /// Variables that are secrets, each with the secret's name; [`CreateRequest::secrets`] has what they are.
    pub secret_env: BTreeMap<String, String>,
    /// Variables that are left out, whatever is saved for the repository or stands in its file.
    pub without_env: BTreeSet<String>,
    /// Variables that were to have this shell's value, which it has not.
    pub unset_env: Vec<String>,
    /// What is mounted.
    pub mounts: Vec<Mount>,
    /// What the sandbox may do to the host by its writable mounts.
    pub rights: HostRights,
    /// Whose sign-ins are copied in.
    pub credentials: Selection,
    /// Whose own settings, skills and the like are copied in.
    pub own_ways: OwnWays,
    /// The dotfiles that the agent installs.
    pub dotfiles: Option<Dotfiles>,
    /// Ports to publish.
    pub publish: Vec<Publish>,
    /// Where ports are published that name no address.
    pub port_host_ip: HostIp,
    /// Whether OpenCode is published there too.
    pub expose_opencode: bool,
    /// Network to join; our own when absent.
    pub network: Option<String>,
    /// Whether the agent has a number that nobody else has.
    pub own_uid: bool,
    /// Capabilities to give.
    pub cap_add: BTreeSet<Capability>,
    /// Limits.
    pub limits: AskedLimits,
    /// What to run in place of the image's CMD.
    pub command: Vec<String>,
    /// What a server stamps its sandboxes with: labels of [`amika_core::label::key::SERVER`] and below. They are signed as the rest of
    /// the record is, and cannot change.
    pub stamp: Labels,
}

impl Request {
    /// Refuses what no door can mean.
    ///
    /// # Errors
    /// [`Kind::Invalid`] for a stamp that is none.
    pub fn check(&self) -> Result<()> {
        match self.stamp.keys().find(|label| !is_stamp(label)) {
            None => Ok(()),
            Some(label) => Err(Error::new(
                Kind::Invalid,
                format!("the label \"{}\" is not a server's", label.escape_debug()),
            )),
        }
    }
}

/// Whose own ways are copied in, and who said so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnWays {
    /// Those of these agents.
    pub of: Selection,
    /// Whether it was asked for this sandbox. What a setting says for all of them holds as sign-ins do: of a repository
    /// that is not trusted it does not.
    pub is_asked: bool,
}

impl OwnWays {
    /// Nobody's.
    pub fn none() -> Self {
        Self {
            of: Selection::none(),
            is_asked: false,
        }
    }
}

/// The user's dotfiles, and who said so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dotfiles {
    /// A path or a URL, as `--git` has them; a relative path begins at the process's directory.
    pub source: String,
    /// As [`OwnWays::is_asked`].
    pub is_asked: bool,
}

/// Where the repository in a sandbox comes from.
#[derive(Clone, Debug)]
pub enum WantedRepository {
    /// It is cloned in, and what of it.
    Clone(Wanted),
    /// It is in a volume that an earlier sandbox left.
    Volume(WantedVolume),
}

/// All that a create is asked.
pub struct CreateRequest {
    /// The sandbox.
    pub sandbox: Request,
    /// The repository that is in it.
    pub repository: Option<WantedRepository>,
    /// What is saved for that repository: it wins over the repository's own file, and what is asked for wins
    /// over it. [`amika_core::settings::Layer::silent`] where nothing is.
    pub saved: SettingsLayer,
    /// By what it is decided whether the repository is trusted.
    pub trust: Trusting,
    /// Whether it was said whose sign-ins are to go in, and they are not just all there are.
    pub sign_ins_named: bool,
    /// Who knows secrets; where nobody does, variables that are secrets are left out.
    pub secrets: Option<Arc<dyn Secrets>>,
    /// For whom volumes are kept that a repository's file names: a server's users have their own each. Empty for the only one.
    pub owner: String,
    /// Which images it may be made of.
    pub allowed: Allowed,
    /// Whether a sandbox of the same name is deleted first.
    pub replace: bool,
    /// Whether to wait for it.
    pub wait: Wait,
}

/// How far a sandbox that was started is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Not at all.
    No,
    /// Until it is ready: as long as its setup takes, or no longer than this.
    UntilReady(Option<Duration>),
    /// Likewise, and until those of its services are up that say how that is seen.
    UntilServed(Option<Duration>),
}

impl Wait {
    /// For how long at most, where it is waited for at all; and whether its services are.
    pub(crate) fn until(self) -> Option<Until> {
        match self {
            Self::No => None,
            Self::UntilReady(timeout) => Some(Until {
                timeout,
                services: false,
            }),
            Self::UntilServed(timeout) => Some(Until {
                timeout,
                services: true,
            }),
        }
    }
}

/// Reads a preset's name.
///
/// # Errors
/// [`Kind::Invalid`], with the presets there are.
pub fn parse_preset(text: &str) -> Result<Preset> {
    Preset::parse(text).ok_or_else(|| {
        let names: Vec<&str> = Preset::ALL.iter().map(|preset| preset.name()).collect();
        let error = Error::new(
            Kind::Invalid,
            format!("there is no preset \"{}\"", text.escape_debug()),
        );
        let error = match amika_core::nearest::nearest(text, names.iter().copied()) {
            Some(near) => error.hint(format!("did you mean `{near}`?")),
            None => error,
        };
        error.hint(format!(
            "the presets are: {}; `--image` takes any other image",
            names.join(", ")
        ))
    })
}

/// Reads a setup script of the host.
///
/// # Errors
/// [`Kind::Invalid`] when it is missing, no file, or not executable.
pub fn read_script(path: &Path) -> Result<Setup> {
    let clean = amika_host::path::clean(path);
    let shown = clean.display();
    let failed =
        |error: &std::io::Error| host_path::unreadable(Kind::Invalid, "setup script ", path, error);
    let absolute = path.canonicalize().map_err(|error| failed(&error))?;
    let meta = absolute.metadata().map_err(|error| failed(&error))?;
    if !meta.is_file() {
        return Err(Error::new(
            Kind::Invalid,
            format!("setup script {shown} is not a file"),
        ));
    }
    if meta.permissions().mode() & 0o111 == 0 {
        return Err(Error::new(
            Kind::Invalid,
            format!("setup script {shown} is not executable"),
        )
        .hint(format!("`chmod +x {}`", shell_path(&shown.to_string()))));
    }
    let content = std::fs::read(&absolute).map_err(|error| failed(&error))?;
    Ok(Setup::File {
        path: absolute,
        content,
    })
}
