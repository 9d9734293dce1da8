//! Ports of a sandbox brought to this machine: `amika forward`.
//!
//! `way` knows how the sandbox is reached now, over stops, starts and another container in its place; `bind` takes ports
//! of this machine; `streams` and `datagrams` carry what comes there through tunnels, each by itself;
//! `wanted` tells which ports `--all` means.

mod bind;
mod datagrams;
mod streams;
mod wanted;
mod way;

pub use bind::{Bound, bind, next_free};
pub use wanted::{Key, MOST, wanted};
pub use way::{Failure, Way};

use std::sync::Arc;

use amika_core::port::{Port, Protocol};
use amika_core::tunnel::Upgrade;
use futures_util::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

/// Tunnels to one port that are being opened at once: each may be a program that the engine starts in the sandbox.
/// Those to a port that does not accept hold up no other port's.
const OPENING: usize = 16;

/// What a tunnel is carried by.
pub trait Carrier: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Carrier for T {}

/// A tunnel to a port of a sandbox.
pub type Tunnel = Box<dyn Carrier>;

/// Who opens tunnels to the ports of a sandbox: its amikad, or a server that asks it.
pub trait Opens: Send + Sync {
    /// Opens one.
    fn open(&self, port: Port, protocol: Upgrade) -> BoxFuture<'_, Result<Tunnel, Failure>>;
}

/// Who is told that a port could not be reached.
pub type Complain = Arc<dyn Fn(Key, &Failure) + Send + Sync>;

/// A port that is forwarded until this is dropped; connections that are open by then go on.
pub struct Forwarded(JoinHandle<()>);

impl Forwarded {
    /// Serves what comes to `bound` from the sandbox's `port`.
    pub fn serve(bound: Bound, port: Port, way: Arc<dyn Opens>, complain: &Complain) -> Self {
        let to = To {
            port,
            way,
            complain: Arc::clone(complain),
            opening: Arc::new(Semaphore::new(OPENING)),
        };
        Self(match bound {
            Bound::Streams(listeners) => tokio::spawn(streams::serve(listeners, to)),
            Bound::Datagrams(sockets) => tokio::spawn(datagrams::serve(sockets, to)),
        })
    }
}

/// Where what comes to a port goes.
#[derive(Clone)]
struct To {
    port: Port,
    way: Arc<dyn Opens>,
    complain: Complain,
    opening: Arc<Semaphore>,
}

impl To {
    /// A tunnel; none when there cannot be one, which is told.
    async fn open(&self, protocol: Upgrade) -> Option<Tunnel> {
        // It is never closed.
        let turn = self.opening.acquire().await;
        let opened = self.way.open(self.port, protocol).await;
        drop(turn);
        let protocol = match protocol {
            Upgrade::Udp => Protocol::Udp,
            Upgrade::Tcp | Upgrade::TcpFrames => Protocol::Tcp,
        };
        opened
            .inspect_err(|failure| (self.complain)((self.port, protocol), failure))
            .ok()
    }
}

impl Drop for Forwarded {
    fn drop(&mut self) {
        self.0.abort();
    }
}
