//! The bridge network that sandboxes share without reaching each other.

use std::collections::HashMap;

use amika_core::name::can_be_on_an_engine;
use bollard::models::NetworkCreateRequest;

use super::{Engine, EngineError};

/// What is known of a network.
#[derive(Clone, Debug)]
pub struct NetworkFacts {
    /// Its labels.
    pub labels: HashMap<String, String>,
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
        let networks = self
            .docker
            .list_networks(None)
            .await
            .map_err(EngineError::from_bollard)?;
        let mut names: Vec<String> = networks.into_iter().filter_map(|one| one.name).collect();
        names.sort();
        Ok(names)
    }

    /// Makes a bridge on which containers do not reach each other.
    ///
    /// # Errors
    /// [`EngineError::Conflict`] when the name is taken.
    pub async fn create_isolated_network(
        &self,
        name: &str,
        labels: HashMap<String, String>,
    ) -> Result<(), EngineError> {
        let request = NetworkCreateRequest {
            name: name.to_owned(),
            driver: Some("bridge".into()),
            options: Some(HashMap::from([(
                "com.docker.network.bridge.enable_icc".to_owned(),
                "false".to_owned(),
            )])),
            labels: Some(labels),
            ..NetworkCreateRequest::default()
        };
        self.docker
            .create_network(request)
            .await
            .map(drop)
            .map_err(EngineError::from_bollard)
    }
}
