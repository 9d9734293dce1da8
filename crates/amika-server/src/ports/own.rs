//! Listening ports of their own: where no host name leads to a port of a sandbox, as where `*.localhost` is not known.
//!
//! Cookies do not tell ports apart, so the cookie of each has a name of its own, and says by its signature for which it
//! is. All else that a port's origin holds to, holds here.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};

use super::name::PortName;

/// The most there are at once.
const MOST: usize = 200;

/// A listener, and what ends it.
pub struct Listening {
    /// It listens.
    pub listener: TcpListener,
    /// Comes to an end when nobody is to be listened to any more.
    pub closed: oneshot::Receiver<()>,
}

/// All of them.
pub struct OwnPorts {
    open: Mutex<HashMap<u16, Open>>,
    to_server: mpsc::UnboundedSender<Listening>,
    from_here: Mutex<Option<mpsc::UnboundedReceiver<Listening>>>,
}

struct Open {
    name: PortName,
    /// Ends it when it is dropped.
    _end: oneshot::Sender<()>,
}

/// Why there is none.
#[derive(Debug)]
pub enum NoPort {
    /// There are as many as there may be.
    Full,
    /// The system gave none.
    System(std::io::Error),
}

impl Default for OwnPorts {
    fn default() -> Self {
        let (to_server, from_here) = mpsc::unbounded_channel();
        Self {
            open: Mutex::default(),
            to_server,
            from_here: Mutex::new(Some(from_here)),
        }
    }
}

impl OwnPorts {
    /// What is to be served; once, for the server.
    pub fn listeners(&self) -> Option<mpsc::UnboundedReceiver<Listening>> {
        let mut from_here = self
            .from_here
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        from_here.take()
    }

    /// The port of a sandbox that a listening port is of.
    pub fn name(&self, port: u16) -> Option<PortName> {
        self.all().get(&port).map(|open| open.name.clone())
    }

    /// Listens at an address for a port of a sandbox, unless it does already; where. Those of sandboxes that are gone
    /// are closed.
    ///
    /// # Errors
    /// [`NoPort`]
    pub async fn open(
        &self,
        name: PortName,
        address: IpAddr,
        is_there: impl Fn(&str) -> bool,
    ) -> Result<u16, NoPort> {
        let known = {
            let mut all = self.all();
            all.retain(|_, open| is_there(&open.name.sandbox_id));
            let mut known = all.iter().filter(|(_, open)| open.name == name);
            let known = known.next().map(|(port, _)| *port);
            if known.is_none() && all.len() >= MOST {
                return Err(NoPort::Full);
            }
            known
        };
        if let Some(port) = known {
            return Ok(port);
        }
        let listener = TcpListener::bind((address, 0)).await;
        let listener = listener.map_err(NoPort::System)?;
        let port = listener.local_addr().map_err(NoPort::System)?.port();
        let (end, closed) = oneshot::channel();
        self.all().insert(port, Open { name, _end: end });
        // A server that ends takes no more.
        let _ = self.to_server.send(Listening { listener, closed });
        Ok(port)
    }

    fn all(&self) -> std::sync::MutexGuard<'_, HashMap<u16, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(sandbox_id: &str, port: u16) -> PortName {
        PortName {
            port,
            sandbox_id: sandbox_id.to_owned(),
        }
    }

    #[tokio::test]
    async fn each_port_has_one_and_those_of_what_is_gone_are_closed() {
        let own = OwnPorts::default();
        let mut listeners = own.listeners().unwrap();
        assert!(own.listeners().is_none());
        let here: IpAddr = "127.0.0.1".parse().unwrap();
        let a = own.open(name("a", 3000), here, |_| true).await.unwrap();
        let again = own.open(name("a", 3000), here, |_| true).await.unwrap();
        let b = own.open(name("b", 3000), here, |_| true).await.unwrap();
        assert!(a == again && a != b);
        assert_eq!(own.name(a), Some(name("a", 3000)));
        let mut first = listeners.recv().await.unwrap();
        assert!(
            first
                .closed
                .try_recv()
                .is_err_and(|it| it == oneshot::error::TryRecvError::Empty)
        );
        own.open(name("b", 1), here, |id| id == "b").await.unwrap();
        assert_eq!((own.name(a), own.name(b)), (None, Some(name("b", 3000))));
        assert!(first.closed.await.is_err(), "it is told to end");
    }
}
