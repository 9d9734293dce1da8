//! `amika forward --remote`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use amika_core::contract::RESERVED_PORTS;
use amika_core::port::{Forward, Port};
use amika_sandbox::forward::{Bound, Complain, Forwarded, Key, MOST};

use super::Server;
use super::tunnel::Remote;
use crate::App;
use crate::args::forward::ForwardArgs;
use crate::commands::follow;
use crate::commands::sandbox::forward::{Event, Teller, refuse_twice, taken};
use crate::error::{Error, Kind, Result};

/// Between two looks at what listens.
const LOOK: Duration = Duration::from_secs(1);

pub(super) async fn run(args: &ForwardArgs, server: &Server, app: &App) -> Result<u8> {
    refuse_twice(&args.ports)?;
    follow(app, serve(args, server, app)).await
}

async fn serve(args: &ForwardArgs, server: &Server, app: &App) -> Result<()> {
    let tell = Teller::new(&app.out, &args.name);
    // One that is made under the same name later is another.
    let (sandbox, _) = server.sandbox(&args.name).await?;
    let mut session = Session {
        args,
        server,
        way: Arc::new(Remote {
            client: server.client.clone(),
            sandbox: sandbox.id,
        }),
        complain: tell.complain(),
        tell,
        named: Vec::new(),
        found: BTreeMap::new(),
    };
    // Of one that does not run the server says so.
    let listening = session.listening().await?;
    session.begin(&listening)?;
    if args.all {
        session.reconcile(listening)?;
    }
    let mut runs = true;
    loop {
        tokio::time::sleep(LOOK).await;
        let (name, tell) = (&args.name, &session.tell);
        match session.listening().await {
            Ok(listening) => {
                if !std::mem::replace(&mut runs, true) {
                    tell.note(
                        &tell.event(Event::Started),
                        &format!("sandbox \"{name}\" runs again"),
                    )?;
                }
                if args.all {
                    session.reconcile(listening)?;
                }
            }
            Err(error) if error.kind == Kind::NotFound => {
                return tell.note(
                    &tell.event(Event::Deleted),
                    &format!("sandbox \"{name}\" was deleted"),
                );
            }
            Err(error) if error.kind == Kind::Conflict => {
                if std::mem::replace(&mut runs, false) {
                    let text = format!(
                        "sandbox \"{name}\" stopped; its ports stay here for when it is started again"
                    );
                    tell.note(&tell.event(Event::Stopped), &text)?;
                }
            }
            Err(error) if error.kind == Kind::NotSignedIn => return Err(error),
            // The server is away for a while: those who come are told.
            Err(_) => {}
        }
    }
}

struct Session<'a> {
    args: &'a ForwardArgs,
    server: &'a Server,
    way: Arc<Remote>,
    tell: Teller,
    complain: Complain,
    named: Vec<Forwarded>,
    /// What `--all` has found; none where its port of this machine is taken.
    found: BTreeMap<Key, Option<Forwarded>>,
}

impl Session<'_> {
    async fn listening(&self) -> Result<BTreeMap<Key, Option<String>>> {
        let mut heard = self.server.ports(&self.way.sandbox).await?;
        heard.retain(|(port, _), _| !RESERVED_PORTS.contains(&port.get()));
        Ok(heard)
    }

    /// Takes the ports that were named, all or none.
    fn begin(&mut self, listening: &BTreeMap<Key, Option<String>>) -> Result<()> {
        let mut bound = Vec::new();
        for forward in &self.args.ports {
            bound.push((*forward, self.take(*forward)?));
        }
        for (forward, (local, sockets)) in bound {
            let key = (forward.port, forward.protocol);
            let program = listening.get(&key).cloned().flatten();
            self.tell
                .place(Event::Forwarding, key, local, program.as_deref())?;
            let way: Arc<Remote> = Arc::clone(&self.way);
            self.named
                .push(Forwarded::serve(sockets, forward.port, way, &self.complain));
        }
        Ok(())
    }

    fn take(&self, forward: Forward) -> Result<(Port, Bound)> {
        let (local, protocol) = (forward.local, forward.protocol);
        let (error, next) = match taken(local, protocol, self.args.any) {
            Ok(taken) => return Ok(taken),
            Err(refused) => refused,
        };
        let refusal = Error::new(
            Kind::Conflict,
            format!("port {local}/{protocol} of this machine cannot be had"),
        )
        .caused_by(&error);
        Err(match next {
            Some(free) => refusal
                .hint(format!(
                    "{free} is free: `{free}:{}`, or `--any`, which takes the next free one",
                    forward.port
                ))
                .detail("free_port", free.get()),
            None => refusal,
        })
    }

    /// Makes the table what is listened on.
    fn reconcile(&mut self, listening: BTreeMap<Key, Option<String>>) -> Result<()> {
        let gone: Vec<Key> = self
            .found
            .keys()
            .filter(|key| !listening.contains_key(key))
            .copied()
            .collect();
        for key in gone {
            if self.found.remove(&key).flatten().is_some() {
                let (port, protocol) = key;
                let text = format!("{port}/{protocol} is not listened on any more");
                self.tell
                    .note(&self.tell.of_port(Event::Closed, key), &text)?;
            }
        }
        for (key, program) in listening {
            if self.found.contains_key(&key) || self.found.len() >= MOST {
                continue;
            }
            let (port, protocol) = key;
            let entry = match self.take(Forward {
                local: port,
                port,
                protocol,
            }) {
                Ok((local, bound)) => {
                    self.tell
                        .place(Event::Forwarding, key, local, program.as_deref())?;
                    let way: Arc<Remote> = Arc::clone(&self.way);
                    Some(Forwarded::serve(bound, port, way, &self.complain))
                }
                Err(error) => {
                    self.tell.taken(key, &error)?;
                    None
                }
            };
            self.found.insert(key, entry);
        }
        Ok(())
    }
}
