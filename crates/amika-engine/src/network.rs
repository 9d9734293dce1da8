//! The bridge network that sandboxes share without reaching each other.

use std::collections::{BTreeMap, HashMap};

use amika_core::name::can_be_on_an_engine;
use amika_core::subnet::{Subnet, unique_local};
use bollard::models::{
    EndpointSettings, Ipam, IpamConfig, NetworkCreateRequest, NetworkDisconnectRequest,
};

use super::removal::until_let_go;
use super::{Engine, EngineError};

/// Docker's own network.
const DEFAULT_BRIDGE: &str = "bridge";
/// The bridge driver's option for the largest packet, in bytes.
const MTU: &str = "com.docker.network.driver.mtu";

/// What is known of a network.
#[derive(Clone, Debug)]
pub struct NetworkFacts {
    /// Its labels.
    pub labels: HashMap<String, String>,
    /// Whether nothing outside of it is reached from it.
    pub internal: bool,
    /// How packets travel on it.
    pub link: Link,
}

/// How packets travel on a network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// The largest packet, in bytes, as the engine was told; none where it was told nothing.
    pub mtu: Option<String>,
    /// Whether containers have addresses of IPv6.
    pub has_ipv6: bool,
}

/// A network to be made: a bridge on which containers do not reach each other.
#[derive(Clone, Debug, Default)]
pub struct NetworkSpec {
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its addresses; the engine chooses where there are none.
    pub subnet: Option<Subnet>,
    /// Whether nothing outside of it is reached from it.
    pub internal: bool,
    /// Whether containers on it reach each other.
    pub joined: bool,
}

/// A network, as a list has it.
#[derive(Clone, Debug)]
pub struct Network {
    /// Its name.
    pub name: String,
    /// The engine's id of it.
    pub id: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its addresses, as far as they are of IPv4.
    pub subnets: Vec<Subnet>,
    /// Whether nothing outside of it is reached from it.
    pub internal: bool,
    /// How packets travel on it.
    pub link: Link,
}

/// A network that a container was put on.
#[derive(Clone, Debug)]
pub struct JoinedNetwork {
    /// Its name then.
    pub name: String,
    /// Its id, once the container was started.
    pub id: Option<String>,
}

/// The networks that a container was put on, as the engine tells of it.
pub(super) fn joined(networks: Option<HashMap<String, EndpointSettings>>) -> Vec<JoinedNetwork> {
    let mut joined: Vec<JoinedNetwork> = networks
        .into_iter()
        .flatten()
        .map(|(name, endpoint)| JoinedNetwork {
            name,
            id: endpoint.network_id.filter(|id| !id.is_empty()),
        })
        .collect();
    joined.sort_by(|a, b| a.name.cmp(&b.name));
    joined
}

fn link(options: Option<HashMap<String, String>>, has_ipv6: Option<bool>) -> Link {
    Link {
        mtu: options.and_then(|mut options| options.remove(MTU)),
        has_ipv6: has_ipv6.unwrap_or_default(),
    }
}

impl Engine {
    /// Looks at a network; `None` when there is none of that name, or it is one that a path of the engine's
    /// API cannot have.
    pub async fn inspect_network(&self, name: &str) -> Result<Option<NetworkFacts>, EngineError> {
        if !can_be_on_an_engine(name) {
            return Ok(None);
        }
        match self
            .docker
            .inspect_network(name, None)
            .await
            .map_err(EngineError::from_bollard)
        {
            Ok(network) => Ok(Some(NetworkFacts {
                labels: network.labels.unwrap_or_default(),
                internal: network.internal.unwrap_or_default(),
                link: link(network.options, network.enable_ipv6),
            })),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The names of all networks.
    ///
    /// # Errors
    /// Those of the engine.
    pub async fn network_names(&self) -> Result<Vec<String>, EngineError> {
        let networks = self.networks().await?;
        let mut names: Vec<String> = networks.into_iter().map(|network| network.name).collect();
        names.sort();
        Ok(names)
    }

    /// All networks.
    ///
    /// # Errors
    /// Those of the engine.
    pub async fn networks(&self) -> Result<Vec<Network>, EngineError> {
        let networks = self.docker.list_networks(None).await;
        let networks = networks.map_err(EngineError::from_bollard)?;
        Ok(networks
            .into_iter()
            .map(|network| Network {
                name: network.name.unwrap_or_default(),
                id: network.id.unwrap_or_default(),
                labels: network.labels.unwrap_or_default().into_iter().collect(),
                internal: network.internal.unwrap_or_default(),
                link: link(network.options, network.enable_ipv6),
                subnets: network
                    .ipam
                    .and_then(|ipam| ipam.config)
                    .into_iter()
                    .flatten()
                    .filter_map(|config| config.subnet?.parse().ok())
                    .collect(),
            })
            .collect())
    }

    /// Puts a stopped container on the network that has a name now, in place of one that had it before.
    ///
    /// # Errors
    /// Those of the engine.
    pub async fn reconnect(&self, container: &str, network: &str) -> Result<(), EngineError> {
        let settings = self.raw(container).await?.network_settings;
        let mut networks = settings
            .and_then(|settings| settings.networks)
            .unwrap_or_default();
        let endpoint = networks.remove(network).unwrap_or_default();
        let request = NetworkDisconnectRequest {
            container: container.to_owned(),
            force: Some(true),
        };
        self.docker
            .disconnect_network(network, request)
            .await
            .map_err(EngineError::from_bollard)?;
        self.join(container, network, endpoint).await
    }

    /// Makes a bridge. Broken off, it goes on:
    /// [`Engine::settled`] waits for its end.
    ///
    /// # Errors
    /// [`EngineError::Conflict`] when the name is taken.
    pub async fn create_bridge(&self, spec: &NetworkSpec) -> Result<(), EngineError> {
        let option = |name: &str, value: bool| {
            let name = format!("com.docker.network.bridge.{name}");
            (name, value.to_string())
        };
        let mut options = HashMap::from([option("enable_icc", spec.joined)]);
        if spec.internal {
            // With an address of the host's on it, all services of the host would be reached there.
            options.extend([option("inhibit_ipv4", true)]);
        }
        // What the engine was told, it gives to its own bridge alone: behind a VPN larger packets vanish.
        let theirs = self.default_link().await?.unwrap_or_default();
        options.extend(theirs.mtu.map(|mtu| (MTU.to_owned(), mtu)));
        // Nor has the host an address of IPv6 on one without a way out.
        let ipv6 = (theirs.has_ipv6 && !spec.internal).then(|| unique_local(rand::random()));
        let subnets = [spec.subnet.map(|subnet| subnet.to_string()), ipv6.clone()];
        let config: Vec<IpamConfig> = subnets
            .into_iter()
            .flatten()
            .map(|subnet| IpamConfig {
                subnet: Some(subnet),
                ..IpamConfig::default()
            })
            .collect();
        let request = NetworkCreateRequest {
            name: spec.name.clone(),
            driver: Some("bridge".into()),
            internal: Some(spec.internal),
            options: Some(options),
            enable_ipv6: ipv6.map(|_| true),
            ipam: (!config.is_empty()).then(|| Ipam {
                config: Some(config),
                ..Ipam::default()
            }),
            labels: Some(spec.labels.clone().into_iter().collect()),
            ..NetworkCreateRequest::default()
        };
        let docker = self.docker.clone();
        self.unbroken(async move { docker.create_network(request).await })
            .await
            .map(drop)
            .map_err(EngineError::from_bollard)
    }

    /// How packets travel on the engine's own bridge; none where it has no such, as Podman.
    ///
    /// # Errors
    /// Those of the engine.
    pub async fn default_link(&self) -> Result<Option<Link>, EngineError> {
        let bridge = self.inspect_network(DEFAULT_BRIDGE).await?;
        Ok(bridge.map(|bridge| bridge.link))
    }

    /// Removes a network by id; one that does not exist counts as removed. A container that is going
    /// may be on it for a moment.
    ///
    /// # Errors
    /// Those of the engine, also when a container is on it.
    pub async fn remove_network(&self, id: &str) -> Result<(), EngineError> {
        let may_pass = |refusal: &EngineError| refusal.to_string().contains("active endpoints");
        until_let_go(may_pass, || async {
            let removed = self.docker.remove_network(id).await;
            match removed.map_err(EngineError::from_bollard) {
                Err(error) if !error.is_not_found() => Err(error),
                _ => Ok(()),
            }
        })
        .await
    }
}
