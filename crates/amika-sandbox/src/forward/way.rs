//! How a sandbox is reached at this moment.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use amika_core::label::key;
use amika_core::port::Port;
use amika_core::tunnel::Upgrade;
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use hyper::StatusCode;
use hyper_util::rt::TokioIo;
use tokio::sync::watch;
use tokio::time::Instant;

use super::{Opens, Tunnel};
use crate::daemon::{Client, ClientError};
use crate::error::Result;
use crate::sandbox::Sandbox;
use crate::sandboxes::Sandboxes;
use amika_engine::EventQuery;

/// How often a sandbox that is said to run is asked again, and the pause between.
const TRIES: u32 = 4;
const PAUSE: Duration = Duration::from_millis(250);
/// Events of so long ago are asked for, too: what happened before the engine was listened to is not missed.
const BACK: Duration = Duration::from_secs(2);
/// How long an engine may be away.
const ENGINE_PATIENCE: Duration = Duration::from_mins(1);

/// Why a port of the sandbox is not reached.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The sandbox does not run.
    #[error("the sandbox does not run")]
    Stopped,
    /// It runs, and nobody has the port; in amikad's words.
    #[error("{0}")]
    Nobody(String),
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

/// What the sandbox does.
#[derive(Clone)]
enum Place {
    Running(Box<Client>),
    Stopped,
    Gone,
}

/// The way to a sandbox, kept up to date by [`Way::watch`].
pub struct Way {
    engine: Sandboxes,
    name: String,
    id: String,
    /// The container that it is now.
    container: Mutex<String>,
    place: watch::Sender<Place>,
}

impl Opens for Way {
    fn open(&self, port: Port, protocol: Upgrade) -> BoxFuture<'_, Result<Tunnel, Failure>> {
        Box::pin(self.opened(port, protocol))
    }
}

impl Way {
    /// The way to a sandbox that runs.
    ///
    /// # Errors
    /// As [`Sandbox::client`].
    pub fn new(engine: &Sandboxes, sandbox: &Sandbox) -> Result<Self> {
        let client = sandbox.client(engine)?;
        Ok(Self {
            engine: engine.clone(),
            name: sandbox.name.clone(),
            id: sandbox.record.id.to_string(),
            container: Mutex::new(sandbox.container.id.clone()),
            place: watch::Sender::new(Place::Running(Box::new(client))),
        })
    }

    /// Opens a tunnel to a port inside.
    ///
    /// # Errors
    /// When the sandbox does not run, or nobody has the port.
    async fn opened(&self, port: Port, protocol: Upgrade) -> Result<Tunnel, Failure> {
        let mut tries = 1;
        loop {
            let client = match &*self.place.borrow() {
                Place::Running(client) => Client::clone(client),
                Place::Stopped | Place::Gone => return Err(Failure::Stopped),
            };
            match client.tunnel(port.get(), protocol).await {
                Ok(tunnel) => return Ok(Box::new(TokioIo::new(tunnel))),
                Err(ClientError::Unreachable(_)) if tries < TRIES => {}
                Err(ClientError::Refused { status, message })
                    if status == StatusCode::BAD_GATEWAY =>
                {
                    return Err(Failure::Nobody(message));
                }
                Err(error) => return Err(Failure::Other(error.to_string())),
            }
            // It stopped, or is being started with another port of this machine: the engine knows.
            tokio::time::sleep(PAUSE).await;
            let _ = self.look().await;
            tries += 1;
        }
    }

    /// A client of the sandbox's amikad, once it runs; none when it is gone.
    pub async fn running(&self) -> Option<Client> {
        let mut place = self.place.subscribe();
        let settled = place.wait_for(|place| !matches!(place, Place::Stopped));
        match &*settled.await.ok()? {
            Place::Running(client) => Some(Client::clone(client)),
            Place::Stopped | Place::Gone => None,
        }
    }

    /// Whether it runs, as far as is known.
    pub fn is_running(&self) -> bool {
        matches!(&*self.place.borrow(), Place::Running(_))
    }

    /// Keeps the way up to date until the sandbox is gone; `told` is called when it has stopped, and when it runs
    /// again.
    ///
    /// # Errors
    /// When the engine does not answer for long.
    pub async fn watch(&self, told: impl Fn(bool) -> Result<()>) -> Result<()> {
        let label = format!("{}={}", key::ID, self.id);
        let mut last_answer = Instant::now();
        let mut ran = true;
        loop {
            let now = Duration::from_millis(amika_host::clock::now_millis());
            let query = EventQuery {
                since: Some(now.saturating_sub(BACK)),
                until: None,
            };
            let mut events = std::pin::pin!(self.engine.container_events(&label, query));
            let mut event = None;
            loop {
                if event.as_deref().is_none_or(matters) {
                    match self.look().await {
                        Ok(()) => last_answer = Instant::now(),
                        Err(error) if last_answer.elapsed() > ENGINE_PATIENCE => return Err(error),
                        // The engine is on its way up again, or down.
                        Err(_) => break,
                    }
                    if matches!(&*self.place.borrow(), Place::Gone) {
                        return Ok(());
                    }
                    if self.is_running() != ran {
                        ran = !ran;
                        told(ran)?;
                    }
                }
                match events.next().await {
                    Some(Ok(next)) => event = Some(next.action),
                    Some(Err(_)) | None => break,
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Asks the engine what the sandbox does.
    async fn look(&self) -> Result<()> {
        let known = self.container().clone();
        let facts = match self.engine.inspect_container(&known).await {
            Ok(facts) => Some(facts),
            Err(error) if error.is_not_found() => self.successor().await?,
            Err(error) => return Err(error.into()),
        };
        let place = match facts.map(Sandbox::of) {
            None => Place::Gone,
            Some(sandbox) => {
                self.container().clone_from(&sandbox.container.id);
                if sandbox.is_running() {
                    Place::Running(Box::new(sandbox.client(&self.engine)?.patient()))
                } else {
                    Place::Stopped
                }
            }
        };
        self.place.send_replace(place);
        Ok(())
    }

    /// The container that took its place, as after a start that moved its ports.
    async fn successor(&self) -> Result<Option<amika_engine::ContainerFacts>> {
        let label = format!("{}={}", key::ID, self.id);
        for container in self.engine.list_containers(&label).await? {
            match self.engine.inspect_container(&container.id).await {
                Ok(facts) => return Ok(Some(facts)),
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(None)
    }

    /// Its name when it was looked for.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn container(&self) -> std::sync::MutexGuard<'_, String> {
        self.container
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether an event may change the way. Most are of processes that are started inside.
fn matters(action: &str) -> bool {
    let action = action.split(':').next().unwrap_or_default();
    ["start", "die", "destroy", "pause", "unpause", "create"].contains(&action)
}
