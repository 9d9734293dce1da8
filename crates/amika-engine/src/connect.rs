//! Reaching the engine: transport, API version, and what kind of engine it is.

use std::sync::Arc;
use std::time::Duration;

use bollard::{API_DEFAULT_VERSION, BollardRequest, ClientVersion, Docker};
use futures_util::{Stream, StreamExt as _};
use tokio::sync::{OnceCell, watch};

use super::error::{chain, without_layers};
use super::{Caller, Endpoint, EngineError, Reach, ping, reach, ssh};

/// The oldest API that has all that Amika uses: Engine 20.10.
const OLDEST_API: (usize, usize) = (1, 41);

/// Until an answer's headers are there. Starts, stops and uploads may take their time.
const CALL_TIMEOUT: Duration = Duration::from_hours(1);
/// Until the first answer of all: an endpoint that stays silent is not one.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

/// A connection to a container engine.
#[derive(Clone)]
pub struct Engine {
    pub(super) docker: Docker,
    endpoint: Endpoint,
    /// How many things are under way that must not be broken off.
    unbroken: Arc<watch::Sender<usize>>,
    /// Whether it is Podman, once it was asked.
    pub(super) is_podman: Arc<OnceCell<bool>>,
    /// Whether paths, processor and disk of this machine are the engine's.
    is_local: bool,
    reach: Reach,
    /// The way by ssh, which ends with the last clone, and with the last stream.
    bridge: Option<Arc<ssh::Bridge>>,
}

/// Counts as under way until it is dropped.
struct UnderWay(Arc<watch::Sender<usize>>);

impl UnderWay {
    fn new(counter: &Arc<watch::Sender<usize>>) -> Self {
        counter.send_modify(|count| *count += 1);
        Self(Arc::clone(counter))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

impl Engine {
    /// Connects to an endpoint.
    ///
    /// # Errors
    /// [`EngineError::Unreachable`], [`EngineError::Endpoint`] or [`EngineError::TooOld`].
    pub async fn connect(endpoint: Endpoint, caller: &Caller) -> Result<Self, EngineError> {
        let unreachable = |reason: String| EngineError::Unreachable {
            endpoint: endpoint.to_string(),
            reason,
        };
        let bridge = match endpoint.host.strip_prefix("ssh://") {
            Some(_) => Some(Arc::new(
                ssh::Bridge::open(&endpoint.host, caller)
                    .await
                    .map_err(unreachable)?,
            )),
            None => None,
        };
        let way = match &bridge {
            Some(bridge) => Endpoint {
                host: bridge.host(),
                context: None,
                tls: None,
            },
            None => endpoint.clone(),
        };
        let (mut docker, is_podman) = tokio::time::timeout(CONNECT_TIMEOUT, negotiate(&way))
            .await
            .map_err(|_| unreachable(format!("no answer within {} s", CONNECT_TIMEOUT.as_secs())))?
            .map_err(|error| unreachable(reason(&endpoint, &error)))?;
        let version = docker.client_version();
        if (version.major_version, version.minor_version) < OLDEST_API {
            return Err(EngineError::TooOld {
                found: version.to_string(),
                needed: format!("{}.{}", OLDEST_API.0, OLDEST_API.1),
            });
        }
        docker.set_timeout(CALL_TIMEOUT);
        let docker = docker.with_request_modifier(|request| {
            trace(&request);
            request
        });
        let is_local = reach::is_of_this_machine(&endpoint).await;
        Ok(Self {
            docker,
            endpoint,
            is_local,
            reach: Reach::default(),
            bridge,
            unbroken: Arc::new(watch::Sender::new(0)),
            is_podman: Arc::new(OnceCell::new_with(is_podman)),
        })
    }

    /// Does something to its end, also when the caller stops waiting for it.
    ///
    /// The engine goes on making a container whose maker hung up: only its answer tells when there
    /// is something to unmake.
    pub async fn unbroken<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> T {
        let under_way = UnderWay::new(&self.unbroken);
        let task = tokio::spawn(async move {
            let _under_way = under_way;
            work.await
        });
        match task.await {
            Ok(result) => result,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The runtime goes down: nobody waits for the result any more.
                Err(_) => std::future::pending().await,
            },
        }
    }

    /// The same engine, whose [`Engine::settled`] waits for what is done through this value and copies of it alone.
    #[must_use]
    pub fn for_one_operation(&self) -> Self {
        Self {
            unbroken: Arc::new(watch::Sender::new(0)),
            ..self.clone()
        }
    }

    /// Keeps the way to the engine open for as long as a stream is read: whoever has it need not have the engine.
    pub(super) fn keeping_open<S: Stream>(
        &self,
        stream: S,
    ) -> impl Stream<Item = S::Item> + use<S> {
        let way = self.bridge.clone();
        stream.inspect(move |_| {
            let _kept = &way;
        })
    }

    /// Waits until nothing of [`Engine::unbroken`] is under way.
    pub async fn settled(&self) {
        // The sender is this engine's own: it cannot be gone.
        let _ = self
            .unbroken
            .subscribe()
            .wait_for(|count| *count == 0)
            .await;
    }

    /// Where the engine listens.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Whether the engine runs on this machine: its paths and its processor are ours, and most likely
    /// its ports.
    pub fn is_local(&self) -> bool {
        self.is_local
    }

    /// What was found out of the engine's published ports.
    pub fn reach(&self) -> &Reach {
        &self.reach
    }
}

/// Notes a request for whoever looks for what the engine is asked.
pub(super) fn trace(request: &BollardRequest) {
    tracing::debug!(method = %request.method(), uri = %request.uri().path(), "engine");
}

/// A client that speaks a version of the API that the engine has too, and whether that is Podman, where it said so by itself.
async fn negotiate(way: &Endpoint) -> Result<(Docker, Option<bool>), bollard::errors::Error> {
    if let Some(socket) = way.socket()
        && let Some(pong) = ping::ask(socket).await
    {
        let version = pong.client_version(API_DEFAULT_VERSION);
        return Ok((open(way, &version)?, pong.is_podman));
    }
    let docker = open(way, API_DEFAULT_VERSION)?.negotiate_version().await?;
    Ok((docker, None))
}

fn open(endpoint: &Endpoint, version: &ClientVersion) -> Result<Docker, bollard::errors::Error> {
    let seconds = CALL_TIMEOUT.as_secs();
    let host = endpoint.host.as_str();
    if let Some(dir) = &endpoint.tls {
        return Docker::connect_with_ssl(
            host,
            &dir.join("key.pem"),
            &dir.join("cert.pem"),
            &dir.join("ca.pem"),
            seconds,
            version,
        );
    }
    if host.starts_with("tcp://") || host.starts_with("http://") {
        return Docker::connect_with_http(host, seconds, version);
    }
    if host.starts_with("unix://") {
        return Docker::connect_with_unix(host, seconds, version);
    }
    Docker::connect_with_host(host)
}

/// Why nothing answered, in the system's words where it has some.
fn reason(endpoint: &Endpoint, error: &bollard::errors::Error) -> String {
    // The client library hides the system's reason for a socket that is missing or not ours.
    if let Some(path) = endpoint.host.strip_prefix("unix://")
        && let Err(error) = std::os::unix::net::UnixStream::connect(path)
    {
        return format!("{path}: {error}");
    }
    without_layers(&chain(error)).to_owned()
}
