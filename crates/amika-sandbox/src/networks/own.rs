//! The network of one sandbox alone: its programs could speak for others on a shared one, or it has services beside it.

use amika_core::capability::Capability;
use amika_core::label::{Kind, ResourceRecord, SandboxId, SandboxRecord, key};
use amika_core::name::SandboxName;
use amika_core::service::has_sidecars;
use amika_core::subnet::{self, Subnet};

use super::shared::{DEFAULT, INTERNAL};
use crate::error::{self, Error, Result};
use crate::sandboxes::Sandboxes;
use amika_engine::{ContainerFacts, EngineError, Network, NetworkSpec};

/// How often the engine may say that chosen addresses are in use.
const ROUNDS: u32 = 64;
/// Where the kernel tells of this host's routes.
const ROUTES: &str = "/proc/net/route";

/// Whose network is to be made.
#[derive(Clone, Debug)]
pub struct Wish {
    /// Name of the sandbox.
    pub sandbox: SandboxName,
    /// Its id.
    pub id: SandboxId,
    /// The test run that it belongs to.
    pub test: Option<String>,
    /// Whether services of it are on the network too, which it reaches there.
    pub has_sidecars: bool,
}

/// The name of a sandbox's own network. No sandbox's name has a dot, so no two are the same.
pub(super) fn name(sandbox: &str, internal: bool) -> String {
    let way = if internal { ".internal" } else { "" };
    format!("{DEFAULT}-{sandbox}{way}")
}

/// The same where somebody else has that name, such as a sandbox that was renamed.
fn name_apart(sandbox: &str, internal: bool, id: &SandboxId) -> String {
    let id = &id.as_str()[..id.as_str().len().min(8)];
    format!("{}.{id}", name(sandbox, internal))
}

/// Makes a sandbox's own network, unless it is there; returns its name. The caller holds the lock of the
/// sandbox's name.
pub(super) async fn ensure(engine: &Sandboxes, internal: bool, wish: &Wish) -> Result<String> {
    let networks = engine.networks().await?;
    if let Some(network) = networks.iter().find(|it| is_own(it, wish.id.as_str())) {
        return Ok(network.name.clone());
    }
    let sandbox = wish.sandbox.as_str();
    let wanted = name(sandbox, internal);
    let mut is_free = wanted != INTERNAL;
    for holder in networks.iter().filter(|network| network.name == wanted) {
        is_free &= take_over(engine, holder, sandbox).await?;
    }
    let name = if is_free {
        wanted
    } else {
        name_apart(sandbox, internal, &wish.id)
    };
    make(engine, &name, internal, wish, &networks).await?;
    Ok(name)
}

/// Makes a sandbox's own network, on addresses that neither the engine nor this host uses.
pub(super) async fn make(
    engine: &Sandboxes,
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
        created_at: Some(amika_host::clock::now_millis()),
        creator: Some(crate::creator::this_process()),
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
            joined: wish.has_sidecars,
        };
        match engine.create_bridge(&spec).await {
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
    Err(Error::new(
        error::Kind::Conflict,
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
async fn take_over(engine: &Sandboxes, network: &Network, sandbox: &str) -> Result<bool> {
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
pub async fn remove(engine: &Sandboxes, id: &str) -> Result<()> {
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
/// and that the container could speak for others, or has services beside it. The host name is the sandbox's first name.
pub(super) fn was_own(
    container: &ContainerFacts,
    record: &SandboxRecord,
    network: &str,
) -> Option<bool> {
    let sandbox = container.hostname.as_deref()?;
    let id = &record.id;
    let added = container.capabilities.added.iter();
    let is_apart = has_sidecars(&record.services)
        || added
            .filter_map(|name| name.parse().ok())
            .any(|it| [Capability::ALL, Capability::NET_RAW, Capability::NET_ADMIN].contains(&it));
    [false, true].into_iter().find(|internal| {
        let names = [name(sandbox, *internal), name_apart(sandbox, *internal, id)];
        is_apart && network != INTERNAL && names.iter().any(|name| name == network)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_sandboxes_have_a_network_of_the_same_name() {
        let id = SandboxId::from_random([7; 16]);
        let mut names = std::collections::BTreeSet::from([DEFAULT.to_owned(), INTERNAL.to_owned()]);
        for sandbox in ["x", "x-internal", "y"] {
            for internal in [false, true] {
                assert!(names.insert(name(sandbox, internal)), "{sandbox}");
                assert!(
                    names.insert(name_apart(sandbox, internal, &id)),
                    "{sandbox}"
                );
            }
        }
        // This one would have the shared network's name, and is given the other.
        assert!(names.contains(&name("internal", false)));
        assert!(names.insert(name_apart("internal", false, &id)));
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
}
