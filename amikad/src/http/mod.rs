//! The HTTP API on port 60999 and on the root-only socket: who may connect, and for how long.
//!
//! It runs on a thread of its own. Whatever happens to it, CMD goes on.

mod answer;
mod body;
mod challenge;
mod connections;
mod events;
mod guard;
mod health_check;
mod jobs;
mod left;
mod limit;
mod listeners;
mod log_stream;
mod on_demand;
mod ports;
mod readiness;
mod route;
mod stall;
mod tasks;
mod terminals;
mod tunnel;
mod turns;

use std::convert::Infallible;
use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use hyper::StatusCode;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use nix::libc;
use nix::sys::socket::{setsockopt, sockopt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener};

use challenge::Session;
use connections::Connections;
#[cfg(any(test, fuzzing))]
pub(crate) use guard::is_own_name;
use left::Left;
pub(crate) use listeners::Listeners;
use stall::Stalling;
pub(crate) use turns::is_busy as opencode_is_busy;

use crate::activity;
use crate::publish::{Shared, closed};
use crate::say::say;

/// How long a request's head may take.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);
/// Size of a request's head.
const HEADER_LIMIT: usize = 8 << 10;
/// Connections of the network at a time.
const NETWORK_LIMIT: usize = 256;
/// Connections of root's socket at a time.
const ROOT_LIMIT: usize = 64;
/// A client that was silent for so many seconds is asked whether it is there, so often, so many seconds apart.
const KEEP_ALIVE_IDLE: u32 = 60;
const KEEP_ALIVE_COUNT: u32 = 4;
const KEEP_ALIVE_INTERVAL: u32 = 15;
/// How long the end waits for answers that are under way.
const DRAIN_LIMIT: Duration = Duration::from_millis(300);

/// Connections that are open, for [`drain`].
static OPEN: AtomicUsize = AtomicUsize::new(0);

/// Starts the thread; without one the sandbox still does its work.
pub(crate) fn start(shared: &Arc<Shared>, mut listeners: Listeners) {
    let shared = shared.clone();
    let serve_for_good = move || {
        // A bug may take the server down; it comes back, but not in a busy loop.
        for _ in 0..100 {
            let served = catch_unwind(AssertUnwindSafe(|| serve(&shared, &mut listeners)));
            match served {
                Ok(Ok(())) => return,
                Ok(Err(error)) => {
                    say(format!("the HTTP API is not available: {error}"));
                    return;
                }
                Err(_) => {
                    say("the HTTP API failed; starting it again");
                    std::thread::sleep(Duration::from_secs(1));
                }
            }
        }
    };
    let thread = std::thread::Builder::new().name("http".into());
    if let Err(error) = thread.spawn(serve_for_good) {
        say(format!("the HTTP API is not available: {error}"));
    }
}

/// Waits, not for long, until the answers under way are out.
pub(crate) fn drain(shared: &Shared) {
    let begun = Instant::now();
    shared.closing.send_replace(true);
    while OPEN.load(Ordering::Acquire) > 0 && begun.elapsed() < DRAIN_LIMIT {
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Serves for as long as it can; what it leaves in `listeners` serves the next one.
fn serve(shared: &Arc<Shared>, listeners: &mut Listeners) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let connections = Arc::new(Connections::new(NETWORK_LIMIT));
        tokio::spawn(readiness::watch_all(shared.clone()));
        tokio::spawn(activity::watch(shared.clone()));
        // Those of a runtime that failed.
        for terminal in shared.terminals.all() {
            tokio::spawn(terminal.drive());
        }
        let socket = match &listeners.socket {
            Some(socket) => {
                let copy = socket.try_clone().and_then(UnixListener::from_std)?;
                Some(tokio::spawn(accept_unix(copy, shared.clone())))
            }
            None => None,
        };
        while let Some(listener) = &listeners.port {
            // A copy: the port stays ours if this runtime fails.
            let copy = listener.try_clone().and_then(TcpListener::from_std)?;
            accept_tcp(copy, shared, &connections).await;
            listeners.bind_port_again();
        }
        // The socket may still serve; a panic there starts all of it again.
        if let Some(socket) = socket {
            let _ = socket.await;
        }
        Ok(())
    })
}

/// Returns once the listener is of no use any more.
async fn accept_tcp(listener: TcpListener, shared: &Arc<Shared>, connections: &Arc<Connections>) {
    let mut closing = shared.closing.subscribe();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = closed(&mut closing) => return linger().await,
        };
        match accepted {
            Ok((stream, _)) => {
                keep_alive(&stream);
                // What goes through tunnels and terminals is small; without it pieces wait for each other.
                let _ = stream.set_nodelay(true);
                let stream = activity::Own::new(stream);
                let left = Left::unknown();
                connections
                    .admit(stream, route::Door::Tcp, left, shared)
                    .await;
            }
            Err(error) => {
                // Out of descriptors, most likely: they come back.
                tokio::time::sleep(Duration::from_millis(50)).await;
                // But not a listener that somebody shut down.
                if matches!(error.raw_os_error(), Some(libc::EINVAL | libc::EBADF)) {
                    return;
                }
            }
        }
    }
}

/// Has the kernel ask a silent client whether it is there still: one that vanished without a word, as with its machine, would
/// keep its tunnel's place for ever.
fn keep_alive(stream: &TcpStream) {
    // A kernel that refuses leaves it as it is without.
    let _ = setsockopt(stream, sockopt::KeepAlive, &true);
    let _ = setsockopt(stream, sockopt::TcpKeepIdle, &KEEP_ALIVE_IDLE);
    let _ = setsockopt(stream, sockopt::TcpKeepInterval, &KEEP_ALIVE_INTERVAL);
    let _ = setsockopt(stream, sockopt::TcpKeepCount, &KEEP_ALIVE_COUNT);
}

/// Never returns: connections still need the runtime while the daemon drains.
async fn linger() {
    std::future::pending::<()>().await;
}

async fn accept_unix(listener: UnixListener, shared: Arc<Shared>) {
    // Places of its own: whatever the network does, root gets in.
    let connections = Arc::new(Connections::new(ROOT_LIMIT));
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let copy = stream.as_fd().try_clone_to_owned();
                let left = copy.and_then(Left::watch).unwrap_or(Left::unknown());
                connections
                    .admit(stream, route::Door::Root, left, &shared)
                    .await;
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

/// Counts one open connection for as long as it lives, however it ends.
struct Counted;

impl Counted {
    fn new() -> Self {
        OPEN.fetch_add(1, Ordering::AcqRel);
        Self
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        OPEN.fetch_sub(1, Ordering::AcqRel);
    }
}

async fn serve_connection<S>(
    stream: S,
    door: route::Door,
    left: Left,
    shared: Arc<Shared>,
    busy: Arc<AtomicBool>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let _counted = Counted::new();
    let mut closing = shared.closing.subscribe();
    let session = Arc::new(Session::new(door, left));
    let upgraded = Arc::new(AtomicBool::new(false));
    let stream = Stalling::new(stream, upgraded.clone());
    let service = service_fn(|request| {
        let (shared, busy, session) = (shared.clone(), busy.clone(), session.clone());
        let upgraded = upgraded.clone();
        async move {
            busy.store(true, Ordering::Relaxed);
            let mut answer = route::answer(request, &session, &shared).await;
            answer.body_mut().mark_idle_at_end(busy);
            if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
                upgraded.store(true, Ordering::Relaxed);
            }
            Ok::<_, Infallible>(answer)
        }
    });
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(HEADER_LIMIT)
        // Over the network nobody needs it: who closes his half has left, and hyper looks only where it is off.
        .half_close(door == route::Door::Root);
    let connection = builder
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let closed = tokio::select! {
        // Broken connections are the client's business.
        _ = connection.as_mut() => true,
        () = closed(&mut closing) => false,
    };
    if !closed {
        connection.as_mut().graceful_shutdown();
        let _ = connection.await;
    }
}
