//! What the flags of `create` ask for.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::str::FromStr;

use amika_core::budget;
use amika_core::capability::Capability;
use amika_core::credential::{AgentNames, Selection};
use amika_core::exec_limit;
use amika_core::label::Labels;
use amika_core::limit::InvalidLimit;
use amika_core::mount::{HostMount, Mount};
use amika_core::name::SandboxName;
use amika_core::port::Publish;
use amika_core::settings::AskedLimits;
use amika_core::text::shell_quote;

use crate::args::sandbox::CreateArgs;
use crate::create::{HostRights, Image, OwnWays, Request, Setup, parse_preset, read_script};
use crate::error::{Error, Kind, Result};
use crate::host_path;

/// Reads the flags.
///
/// # Errors
/// [`Kind::Invalid`] for each value that cannot be meant.
pub fn read(args: &CreateArgs) -> Result<Request> {
    if args.size.is_some() {
        return Err(Error::new(
            Kind::Invalid,
            "--size is for sandboxes of a server (--remote)",
        )
        .hint("here `--cpus` and `--memory` say how much it may use"));
    }
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
    Ok(Request {
        name,
        image,
        setup,
        setup_once: args.setup_once,
        opencode: args.opencode,
        env: environment.set.into_iter().collect(),
        secret_env: BTreeMap::new(),
        without_env: BTreeSet::new(),
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
        own_ways: match &args.agent_config {
            Some(AgentNames(agents)) => OwnWays {
                of: agents.clone(),
                is_asked: true,
            },
            None => OwnWays::none(),
        },
        // Of the flag or the setting, by whoever knows both.
        dotfiles: None,
        publish,
        port_host_ip,
        expose_opencode: args.expose_opencode,
        network: args.network.clone(),
        own_uid: args.own_uid,
        cap_add: capabilities(&args.cap_add)?,
        limits: limits(args)?,
        command: args.command.clone(),
        stamp: Labels::new(),
    })
}

/// Reads a sandbox name.
///
/// # Errors
/// [`Kind::Invalid`], with the nearest name that would do.
fn parse_name(text: &str) -> Result<SandboxName> {
    SandboxName::for_new(text).map_err(|error| usage("--name", &error))
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
            let refusal = host_path::unreadable(Kind::Invalid, "--mount source ", source, &error);
            let is_alike = amika_host::path::hint(&amika_host::path::clean(source)).is_some();
            if !is_alike && error.kind() == std::io::ErrorKind::NotFound {
                let volume = shell_quote(&format!("NAME:{}", mount.target));
                return refusal.hint(format!(
                    "name a file or directory of this machine; `--volume {volume}` mounts a volume"
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
