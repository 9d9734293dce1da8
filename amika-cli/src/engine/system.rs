//! What the engine says of itself.

use super::{Engine, EngineError};

/// Facts about the engine.
#[derive(Clone, Debug, Default, serde::Serialize, schemars::JsonSchema)]
pub struct SystemFacts {
    /// Version, such as `20.10.24`.
    pub version: String,
    /// API version in use.
    pub api_version: String,
    /// Architecture in the kernel's words, such as `x86_64`.
    pub architecture: String,
    /// Number of processors; 0 when it does not tell.
    pub cpus: i64,
    /// Operating system, such as `Debian GNU/Linux 12`.
    pub operating_system: String,
    /// Storage driver.
    pub storage_driver: String,
    /// Where the engine keeps its data.
    pub root_dir: String,
    /// Version, or source revision, of the program that starts containers, where that is runc.
    pub runc: String,
    /// Default log driver.
    pub log_driver: String,
    /// Whether it runs without root.
    pub rootless: bool,
    /// Whether it maps users by default.
    pub user_namespaces: bool,
}

impl Engine {
    /// Whether the engine is Podman behind docker's API. It is asked once.
    pub async fn is_podman(&self) -> Result<bool, EngineError> {
        let ask = async || {
            let version = self.docker.version().await;
            let version = version.map_err(EngineError::from_bollard)?;
            let components = version.components.unwrap_or_default();
            Ok(components.iter().any(|part| part.name.contains("Podman")))
        };
        self.is_podman.get_or_try_init(ask).await.copied()
    }

    /// The version of one of the programs that the engine consists of.
    pub async fn component(&self, name: &str) -> Result<Option<String>, EngineError> {
        let version = self.docker.version().await;
        let components = version.map_err(EngineError::from_bollard)?.components;
        let mut components = components.into_iter().flatten();
        Ok(components
            .find(|part| part.name == name)
            .map(|part| part.version))
    }

    /// Makes sure that there still is an engine, after something broke of which that may be why.
    ///
    /// # Errors
    /// [`EngineError::Broken`] where there is none.
    pub async fn must_answer(&self) -> Result<(), EngineError> {
        self.docker
            .ping()
            .await
            .map(drop)
            .map_err(EngineError::from_bollard)
    }

    /// Asks the engine about itself.
    pub async fn system(&self) -> Result<SystemFacts, EngineError> {
        let info = self
            .docker
            .info()
            .await
            .map_err(EngineError::from_bollard)?;
        let security = info.security_options.unwrap_or_default();
        let has = |word: &str| security.iter().any(|option| option.contains(word));
        Ok(SystemFacts {
            version: info.server_version.unwrap_or_default(),
            api_version: self.docker.client_version().to_string(),
            architecture: info.architecture.unwrap_or_default(),
            cpus: info.ncpu.unwrap_or_default(),
            operating_system: info.operating_system.unwrap_or_default(),
            storage_driver: info.driver.unwrap_or_default(),
            root_dir: info.docker_root_dir.unwrap_or_default(),
            runc: info.runc_commit.and_then(|it| it.id).unwrap_or_default(),
            log_driver: info.logging_driver.unwrap_or_default(),
            rootless: has("name=rootless"),
            user_namespaces: has("name=userns"),
        })
    }
}
