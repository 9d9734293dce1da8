//! Connections: taken, spoken HTTP on, and brought to their end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tower::ServiceExt as _;

use crate::auth::caller::Peer;
use crate::ports::own::Listening;
use crate::state::App;
use crate::taken::Taken;
use crate::tls::Tls;

/// How long the head of a request, and a TLS handshake, may take to come.
const HEAD: Duration = Duration::from_secs(15);

/// After how much silence the other side of a connection is asked whether it is there.
const KEEP_ALIVE: Duration = Duration::from_mins(1);

/// How long requests may take for their end once the server is asked to end.
const DRAIN: Duration = Duration::from_secs(10);

/// How often it is looked whether the certificate was written anew.
const CERTIFICATE: Duration = Duration::from_secs(5);

/// Connections at most, where the system allows that many files.
const CONNECTIONS: u64 = 10_000;

/// Takes connections until `stop`, then lets requests come to their end. `renew` has the certificate read anew.
pub async fn serve(
    app: Arc<App>,
    router: Router,
    listeners: Vec<TcpListener>,
    tls: Option<Tls>,
    renew: Arc<Notify>,
    stop: impl Future<Output = ()>,
) {
    let tls = tls.map(Arc::new);
    let end = app.ending.subscribe();
    let room = Arc::new(Semaphore::new(room()));
    let mut takers = JoinSet::new();
    if let Some(tls) = &tls {
        takers.spawn(renewing(Arc::clone(tls), renew));
    }
    let connections = Arc::new(tokio::sync::Mutex::new(JoinSet::new()));
    for listener in listeners {
        let taker = Taker {
            app: Arc::clone(&app),
            router: router.clone(),
            tls: tls.clone(),
            end: end.clone(),
            room: Arc::clone(&room),
        };
        takers.spawn(take(listener, taker, Arc::clone(&connections)));
    }
    let others = app.ports.own.listeners();
    let taker = Taker {
        app: Arc::clone(&app),
        router,
        tls,
        end,
        room,
    };
    tokio::select! {
        () = stop => {}
        () = take_others(others, &taker, &connections, &mut takers) => {}
    }
    takers.shutdown().await;
    app.ending.send_replace(true);
    let mut connections = connections.lock().await;
    let drained = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(DRAIN, drained).await.is_err() {
        tracing::warn!("{} connections were cut off", connections.len());
        connections.shutdown().await;
    }
}

/// Takes connections of listeners that are added meanwhile, each until it is closed.
async fn take_others(
    others: Option<mpsc::UnboundedReceiver<Listening>>,
    taker: &Taker,
    connections: &Arc<tokio::sync::Mutex<JoinSet<()>>>,
    takers: &mut JoinSet<()>,
) {
    if let Some(mut others) = others {
        while let Some(Listening { listener, closed }) = others.recv().await {
            let connections = Arc::clone(connections);
            let until_closed = take(listener, taker.clone(), connections);
            takers.spawn(async move {
                tokio::select! {
                    () = until_closed => {}
                    _ = closed => {}
                }
            });
        }
    }
    std::future::pending::<()>().await;
}

/// As many connections as leave files for everything else.
fn room() -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    if setrlimit(Resource::Nofile, raised).is_ok() {
        limit = raised;
    }
    let files = limit.current.unwrap_or(u64::MAX);
    usize::try_from(CONNECTIONS.min(files / 2)).unwrap_or(usize::MAX)
}

async fn renewing(tls: Arc<Tls>, renew: Arc<Notify>) {
    loop {
        let asked = tokio::time::timeout(CERTIFICATE, renew.notified())
            .await
            .is_ok();
        tls.renew(asked);
    }
}

/// What every connection is given.
#[derive(Clone)]
struct Taker {
    app: Arc<App>,
    router: Router,
    tls: Option<Arc<Tls>>,
    end: watch::Receiver<bool>,
    room: Arc<Semaphore>,
}

async fn take(
    listener: TcpListener,
    taker: Taker,
    connections: Arc<tokio::sync::Mutex<JoinSet<()>>>,
) {
    loop {
        let Ok(room) = Arc::clone(&taker.room).acquire_owned().await else {
            return;
        };
        let (stream, remote) = match listener.accept().await {
            Ok(connection) => connection,
            Err(error) => {
                // Out of files, or the other side is gone already: neither ends the server.
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "a connection was not taken"
                );
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let taker = taker.clone();
        let mut connections = connections.lock().await;
        while connections.try_join_next().is_some() {}
        connections.spawn(async move {
            let _room = room;
            speak(stream, remote, taker).await;
        });
    }
}

/// Has the system find out whether the other side of a connection is gone on which nothing is said, as on a stream.
fn keep_alive(stream: &TcpStream) {
    use rustix::net::sockopt;
    let set = sockopt::set_socket_keepalive(stream, true)
        .and_then(|()| sockopt::set_tcp_keepidle(stream, KEEP_ALIVE))
        .and_then(|()| sockopt::set_tcp_keepintvl(stream, KEEP_ALIVE / 4));
    if let Err(error) = set {
        tracing::debug!(%error, "a connection is not kept alive");
    }
}

async fn speak(stream: TcpStream, remote: SocketAddr, taker: Taker) {
    let Ok(local) = stream.local_addr() else {
        return;
    };
    // Small answers go out at once.
    let _ = stream.set_nodelay(true);
    keep_alive(&stream);
    let peer = Peer {
        remote,
        local,
        is_tls: taker.tls.is_some(),
    };
    match &taker.tls {
        None => http(stream, peer, taker).await,
        Some(tls) => {
            let shaken = tokio::time::timeout(HEAD, tls.acceptor().accept(stream)).await;
            match shaken {
                Ok(Ok(stream)) => http(stream, peer, taker).await,
                Ok(Err(error)) => tracing::debug!(%remote, %error, "no TLS"),
                Err(_) => tracing::debug!(%remote, "no TLS in time"),
            }
        }
    }
}

async fn http(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: Peer,
    taker: Taker,
) {
    let Taker {
        app,
        router,
        mut end,
        ..
    } = taker;
    let _counted = app.metrics.connection();
    // A layer of the router would be put around each route, for each connection.
    let service = router.map_request(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer);
        request
    });
    let service = TowerToHyperService::new(service);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .serve_connection(TokioIo::new(Taken::new(stream)), service)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let is_over = async { drop(end.wait_for(|end| *end).await) };
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = is_over => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(remote = %peer.remote, %error, "a connection ended");
    }
}
