//! Containers: making, starting, stopping, looking at, and removing them.

mod body;
mod facts;
mod missing;

use std::collections::HashMap;

use amika_core::name::can_be_on_an_engine;
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, InspectContainerOptions, ListContainersOptions,
    ListContainersOptionsBuilder, RemoveContainerOptionsBuilder, StartContainerOptions,
    StopContainerOptionsBuilder,
};

use body::body;
pub(super) use facts::summary;
pub use facts::{
    CapabilityFacts, ContainerFacts, ContainerState, ContainerSummary, LimitFacts, MountFacts,
    PublishedPort,
};
use facts::{each_summary, facts, facts_of};

use super::removal::until_let_go;
use super::spec::{ContainerSpec, MountSpec};
use super::{Engine, EngineError};

/// The default network, by Podman's own name and by Docker's.
const PODMANS_DEFAULT: [&str; 2] = ["podman", "bridge"];

/// An answer that the client library could not read.
fn unread(error: &bollard::errors::Error) -> Option<&str> {
    match error {
        bollard::errors::Error::JsonDataError { contents, .. } => Some(contents),
        _ => None,
    }
}

impl Engine {
    /// Makes a container and the volumes that it names and that do not exist; returns its id.
    /// Broken off, it goes on: [`Engine::settled`] waits for its end.
    ///
    /// # Errors
    /// [`EngineError::Conflict`] when the name is taken, [`EngineError::NotFound`] without image.
    pub async fn create_container(&self, spec: &ContainerSpec) -> Result<String, EngineError> {
        let mut spec = spec.clone();
        self.label_volumes(&spec).await?;
        loop {
            let refusal = match self.create_once(&spec).await {
                Err(EngineError::Refused {
                    status: 400,
                    message,
                }) => message,
                done => return done,
            };
            let Some(missing) = missing::capability(&refusal, &spec.capabilities.dropped) else {
                return Err(EngineError::Refused {
                    status: 400,
                    message: refusal,
                });
            };
            spec.capabilities.dropped.remove(&missing);
        }
    }

    /// Makes the volumes that the container's own making would leave without their labels: Podman takes no heed of
    /// those of a mount.
    async fn label_volumes(&self, spec: &ContainerSpec) -> Result<(), EngineError> {
        for mount in &spec.mounts {
            if let MountSpec::Volume { name, labels, .. } = mount
                && !labels.is_empty()
                && self.is_podman().await?
            {
                let (engine, name, labels) = (self.clone(), name.clone(), labels.clone());
                self.unbroken(async move { engine.create_volume(&name, labels).await })
                    .await?;
            }
        }
        Ok(())
    }

    async fn create_once(&self, spec: &ContainerSpec) -> Result<String, EngineError> {
        let options = CreateContainerOptionsBuilder::new()
            .name(&spec.name)
            .build();
        let (docker, body) = (self.docker.clone(), body(spec));
        self.unbroken(async move { docker.create_container(Some(options), body).await })
            .await
            .map(|answer| answer.id)
            .map_err(EngineError::from_bollard)
    }

    /// Starts a container.
    ///
    /// # Errors
    /// [`EngineError::PortTaken`] when a published port is in use.
    pub async fn start_container(&self, name: &str) -> Result<(), EngineError> {
        self.docker
            .start_container(name, None::<StartContainerOptions>)
            .await
            .map_err(EngineError::from_bollard)
    }

    /// Stops a container: its stop signal, then KILL after `grace` seconds (none: its own time).
    pub async fn stop_container(&self, name: &str, grace: Option<i32>) -> Result<(), EngineError> {
        let mut options = StopContainerOptionsBuilder::new();
        if let Some(seconds) = grace {
            options = options.t(seconds);
        }
        self.docker
            .stop_container(name, Some(options.build()))
            .await
            .map_err(EngineError::from_bollard)
    }

    /// Removes a container, running or not. Its named volumes stay.
    ///
    /// The engine refuses at times what it would do a moment later: while another call looks into the
    /// container's files it leaves the container `dead`, "failed to remove root filesystem: … directory
    /// not empty" (moby/moby#30392), and while another removal is under way it answers 409. Both are
    /// tried again for a while.
    ///
    /// # Errors
    /// [`EngineError::NotFound`] also when another removal ended first.
    pub async fn remove_container(&self, name: &str) -> Result<(), EngineError> {
        self.remove_container_and(name, true).await
    }

    /// The same, of which the volumes stay that have no name but what the engine gave them.
    ///
    /// # Errors
    /// As [`Engine::remove_container`].
    pub async fn remove_container_alone(&self, name: &str) -> Result<(), EngineError> {
        self.remove_container_and(name, false).await
    }

    async fn remove_container_and(&self, name: &str, volumes: bool) -> Result<(), EngineError> {
        let may_pass = |refusal: &EngineError| match refusal {
            EngineError::Conflict(why) => why.contains("already in progress"),
            EngineError::Refused { message, .. } => {
                message.contains("failed to remove root filesystem")
            }
            _ => false,
        };
        until_let_go(may_pass, || async {
            let options = RemoveContainerOptionsBuilder::new()
                .force(true)
                .v(volumes)
                .build();
            let removed = self.docker.remove_container(name, Some(options)).await;
            removed.map_err(EngineError::from_bollard)
        })
        .await
    }

    /// Looks at one container by name or id. The engine is not asked for what none can be called.
    ///
    /// # Errors
    /// [`EngineError::NotFound`].
    pub async fn inspect_container(&self, name: &str) -> Result<ContainerFacts, EngineError> {
        if !can_be_on_an_engine(name) {
            return Err(EngineError::NotFound(format!(
                "no container can be called \"{}\"",
                name.escape_debug()
            )));
        }
        let answer = self
            .docker
            .inspect_container(name, None::<InspectContainerOptions>)
            .await;
        let mut facts = match answer {
            Ok(answer) => facts(answer),
            Err(error) => match unread(&error).map(facts_of) {
                Some(Ok(facts)) => facts,
                _ => return Err(EngineError::from_bollard(error)),
            },
        };
        // Podman calls each network that it manages so.
        if let ("bridge", [only]) = (
            facts.network.as_deref().unwrap_or_default(),
            facts.networks.as_slice(),
        ) && !PODMANS_DEFAULT.contains(&only.name.as_str())
            && self.is_podman().await?
        {
            facts.network = Some(only.name.clone());
        }
        Ok(facts)
    }

    /// Lists all containers that have a label, running or not.
    ///
    /// `label` is `key` or `key=value`.
    pub async fn list_containers(&self, label: &str) -> Result<Vec<ContainerSummary>, EngineError> {
        let filters = HashMap::from([("label", vec![label])]);
        let options = ListContainersOptionsBuilder::new()
            .all(true)
            .filters(&filters)
            .build();
        let mut containers = self.summaries(options).await?;
        for container in &mut containers {
            // The list says so for ever of one whose removal failed, and does not say whether one ever ran; the
            // container itself knows better.
            if matches!(
                container.state,
                ContainerState::Removing | ContainerState::Unknown
            ) && let Ok(facts) = self.inspect_container(&container.id).await
            {
                container.state = facts.state;
            }
        }
        // Podman lists one port of several that follow each other.
        if containers.iter().any(|it| !it.ports.is_empty()) && self.is_podman().await? {
            for container in &mut containers {
                if let Ok(facts) = self.inspect_container(&container.id).await {
                    container.ports = facts.ports;
                }
            }
        }
        Ok(containers)
    }

    /// A list as the engine gives it, each container read by itself.
    pub(super) async fn summaries(
        &self,
        options: ListContainersOptions,
    ) -> Result<Vec<ContainerSummary>, EngineError> {
        match self.docker.list_containers(Some(options)).await {
            Ok(list) => Ok(list.into_iter().map(summary).collect()),
            Err(error) => match unread(&error).map(each_summary) {
                Some(Ok(list)) => Ok(list),
                _ => Err(EngineError::from_bollard(error)),
            },
        }
    }

    /// Waits until a container does not run; returns its exit code.
    pub async fn wait_container(&self, name: &str) -> Result<i64, EngineError> {
        use futures_util::StreamExt as _;
        let mut answers = std::pin::pin!(self.docker.wait_container(name, None));
        match answers.next().await {
            Some(Ok(answer)) => Ok(answer.status_code),
            Some(Err(bollard::errors::Error::DockerContainerWaitError { code, .. })) => Ok(code),
            Some(Err(error)) => Err(EngineError::from_bollard(error)),
            None => Err(EngineError::Broken(
                "the engine ended the wait without an answer".into(),
            )),
        }
    }
}
