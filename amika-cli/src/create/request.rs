//! What was asked for: the flags, parsed and checked, before the engine is spoken to.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use amika_core::budget;
use amika_core::capability::Capability;
use amika_core::credential::Selection;
use amika_core::exec_limit;
use amika_core::limit::InvalidLimit;
use amika_core::mount::{HostMount, Mount};
use amika_core::name::SandboxName;
use amika_core::port::{HostIp, Publish};
use amika_core::settings::AskedLimits;

use crate::args::sandbox::CreateArgs;
use crate::error::{Error, Kind, Result};
use crate::host_path;
use crate::preset::Preset;
use amika_core::text::shell_path;

/// Which image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Image {
    /// One of ours.
    Preset(Preset),
    /// Any other.
    Other(String),
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

/// A sandbox as the flags ask for it; absent means that the repository's configuration decides.
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
    /// Variables that were to have this shell's value, which it has not.
    pub unset_env: Vec<String>,
    /// What is mounted.
    pub mounts: Vec<Mount>,
    /// What the sandbox may do to the host by its writable mounts.
    pub rights: HostRights,
    /// Whose sign-ins are copied in.
    pub credentials: Selection,
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
}

impl Request {
    /// Reads the flags.
    ///
    /// # Errors
    /// [`Kind::Invalid`] for each value that cannot be meant.
    pub fn from_args(args: &CreateArgs) -> Result<Self> {
        let name = args.name.as_deref().map(parse_name).transpose()?;
        let image = match (&args.preset, &args.image) {
            (_, Some(image)) => Some(Image::Other(image.clone())),
            (Some(preset), None) => Some(Image::Preset(parse_preset(preset)?)),
            (None, None) => None,
        };
        let setup = match &args.setup_script {
            _ if args.no_setup => Some(Setup::Off),
            Some(path) => Some(read_script(path)?),
            None => None,
        };
        let port_host_ip = args
            .port_host_ip
            .parse()
            .map_err(|error| usage("--port-host-ip", &error))?;
        let publish: Vec<Publish> = args
            .port
            .iter()
            .map(|text| text.parse().map_err(named))
            .collect::<Result<_>>()?;
        let environment = crate::environment::read(&args.env, &args.env_file)?;
        for (flag, found, most) in [
            ("--port", publish.len(), budget::PORTS),
            ("--env", environment.set.len(), budget::VARIABLES),
            (
                "--mount and --volume",
                args.mount.len() + args.volume.len(),
                budget::MOUNTS,
            ),
        ] {
            refuse_too_many(flag, found, most)?;
        }
        let pairs = environment.set.iter();
        let pairs = pairs.map(|(name, value)| (name.as_str(), value.as_str()));
        exec_limit::check(&args.command, pairs)
            .map_err(|error| Error::new(Kind::Invalid, error.to_string()))?;
        Ok(Self {
            name,
            image,
            setup,
            setup_once: args.setup_once,
            env: environment.set.into_iter().collect(),
            unset_env: environment.unset,
            mounts: mounts(args)?,
            rights: HostRights {
                writable_git: args.writable_git,
                allow_setid: args.allow_setid,
                privileged: args.privileged,
            },
            credentials: match &args.credentials {
                _ if args.no_credentials => Selection::none(),
                Some(agents) => agents
                    .parse()
                    .map_err(|error| usage("--credentials", &error))?,
                None => Selection::all(),
            },
            publish,
            port_host_ip,
            expose_opencode: args.expose_opencode,
            network: args.network.clone(),
            own_uid: args.own_uid,
            cap_add: capabilities(&args.cap_add)?,
            limits: limits(args)?,
            command: args.command.clone(),
        })
    }
}

/// Reads a sandbox name.
///
/// # Errors
/// [`Kind::Invalid`], with the nearest name that would do.
pub fn parse_name(text: &str) -> Result<SandboxName> {
    SandboxName::for_new(text).map_err(|error| usage("--name", &error))
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

fn usage(flag: &str, error: &dyn std::error::Error) -> Error {
    Error::new(Kind::Invalid, format!("{flag}: {error}"))
}

/// An error that names its flag by itself.
fn named(error: impl std::error::Error) -> Error {
    Error::new(Kind::Invalid, error.to_string())
}

/// Reads `--mount` and `--volume`; sources become absolute and must be there.
fn mounts(args: &CreateArgs) -> Result<Vec<Mount>> {
    let mut mounts = Vec::new();
    for text in &args.mount {
        let mut mount: HostMount = text.parse().map_err(named)?;
        let source = Path::new(&mount.source).canonicalize().map_err(|error| {
            let source = Path::new(&mount.source);
            let refusal =
                host_path::unreadable(Kind::Invalid, "--mount source ", source, &error);
            let is_alike = amika_host::path::hint(&amika_host::path::clean(source)).is_some();
            if !is_alike && error.kind() == std::io::ErrorKind::NotFound {
                let target = &mount.target;
                return refusal.hint(format!(
                    "name a file or directory of this machine; `--volume NAME:{target}` mounts a volume"
                ));
            }
            refusal
        })?;
        let Some(source) = source.to_str() else {
            return Err(Error::new(
                Kind::Invalid,
                format!("--mount {text}: the engine takes only paths that are UTF-8"),
            ));
        };
        source.clone_into(&mut mount.source);
        mounts.push(Mount::Host(mount));
    }
    for text in &args.volume {
        mounts.push(Mount::Volume(text.parse().map_err(named)?));
    }
    Ok(mounts)
}

fn capabilities(names: &[String]) -> Result<BTreeSet<Capability>> {
    let read = |text: &String| {
        text.parse::<Capability>().map_err(|error| {
            let bare = text.to_ascii_uppercase();
            let bare = bare.strip_prefix("CAP_").unwrap_or(&bare);
            let refused = usage("--cap-add", &error);
            match amika_core::nearest::nearest(bare, Capability::names()) {
                Some(near) => refused.hint(format!("did you mean `--cap-add {near}`?")),
                None => refused.hint("`man 7 capabilities` has them all; `ALL` is all of them"),
            }
        })
    };
    names.iter().map(read).collect()
}

fn limits(args: &CreateArgs) -> Result<AskedLimits> {
    fn read<T: FromStr<Err = InvalidLimit>>(
        flag: &str,
        text: Option<&String>,
    ) -> Result<Option<T>> {
        text.map(|text| text.parse().map_err(|error| usage(flag, &error)))
            .transpose()
    }
    Ok(AskedLimits {
        cpus: read("--cpus", args.cpus.as_ref())?,
        memory: read("--memory", args.memory.as_ref())?,
        pids: read("--pids", args.pids.as_ref())?,
    })
}

/// Refuses more of something than a command line may ask for.
fn refuse_too_many(flag: &str, found: usize, most: usize) -> Result<()> {
    if found <= most {
        return Ok(());
    }
    Err(Error::new(
        Kind::Invalid,
        format!("{flag}: {found} are too many, at most {most} are allowed"),
    ))
}
