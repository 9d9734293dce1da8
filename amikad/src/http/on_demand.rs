//! Services that are started when somebody comes: until then amikad has their ports.
//!
//! It takes the connections that come, lets go of the ports, has the service started, and joins each connection with
//! one to the service once that listens. Whoever comes later comes to the service itself.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use amika_core::wire::ServiceState;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;

use crate::lifecycle::ServiceEvent;
use crate::publish::{Command, Shared};
use crate::say::say_once;
use crate::service::ServiceId;

/// Connections that wait to be taken.
const BACKLOG: u32 = 128;
/// From one try to have the ports to the next: a program that ended may hold them for a moment.
const BIND_INTERVAL: Duration = Duration::from_millis(100);
/// From one try to connect to the service to the next.
const CONNECT_INTERVAL: Duration = Duration::from_millis(5);

/// Has the port of a service as long as there is a sandbox: joins whoever comes with the service, which listens on
/// `inner`, and has that started where it is not.
pub(super) async fn front(id: ServiceId, outer: u16, inner: u16, shared: Arc<Shared>) {
    let mut published = shared.subscribe();
    loop {
        published.mark_unchanged();
        if state(id, &shared) == ServiceState::Listening {
            break;
        }
        if published.changed().await.is_err() {
            return;
        }
    }
    let listeners = loop {
        match bind(outer) {
            Ok(listener) => break [(outer, listener)],
            Err(error) => {
                cannot_hold(id, &error);
                tokio::time::sleep(BIND_INTERVAL).await;
            }
        }
    };
    loop {
        let (_, connection) = accept(&listeners).await;
        if state(id, &shared) == ServiceState::Listening {
            shared
                .mailbox
                .send(Command::Service(id, ServiceEvent::Wanted));
        }
        tokio::spawn(join(id, inner, connection, shared.clone()));
    }
}

fn cannot_hold(id: ServiceId, error: &io::Error) {
    say_once(format!(
        "{}: cannot hold its ports: {error}",
        id.spec().name
    ));
}

/// Holds the ports of a service whenever it is to be held, for as long as there is a sandbox.
pub(super) async fn hold(id: ServiceId, ports: &[u16], shared: Arc<Shared>) {
    let mut published = shared.subscribe();
    loop {
        published.mark_unchanged();
        if state(id, &shared) != ServiceState::Listening {
            if published.changed().await.is_err() {
                return;
            }
            continue;
        }
        let listeners = match bind_all(ports) {
            Ok(listeners) => listeners,
            Err(error) => {
                cannot_hold(id, &error);
                tokio::time::sleep(BIND_INTERVAL).await;
                continue;
            }
        };
        let first = tokio::select! {
            first = accept(&listeners) => first,
            () = leaves(id, &shared, &mut published) => continue,
        };
        // All that came with the first; with the listeners goes who is not taken.
        let mut held = vec![first];
        while let Some(next) = accept_waiting(&listeners).await {
            held.push(next);
        }
        drop(listeners);
        shared
            .mailbox
            .send(Command::Service(id, ServiceEvent::Wanted));
        for (port, connection) in held {
            tokio::spawn(join(id, port, connection, shared.clone()));
        }
        // Until that is known the ports are not to be held again.
        leaves(id, &shared, &mut published).await;
    }
}

fn state(id: ServiceId, shared: &Shared) -> ServiceState {
    shared.status().services.state(id.spec().name)
}

/// Returns once the service's ports are not to be held any more.
async fn leaves(id: ServiceId, shared: &Shared, published: &mut watch::Receiver<u64>) {
    while state(id, shared) == ServiceState::Listening {
        if published.changed().await.is_err() {
            return;
        }
    }
}

fn bind_all(ports: &[u16]) -> io::Result<Vec<(u16, TcpListener)>> {
    ports.iter().map(|port| Ok((*port, bind(*port)?))).collect()
}

/// Listens on a port of all addresses, of both families where the kernel has both.
fn bind(port: u16) -> io::Result<TcpListener> {
    let listen = |socket: TcpSocket, address: SocketAddr| {
        // The service binds the same port while what was held is still open.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    match TcpSocket::new_v6() {
        Ok(socket) => listen(socket, (Ipv6Addr::UNSPECIFIED, port).into()),
        Err(_) => listen(TcpSocket::new_v4()?, (Ipv4Addr::UNSPECIFIED, port).into()),
    }
}

/// The next connection, with its port.
async fn accept(listeners: &[(u16, TcpListener)]) -> (u16, TcpStream) {
    std::future::poll_fn(|context| {
        for (port, listener) in listeners {
            // An error is of a connection that is gone again.
            if let Poll::Ready(Ok((connection, _))) = listener.poll_accept(context) {
                return Poll::Ready((*port, connection));
            }
        }
        Poll::Pending
    })
    .await
}

/// A connection that waits already.
async fn accept_waiting(listeners: &[(u16, TcpListener)]) -> Option<(u16, TcpStream)> {
    tokio::select! {
        biased;
        next = accept(listeners) => Some(next),
        () = std::future::ready(()) => None,
    }
}

/// Joins a connection with one to the service. It ends with a service that cannot be started.
async fn join(id: ServiceId, port: u16, mut connection: TcpStream, shared: Arc<Shared>) {
    let mut published = shared.subscribe();
    loop {
        published.mark_unchanged();
        match state(id, &shared) {
            ServiceState::Ready => {
                if let Ok(mut service) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await {
                    let _ = connection.set_nodelay(true);
                    let _ = service.set_nodelay(true);
                    // The error says that one of them left.
                    let _ = copy_bidirectional(&mut connection, &mut service).await;
                    return;
                }
                // One of which nobody said how it is seen to be up may not listen yet.
                tokio::time::sleep(CONNECT_INTERVAL).await;
            }
            ServiceState::Off | ServiceState::Failed | ServiceState::Stopped => return,
            // It is about to be started, also again.
            ServiceState::Listening | ServiceState::Starting | ServiceState::Backoff => {
                if published.changed().await.is_err() {
                    return;
                }
            }
        }
    }
}
