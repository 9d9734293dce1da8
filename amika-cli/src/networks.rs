//! Whether the networks that sandboxes are on are still there, and putting a sandbox on those that were
//! made again: the engine knows a container's network by its id, and starts none whose network is gone.

use std::collections::BTreeMap;

use amika_core::capability::Capability;
use amika_core::label::{Kind, ResourceRecord, SandboxId, key};
use amika_core::name::SandboxName;
use amika_core::subnet::{self, Subnet};

use crate::create::Settings;
use crate::engine::{ContainerFacts, Engine, EngineError, JoinedNetwork, Network, NetworkSpec};
use crate::error::{CommandError, ExitCode, Result};
use crate::lock::FileLock;
use crate::sandbox::{self, Sandbox};

/// The bridge that sandboxes are on that name none.
pub const DEFAULT: &str = "amika";
/// The bridge from which nothing is reached.
const INTERNAL: &str = "amika-internal";
/// What `--network` has for that one.
const INTERNAL_WORD: &str = "internal";
/// What `--network` has for no network at all.
const NONE: &str = "none";
/// Those that an engine always has, or that are none; it finds them by name.
const ENGINES_OWN: [&str; 5] = ["bridge", "default", "host", "none", "podman"];
/// How often the engine may say that chosen addresses are in use.
const ROUNDS: u32 = 64;
/// Where the kernel tells of this host's routes.
const ROUTES: &str = "/proc/net/route";
/// No name server: the engine's own asks on behalf of the sandbox, engines before 26 also from a network
/// that nothing else leaves, and a name can carry anything out.
const NO_SERVER: &str = "127.0.0.1";

/// The network of a sandbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// The bridge that sandboxes share without reaching each other.
    Shared,
    /// The same without a way out.
    Internal,
    /// A bridge for this sandbox alone: its programs could speak for others on a shared one.
    Own {
        /// Whether it has no way out.
        internal: bool,
    },
    /// None but its own loopback.
    None,
    /// One that the user named.
    Given {
        /// Its name.
        name: String,
        /// Whether it has no way out.
        internal: bool,
    },
}

/// Whose network is to be made.
#[derive(Clone, Debug)]
pub struct Wish {
    /// Name of the sandbox.
    pub sandbox: SandboxName,
    /// Its id.
    pub id: SandboxId,
    /// The test run that it belongs to.
    pub test: Option<String>,
}

/// Whether a name is that of a network which Amika makes when it is wanted.
pub fn is_made_here(network: &str) -> bool {
    [DEFAULT, INTERNAL, INTERNAL_WORD].contains(&network)
}

/// The network that settings mean.
///
/// # Errors
/// Those of the engine.
pub async fn choose(engine: &Engine, settings: &Settings) -> Result<Choice> {
    let apart = settings.capabilities().can_speak_for_others();
    let given = settings.network.as_deref();
    let internal = match given {
        Some(name) if !is_made_here(name) && name != NONE => {
            let facts = engine.inspect_network(name).await?;
            facts.is_some_and(|network| network.internal)
        }
        _ => false,
    };
    Ok(Choice::of(given, apart, internal))
}

impl Choice {
    /// What is meant by `--network`. `apart` tells that the sandbox's programs could speak for others,
    /// `internal` that there is no way out of the network that is given.
    fn of(given: Option<&str>, apart: bool, internal: bool) -> Self {
        match given {
            None if apart => Self::Own { internal: false },
            Some(INTERNAL_WORD) if apart => Self::Own { internal: true },
            None | Some(DEFAULT) => Self::Shared,
            Some(INTERNAL_WORD | INTERNAL) => Self::Internal,
            Some(NONE) => Self::None,
            Some(name) => Self::Given {
                name: name.to_owned(),
                internal,
            },
        }
    }

    /// Its name, as far as it is known before it is made.
    pub fn name(&self, sandbox: &str) -> String {
        match self {
            Self::Shared => DEFAULT.to_owned(),
            Self::Internal => INTERNAL.to_owned(),
            Self::Own { internal } => own_name(sandbox, *internal),
            Self::None => NONE.to_owned(),
            Self::Given { name, .. } => name.clone(),
        }
    }

    /// Whether a port of the sandbox can be published on the host.
    pub fn publishes_ports(&self) -> bool {
        !self.is_internal() && *self != Self::None
    }

    /// Name servers in place of the host's.
    pub fn dns(&self) -> Vec<String> {
        if self.is_internal() {
            vec![NO_SERVER.to_owned()]
        } else {
            Vec::new()
        }
    }

    fn is_internal(&self) -> bool {
        match self {
            Self::Internal => true,
            Self::Own { internal } | Self::Given { internal, .. } => *internal,
            Self::Shared | Self::None => false,
        }
    }

    /// What to say of a network on which ports are not published.
    pub fn without_ports(&self, sandbox: &str) -> Option<String> {
        let network = match self {
            Self::None => "without a network",
            _ if self.is_internal() => "on a network without a way out",
            _ => return None,
        };
        Some(format!(
            "{network} no port is published: services are reached from inside only, as by `amika sandbox exec {sandbox}`"
        ))
    }

    /// What to warn of where a sandbox whose programs can speak for others is on a network of others.
    pub fn shared_with_others(&self) -> Option<String> {
        let name = match self {
            Self::Shared => DEFAULT,
            Self::Internal => INTERNAL,
            Self::Given { name, .. } => name,
            Self::Own { .. } | Self::None => return None,
        };
        Some(format!(
            "with these capabilities its programs can answer for every other container on network \"{name}\"; \
             without --network it has one of its own"
        ))
    }

    /// Makes it if it is Amika's and not there; returns its name.
    ///
    /// # Errors
    /// [`ExitCode::Conflict`] when a stranger's has the name, or no addresses are free; those of the engine.
    pub async fn ensure(&self, engine: &Engine, name: &str, wish: &Wish) -> Result<String> {
        match self {
            Self::Shared => ensure_shared(engine, DEFAULT).await?,
            Self::Internal => ensure_shared(engine, INTERNAL).await?,
            Self::Own { internal } => return ensure_own(engine, *internal, wish).await,
            Self::None | Self::Given { .. } => {}
        }
        Ok(name.to_owned())
    }
}

/// Makes one of the two shared networks, unless it is there.
async fn ensure_shared(engine: &Engine, name: &str) -> Result<()> {
    if let Some(network) = engine.inspect_network(name).await? {
        return if network.labels.contains_key(key::KIND) {
            Ok(())
        } else {
            Err(CommandError::new(
                ExitCode::Conflict,
                format!("a network \"{name}\" that is not amika's is in the way"),
            )
            .hint("remove it, or name the network to join with `--network`"))
        };
    }
    // Engines before 25 take a second network of the same name: one amika at a time makes it.
    let _lock = FileLock::wait("network").await?;
    if engine.inspect_network(name).await?.is_some() {
        return Ok(());
    }
    let spec = NetworkSpec {
        name: name.to_owned(),
        // All sandboxes share it: it is no test run's own.
        labels: ResourceRecord::new(Kind::Network).to_labels(),
        subnet: None,
        internal: name == INTERNAL,
    };
    match engine.create_isolated_network(&spec).await {
        Ok(()) | Err(EngineError::Conflict(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// The name of a sandbox's own network. No sandbox's name has a dot, so no two are the same.
fn own_name(sandbox: &str, internal: bool) -> String {
    let way = if internal { ".internal" } else { "" };
    format!("{DEFAULT}-{sandbox}{way}")
}

/// The same where somebody else has that name, such as a sandbox that was renamed.
fn own_name_apart(sandbox: &str, internal: bool, id: &SandboxId) -> String {
    let id = &id.as_str()[..id.as_str().len().min(8)];
    format!("{}.{id}", own_name(sandbox, internal))
}

/// Makes a sandbox's own network, unless it is there; returns its name. The caller holds the lock of the
/// sandbox's name.
async fn ensure_own(engine: &Engine, internal: bool, wish: &Wish) -> Result<String> {
    let networks = engine.networks().await?;
    if let Some(network) = networks.iter().find(|it| is_own(it, wish.id.as_str())) {
        return Ok(network.name.clone());
    }
    let sandbox = wish.sandbox.as_str();
    let wanted = own_name(sandbox, internal);
    let mut is_free = wanted != INTERNAL;
    for holder in networks.iter().filter(|network| network.name == wanted) {
        is_free &= remove_left(engine, holder, sandbox).await?;
    }
    let name = if is_free {
        wanted
    } else {
        own_name_apart(sandbox, internal, &wish.id)
    };
    make_own(engine, &name, internal, wish, &networks).await?;
    Ok(name)
}

/// Makes a sandbox's own network, on addresses that neither the engine nor this host uses.
async fn make_own(
    engine: &Engine,
    name: &str,
    internal: bool,
    wish: &Wish,
    networks: &[Network],
) -> Result<()> {
    let mut taken: Vec<Subnet> = networks
        .iter()
        .flat_map(|network| network.subnets.iter().copied())
        .collect();
    if engine.is_local() {
        let routes = std::fs::read_to_string(ROUTES).unwrap_or_default();
        taken.extend(subnet::routes(&routes));
    }
    let labels = ResourceRecord {
        id: Some(wish.id.clone()),
        sandbox: Some(wish.sandbox.clone()),
        created_at: Some(crate::host::now_millis()),
        test: wish.test.clone(),
        ..ResourceRecord::new(Kind::Network)
    };
    let start = rand::random();
    for _ in 0..ROUNDS {
        let Some(chosen) = subnet::choose(&taken, start) else {
            break;
        };
        let spec = NetworkSpec {
            name: name.to_owned(),
            labels: labels.to_labels(),
            subnet: Some(chosen),
            internal,
        };
        match engine.create_isolated_network(&spec).await {
            Ok(()) => return Ok(()),
            // Somebody else took them meanwhile, or the engine sees more than this host shows.
            Err(error) if is_overlap(&error) => {
                tracing::debug!(%chosen, %error, "addresses in use");
                taken.push(chosen);
            }
            Err(error) => return Err(error.into()),
        }
    }
    let pools = subnet::POOLS.map(|pool| pool.to_string()).join(" and ");
    Err(CommandError::new(
        ExitCode::Conflict,
        format!(
            "no addresses are free for a network of sandbox \"{}\"",
            wish.sandbox
        ),
    )
    .cause(format!("routes and networks cover all of {pools}"))
    .hint("`docker network create --subnet …` makes one by hand; name it with `--network`"))
}

/// The words of Docker, of its bridge driver, and of Podman.
fn is_overlap(error: &EngineError) -> bool {
    let text = error.to_string();
    matches!(
        error,
        EngineError::Refused { .. } | EngineError::Conflict(_)
    ) && ["overlap", "already used", "conflicts with network"]
        .iter()
        .any(|words| text.contains(words))
}

/// Removes a network that a killed create of this name left; whether it did is returned.
async fn remove_left(engine: &Engine, network: &Network, sandbox: &str) -> Result<bool> {
    let label = |key: &str| network.labels.get(key).map(String::as_str);
    let (Some(id), Some(Ok(Kind::Network))) = (label(key::ID), label(key::KIND).map(str::parse))
    else {
        return Ok(false);
    };
    let is_its_own = label(key::SANDBOX) == Some(sandbox);
    let holders = engine.list_containers(&format!("{}={id}", key::ID)).await?;
    if !is_its_own || !holders.is_empty() {
        return Ok(false);
    }
    match engine.remove_network(&network.id).await {
        Ok(()) => Ok(true),
        Err(EngineError::Refused { .. } | EngineError::Conflict(_)) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn is_own(network: &Network, id: &str) -> bool {
    let label = |key: &str| network.labels.get(key).map(String::as_str);
    label(key::KIND) == Some(Kind::Network.as_str()) && label(key::ID) == Some(id)
}

/// Removes a sandbox's own network. One that a stranger's container is on stays; `doctor` tells of it.
///
/// # Errors
/// Those of the engine.
pub async fn remove_own(engine: &Engine, id: &str) -> Result<()> {
    let networks = engine.networks().await?;
    for network in networks.iter().filter(|network| is_own(network, id)) {
        match engine.remove_network(&network.id).await {
            Ok(()) => {}
            Err(error @ (EngineError::Refused { .. } | EngineError::Conflict(_))) => {
                tracing::debug!(network = network.name, %error, "it stays");
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Whether a network is, or was, a container's own, and then whether it has no way out: its name tells,
/// and that the container could speak for others. The host name is the sandbox's first name.
fn was_own(container: &ContainerFacts, id: &SandboxId, network: &str) -> Option<bool> {
    let sandbox = container.hostname.as_deref()?;
    let added = container.capabilities.added.iter();
    let speaks = added
        .filter_map(|name| name.parse().ok())
        .any(|it| [Capability::ALL, Capability::NET_RAW, Capability::NET_ADMIN].contains(&it));
    [false, true].into_iter().find(|internal| {
        let names = [
            own_name(sandbox, *internal),
            own_name_apart(sandbox, *internal, id),
        ];
        speaks && network != INTERNAL && names.iter().any(|name| name == network)
    })
}

/// Puts a stopped sandbox on the networks of those names that were made again since it ran. Those that are
/// Amika's are made if they are gone.
///
/// # Errors
/// [`ExitCode::Conflict`] when one is gone and was not made again; those of the engine.
pub async fn mend(engine: &Engine, sandbox: &Sandbox) -> Result<()> {
    let container = &sandbox.container;
    let networks = engine.networks().await?;
    for stale in stale(&container.networks, &networks) {
        let name = &stale.name;
        if [DEFAULT, INTERNAL].contains(&name.as_str()) {
            ensure_shared(engine, name).await?;
        } else if stale.is_made_again {
            tracing::debug!(name, "it was made again");
        } else if let Some(internal) = was_own(container, &sandbox.record.id, name) {
            let wish = Wish {
                sandbox: sandbox.name.parse().map_err(|error| {
                    CommandError::new(ExitCode::Conflict, "the sandbox's name is no longer one")
                        .caused_by(&error as &amika_core::name::InvalidName)
                })?,
                id: sandbox.record.id.clone(),
                test: sandbox.record.test.clone(),
            };
            make_own(engine, name, internal, &wish, &networks).await?;
        } else {
            let sandbox = &sandbox.name;
            return Err(CommandError::new(
                ExitCode::Conflict,
                format!("network \"{name}\", which sandbox \"{sandbox}\" is on, was removed"),
            )
            .hint(format!(
                "`docker network create {name}` makes it again; then `amika sandbox start {sandbox}`"
            )));
        }
        engine.reconnect(&container.id, name).await?;
    }
    Ok(())
}

/// The networks that are gone and that no command of Amika makes again, each with the sandboxes on it.
///
/// # Errors
/// Those of the engine.
pub async fn gone(engine: &Engine) -> Result<BTreeMap<String, Vec<String>>> {
    let networks = engine.networks().await?;
    let mut gone: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (container, record) in sandbox::list(engine).await? {
        for stale in stale(&container.networks, &networks) {
            let is_shared = [DEFAULT, INTERNAL].contains(&stale.name.as_str());
            if is_shared || stale.is_made_again {
                continue;
            }
            // One of its own is made when it starts.
            let is_own = match (&record, engine.inspect_container(&container.id).await) {
                (Ok(record), Ok(facts)) => was_own(&facts, &record.id, &stale.name).is_some(),
                _ => false,
            };
            if !is_own {
                let sandboxes = gone.entry(stale.name).or_default();
                sandboxes.push(container.name.clone());
            }
        }
    }
    Ok(gone)
}

/// A network that a container is on and that is not there any more.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stale {
    name: String,
    /// Whether there is another one of that name.
    is_made_again: bool,
}

fn stale(joined: &[JoinedNetwork], networks: &[Network]) -> Vec<Stale> {
    let joined = joined.iter();
    joined
        .filter(|joined| !ENGINES_OWN.contains(&joined.name.as_str()))
        // One that was never started has no id of it yet; Podman has the name in its place.
        .filter(|joined| match joined.id.as_deref() {
            None => networks.iter().all(|network| network.name != joined.name),
            Some(id) => networks
                .iter()
                .all(|network| network.id != id && network.name != id),
        })
        .map(|joined| Stale {
            name: joined.name.clone(),
            is_made_again: networks.iter().any(|network| network.name == joined.name),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_network_follows_from_the_flag_and_the_rights() {
        let given = |name: &str, internal| Choice::Given {
            name: name.to_owned(),
            internal,
        };
        for (flag, apart, internal, choice, name, publishes) in [
            (None, false, false, Choice::Shared, "amika", true),
            (
                None,
                true,
                false,
                Choice::Own { internal: false },
                "amika-x",
                true,
            ),
            (
                Some("internal"),
                false,
                false,
                Choice::Internal,
                "amika-internal",
                false,
            ),
            (
                Some("internal"),
                true,
                false,
                Choice::Own { internal: true },
                "amika-x.internal",
                false,
            ),
            (Some("none"), false, false, Choice::None, "none", false),
            (Some("none"), true, false, Choice::None, "none", false),
            (Some("amika"), true, false, Choice::Shared, "amika", true),
            (
                Some("amika-internal"),
                true,
                false,
                Choice::Internal,
                "amika-internal",
                false,
            ),
            (Some("web"), false, false, given("web", false), "web", true),
            (Some("web"), true, false, given("web", false), "web", true),
            (Some("web"), false, true, given("web", true), "web", false),
        ] {
            let found = Choice::of(flag, apart, internal);
            assert_eq!(found, choice, "{flag:?} {apart}");
            assert_eq!(found.name("x"), name);
            assert_eq!(found.publishes_ports(), publishes, "{flag:?}");
            assert_eq!(found.without_ports("x").is_none(), publishes, "{flag:?}");
            // Nobody is asked for names where nothing else gets out.
            assert_eq!(found.dns().is_empty(), publishes || flag == Some("none"));
        }
    }

    #[test]
    fn no_two_sandboxes_have_a_network_of_the_same_name() {
        let id = SandboxId::from_random([7; 16]);
        let mut names = std::collections::BTreeSet::from([DEFAULT.to_owned(), INTERNAL.to_owned()]);
        for sandbox in ["x", "x-internal", "y"] {
            for internal in [false, true] {
                assert!(names.insert(own_name(sandbox, internal)), "{sandbox}");
                assert!(
                    names.insert(own_name_apart(sandbox, internal, &id)),
                    "{sandbox}"
                );
            }
        }
        // This one would have the shared network's name, and is given the other.
        assert!(names.contains(&own_name("internal", false)));
        assert!(names.insert(own_name_apart("internal", false, &id)));
    }

    #[test]
    fn addresses_in_use_are_told_by_the_engines_words() {
        let refused = |message: &str| EngineError::Refused {
            status: 403,
            message: message.to_owned(),
        };
        for (message, expected) in [
            ("Pool overlaps with other one on this address space", true),
            (
                "invalid pool request: Pool overlaps with other one on this address space",
                true,
            ),
            (
                "cannot create network x (br-x): conflicts with network y (br-y): networks have overlapping IPv4",
                true,
            ),
            (
                "subnet 172.16.192.0/29 is already used on the host or by another config",
                true,
            ),
            (
                "could not find an available, non-overlapping IPv4 address pool",
                true,
            ),
            ("permission denied", false),
        ] {
            assert_eq!(is_overlap(&refused(message)), expected, "{message}");
        }
        assert!(!is_overlap(&EngineError::Broken("overlap".to_owned())));
    }

    #[test]
    fn a_network_of_another_id_is_another_network() {
        let network = |name: &str, id: &str| Network {
            name: name.to_owned(),
            id: id.to_owned(),
            labels: BTreeMap::new(),
            subnets: Vec::new(),
        };
        let networks = [
            network("bridge", "new"),
            network("web", "2"),
            network("db", "3"),
        ];
        for (name, id, is_made_again) in [
            ("bridge", Some("old"), None),
            ("host", Some("any"), None),
            ("db", Some("3"), None),
            ("db", Some("db"), None),
            ("db", None, None),
            ("renamed", Some("3"), None),
            ("web", Some("1"), Some(true)),
            ("gone", Some("4"), Some(false)),
            ("gone", None, Some(false)),
        ] {
            let joined = JoinedNetwork {
                name: name.to_owned(),
                id: id.map(str::to_owned),
            };
            let expected = is_made_again.map(|is_made_again| Stale {
                name: name.to_owned(),
                is_made_again,
            });
            let found = stale(&[joined], &networks);
            assert_eq!(found, Vec::from_iter(expected), "{name} {id:?}");
        }
    }
}
