//! Which engine to talk to, by the rules of the `docker` command.
//!
//! `DOCKER_HOST`, else `DOCKER_CONTEXT`, else `currentContext` of docker's `config.json`, else the
//! platform's default socket.

use std::path::{Path, PathBuf};

use amika_core::hex::hex;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::EngineError;
use super::listener::LoopbackPort;

/// Where an engine listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// `unix://…`, `tcp://…`, `ssh://…`, `http(s)://…` or `npipe://…`.
    pub host: String,
    /// The context it came from; none for `DOCKER_HOST` and the default.
    pub context: Option<String>,
    /// Directory of `ca.pem`, `cert.pem` and `key.pem`, when TLS is wanted.
    pub tls: Option<PathBuf>,
}

/// Default of the `docker` command on Unix.
const DEFAULT_HOST: &str = "unix:///var/run/docker.sock";

impl Endpoint {
    /// Finds the endpoint from the environment and docker's configuration directory.
    ///
    /// # Errors
    /// When a named context does not exist or cannot be read.
    pub fn discover(
        env: &dyn Fn(&str) -> Option<String>,
        config_dir: &Path,
    ) -> Result<Self, EngineError> {
        let set = |key: &str| env(key).filter(|value| !value.is_empty());
        if let Some(host) = set("DOCKER_HOST") {
            let tls = set("DOCKER_TLS_VERIFY").map(|_| {
                set("DOCKER_CERT_PATH").map_or_else(|| config_dir.to_owned(), PathBuf::from)
            });
            return Ok(Self {
                host,
                context: None,
                tls,
            });
        }
        let context = set("DOCKER_CONTEXT").or_else(|| current_context(config_dir));
        match context {
            Some(name) if name != "default" => Self::from_context(&name, config_dir),
            _ => Ok(Self {
                host: DEFAULT_HOST.to_owned(),
                context: None,
                tls: None,
            }),
        }
    }

    fn from_context(name: &str, config_dir: &Path) -> Result<Self, EngineError> {
        // Docker's store: directories named by the SHA-256 of the context's name.
        let digest = hex(&Sha256::digest(name.as_bytes()));
        let meta = config_dir
            .join("contexts/meta")
            .join(&digest)
            .join("meta.json");
        let text = std::fs::read_to_string(&meta).map_err(|error| {
            EngineError::Endpoint(format!("docker context \"{name}\" cannot be read: {error}"))
        })?;
        let meta: ContextMeta = serde_json::from_str(&text).map_err(|error| {
            EngineError::Endpoint(format!("docker context \"{name}\" is broken: {error}"))
        })?;
        let docker = meta.endpoints.docker.ok_or_else(|| {
            EngineError::Endpoint(format!(
                "docker context \"{name}\" names no docker endpoint"
            ))
        })?;
        let tls = config_dir.join("contexts/tls").join(&digest).join("docker");
        Ok(Self {
            host: docker.host,
            context: Some(name.to_owned()),
            tls: tls.is_dir().then_some(tls),
        })
    }

    /// The port of this machine's loopback that it names, whoever listens there.
    pub(super) fn loopback(&self) -> Option<LoopbackPort> {
        let (scheme, rest) = self.host.split_once("://")?;
        ["tcp", "http", "https"]
            .contains(&scheme)
            .then(|| LoopbackPort::parse(rest.split('/').next()?))
            .flatten()
    }
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.context {
            Some(context) => write!(f, "{} (context {context})", self.host),
            None => f.write_str(&self.host),
        }
    }
}

#[derive(Deserialize)]
struct ContextMeta {
    #[serde(rename = "Endpoints")]
    endpoints: ContextEndpoints,
}

#[derive(Deserialize)]
struct ContextEndpoints {
    docker: Option<ContextDocker>,
}

#[derive(Deserialize)]
struct ContextDocker {
    #[serde(rename = "Host")]
    host: String,
}

#[derive(Default, Deserialize)]
struct DockerConfig {
    #[serde(default, rename = "currentContext")]
    current_context: Option<String>,
}

fn current_context(config_dir: &Path) -> Option<String> {
    let text = std::fs::read_to_string(config_dir.join("config.json")).ok()?;
    let config: DockerConfig = serde_json::from_str(&text).unwrap_or_default();
    config.current_context.filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn discover(env: &[(&str, &str)], dir: &Path) -> Result<Endpoint, EngineError> {
        let env: std::collections::HashMap<String, String> = env
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        Endpoint::discover(&|key| env.get(key).cloned(), dir)
    }

    fn write_context(dir: &Path, name: &str, host: &str) {
        let digest = hex(&Sha256::digest(name.as_bytes()));
        let meta = dir.join("contexts/meta").join(digest);
        std::fs::create_dir_all(&meta).expect("temp dir is writable");
        let json = format!(r#"{{"Name":"{name}","Endpoints":{{"docker":{{"Host":"{host}"}}}}}}"#);
        std::fs::write(meta.join("meta.json"), json).expect("temp dir is writable");
    }

    #[test]
    fn docker_host_wins_over_contexts() {
        let dir = tempfile::tempdir().expect("a temp dir");
        write_context(dir.path(), "far", "tcp://far:2376");
        let env = [("DOCKER_HOST", "tcp://near:1"), ("DOCKER_CONTEXT", "far")];
        assert_eq!(
            discover(&env, dir.path()).expect("found").host,
            "tcp://near:1"
        );
        let env = [("DOCKER_CONTEXT", "far")];
        assert_eq!(
            discover(&env, dir.path()).expect("found").host,
            "tcp://far:2376"
        );
    }

    #[test]
    fn current_context_of_the_config_file_is_used() {
        let dir = tempfile::tempdir().expect("a temp dir");
        write_context(dir.path(), "far", "ssh://me@far");
        std::fs::write(
            dir.path().join("config.json"),
            r#"{"currentContext":"far"}"#,
        )
        .expect("temp dir is writable");
        let endpoint = discover(&[], dir.path()).expect("found");
        assert_eq!(endpoint.host, "ssh://me@far");
        assert_eq!(endpoint.loopback(), None);
    }

    #[test]
    fn a_context_that_does_not_exist_is_an_error() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let error = discover(&[("DOCKER_CONTEXT", "gone")], dir.path()).expect_err("no context");
        assert!(
            error.to_string().contains("docker context \"gone\""),
            "{error}"
        );
    }

    #[test]
    fn tls_needs_docker_tls_verify() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let env = [
            ("DOCKER_HOST", "tcp://x:2376"),
            ("DOCKER_CERT_PATH", "/certs"),
        ];
        assert_eq!(discover(&env, dir.path()).expect("found").tls, None);
        let env = [
            ("DOCKER_HOST", "tcp://x:2376"),
            ("DOCKER_CERT_PATH", "/certs"),
            ("DOCKER_TLS_VERIFY", "1"),
        ];
        assert_eq!(
            discover(&env, dir.path()).expect("found").tls,
            Some(PathBuf::from("/certs"))
        );
    }

    #[test]
    fn a_port_of_loopback_is_asked_who_listens_and_nothing_else_is() {
        let endpoint = |host: &str| Endpoint {
            host: host.into(),
            context: None,
            tls: None,
        };
        for host in [
            "tcp://127.0.0.1:2375",
            "http://localhost:2375/",
            "https://[::1]:2376",
        ] {
            assert!(endpoint(host).loopback().is_some(), "{host}");
        }
        for host in [
            "unix:///run/docker.sock",
            "tcp://10.0.0.1:2375",
            "ssh://localhost:22",
            "tcp://localhost.example:1",
        ] {
            assert_eq!(endpoint(host).loopback(), None, "{host}");
        }
    }
}
