//! Who may go to a port, and by which way: found out once for all that is asked within a moment.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use amika_core::contract::OPENCODE_PORT;
use amika_core::port::Port;
use amika_sandbox::error::Kind;
use amika_sandbox::tunnel::Gate;
use axum::http::{HeaderValue, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::sync::OnceCell;

use super::cookie::Signer;
use super::forward::Pool;
use super::own::OwnPorts;
use super::wake::{Target, Waking, asks_for_it, wake};
use crate::api::error::{ApiError, Result};
use crate::auth::caller::Caller;
use crate::sandboxes::show::{SandboxState, states};
use crate::state::App;

/// How long what was found out holds.
const FRESH: Duration = Duration::from_secs(2);

/// How many are kept.
const MOST: usize = 1000;

/// How often amikad is told that somebody asks, in milliseconds: it takes a sample every 10 s.
const TELL: i64 = 4000;

/// By user, whether as an administrator, and what the sandbox was called; each since when.
type Open = HashMap<(String, bool, String), (Instant, Arc<Way>)>;

/// What the ports of all sandboxes have.
#[derive(Default)]
pub struct Ports {
    /// Signs cookies of ports' origins.
    pub signer: Signer,
    /// Connections that wait for the next request.
    pub pool: Arc<Pool>,
    /// Listening ports of their own.
    pub own: OwnPorts,
    /// Sandboxes that a request starts.
    pub waking: Waking,
    open: Mutex<Open>,
}

/// The way to a sandbox's ports.
pub struct Way {
    /// Its amikad.
    pub gate: Gate,
    /// Whether requests may start the sandbox: then it is looked at for each of them.
    wakes: bool,
    opencode: OnceCell<Option<HeaderValue>>,
    told_at: AtomicI64,
}

impl Way {
    /// The credentials that OpenCode's page wants. Whoever may open a port of the sandbox may ask for them by the API too.
    pub async fn opencode(&self) -> Option<HeaderValue> {
        let ask = async || {
            let access = self.gate.opencode_access().await?;
            let pair = STANDARD.encode(format!("{}:{}", access.username, access.password));
            let mut value = HeaderValue::from_str(&format!("Basic {pair}")).ok()?;
            value.set_sensitive(true);
            Some(value)
        };
        self.opencode.get_or_init(ask).await.clone()
    }

    /// Tells amikad, now and then, that a request began; OpenCode's it sees by itself.
    pub fn tell(self: &Arc<Self>, port: Port, now: i64) {
        let before = self.told_at.load(Ordering::Relaxed);
        let is_due = now - before >= TELL && port.get() != OPENCODE_PORT;
        let is_mine = || {
            self.told_at
                .compare_exchange(before, now, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
        };
        if is_due && is_mine() {
            let way = Arc::clone(self);
            // Beside it: no request waits for that.
            tokio::spawn(async move { way.gate.tell_input().await });
        }
    }
}

/// The way to the ports of a sandbox that a caller may use.
///
/// # Errors
/// 404 for what is not the caller's, 503 with how to start it where it does not run and no request starts it.
pub async fn way(app: &Arc<App>, caller: &Caller, reference: &str, port: Port) -> Result<Arc<Way>> {
    let key = (
        caller.user.id.clone(),
        caller.is_admin(),
        reference.to_owned(),
    );
    let known = {
        let open = lock(&app.ports);
        open.get(&key)
            .filter(|(at, _)| at.elapsed() < FRESH)
            .map(|(_, way)| Arc::clone(way))
    };
    let known = match known {
        Some(way) if !way.wakes => return Ok(way),
        known => known,
    };
    let found = crate::api::find_sandbox(app, caller, reference).await?;
    let name = found.there()?;
    let services = found.seen.as_ref().map(|seen| seen.services.as_slice());
    let services = services.unwrap_or_default();
    // Of what is not this server's nothing is started by itself.
    let is_own = found.row.is_some();
    let wakes = is_own && services.iter().flat_map(|it| &it.run).any(|run| run.wake);
    if let Some(service) = asks_for_it(services, port).filter(|_| wakes) {
        let id = found.id();
        let doing = app.operations.of(&id).map(|(_, kind)| kind);
        let state = found.seen.as_ref().map(|seen| seen.view.state);
        let target = Target {
            caller,
            id,
            service,
            is_up: states(state, doing, None).0 == SandboxState::Started,
        };
        let has_waited = wake(app, target).await?;
        if let Some(way) = known.filter(|_| !has_waited) {
            return Ok(way);
        }
    } else if let Some(way) = known {
        return Ok(way);
    }
    let engine = app.engines.get().await?;
    let gate = engine.gate(name).await.map_err(|error| match error.kind {
        Kind::Conflict => {
            let message = format!("sandbox \"{name}\" does not run");
            let start = format!("start it: POST /api/v0beta1/sandboxes/{}/start", found.id());
            ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "conflict", message)
                .hint(start)
                .retry_after(5)
        }
        _ => error.into(),
    })?;
    let mut open = lock(&app.ports);
    // Of the same start of a sandbox the same way, with what amikad was told.
    let before = open.get(&key).map(|(_, way)| Arc::clone(way));
    let same = before.filter(|way| way.gate.container == gate.container);
    let told_at = same.map_or(0, |way| way.told_at.load(Ordering::Relaxed));
    let way = Arc::new(Way {
        gate,
        wakes,
        opencode: OnceCell::new(),
        told_at: AtomicI64::new(told_at),
    });
    if open.len() >= MOST {
        open.retain(|_, (at, _)| at.elapsed() < FRESH);
    }
    if open.len() < MOST {
        open.insert(key, (Instant::now(), Arc::clone(&way)));
    }
    Ok(way)
}

/// Has the next one find out anew.
pub fn forget(ports: &Ports, way: &Arc<Way>) {
    lock(ports).retain(|_, (_, known)| !Arc::ptr_eq(known, way));
}

fn lock(ports: &Ports) -> std::sync::MutexGuard<'_, Open> {
    ports.open.lock().unwrap_or_else(PoisonError::into_inner)
}
