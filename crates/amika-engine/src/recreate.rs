//! Making a container again with other ports: what docker has no call for.
//!
//! Bindings are fixed when a container is made. What is in its own layer is kept by an image made
//! of it; everything else is taken from the engine's own description of the container, so that what
//! the user changed since (limits, networks) comes along too.

use std::collections::{BTreeMap, HashMap};

use bollard::models::{
    ContainerCreateBody, ContainerInspectResponse, EndpointSettings, HostConfig,
    NetworkConnectRequest, PortBinding,
};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, InspectContainerOptions, ListContainersOptionsBuilder,
    RenameContainerOptionsBuilder,
};

use super::{ContainerSummary, Engine, EngineError, PublishedPort};

impl Engine {
    /// Makes a container called `name` that is as `model` is, but of another image and with other
    /// labels and ports; returns its id.
    ///
    /// # Errors
    /// [`EngineError::Conflict`] when the name is taken.
    pub async fn recreate_container(
        &self,
        model: &str,
        name: &str,
        image: &str,
        labels: &BTreeMap<String, String>,
        ports: &[PublishedPort],
    ) -> Result<String, EngineError> {
        let mut model = self.raw(model).await?;
        let networks = model
            .network_settings
            .as_mut()
            .and_then(|settings| settings.networks.take())
            .unwrap_or_default();
        let main = model
            .host_config
            .as_ref()
            .and_then(|host| host.network_mode.clone())
            .unwrap_or_default();
        let mut body = body(model)?;
        body.image = Some(image.to_owned());
        body.labels = Some(labels.clone().into_iter().collect());
        body.host_config.get_or_insert_default().port_bindings = Some(bindings(ports));
        let options = CreateContainerOptionsBuilder::new().name(name).build();
        // Broken off, the engine would go on, and nobody would know of what it made.
        let docker = self.docker.clone();
        let id = self
            .unbroken(async move { docker.create_container(Some(options), body).await })
            .await
            .map(|answer| answer.id)
            .map_err(EngineError::from_bollard)?;
        // Create takes one network; those that the container was connected to since come after.
        for (network, endpoint) in networks {
            let is_main = network == main
                || (main == "default" && network == "bridge")
                || endpoint.network_id.as_deref() == Some(main.as_str());
            if !is_main {
                self.join(&id, &network, endpoint).await?;
            }
        }
        Ok(id)
    }

    /// Gives a container another name.
    ///
    /// # Errors
    /// [`EngineError::Conflict`] when the name is taken.
    pub async fn rename_container(&self, container: &str, name: &str) -> Result<(), EngineError> {
        let options = RenameContainerOptionsBuilder::new().name(name).build();
        self.docker
            .rename_container(container, options)
            .await
            .map_err(EngineError::from_bollard)
    }

    /// Lists the running containers, also those that are not ours.
    ///
    /// # Errors
    /// Those of the engine.
    pub async fn running_containers(&self) -> Result<Vec<ContainerSummary>, EngineError> {
        let options = ListContainersOptionsBuilder::new().build();
        self.summaries(options).await
    }

    pub(super) async fn raw(
        &self,
        container: &str,
    ) -> Result<ContainerInspectResponse, EngineError> {
        self.docker
            .inspect_container(container, None::<InspectContainerOptions>)
            .await
            .map_err(EngineError::from_bollard)
    }

    pub(super) async fn join(
        &self,
        container: &str,
        network: &str,
        endpoint: EndpointSettings,
    ) -> Result<(), EngineError> {
        let request = NetworkConnectRequest {
            container: container.to_owned(),
            endpoint_config: Some(EndpointSettings {
                aliases: endpoint.aliases,
                links: endpoint.links,
                ipam_config: endpoint.ipam_config,
                driver_opts: endpoint.driver_opts,
                ..EndpointSettings::default()
            }),
        };
        self.docker
            .connect_network(network, request)
            .await
            .map_err(EngineError::from_bollard)
    }
}

/// The request that would make a container as `model` is.
fn body(model: ContainerInspectResponse) -> Result<ContainerCreateBody, EngineError> {
    let broken = |error: serde_json::Error| EngineError::Broken(error.to_string());
    // The two have the same members; copying them by name would forget the next one.
    let config = serde_json::to_value(model.config.unwrap_or_default()).map_err(broken)?;
    let mut body: ContainerCreateBody = serde_json::from_value(config).map_err(broken)?;
    let host = model.host_config.unwrap_or_default();
    let anonymous = model.mounts.unwrap_or_default().into_iter().any(|mount| {
        mount.typ.as_deref() == Some("volume")
            && !mount
                .name
                .is_some_and(|volume| names_volume(&host, &volume))
    });
    body.host_config = Some(HostConfig {
        // Volumes that the image asked for have no name to mount them by, and stay without one
        // this way: they go when the last container that uses them goes.
        volumes_from: anonymous.then(|| model.id.into_iter().collect()),
        ..host
    });
    Ok(body)
}

fn names_volume(host: &HostConfig, volume: &str) -> bool {
    let mounted = host
        .mounts
        .iter()
        .flatten()
        .any(|mount| mount.source.as_deref() == Some(volume));
    let bound = host
        .binds
        .iter()
        .flatten()
        .any(|bind| bind.split(':').next() == Some(volume));
    mounted || bound
}

fn bindings(ports: &[PublishedPort]) -> HashMap<String, Option<Vec<PortBinding>>> {
    let mut bindings: HashMap<String, Option<Vec<PortBinding>>> = HashMap::new();
    for port in ports {
        bindings
            .entry(format!("{}/{}", port.container_port, port.protocol))
            .or_default()
            .get_or_insert_default()
            .push(PortBinding {
                host_ip: Some(port.host_ip.clone()),
                host_port: Some(
                    port.host_port
                        .map_or_else(String::new, |port| port.to_string()),
                ),
            });
    }
    bindings
}
