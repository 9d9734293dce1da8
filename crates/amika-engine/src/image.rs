//! Images: looking, pulling, building, removing.

use std::collections::{BTreeMap, HashMap};

use bollard::Docker;
use bollard::auth::DockerCredentials;
use bollard::query_parameters::{
    BuildImageOptionsBuilder, CreateImageOptionsBuilder, ListImagesOptionsBuilder,
    RemoveImageOptionsBuilder,
};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use hyper::Uri;

use super::connect::trace;
use super::{Engine, EngineError};

/// An image.
#[derive(Clone, Debug, Default)]
pub struct ImageFacts {
    /// Architecture in Go's words, such as `amd64`.
    pub architecture: String,
    /// Operating system, such as `linux`.
    pub os: String,
    /// ENTRYPOINT.
    pub entrypoint: Vec<String>,
    /// CMD.
    pub cmd: Vec<String>,
    /// USER; empty means root.
    pub user: String,
    /// WORKDIR; empty means `/`.
    pub workdir: String,
    /// Labels, which each container of it gets beside its own.
    pub labels: BTreeMap<String, String>,
    /// VOLUME: where each container of it gets a volume without a name, unless something else is mounted there.
    pub volumes: Vec<String>,
    /// EXPOSE: TCP ports, in their order.
    pub ports: Vec<u16>,
}

/// An image as a list shows it.
#[derive(Clone, Debug)]
pub struct ImageSummary {
    /// The engine's id.
    pub id: String,
    /// `name:tag` references.
    pub tags: Vec<String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Size in bytes.
    pub size: i64,
    /// When it was made, in seconds since the Unix epoch.
    pub created: i64,
}

/// User name and password, or token, for a registry.
#[derive(Clone, Default)]
pub struct RegistryLogin {
    /// User name.
    pub username: Option<String>,
    /// Password.
    pub password: Option<String>,
    /// A token in place of a password.
    pub identity_token: Option<String>,
    /// The registry's address.
    pub server: String,
}

impl From<RegistryLogin> for DockerCredentials {
    fn from(login: RegistryLogin) -> Self {
        Self {
            username: login.username,
            password: login.password,
            identitytoken: login.identity_token,
            serveraddress: Some(login.server),
            ..Self::default()
        }
    }
}

/// One line of a pull's progress.
#[derive(Clone, Debug, Default)]
pub struct PullProgress {
    /// The layer, when the line is about one.
    pub layer: Option<String>,
    /// What happens, such as `Downloading`.
    pub status: String,
    /// Bytes so far.
    pub current: Option<i64>,
}

/// What to build, and how.
#[derive(Clone, Copy, Debug)]
pub struct BuildSpec<'a> {
    /// Name of the image.
    pub tag: &'a str,
    /// Path of the Dockerfile in the context.
    pub dockerfile: &'a str,
    /// What its ARG lines are given.
    pub args: &'a HashMap<String, String>,
    /// Labels of the image.
    pub labels: &'a HashMap<String, String>,
    /// The network that its RUN lines are on; the engine's own bridge without one.
    pub network: Option<&'a str>,
    /// Bytes of memory, swap with it, that each of them has; 0 for no limit.
    pub memory: i64,
}

/// The client, whose builds have so much memory; 0 for no limit. Its own options have 32 bits for it, 2 GiB.
fn with_memory(docker: Docker, memory: i64) -> Docker {
    if memory <= 0 {
        return docker;
    }
    docker.with_request_modifier(move |mut request| {
        trace(&request);
        if let Some(limited) = limited(request.uri(), memory) {
            *request.uri_mut() = limited;
        }
        request
    })
}

/// An address of a build with a limit. Swap is reckoned with it: as much of the two together is no swap.
fn limited(uri: &Uri, memory: i64) -> Option<Uri> {
    let is_other = |pair: &&str| !pair.starts_with("memory=") && !pair.starts_with("memswap=");
    let others: Vec<&str> = uri.query()?.split('&').filter(is_other).collect();
    let others = others.join("&");
    let mut parts = uri.clone().into_parts();
    let path = format!("{}?{others}&memory={memory}&memswap={memory}", uri.path());
    parts.path_and_query = Some(path.parse().ok()?);
    Uri::from_parts(parts).ok()
}

impl Engine {
    /// Looks at a local image; `None` when there is none.
    pub async fn inspect_image(&self, reference: &str) -> Result<Option<ImageFacts>, EngineError> {
        match self
            .docker
            .inspect_image(reference)
            .await
            .map_err(EngineError::from_bollard)
        {
            Ok(image) => Ok(Some(facts(image))),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Lists images that have a label (`key` or `key=value`).
    pub async fn list_images(&self, label: &str) -> Result<Vec<ImageSummary>, EngineError> {
        let filters = HashMap::from([("label", vec![label])]);
        let options = ListImagesOptionsBuilder::new().filters(&filters).build();
        let list = self
            .docker
            .list_images(Some(options))
            .await
            .map_err(EngineError::from_bollard)?;
        Ok(list
            .into_iter()
            .map(|image| ImageSummary {
                id: image.id,
                // Engines before 25 name an image without a tag by a tag that no request may have.
                tags: image
                    .repo_tags
                    .into_iter()
                    .filter(|tag| tag != "<none>:<none>")
                    .collect(),
                labels: image.labels.into_iter().collect(),
                size: image.size,
                created: image.created,
            })
            .collect())
    }

    /// All images by id, youngest first as the engine lists them.
    pub async fn all_images(&self) -> Result<Vec<String>, EngineError> {
        let options = ListImagesOptionsBuilder::new().build();
        let list = self.docker.list_images(Some(options)).await;
        let list = list.map_err(EngineError::from_bollard)?;
        Ok(list.into_iter().map(|image| image.id).collect())
    }

    /// Pulls an image, with progress as it comes.
    pub fn pull_image(
        &self,
        reference: &str,
        login: Option<RegistryLogin>,
    ) -> impl Stream<Item = Result<PullProgress, EngineError>> + use<> {
        // Without a tag the engine would pull every tag of the repository.
        let has_tag = reference.contains('@')
            || reference
                .rsplit('/')
                .next()
                .is_some_and(|last| last.contains(':'));
        let reference = if has_tag {
            reference.to_owned()
        } else {
            format!("{reference}:latest")
        };
        let options = CreateImageOptionsBuilder::new()
            .from_image(&reference)
            .build();
        let docker = self.docker.clone();
        let progress = docker.create_image(Some(options), None, login.map(Into::into));
        self.keeping_open(progress.boxed()).map(|item| {
            item.map(|info| {
                let detail = info.progress_detail.unwrap_or_default();
                PullProgress {
                    layer: info.id,
                    status: info.status.unwrap_or_default(),
                    current: detail.current,
                }
            })
            .map_err(EngineError::from_bollard)
        })
    }

    /// Builds an image from a context with the classic builder; yields the build's output.
    pub fn build_image(
        &self,
        spec: &BuildSpec<'_>,
        context: Vec<u8>,
    ) -> impl Stream<Item = Result<String, EngineError>> + use<> {
        let mut options = BuildImageOptionsBuilder::new()
            .dockerfile(spec.dockerfile)
            .t(spec.tag)
            .rm(true)
            .forcerm(true)
            .buildargs(spec.args)
            .labels(spec.labels);
        if let Some(network) = spec.network {
            options = options.networkmode(network);
        }
        let options = options.build();
        let docker = with_memory(self.docker.clone(), spec.memory);
        let (sender, receiver) = tokio::sync::mpsc::channel(64);
        // The client's stream borrows the client; a task owns both and hands the lines on.
        tokio::spawn(async move {
            let mut lines = docker.build_image(
                options,
                None,
                Some(bollard::body_full(Bytes::from(context))),
            );
            while let Some(item) = lines.next().await {
                let line = item
                    .map(|info| info.stream.or(info.status).unwrap_or_default())
                    .map_err(EngineError::from_bollard);
                if sender.send(line).await.is_err() {
                    break;
                }
            }
        });
        let lines = futures_util::stream::unfold(receiver, |mut receiver| async move {
            receiver.recv().await.map(|line| (line, receiver))
        });
        self.keeping_open(lines)
    }

    /// Gives an image another name.
    pub async fn tag_image(&self, id: &str, name: &str, tag: &str) -> Result<(), EngineError> {
        let options = bollard::query_parameters::TagImageOptionsBuilder::new()
            .repo(name)
            .tag(tag)
            .build();
        self.docker
            .tag_image(id, Some(options))
            .await
            .map_err(EngineError::from_bollard)
    }

    /// Removes an image.
    ///
    /// # Errors
    /// [`EngineError::Conflict`] while a container uses it.
    pub async fn remove_image(&self, reference: &str) -> Result<(), EngineError> {
        let options = RemoveImageOptionsBuilder::new().build();
        self.docker
            .remove_image(reference, Some(options), None)
            .await
            .map(drop)
            .map_err(EngineError::from_bollard)
    }
}

fn facts(image: bollard::models::ImageInspect) -> ImageFacts {
    let config = image.config.unwrap_or_default();
    ImageFacts {
        architecture: image.architecture.unwrap_or_default(),
        os: image.os.unwrap_or_default(),
        entrypoint: config.entrypoint.unwrap_or_default(),
        cmd: config.cmd.unwrap_or_default(),
        user: config.user.unwrap_or_default(),
        workdir: config.working_dir.unwrap_or_default(),
        labels: config.labels.unwrap_or_default().into_iter().collect(),
        volumes: config.volumes.unwrap_or_default().into_iter().collect(),
        ports: tcp_ports(config.exposed_ports.unwrap_or_default()),
    }
}

/// The TCP ports among those that an image exposes, each written as `80/tcp`.
fn tcp_ports(exposed: impl IntoIterator<Item = String>) -> Vec<u16> {
    let ports = exposed.into_iter();
    let mut ports: Vec<u16> = ports
        .filter_map(|port| port.strip_suffix("/tcp")?.parse().ok())
        .collect();
    ports.sort_unstable();
    ports
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_what_is_exposed_tcp_alone_can_be_connected_to() {
        let exposed = ["6380/tcp", "53/udp", "443/tcp", "x/tcp"].map(str::to_owned);
        assert_eq!(tcp_ports(exposed), [443, 6380]);
    }

    #[test]
    fn a_build_is_asked_for_with_its_memory() {
        let uri: Uri = "http://2f/build?t=a%26b&memory=0&rm=true"
            .parse()
            .expect("a URI");
        let limited = limited(&uri, 16 << 30).expect("a URI");
        assert_eq!(
            limited.to_string(),
            "http://2f/build?t=a%26b&rm=true&memory=17179869184&memswap=17179869184"
        );
    }
}
