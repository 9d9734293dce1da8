//! Whether the networks that sandboxes are on are still there, and putting a sandbox on those that were
//! made again: the engine knows a container's network by its id, and starts none whose network is gone.

mod choice;
mod own;
mod shared;

use std::collections::BTreeMap;

pub use choice::{Choice, choose, is_made_here};
pub(crate) use choice::{dns_where, of_builds};
pub use own::{Wish, remove as remove_own};
pub use shared::DEFAULT;

use crate::error::{self, Error, Result};
use crate::sandbox::{self, Sandbox};
use crate::sandboxes::Sandboxes;
use amika_core::label::{Kind, key};
use amika_core::service::has_sidecars;
use amika_core::text::shell_quote;
use amika_engine::{ContainerFacts, JoinedNetwork, Link, Network};
use shared::INTERNAL;

/// Those that an engine always has, or that are none; it finds them by name.
const ENGINES_OWN: [&str; 5] = ["bridge", "default", "host", "none", "podman"];

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
            shared::ensure(engine, name).await?;
        } else if stale.is_made_again {
            tracing::debug!(name, "it was made again");
        } else if let Some(internal) = own::was_own(container, &sandbox.record, name) {
            let wish = Wish {
                sandbox: sandbox.name.parse().map_err(|error| {
                    Error::new(error::Kind::Conflict, "the sandbox's name is no longer one")
                        .caused_by(&error as &amika_core::name::InvalidName)
                })?,
                id: sandbox.record.id.clone(),
                test: sandbox.record.test.clone(),
                has_sidecars: has_sidecars(&sandbox.record.services),
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
                    own::was_own(&facts, &reading.record, &stale.name).is_some()
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

/// Puts a stopped container on the networks of those names that were made again since it ran.
///
/// # Errors
/// Those of the engine.
pub(crate) async fn rejoin(
    engine: &Sandboxes,
    container: &ContainerFacts,
    networks: &[Network],
) -> Result<()> {
    let stale = stale(&container.networks, networks);
    for again in stale.iter().filter(|it| it.is_made_again) {
        engine.reconnect(&container.id, &again.name).await?;
    }
    Ok(())
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
