//! Whether the networks that sandboxes are on are still there, and putting a sandbox on those that were
//! made again: the engine knows a container's network by its id, and starts none whose network is gone.

mod own;

use std::collections::BTreeMap;

use amika_core::label::{Kind, ResourceRecord, key};

pub use own::{Wish, remove as remove_own};

use crate::error::{self, Error, Result};
use crate::sandbox::{self, Sandbox};
use crate::sandboxes::Sandboxes;
use amika_core::text::shell_quote;
use amika_engine::{EngineError, JoinedNetwork, Link, Network, NetworkSpec};

/// The bridge that sandboxes are on that name none.
pub const DEFAULT: &str = "amika";
/// The bridge from which nothing is reached.
const INTERNAL: &str = "amika-internal";
/// What `--network` has for that one.
const INTERNAL_WORD: &str = "internal";
/// The network of the engine's machine itself.
const HOST: &str = "host";
/// What stands before a container whose network is shared.
const CONTAINERS: &str = "container:";
/// What `--network` has for no network at all.
const NONE: &str = "none";
/// Those that an engine always has, or that are none; it finds them by name.
const ENGINES_OWN: [&str; 5] = ["bridge", "default", "host", "none", "podman"];
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

/// Whether a name is that of a network which Amika makes when it is wanted.
pub fn is_made_here(network: &str) -> bool {
    [DEFAULT, INTERNAL, INTERNAL_WORD].contains(&network)
}

/// The network that the RUN lines of a build are on, for a sandbox that is to be on this one; none for the engine's own
/// bridge. Not on a bridge of sandboxes: there what can make packets, as builds can, could speak for them.
///
/// # Errors
/// As of [`choose`].
pub(crate) async fn of_builds(engine: &Sandboxes, given: Option<&str>) -> Result<Option<String>> {
    Ok(match choose(engine, given, false).await? {
        Choice::Shared | Choice::Own { internal: false } => None,
        Choice::Internal | Choice::Own { internal: true } | Choice::None => Some(NONE.to_owned()),
        Choice::Given { name, .. } => Some(name),
    })
}

/// The network that settings mean.
///
/// # Errors
/// [`error::Kind::Invalid`] for one that no sandbox can be on; those of the engine.
pub async fn choose(engine: &Sandboxes, given: Option<&str>, apart: bool) -> Result<Choice> {
    let Some(name) = given.filter(|name| !is_made_here(name) && *name != NONE) else {
        return Ok(Choice::of(given, apart, false));
    };
    if name == HOST || name.starts_with(CONTAINERS) {
        return Err(Error::new(
            error::Kind::Invalid,
            format!("no sandbox is on the network of another: {name}"),
        )
        .hint("`docker network create NAME` makes one; `amika forward` reaches ports of a sandbox from here"));
    }
    let Some(facts) = engine.inspect_network(name).await? else {
        return Ok(Choice::of(given, apart, false));
    };
    if !facts.labels.contains_key(key::KIND) {
        return Ok(Choice::of(given, apart, facts.internal));
    }
    // One of Amika's by its id, or the beginning of it, is the same network as by its name.
    if facts.labels.contains_key(key::ID) {
        return Err(Error::new(
            error::Kind::Invalid,
            format!("network {name} is a sandbox's own, and no other comes on it"),
        )
        .hint("`docker network create NAME` makes one for several"));
    }
    let word = if facts.internal { INTERNAL } else { DEFAULT };
    Ok(Choice::of(Some(word), apart, facts.internal))
}

impl Choice {
    /// What is meant by `--network`. `apart` tells that the sandbox's programs could speak for others,
    /// `internal` that there is no way out of the network that is given.
    fn of(given: Option<&str>, apart: bool, internal: bool) -> Self {
        match given {
            None | Some(DEFAULT) if apart => Self::Own { internal: false },
            Some(INTERNAL_WORD | INTERNAL) if apart => Self::Own { internal: true },
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
            Self::Own { internal } => own::name(sandbox, *internal),
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
            "{network} no port is published: services are reached from inside, as by `amika sandbox exec {sandbox}`, and by `amika forward {sandbox} PORT`"
        ))
    }

    /// What to warn of where a sandbox whose programs can speak for others is on a network of others.
    pub fn shared_with_others(&self) -> Option<String> {
        let Self::Given { name, .. } = self else {
            return None;
        };
        Some(format!(
            "with these capabilities its programs can answer for every other container on network \"{name}\"; \
             without --network it has one of its own"
        ))
    }

    /// Makes it if it is Amika's and not there; returns its name.
    ///
    /// # Errors
    /// [`error::Kind::Conflict`] when a stranger's has the name, or no addresses are free; those of the engine.
    pub async fn ensure(&self, engine: &Sandboxes, name: &str, wish: &Wish) -> Result<String> {
        match self {
            Self::Shared => ensure_shared(engine, DEFAULT).await?,
            Self::Internal => ensure_shared(engine, INTERNAL).await?,
            Self::Own { internal } => return own::ensure(engine, *internal, wish).await,
            Self::None | Self::Given { .. } => {}
        }
        Ok(name.to_owned())
    }
}

/// Makes one of the two shared networks, unless it is there.
async fn ensure_shared(engine: &Sandboxes, name: &str) -> Result<()> {
    if let Some(network) = engine.inspect_network(name).await? {
        return if network.labels.contains_key(key::KIND) {
            Ok(())
        } else {
            Err(Error::new(
                error::Kind::Conflict,
                format!("a network \"{name}\" that is not amika's is in the way"),
            )
            .hint("remove it, or name the network to join with `--network`"))
        };
    }
    // Engines before 25 take a second network of the same name: one amika at a time makes it.
    let _lock = engine.locks().wait("network").await?;
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

/// Puts a stopped sandbox on the networks of those names that were made again since it ran. Those that are
/// Amika's are made if they are gone.
///
/// # Errors
/// [`error::Kind::Conflict`] when one is gone and was not made again; those of the engine.
pub async fn mend(engine: &Sandboxes, sandbox: &Sandbox) -> Result<()> {
    let container = &sandbox.container;
    let networks = engine.networks().await?;
    for stale in stale(&container.networks, &networks) {
        let name = &stale.name;
        if [DEFAULT, INTERNAL].contains(&name.as_str()) {
            ensure_shared(engine, name).await?;
        } else if stale.is_made_again {
            tracing::debug!(name, "it was made again");
        } else if let Some(internal) = own::was_own(container, &sandbox.record.id, name) {
            let wish = Wish {
                sandbox: sandbox.name.parse().map_err(|error| {
                    Error::new(error::Kind::Conflict, "the sandbox's name is no longer one")
                        .caused_by(&error as &amika_core::name::InvalidName)
                })?,
                id: sandbox.record.id.clone(),
                test: sandbox.record.test.clone(),
            };
            own::make(engine, name, internal, &wish, &networks).await?;
        } else {
            let sandbox = &sandbox.name;
            return Err(Error::new(
                error::Kind::Conflict,
                format!("network \"{name}\", which sandbox \"{sandbox}\" is on, was removed"),
            )
            .hint(format!(
                "`docker network create {}` makes it again; then `amika sandbox start {sandbox}`",
                shell_quote(name)
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
pub async fn gone(engine: &Sandboxes) -> Result<BTreeMap<String, Vec<String>>> {
    let networks = engine.networks().await?;
    let mut gone: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (container, reading) in sandbox::list(engine).await? {
        for stale in stale(&container.networks, &networks) {
            let is_shared = [DEFAULT, INTERNAL].contains(&stale.name.as_str());
            if is_shared || stale.is_made_again {
                continue;
            }
            // One of its own is made when it starts.
            let is_own = match engine.inspect_container(&container.id).await {
                Ok(facts) if reading.is_identified() => {
                    own::was_own(&facts, &reading.record.id, &stale.name).is_some()
                }
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

/// Networks of Amika's on which packets travel otherwise than on the engine's own, each with what is different:
/// the engine was told something else since they were made.
///
/// # Errors
/// Those of the engine.
pub async fn outdated(engine: &Sandboxes) -> Result<Vec<(String, String)>> {
    let Some(engines) = engine.default_link().await? else {
        return Ok(Vec::new());
    };
    let ours = engine.networks().await?.into_iter().filter(|network| {
        network.labels.get(key::KIND).map(String::as_str) == Some(Kind::Network.as_str())
    });
    Ok(ours
        .filter_map(|network| {
            let differs = difference(&network.link, &engines, network.internal)?;
            Some((network.name, differs))
        })
        .collect())
}

/// What is different on a network of Amika's from the engine's own, for people.
fn difference(ours: &Link, engines: &Link, internal: bool) -> Option<String> {
    /// What the bridge driver takes where it is told nothing.
    const USUAL: &str = "1500";
    let mtu = |link: &Link| link.mtu.clone().unwrap_or_else(|| USUAL.to_owned());
    let mut parts = Vec::new();
    if mtu(ours) != mtu(engines) {
        let (ours, engines) = (mtu(ours), mtu(engines));
        parts.push(format!("an MTU of {ours}, and the engine's own {engines}"));
    }
    if !internal && ours.has_ipv6 != engines.has_ipv6 {
        parts.push(if engines.has_ipv6 {
            "no IPv6, and the engine's own has it".to_owned()
        } else {
            "IPv6, and the engine's own has none".to_owned()
        });
    }
    (!parts.is_empty()).then(|| parts.join("; "))
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
            (Some("amika"), false, false, Choice::Shared, "amika", true),
            (
                Some("amika"),
                true,
                false,
                Choice::Own { internal: false },
                "amika-x",
                true,
            ),
            (
                Some("amika-internal"),
                true,
                false,
                Choice::Own { internal: true },
                "amika-x.internal",
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
    fn a_network_is_held_against_the_engines_own() {
        let link = |mtu: Option<&str>, has_ipv6| Link {
            mtu: mtu.map(str::to_owned),
            has_ipv6,
        };
        let usual = link(None, false);
        for (ours, engines, internal, told) in [
            (usual.clone(), usual.clone(), false, &[][..]),
            // To be told nothing, and to be told what is usual, is the same.
            (link(Some("1500"), false), usual.clone(), false, &[]),
            (
                link(Some("1400"), true),
                link(Some("1400"), true),
                false,
                &[],
            ),
            (
                usual.clone(),
                link(Some("1400"), false),
                false,
                &["of 1500, ", "own 1400"],
            ),
            (
                link(Some("1400"), false),
                usual.clone(),
                true,
                &["of 1400, ", "own 1500"],
            ),
            (usual.clone(), link(None, true), false, &["no IPv6"]),
            (link(None, true), usual.clone(), false, &["has none"]),
            // Without a way out there is nothing to be reached by it.
            (usual.clone(), link(None, true), true, &[]),
            (
                usual.clone(),
                link(Some("9000"), true),
                false,
                &["own 9000", "no IPv6"],
            ),
        ] {
            let found = difference(&ours, &engines, internal);
            assert_eq!(found.is_none(), told.is_empty(), "{ours:?} {engines:?}");
            let found = found.unwrap_or_default();
            assert!(told.iter().all(|part| found.contains(part)), "{found}");
        }
    }

    #[test]
    fn a_network_of_another_id_is_another_network() {
        let network = |name: &str, id: &str| Network {
            name: name.to_owned(),
            id: id.to_owned(),
            labels: BTreeMap::new(),
            subnets: Vec::new(),
            internal: false,
            link: Link::default(),
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
