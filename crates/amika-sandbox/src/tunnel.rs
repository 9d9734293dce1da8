//! One tunnel to a port of a sandbox, by its name: for whoever asks once.

use amika_core::contract::{OPENCODE_PORT, RESERVED_PORTS};
use amika_core::port::Port;
use amika_core::tunnel::Upgrade;
use amika_core::wire::{Listener, OpenCodeAccess};
use hyper::StatusCode;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;

use crate::daemon::{Client, ClientError};
use crate::error::{Error, Kind, Result};
use crate::sandbox::Sandbox;
use crate::sandboxes::Sandboxes;

/// Bytes of, or frames about, a port of a sandbox.
pub type Tunnel = TokioIo<Upgraded>;

/// Why there is no tunnel.
#[derive(Debug)]
pub enum NoTunnel {
    /// It runs, and nobody has the port; with what does listen.
    Nobody(Vec<Listener>),
    /// As many go at once as amikad lets.
    TooMany,
    /// Anything else.
    Other(Error),
}

impl<E: Into<Error>> From<E> for NoTunnel {
    fn from(error: E) -> Self {
        Self::Other(error.into())
    }
}

/// Refuses ports of amikad's own: it is never spoken to by a tunnel.
///
/// # Errors
/// [`Kind::Invalid`] for those from 60899 to 60999, of which 60998 is OpenCode's and allowed.
pub fn must_be_open(port: Port) -> Result<()> {
    let number = port.get();
    if RESERVED_PORTS.contains(&number) && number != OPENCODE_PORT {
        let (first, last) = (RESERVED_PORTS.start(), RESERVED_PORTS.end());
        let message = format!("port {number} is reserved: Amika uses ports {first} to {last}");
        return Err(Error::new(Kind::Invalid, message));
    }
    Ok(())
}

/// The way to the amikad of a sandbox that runs.
#[derive(Clone)]
pub struct Gate {
    client: Client,
    /// The engine's id of its container: another one is another sandbox, or another start of it.
    pub container: String,
}

impl Gate {
    /// What signs in to OpenCode in it; none where it has none or does not tell.
    pub async fn opencode_access(&self) -> Option<OpenCodeAccess> {
        self.client.opencode_access().await.ok()
    }
}

impl Sandboxes {
    /// The way to the ports of a sandbox.
    ///
    /// # Errors
    /// [`Kind::NotFound`], [`Kind::Conflict`] for one that does not run, and those of the engine.
    pub async fn gate(&self, name: &str) -> Result<Gate> {
        let sandbox = Sandbox::find_whole(self, name).await?;
        sandbox.must_run()?;
        Ok(Gate {
            client: sandbox.client(self)?,
            container: sandbox.container.id.clone(),
        })
    }

    /// Opens a tunnel to a port of a sandbox, also where only its loopback has it.
    ///
    /// # Errors
    /// As [`Sandboxes::gate`] and [`Gate::open`].
    pub async fn tunnel(
        &self,
        name: &str,
        port: Port,
        protocol: Upgrade,
    ) -> Result<Tunnel, NoTunnel> {
        self.gate(name).await?.open(port, protocol).await
    }
}

impl Gate {
    /// Opens a tunnel to a port.
    ///
    /// # Errors
    /// [`NoTunnel`].
    pub async fn open(&self, port: Port, protocol: Upgrade) -> Result<Tunnel, NoTunnel> {
        must_be_open(port)?;
        match self.client.tunnel(port.get(), protocol).await {
            Ok(tunnel) => Ok(TokioIo::new(tunnel)),
            Err(ClientError::Refused { status, .. }) if status == StatusCode::BAD_GATEWAY => {
                // Without the list it is known all the same that nobody is there.
                let listening = self.client.ports().await.unwrap_or_default();
                Err(NoTunnel::Nobody(listening))
            }
            Err(ClientError::Refused { status, .. }) if status == StatusCode::TOO_MANY_REQUESTS => {
                Err(NoTunnel::TooMany)
            }
            Err(error) => Err(no_answer(&error).into()),
        }
    }

    /// Tells amikad that a person asked for something, which counts as activity.
    pub async fn tell_input(&self) {
        if let Err(error) = self.client.tell_input().await {
            tracing::debug!(%error, "amikad is not told of a request");
        }
    }

    /// Its amikad.
    pub fn client(&self) -> &Client {
        &self.client
    }
}

/// A failure of amikad's, as whoever asked is told of it.
pub(crate) fn no_answer(error: &ClientError) -> Error {
    let message = match error {
        ClientError::Refused { message, .. } => message.clone(),
        _ => "the sandbox's amikad does not answer".to_owned(),
    };
    let mut told = Error::new(Kind::Failure, message);
    if !matches!(error, ClientError::Refused { .. }) {
        told = told.caused_by(error);
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amikads_own_ports_are_closed_to_tunnels() {
        for (port, is_open) in [
            (1, true),
            (60898, true),
            (60899, false),
            (60998, true),
            (60999, false),
            (61000, true),
        ] {
            let port = Port::new(port).expect("a port");
            assert_eq!(must_be_open(port).is_ok(), is_open, "{port:?}");
        }
    }
}
