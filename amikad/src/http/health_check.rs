//! Whether a service is up that answers a request once it is: asks as its [`Request`] says.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use amika_core::wire::ServiceState;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::{Request, header};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::watch;

use crate::ports::{self, Whose};
use crate::publish::{Command, Shared};
use crate::say::say_once;
use crate::service::{self, Endpoint, ServiceId};

/// From one check to the next once the service is up: only to notice that it hangs.
const READY_INTERVAL: Duration = Duration::from_secs(10);
/// From one check to the next of a service that was up and did not answer.
const DOUBT_INTERVAL: Duration = Duration::from_secs(1);
/// So many checks in a row must fail before a service that was up is not.
const PATIENCE: u32 = 3;
/// Checks the service for as long as it runs; sleeps without a timer while it does not.
pub(super) async fn watch(id: ServiceId, asked: &service::Request, shared: Arc<Shared>) {
    let name = id.spec().name;
    let mut published = shared.subscribe();
    loop {
        published.mark_unchanged();
        let service = shared.status().services.get(name).cloned();
        let service = service.unwrap_or_default();
        let (interval, pid) = match (service.state, service.pid) {
            (ServiceState::Starting, Some(pid)) => (asked.interval, pid),
            (ServiceState::Ready, Some(pid)) if asked.goes_on => (READY_INTERVAL, pid),
            _ => {
                if published.changed().await.is_err() {
                    return;
                }
                continue;
            }
        };
        if !outlives(name, pid, interval, &shared, &mut published).await {
            continue;
        }
        let is_ready = service.state == ServiceState::Ready;
        let mut healthy = false;
        // One slow answer of a service that was up says that it is busy.
        let mut left = if is_ready { PATIENCE } else { 1 };
        while left > 0 {
            healthy = check(id, asked, pid, &shared).await;
            left -= 1;
            let is_asked_again = !healthy && left > 0;
            if !is_asked_again
                || !outlives(name, pid, DOUBT_INTERVAL, &shared, &mut published).await
            {
                break;
            }
        }
        if healthy != is_ready {
            shared.mailbox.send(Command::Probed {
                service: id,
                pid,
                healthy,
            });
        }
    }
}

/// Waits for `interval`; false as soon as the service is not `pid` any more.
async fn outlives(
    name: &str,
    pid: i32,
    interval: Duration,
    shared: &Shared,
    published: &mut watch::Receiver<u64>,
) -> bool {
    let mut interval = std::pin::pin!(tokio::time::sleep(interval));
    loop {
        tokio::select! {
            () = &mut interval => return true,
            _ = published.changed() => {
                if shared.status().services.get(name).and_then(|service| service.pid) != Some(pid) {
                    return false;
                }
            }
        }
    }
}

/// Size of an answer that is still read.
const ANSWER_LIMIT: usize = 1 << 20;

/// One check of a service whose process is `pid`: whether the answer says that it is up.
async fn check(id: ServiceId, asked: &service::Request, pid: i32, shared: &Shared) -> bool {
    let check = async {
        if !is_asked_itself(id, asked, pid).await {
            return false;
        }
        let answer = ask(asked, asked.path, shared).await;
        answer.is_some_and(|answer| (asked.is_up)(&answer))
    };
    tokio::time::timeout(asked.timeout, check).await == Ok(true)
}

/// Whether whoever has a service's port is the service, which was started as `pid`. Another one is told of, and gets
/// nothing: a password, least of all.
pub(super) async fn is_asked_itself(id: ServiceId, asked: &service::Request, pid: i32) -> bool {
    let Endpoint::Port(port) = asked.at else {
        return true;
    };
    match ports::whose(port, pid).await {
        Whose::Its => true,
        Whose::Nobodys => false,
        Whose::Foreign(who) => {
            let title = id.spec().title;
            say_once(format!(
                "port {port} is {title}'s and {who} listens there: it is not taken for {title}, and not asked"
            ));
            false
        }
    }
}

/// What a service answers to a GET of `target`; none where it refuses.
pub(super) async fn ask(asked: &service::Request, target: &str, shared: &Shared) -> Option<Bytes> {
    match asked.at {
        Endpoint::Port(port) => {
            let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.ok()?;
            get(stream, asked, target, shared).await
        }
        Endpoint::Socket(path) => {
            let stream = UnixStream::connect(path).await.ok()?;
            get(stream, asked, target, shared).await
        }
    }
}

async fn get(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    asked: &service::Request,
    target: &str,
    shared: &Shared,
) -> Option<Bytes> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .ok()?;
    let talk = async {
        let mut request = Request::get(target)
            .header(header::HOST, "127.0.0.1")
            .header(header::CONNECTION, "close");
        if let Some(authorization) = asked.authorization {
            request = request.header(header::AUTHORIZATION, authorization(&shared.secrets));
        }
        let request = request.body(Empty::<Bytes>::new()).ok()?;
        let response = sender.send_request(request).await.ok()?;
        if response.status().as_u16() >= 400 {
            return None;
        }
        let body = Limited::new(response.into_body(), ANSWER_LIMIT)
            .collect()
            .await
            .ok()?;
        Some(body.to_bytes())
    };
    let mut talk = std::pin::pin!(talk);
    tokio::select! {
        result = &mut talk => result,
        // The connection ends first when the server closes it; the answer may be in already.
        _ = connection => talk.await,
    }
}
