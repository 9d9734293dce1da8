//! Whether the networks that sandboxes are on are still there, and putting a sandbox on those that were
//! made again: the engine knows a container's network by its id, and starts none whose network is gone.

use std::collections::BTreeMap;

use amika_core::label::{Kind, ResourceRecord, key};

use crate::engine::{Engine, EngineError, JoinedNetwork, Network};
use crate::error::{CommandError, ExitCode, Result};
use crate::lock::FileLock;
use crate::output::shell_quote;
use crate::sandbox::{self, Sandbox};

/// The bridge that sandboxes are on that name none.
pub const DEFAULT: &str = "amika";
/// Those that an engine always has, or that are none; it finds them by name.
const ENGINES_OWN: [&str; 5] = ["bridge", "default", "host", "none", "podman"];

/// Makes the default network, unless it is there.
///
/// # Errors
/// [`ExitCode::Conflict`] when a stranger's has the name; those of the engine.
pub async fn ensure_default(engine: &Engine) -> Result<()> {
    if let Some(network) = engine.inspect_network(DEFAULT).await? {
        return if network.labels.contains_key(key::KIND) {
            Ok(())
        } else {
            Err(CommandError::new(
                ExitCode::Conflict,
                format!("a network \"{DEFAULT}\" that is not amika's is in the way"),
            )
            .hint("remove it, or name the network to join with `--network`"))
        };
    }
    // Engines before 25 take a second network of the same name: one amika at a time makes it.
    let _lock = FileLock::wait("network").await?;
    if engine.inspect_network(DEFAULT).await?.is_some() {
        return Ok(());
    }
    // All sandboxes share it: it is no test run's own.
    let labels = ResourceRecord::new(Kind::Network).to_labels();
    let labels = labels.into_iter().collect();
    match engine.create_isolated_network(DEFAULT, labels).await {
        Ok(()) | Err(EngineError::Conflict(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Puts a stopped sandbox on the networks of those names that were made again since it ran. The default
/// one is made if it is gone.
///
/// # Errors
/// [`ExitCode::Conflict`] when one is gone and was not made again; those of the engine.
pub async fn mend(engine: &Engine, sandbox: &Sandbox) -> Result<()> {
    let container = &sandbox.container;
    let networks = engine.networks().await?;
    for stale in stale(&container.networks, &networks) {
        if stale.name == DEFAULT {
            ensure_default(engine).await?;
        } else if !stale.is_made_again {
            let (network, name) = (&stale.name, &sandbox.name);
            return Err(CommandError::new(
                ExitCode::Conflict,
                format!("network \"{network}\", which sandbox \"{name}\" is on, was removed"),
            )
            .hint(format!(
                "`docker network create {}` makes it again; then `amika sandbox start {name}`",
                shell_quote(network)
            )));
        }
        tracing::debug!(network = stale.name, "it was made again");
        engine.reconnect(&container.id, &stale.name).await?;
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
    for (container, _) in sandbox::list(engine).await? {
        for stale in stale(&container.networks, &networks) {
            if stale.name != DEFAULT && !stale.is_made_again {
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
    fn a_network_of_another_id_is_another_network() {
        let network = |name: &str, id: &str| Network {
            name: name.to_owned(),
            id: id.to_owned(),
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
