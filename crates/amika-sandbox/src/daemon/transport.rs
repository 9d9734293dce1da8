//! The way to amikad: its published port on a local engine, else a relay through an exec.

use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use amika_core::contract::{AMIKAD_PORT, path};
use futures_util::StreamExt as _;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;

use amika_engine::{Engine, ExecOutput, ExecSpec, PublishedPort};

/// Until a port of this machine accepts.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Until the engine has started the relay.
const RELAY_TIMEOUT: Duration = Duration::from_secs(10);

/// A byte stream in both directions.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// How to reach one sandbox's amikad.
#[derive(Clone)]
pub(super) enum Transport {
    /// A port of this machine: whoever answers there has to prove itself.
    Published(SocketAddr),
    /// `amikad relay` in the container, as root, through the engine: no proof is asked for.
    Relay {
        /// The engine that runs the container.
        engine: Engine,
        /// The container.
        container: String,
    },
}

impl Transport {
    /// The published port, where it is this machine's.
    pub(super) fn published(engine: &Engine, ports: &[PublishedPort]) -> Option<Self> {
        let port = ports
            .iter()
            .find(|port| port.container_port == AMIKAD_PORT)?;
        let address = SocketAddr::new(port.host_ip.parse().ok()?, port.host_port?);
        engine.is_local().then_some(Self::Published(address))
    }

    /// The relay, which works wherever exec does.
    pub(super) fn relay(engine: &Engine, container: &str) -> Self {
        Self::Relay {
            engine: engine.clone(),
            container: container.to_owned(),
        }
    }

    pub(super) async fn open(&self) -> std::io::Result<Pin<Box<dyn Duplex>>> {
        match self {
            Self::Published(address) => {
                let connecting = TcpStream::connect(address);
                let stream = tokio::time::timeout(CONNECT_TIMEOUT, connecting).await??;
                stream.set_nodelay(true)?;
                Ok(Box::pin(stream))
            }
            Self::Relay { engine, container } => {
                tokio::time::timeout(RELAY_TIMEOUT, relay(engine, container)).await?
            }
        }
    }
}

async fn relay(engine: &Engine, container: &str) -> std::io::Result<Pin<Box<dyn Duplex>>> {
    let spec = ExecSpec {
        command: vec![path::AMIKAD.to_owned(), "relay".to_owned()],
        user: Some("0".into()),
        stdin: true,
        ..ExecSpec::default()
    };
    let session = engine
        .exec(container, &spec)
        .await
        .map_err(std::io::Error::other)?;
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    let (mut from_us, mut to_us) = tokio::io::split(theirs);
    let mut output = session.output;
    tokio::spawn(async move {
        while let Some(item) = output.next().await {
            let Ok(item) = item else { break };
            if let ExecOutput::Stdout(bytes) = item
                && to_us.write_all(&bytes).await.is_err()
            {
                break;
            }
        }
        let _ = to_us.shutdown().await;
    });
    let mut input = session.input;
    tokio::spawn(async move {
        let mut buffer = [0; 8 * 1024];
        while let Ok(count @ 1..) = from_us.read(&mut buffer).await {
            if input.write_all(&buffer[..count]).await.is_err() || input.flush().await.is_err() {
                break;
            }
        }
        let _ = input.shutdown().await;
    });
    Ok(Box::pin(ours))
}
