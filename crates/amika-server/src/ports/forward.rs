//! A request on its way to a port inside, and the answer on its way out: streams both, and neither faster than the other
//! side takes it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use amika_core::port::Port;
use amika_core::tunnel::Upgrade;
use amika_sandbox::tunnel::NoTunnel;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, Uri, Version, header};
use axum::response::Response;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;

use super::door::{Way, forget};
use super::headers::{Asked, Door, inwards, outwards};
use crate::api::error::{ApiError, Result};
use crate::api::no_tunnel;
use crate::state::App;
use crate::streams::Place;

/// How long a connection waits for the next request.
const IDLE: Duration = Duration::from_secs(10);

/// Connections to one port that wait.
const OF_ONE: usize = 16;

/// Connections that wait, of all.
const OF_ALL: usize = 512;

type Sender = SendRequest<Body>;

/// By container and port.
type Key = (String, Port);

/// Connections that wait for the next request, each since when.
type Waiting = HashMap<Key, Vec<(Instant, Sender)>>;

/// Connections that wait for the next request.
#[derive(Default)]
pub struct Pool {
    all: Mutex<Waiting>,
    is_swept: AtomicBool,
}

impl Pool {
    fn all(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, key: &Key) -> Option<Sender> {
        let mut all = self.all();
        let waiting = all.get_mut(key)?;
        while let Some((since, sender)) = waiting.pop() {
            if since.elapsed() < IDLE && sender.is_ready() {
                return Some(sender);
            }
        }
        all.remove(key);
        None
    }

    fn put(self: &Arc<Self>, key: Key, sender: Sender) {
        let mut all = self.all();
        let count: usize = all.values().map(Vec::len).sum();
        let waiting = all.entry(key).or_default();
        if count < OF_ALL && waiting.len() < OF_ONE {
            waiting.push((Instant::now(), sender));
        }
        drop(all);
        if !self.is_swept.swap(true, Ordering::Relaxed) {
            let pool = Arc::clone(self);
            tokio::spawn(async move {
                while !pool.sweep() {
                    tokio::time::sleep(IDLE).await;
                }
            });
        }
    }

    /// Ends those that waited long enough; whether none is left.
    fn sweep(&self) -> bool {
        let mut all = self.all();
        all.retain(|_, waiting| {
            waiting.retain(|(since, sender)| since.elapsed() < IDLE && !sender.is_closed());
            !waiting.is_empty()
        });
        if all.is_empty() {
            self.is_swept.store(false, Ordering::Relaxed);
        }
        all.is_empty()
    }
}

/// A request for a port.
pub struct Forward<'a> {
    /// The port.
    pub port: Port,
    /// The way there.
    pub way: &'a Arc<Way>,
    /// Which door it came by.
    pub door: Door,
    /// From which address.
    pub from: IpAddr,
    /// Whether by TLS.
    pub is_tls: bool,
    /// What the inside is asked for: path and query.
    pub target: &'a str,
    /// What of the path is the server's.
    pub prefix: Option<&'a str>,
    /// Of whom a socket that it becomes is.
    pub user_id: &'a str,
}

/// Asks the inside, and answers as it does.
///
/// # Errors
/// 502 where nothing listens on the port, with what does, and where what listens speaks no HTTP.
pub async fn forward(app: &App, it: Forward<'_>, mut request: Request) -> Result<Response> {
    it.way.tell(it.port, app.clock.now());
    let upgrade = request.headers().get(header::UPGRADE).cloned();
    let upgrade = upgrade.filter(|_| {
        let connection = request.headers().get_all(header::CONNECTION).iter();
        let mut words = connection.flat_map(|value| value.to_str().unwrap_or_default().split(','));
        words.any(|word| word.trim().eq_ignore_ascii_case("upgrade"))
    });
    let outside = upgrade.as_ref().map(|_| hyper::upgrade::on(&mut request));
    let place = match upgrade {
        Some(_) => Some(app.streams.take(it.user_id)?),
        None => None,
    };
    let asked = head(&it, request, upgrade.as_ref())?;
    let (mut response, sender) = ask(app, &it, asked).await?;
    let key = (it.way.gate.container.clone(), it.port);
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        let agreed = response.headers().get(header::UPGRADE).cloned();
        let (Some(outside), Some(place), Some(agreed)) = (outside, place, agreed) else {
            return Err(bad("it changed the protocol, which nobody asked for"));
        };
        let inside = hyper::upgrade::on(&mut response);
        tokio::spawn(carry(outside, inside, place));
        let (mut parts, _) = response.into_parts();
        outwards(&mut parts.headers, it.door);
        let switches = HeaderValue::from_static("upgrade");
        parts.headers.insert(header::CONNECTION, switches);
        parts.headers.insert(header::UPGRADE, agreed);
        return Ok(Response::from_parts(parts, Body::empty()));
    }
    let pool = Arc::clone(&app.ports.pool);
    tokio::spawn(async move {
        let mut sender = sender;
        // Once the answer was read to its end.
        if sender.ready().await.is_ok() {
            pool.put(key, sender);
        }
    });
    let (mut parts, body) = response.into_parts();
    outwards(&mut parts.headers, it.door);
    Ok(Response::from_parts(parts, Body::new(body)))
}

/// The request as it goes in.
fn head(
    it: &Forward<'_>,
    request: Request,
    upgrade: Option<&HeaderValue>,
) -> Result<hyper::Request<Body>> {
    let (mut parts, body) = request.into_parts();
    let host = parts.headers.get(header::HOST).cloned();
    let host = host.as_ref().and_then(|host| host.to_str().ok());
    let host = host.unwrap_or_default();
    let local = format!("localhost:{}", it.port.get());
    let asked = Asked {
        from: it.from,
        is_tls: it.is_tls,
        host,
        inside: match it.door {
            Door::Origin | Door::OwnPort => host,
            Door::Path => &local,
        },
        prefix: it.prefix,
    };
    inwards(&mut parts.headers, it.door, &asked);
    if let Some(upgrade) = upgrade {
        let switches = HeaderValue::from_static("upgrade");
        parts.headers.insert(header::CONNECTION, switches);
        parts.headers.insert(header::UPGRADE, upgrade.clone());
    }
    let target = if it.target.starts_with('/') {
        it.target.to_owned()
    } else {
        format!("/{}", it.target)
    };
    let uri: Uri = target
        .parse()
        .map_err(|_| ApiError::usage("the path cannot be read"))?;
    let mut asked = hyper::Request::new(body);
    *asked.method_mut() = parts.method;
    *asked.uri_mut() = uri;
    *asked.version_mut() = Version::HTTP_11;
    *asked.headers_mut() = parts.headers;
    Ok(asked)
}

/// Asks by a connection that waits, or by a new one.
async fn ask(
    app: &App,
    it: &Forward<'_>,
    mut asked: hyper::Request<Body>,
) -> Result<(hyper::Response<hyper::body::Incoming>, Sender)> {
    let key = (it.way.gate.container.clone(), it.port);
    while let Some(mut sender) = app.ports.pool.take(&key) {
        match sender.try_send_request(asked).await {
            Ok(response) => return Ok((response, sender)),
            // It was closed while it waited: nothing was sent.
            Err(mut error) => match error.take_message() {
                Some(unsent) => asked = unsent,
                None => return Err(bad(&error.into_error().to_string())),
            },
        }
    }
    let opened = it.way.gate.open(it.port, Upgrade::Tcp).await;
    let tunnel = opened.map_err(|why| {
        if matches!(why, NoTunnel::Other(_)) {
            // It stopped, or is another container now.
            forget(&app.ports, it.way);
        }
        no_tunnel(it.port, why)
    })?;
    let (mut sender, connection) = handshake(tunnel.into_inner())
        .await
        .map_err(|error| bad(&error.to_string()))?;
    tokio::spawn(connection.with_upgrades());
    let response = sender.send_request(asked).await;
    let response = response.map_err(|error| bad(&error.to_string()))?;
    Ok((response, sender))
}

/// 502 for an answer that is none.
fn bad(why: &str) -> ApiError {
    let why: String = why.chars().take(200).collect();
    let message = format!(
        "what listens on the port gave no answer: {}",
        why.escape_debug()
    );
    ApiError::new(StatusCode::BAD_GATEWAY, "upstream", message)
}

/// Carries what both sides changed to, until one of them ended or the server does.
async fn carry(
    outside: hyper::upgrade::OnUpgrade,
    inside: hyper::upgrade::OnUpgrade,
    place: Place,
) {
    let (Ok(outside), Ok(inside)) = tokio::join!(outside, inside) else {
        return;
    };
    let (mut outside, mut inside) = (TokioIo::new(outside), TokioIo::new(inside));
    let carried = tokio::io::copy_bidirectional(&mut outside, &mut inside);
    tokio::select! {
        carried = carried => drop(carried),
        () = place.over() => {}
    }
}
