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
    /// Memory in bytes; 0 when it does not tell.
    pub memory: i64,
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
    /// Its seccomp profile: `default` or `builtin`, `unconfined`, or a file; none where it has no seccomp.
    pub seccomp: Option<String>,
}

impl SystemFacts {
    /// Whether its log driver is the one that grows without bound.
    pub fn has_unbounded_log(&self) -> bool {
        self.log_driver == "json-file"
    }
}

impl SystemFacts {
    /// Whether user 0 in a container is root on this machine too, for files that both see.
    pub fn root_is_root(&self) -> bool {
        let in_virtual_machine =
            self.operating_system.contains("Docker Desktop") || !cfg!(target_os = "linux");
        !self.rootless && !self.user_namespaces && !in_virtual_machine
    }
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
            memory: info.mem_total.unwrap_or_default(),
            operating_system: info.operating_system.unwrap_or_default(),
            storage_driver: info.driver.unwrap_or_default(),
            root_dir: info.docker_root_dir.unwrap_or_default(),
            runc: info.runc_commit.and_then(|it| it.id).unwrap_or_default(),
            log_driver: info.logging_driver.unwrap_or_default(),
            rootless: has("name=rootless"),
            user_namespaces: has("name=userns"),
            seccomp: seccomp(&security),
        })
    }
}

/// The profile in the engine's list of security options: `name=seccomp,profile=default`.
fn seccomp(options: &[String]) -> Option<String> {
    let option = options
        .iter()
        .find(|option| option.split(',').any(|part| part == "name=seccomp"))?;
    let profile = option
        .split(',')
        .find_map(|part| part.strip_prefix("profile="));
    Some(profile.unwrap_or("default").to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seccomp_profile_is_read_from_the_security_options() {
        for (options, profile) in [
            (
                &["name=apparmor", "name=seccomp,profile=default"][..],
                Some("default"),
            ),
            (&["name=seccomp,profile=builtin"], Some("builtin")),
            (
                &["name=seccomp,profile=/etc/docker/mine.json"],
                Some("/etc/docker/mine.json"),
            ),
            (&["name=seccomp"], Some("default")),
            (&["name=cgroupns"], None),
        ] {
            let options: Vec<String> = options.iter().map(|&option| option.to_owned()).collect();
            assert_eq!(seccomp(&options).as_deref(), profile, "{options:?}");
        }
    }
}
