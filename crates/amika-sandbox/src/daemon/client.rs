//! amikad's HTTP API, as the host uses it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use amika_core::proof::Key;
use amika_core::tunnel::Upgrade;
use amika_core::wire::{Activity, Exec, Listener, OpenCodeAccess, Status};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use http_body_util::BodyExt as _;
use hyper::body::{Frame, Incoming};
use hyper::http::request::Builder;
use hyper::upgrade::Upgraded;
use hyper::{Request, Response, StatusCode};
use serde::de::DeserializeOwned;

use super::connection::{Connection, Doubt, Refusal};
use super::events::Events;
use super::{Token, Transport};
use crate::progress::Progress;
use amika_engine::{Engine, PublishedPort, Reach};

/// Until a document is there whole.
const BODY_TIMEOUT: Duration = Duration::from_secs(5);
/// From the answer that opens a tunnel to the tunnel.
const UPGRADE_TIMEOUT: Duration = Duration::from_secs(5);
/// No document of amikad is larger.
const DOCUMENT_LIMIT: usize = 1024 * 1024;

/// What is left of a log that nobody follows, so that what answers in amikad's place holds up nobody.
pub(super) struct Bounds {
    /// Bytes: amikad keeps 5 MiB of a log at the most.
    bytes: usize,
    /// Time that is waited for pieces, all of it together; what the reader takes is not counted.
    waiting: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            bytes: 8 * 1024 * 1024,
            waiting: Duration::from_secs(10),
        }
    }
}

/// Why amikad gave no usable answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nothing accepts the connection, or it broke before an answer: not up yet, or gone.
    #[error("amikad does not answer: {0}")]
    Unreachable(String),
    /// Somebody else has its port: no proof came, and nothing but a nonce went out.
    #[error("what answers on {0} is not this sandbox's amikad")]
    Impostor(SocketAddr),
    /// It answered with an error.
    #[error("amikad answered {status}: {message}")]
    Refused {
        /// HTTP status.
        status: StatusCode,
        /// The message in the answer.
        message: String,
    },
    /// It answered something else than was asked for.
    #[error("amikad's answer cannot be understood: {0}")]
    Malformed(String),
}

/// Which part of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogPart {
    /// All that was kept.
    All,
    /// The last lines.
    Tail(usize),
    /// What was written after so many bytes.
    Since(u64),
}

/// So many closed connections in a row, before one that waits for a boot takes another way.
const CLOSED_LIMIT: u32 = 25;

/// A client of one sandbox's amikad. Each call is a connection of its own: what one connection proved
/// is worth nothing on the next, where the port may have changed hands.
#[derive(Clone)]
pub struct Client {
    published: Option<Transport>,
    relay: Transport,
    key: Key,
    /// Whether another key than ours is to be expected there.
    foreign: bool,
    /// How many connections may be closed without an answer before the relay is taken.
    patience: u32,
    state: Arc<State>,
    /// Where it is told that somebody else answers.
    warnings: Arc<dyn Progress>,
    /// What is known of the engine's ports, by all clients of it.
    reach: Reach,
}

/// What was seen on the published port.
#[derive(Debug, Default)]
struct State {
    doubted: AtomicBool,
    closed: AtomicU32,
}

impl Client {
    /// A client of the amikad in this container, by its published port where that is this machine's and
    /// amikad answers there, else by the relay. What must not be overlooked is told to `warnings`.
    pub fn new(
        engine: &Engine,
        container: &str,
        ports: &[PublishedPort],
        token: &Token,
        warnings: Arc<dyn Progress>,
    ) -> Self {
        Self {
            published: Transport::published(engine, ports),
            relay: Transport::relay(engine, container),
            key: token.key(),
            foreign: false,
            patience: 0,
            state: Arc::default(),
            warnings,
            reach: engine.reach().clone(),
        }
    }

    /// The same for a sandbox that may be another user's, whose amikad has another key: that it cannot prove
    /// itself to us is nothing to be warned of, and the relay is taken.
    #[must_use]
    pub fn foreign(mut self) -> Self {
        self.foreign = true;
        self
    }

    /// The same for who waits until amikad is up: a port that closes is asked again for a while.
    #[must_use]
    pub fn patient(mut self) -> Self {
        self.patience = CLOSED_LIMIT;
        self
    }

    /// Whether the published port is not used any more, since who answers there is in doubt.
    pub fn is_relayed(&self) -> bool {
        self.published.is_none()
            || self.reach.is_elsewhere()
            || self.state.doubted.load(Ordering::Relaxed)
    }

    /// `GET /v1/status`.
    pub async fn status(&self) -> Result<Status, ClientError> {
        self.document("/v1/status").await
    }

    /// Whether anything goes on in the sandbox; it is measured from the first such question on.
    pub async fn activity(&self) -> Result<Activity, ClientError> {
        self.document("/v1/activity").await
    }

    /// Tells that somebody wrote to the standard input of a program in the sandbox.
    pub async fn tell_input(&self) -> Result<(), ClientError> {
        let response = self.send(|| Request::post("/v1/activity/input")).await?;
        if response.status() == StatusCode::ACCEPTED {
            return Ok(());
        }
        Err(refused(response).await)
    }

    /// What is known of a program that was started with this id.
    pub async fn exec(&self, id: &str) -> Result<Exec, ClientError> {
        self.document(&format!("/v1/execs/{id}")).await
    }

    /// How to sign in to OpenCode.
    pub async fn opencode_access(&self) -> Result<OpenCodeAccess, ClientError> {
        self.document("/v1/services/opencode").await
    }

    /// Asks a service to start, stop or restart, which it then does by itself.
    ///
    /// # Errors
    /// As for any call; [`ClientError::Refused`] with 409 where it is off or the sandbox stops.
    pub async fn ask_service(&self, name: &str, verb: &str) -> Result<(), ClientError> {
        let target = format!("/v1/services/{name}/{verb}");
        let request = || Request::post(&target).header("Content-Type", "application/json");
        let response = self.send_with(request, Bytes::new()).await?;
        if response.status() != StatusCode::ACCEPTED {
            return Err(refused(response).await);
        }
        Ok(())
    }

    /// A log as it is: `name` is `setup`, `amikad` or a service's; it ends by itself when the log
    /// is finished, or at once without `follow`.
    pub async fn log(
        &self,
        name: &str,
        follow: bool,
        part: LogPart,
    ) -> Result<impl Stream<Item = Result<Bytes, ClientError>> + use<>, ClientError> {
        self.log_at(&format!("/v1/logs/{name}"), follow, part).await
    }

    /// The last lines of a log; none where it cannot be had: they go beside what is told without them.
    pub async fn last_lines(&self, name: &str, count: usize) -> Vec<String> {
        let Ok(log) = self.log(name, false, LogPart::Tail(count)).await else {
            return Vec::new();
        };
        let mut log = std::pin::pin!(log);
        let mut bytes = Vec::new();
        while let Some(Ok(piece)) = log.next().await {
            bytes.extend_from_slice(&piece);
        }
        let text = String::from_utf8_lossy(&bytes);
        text.lines().map(str::to_owned).collect()
    }

    /// The same of a job.
    ///
    /// # Errors
    /// As for any call; [`ClientError::Refused`] with 404 where there is no such job.
    pub async fn job_log(
        &self,
        job: &str,
        follow: bool,
        part: LogPart,
    ) -> Result<impl Stream<Item = Result<Bytes, ClientError>> + use<>, ClientError> {
        self.log_at(&format!("/v1/jobs/{job}/log"), follow, part)
            .await
    }

    async fn log_at(
        &self,
        path: &str,
        follow: bool,
        part: LogPart,
    ) -> Result<impl Stream<Item = Result<Bytes, ClientError>> + use<>, ClientError> {
        let mut target = format!("{path}?follow={}", u8::from(follow));
        match part {
            LogPart::All => {}
            LogPart::Tail(lines) => target = format!("{target}&tail={lines}"),
            LogPart::Since(offset) => target = format!("{target}&since={offset}"),
        }
        self.stream(&target, (!follow).then(Bounds::default)).await
    }

    pub(super) async fn stream(
        &self,
        target: &str,
        bounds: Option<Bounds>,
    ) -> Result<impl Stream<Item = Result<Bytes, ClientError>> + use<>, ClientError> {
        let response = self.request(target).await?;
        if response.status() != StatusCode::OK {
            return Err(refused(response).await);
        }
        Ok(futures_util::stream::unfold(
            Some((response.into_body(), bounds)),
            |state| async move {
                let (mut body, mut bounds) = state?;
                loop {
                    match next_frame(&mut body, bounds.as_mut()).await? {
                        Ok(frame) => {
                            if let Ok(data) = frame.into_data() {
                                return Some((Ok(data), Some((body, bounds))));
                            }
                        }
                        Err(error) => return Some((Err(error), None)),
                    }
                }
            },
        ))
    }

    pub(super) async fn document<T: DeserializeOwned>(
        &self,
        target: &str,
    ) -> Result<T, ClientError> {
        let response = self.request(target).await?;
        if response.status() != StatusCode::OK {
            return Err(refused(response).await);
        }
        let body = collect(response).await?;
        serde_json::from_slice(&body).map_err(|error| ClientError::Malformed(error.to_string()))
    }

    /// What listens in the sandbox.
    ///
    /// # Errors
    /// As for any call; [`ClientError::Refused`] with 404 by an amikad that does not know.
    pub async fn ports(&self) -> Result<Vec<Listener>, ClientError> {
        self.document("/v1/ports").await
    }

    /// The same, and the whole list anew each time that it changes. It ends when the sandbox does.
    ///
    /// # Errors
    /// As [`Client::ports`].
    pub async fn follow_ports(
        &self,
    ) -> Result<impl Stream<Item = Result<Vec<Listener>, ClientError>> + use<>, ClientError> {
        let response = self.request("/v1/ports?follow=1").await?;
        if response.status() != StatusCode::OK {
            return Err(refused(response).await);
        }
        let events = Events::new(response.into_body());
        Ok(futures_util::stream::unfold(events, async |mut events| {
            let data = match events.next().await? {
                Ok(data) => data,
                Err(error) => return Some((Err(error), events)),
            };
            let list = serde_json::from_slice(&data);
            let list = list.map_err(|error| ClientError::Malformed(error.to_string()));
            Some((list, events))
        }))
    }

    /// Tells each time that the sandbox comes to another phase of its life, and what else `/v1/events` has. It ends when
    /// the sandbox does. What it is at now `status` says: this only says when to ask.
    ///
    /// # Errors
    /// As for any call.
    pub async fn follow_events(
        &self,
    ) -> Result<impl Stream<Item = Result<(), ClientError>> + use<>, ClientError> {
        let response = self.request("/v1/events").await?;
        if response.status() != StatusCode::OK {
            return Err(refused(response).await);
        }
        let events = Events::new(response.into_body());
        Ok(futures_util::stream::unfold(events, async |mut events| {
            let told = events.next().await?;
            Some((told.map(drop), events))
        }))
    }

    /// The bytes of a connection to `port` inside, also where only its loopback has it; or what else the sandbox
    /// and we may say to each other of that port.
    ///
    /// # Errors
    /// As for any call; [`ClientError::Refused`] with 502 when nothing listens there.
    pub async fn tunnel(&self, port: u16, protocol: Upgrade) -> Result<Upgraded, ClientError> {
        let target = format!("/v1/ports/{port}/tunnel");
        let request = || {
            Request::post(&target)
                .header("Connection", "Upgrade")
                .header("Upgrade", protocol.as_str())
        };
        let response = self.send(request).await?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Err(refused(response).await);
        }
        let agreed = response.headers().get("upgrade");
        let agreed = agreed.and_then(|value| Upgrade::parse(value.to_str().ok()?));
        if agreed != Some(protocol) {
            let told = "it opens another kind of tunnel than it was asked for; it is older than this amika";
            return Err(ClientError::Malformed(told.into()));
        }
        upgraded(response).await
    }

    async fn request(&self, target: &str) -> Result<Response<Incoming>, ClientError> {
        self.send(|| Request::get(target)).await
    }

    pub(super) async fn send(
        &self,
        request: impl Fn() -> Builder,
    ) -> Result<Response<Incoming>, ClientError> {
        self.send_with(request, Bytes::new()).await
    }

    /// Sends a request with a body.
    pub(super) async fn send_with(
        &self,
        request: impl Fn() -> Builder,
        body: Bytes,
    ) -> Result<Response<Incoming>, ClientError> {
        let unreachable = ClientError::Unreachable;
        let mut nobody = false;
        if let Some(published) = self.published.as_ref().filter(|_| !self.is_relayed()) {
            match Connection::open(published, Some(&self.key)).await {
                Ok(mut connection) => {
                    self.state.closed.store(0, Ordering::Relaxed);
                    return connection.send(request, &body, Some(&self.key)).await;
                }
                // Nobody has the port here: amikad is not up yet, or the engine publishes elsewhere, as
                // where its socket is mounted into a container or forwarded. The relay tells the two
                // apart.
                Err(Refusal::Unreachable(reason)) => {
                    self.consider(Doubt::Closed(reason), published)?;
                    nobody = true;
                }
                Err(Refusal::Doubtful(doubt)) => self.consider(doubt, published)?,
            }
        }
        match Connection::open(&self.relay, Some(&self.key)).await {
            Ok(mut connection) => {
                let answer = connection.send(request, &body, Some(&self.key)).await;
                if nobody && answer.is_ok() {
                    self.reach.publishes_elsewhere();
                }
                answer
            }
            Err(Refusal::Unreachable(reason)) => Err(unreachable(reason)),
            Err(Refusal::Doubtful(_)) => Err(unreachable("the relay is not amikad's".into())),
        }
    }

    /// What a doubt means for this client; an error where the port may be asked again.
    fn consider(&self, doubt: Doubt, published: &Transport) -> Result<(), ClientError> {
        tracing::debug!(?doubt, "amikad did not prove itself");
        if let Doubt::Closed(reason) = doubt {
            let closed = self.state.closed.fetch_add(1, Ordering::Relaxed);
            if closed < self.patience {
                return Err(ClientError::Unreachable(reason));
            }
            // Nobody behind the port is no impostor.
            return Ok(());
        }
        let first = !self.state.doubted.swap(true, Ordering::Relaxed);
        // 404 and 401 are an older amikad's, 503 one that has no place; the relay is right for all.
        let plain = [
            StatusCode::NOT_FOUND,
            StatusCode::UNAUTHORIZED,
            StatusCode::SERVICE_UNAVAILABLE,
        ];
        let expected = matches!(doubt, Doubt::NoProof(status) if plain.contains(&status));
        if let Transport::Published(address) = published
            && first
            && !expected
            && !self.foreign
        {
            let problem = ClientError::Impostor(*address);
            self.warnings.warn(&format!(
                "{problem}, or it was made with another key; nothing secret was sent there, and the engine's way is taken"
            ));
        }
        Ok(())
    }
}

/// What an answer that opened something becomes.
pub(super) async fn upgraded(mut response: Response<Incoming>) -> Result<Upgraded, ClientError> {
    let upgrade = hyper::upgrade::on(&mut response);
    let upgraded = tokio::time::timeout(UPGRADE_TIMEOUT, upgrade).await;
    upgraded
        .map_err(|_| ClientError::Unreachable("the tunnel did not open".into()))?
        .map_err(|error| ClientError::Unreachable(error.to_string()))
}

/// The next piece of a log, which has to come within the bounds where there are some.
async fn next_frame(
    body: &mut Incoming,
    bounds: Option<&mut Bounds>,
) -> Option<Result<Frame<Bytes>, ClientError>> {
    let Some(bounds) = bounds else {
        let frame = body.frame().await?;
        return Some(frame.map_err(|error| ClientError::Unreachable(error.to_string())));
    };
    let begun = Instant::now();
    let broken = || ClientError::Unreachable("the log broke off".into());
    let Ok(frame) = tokio::time::timeout(bounds.waiting, body.frame()).await else {
        return Some(Err(broken()));
    };
    bounds.waiting = bounds.waiting.saturating_sub(begun.elapsed());
    let frame = match frame? {
        Ok(frame) => frame,
        Err(error) => return Some(Err(ClientError::Unreachable(error.to_string()))),
    };
    let length = frame.data_ref().map_or(0, Bytes::len);
    let Some(left) = bounds.bytes.checked_sub(length) else {
        let told = "the log is longer than any that amikad keeps";
        return Some(Err(ClientError::Malformed(told.into())));
    };
    bounds.bytes = left;
    Some(Ok(frame))
}

pub(super) async fn collect(response: Response<Incoming>) -> Result<Bytes, ClientError> {
    let body = http_body_util::Limited::new(response.into_body(), DOCUMENT_LIMIT);
    let collected = tokio::time::timeout(BODY_TIMEOUT, body.collect())
        .await
        .map_err(|_| ClientError::Unreachable("the answer broke off".into()))?;
    collected
        .map(http_body_util::Collected::to_bytes)
        .map_err(|error| ClientError::Unreachable(error.to_string()))
}

pub(super) async fn refused(response: Response<Incoming>) -> ClientError {
    let status = response.status();
    let message = match collect(response).await {
        Ok(body) => serde_json::from_slice::<amika_core::wire::ErrorBody>(&body).map_or_else(
            |_| String::from_utf8_lossy(&body).into_owned(),
            |body| body.error.message,
        ),
        Err(error) => error.to_string(),
    };
    ClientError::Refused { status, message }
}
