//! `amika forward`: ports of a sandbox on this machine, for as long as it runs.

mod told;

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use amika_core::port::{Forward, HostIp, Port, Protocol};
use amika_core::service::HostPort;
use amika_core::wire::{Listener, Phase};
use futures_util::StreamExt as _;
use tokio::time::Instant;

use crate::App;
use crate::args::forward::ForwardArgs;
use crate::commands::{follow, interruptible};
use crate::daemon::{Client, ClientError};
use crate::error::{Error, Kind, Result};
use crate::forward::{Bound, Complain, Forwarded, Key, MOST, Way, bind, next_free, wanted};
use crate::ports::{Holder, in_use, place};
use crate::sandbox::Sandbox;
use crate::sandboxes::Sandboxes;
use amika_core::text::shell_quote;
use amika_engine::ContainerFacts;
pub(in crate::commands) use told::{Event, ForwardEvent, Teller};

/// Before a sandbox that runs and does not answer is asked again.
const RETRY: Duration = Duration::from_millis(300);
/// Ports of a sandbox that starts anew are kept for its servers, until CMD has run for so long.
const SETTLING: Duration = Duration::from_secs(3);

pub(super) async fn run(args: &ForwardArgs, app: &App) -> Result<u8> {
    refuse_twice(&args.ports)?;
    let mut session = interruptible(app, Session::prepare(args, app)).await?;
    follow(app, session.serve()).await
}

/// Refuses ports of this machine that are named twice.
pub(in crate::commands) fn refuse_twice(forwards: &[Forward]) -> Result<()> {
    let mut seen = BTreeSet::new();
    for forward in forwards {
        let (local, protocol) = (forward.local, forward.protocol);
        if !seen.insert((local, protocol)) {
            return Err(Error::new(
                Kind::Invalid,
                format!("port {local}/{protocol} of this machine is named twice"),
            )
            .hint(format!("`LOCAL:{}` names another one", forward.port)));
        }
    }
    Ok(())
}

/// One run of the command.
struct Session<'a> {
    args: &'a ForwardArgs,
    engine: Sandboxes,
    way: Arc<Way>,
    tell: Teller,
    complain: Complain,
    facts: ContainerFacts,
    /// What was named; one port of the sandbox may be brought to several here.
    named: Vec<Forwarded>,
    /// What `--all` has found.
    found: BTreeMap<Key, Entry>,
}

/// What became of a port that was found.
enum Entry {
    /// It is forwarded for as long as this is there.
    Served { _served: Forwarded },
    /// The sandbox publishes it.
    Published,
    /// Somebody else has the port of this machine.
    Taken,
}

impl<'a> Session<'a> {
    async fn prepare(args: &'a ForwardArgs, app: &App) -> Result<Self> {
        let engine = crate::engine::connect(&app.user).await?;
        let sandbox = Sandbox::find_whole(&engine, &args.name).await?;
        sandbox.must_run()?;
        let tell = Teller::new(&app.out, &args.name);
        let complain = tell.complain();
        let mut session = Self {
            args,
            way: Arc::new(Way::new(&engine, &sandbox)?),
            engine,
            tell,
            complain,
            facts: sandbox.container,
            named: Vec::new(),
            found: BTreeMap::new(),
        };
        session.begin().await?;
        Ok(session)
    }

    /// Takes the ports that were named, all or none.
    async fn begin(&mut self) -> Result<()> {
        let listening = match self.way.running().await {
            Some(client) => client.ports().await.map_err(|error| self.unknown(&error))?,
            None => Vec::new(),
        };
        let mut bound = Vec::new();
        for forward in &self.args.ports {
            let key = (forward.port, forward.protocol);
            let is_there = self.publishes(key, forward.local) && !is_out_of_reach(key, &listening);
            let taken = if is_there {
                None
            } else {
                Some(self.take(*forward).await?)
            };
            bound.push((*forward, taken));
        }
        let programs = programs(&listening);
        for (forward, taken) in bound {
            let key = (forward.port, forward.protocol);
            let program = programs.get(&key).cloned().flatten();
            let (event, local) = match &taken {
                Some((local, _)) => (Event::Forwarding, *local),
                None => (Event::Published, forward.local),
            };
            self.tell.place(event, key, local, program.as_deref())?;
            if let Some((_, sockets)) = taken {
                let served =
                    Forwarded::serve(sockets, forward.port, self.way.clone(), &self.complain);
                self.named.push(served);
            }
            if !programs.contains_key(&key)
                && forward.port.get() != amika_core::contract::OPENCODE_PORT
            {
                self.tell.aside(&nobody_yet(forward, &listening));
            }
        }
        Ok(())
    }

    /// A port of this machine, or the next free one where that is as good.
    async fn take(&self, forward: Forward) -> Result<(Port, Bound)> {
        let (local, protocol) = (forward.local, forward.protocol);
        let (error, next) = match taken(local, protocol, self.args.any) {
            Ok(taken) => return Ok(taken),
            Err(refused) => refused,
        };
        let host = HostPort {
            ip: HostIp::LOCALHOST,
            port: local,
            protocol,
        };
        let key = (forward.port, protocol);
        let refusal = if error.kind() == ErrorKind::AddrInUse && self.publishes(key, local) {
            let mut refusal = in_use(host, None);
            refusal.message = format!(
                "sandbox \"{}\" publishes {}/{protocol} at {host}, and nobody is reached there: in the sandbox it is listened on by loopback or IPv6 alone",
                self.args.name, forward.port
            );
            refusal
        } else if error.kind() == ErrorKind::AddrInUse {
            in_use(host, Holder::find_here(&self.engine, host).await.as_ref())
        } else {
            Error::new(
                Kind::Conflict,
                format!("port {host} of this machine cannot be had"),
            )
            .caused_by(&error)
        };
        let Some(free) = next else {
            return Err(refusal.hint("end programs that hold ports"));
        };
        let refusal = match self.published(key).find(|_| !self.publishes(key, local)) {
            Some(elsewhere) => refusal.hint(format!(
                "the sandbox publishes {}/{protocol} at {elsewhere}",
                forward.port
            )),
            None => refusal,
        };
        let offered = Forward {
            local: free,
            ..forward
        };
        let name = shell_quote(&self.args.name);
        let refusal = refusal.detail("free_port", free.get());
        Err(if self.args.all {
            refusal.hint(format!(
                "`amika forward {name} --all --any` takes others for those that are taken, {free} for this one"
            ))
        } else {
            refusal.hint(format!(
                "{free} is free: `amika forward {name} {offered}`, or `--any`, which takes the next free one"
            ))
        })
    }

    /// Serves until the sandbox is gone.
    async fn serve(&mut self) -> Result<()> {
        let (way, tell) = (Arc::clone(&self.way), self.tell.clone());
        let name = way.name();
        let watched = way.watch(|runs| {
            if runs {
                tell.note(
                    &tell.event(Event::Started),
                    &format!("sandbox \"{name}\" runs again"),
                )
            } else {
                let text = format!(
                    "sandbox \"{name}\" stopped; its ports stay here for when it is started again"
                );
                tell.note(&tell.event(Event::Stopped), &text)
            }
        });
        tokio::select! {
            ended = watched => {
                ended?;
                tell.note(&tell.event(Event::Deleted), &format!("sandbox \"{name}\" was deleted"))
            }
            failed = self.all(), if self.args.all => failed,
        }
    }

    /// Follows what listens, through stops and starts.
    async fn all(&mut self) -> Result<()> {
        let mut is_first = true;
        loop {
            let Some(client) = self.way.running().await else {
                // The end is told by who watches.
                return std::future::pending().await;
            };
            match client.follow_ports().await {
                Ok(lists) => {
                    let lists = std::pin::pin!(lists);
                    self.follow(&client, lists, is_first).await?;
                    is_first = false;
                }
                Err(error @ ClientError::Refused { .. }) => return Err(self.unknown(&error)),
                Err(_) => {}
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    /// Follows one boot's lists.
    async fn follow(
        &mut self,
        client: &Client,
        mut lists: impl futures_util::Stream<Item = Result<Vec<Listener>, ClientError>> + Unpin,
        is_first: bool,
    ) -> Result<()> {
        // Servers need a while to come up: until then, what was forwarded before stays.
        let mut is_settling = !is_first;
        let mut ran_since = None;
        let mut latest = Vec::new();
        let mut is_first = is_first;
        loop {
            tokio::select! {
                next = lists.next() => {
                    let Some(Ok(list)) = next else { return Ok(()) };
                    latest = list;
                    self.reconcile(&latest, is_settling, is_first).await?;
                    is_first = false;
                }
                () = tokio::time::sleep(RETRY), if is_settling => {
                    if ran_since.is_none() && runs(client).await {
                        ran_since = Some(Instant::now());
                    }
                    if ran_since.is_some_and(|since| since.elapsed() > SETTLING) {
                        is_settling = false;
                        self.reconcile(&latest, false, false).await?;
                    }
                }
            }
        }
    }

    /// Makes the table what the list says; `keep` leaves what is not in it.
    async fn reconcile(&mut self, list: &[Listener], keep: bool, must: bool) -> Result<()> {
        let wanted = wanted(list);
        let gone: Vec<Key> = self
            .found
            .keys()
            .filter(|key| !keep && !wanted.contains_key(key))
            .copied()
            .collect();
        for key in gone {
            let entry = self.found.remove(&key);
            if matches!(entry, Some(Entry::Served { .. } | Entry::Published)) {
                let (port, protocol) = key;
                let text = format!("{port}/{protocol} is not listened on any more");
                self.tell
                    .note(&self.tell.of_port(Event::Closed, key), &text)?;
            }
        }
        for (key, program) in wanted {
            if self.found.contains_key(&key) {
                continue;
            }
            if self.found.len() >= MOST {
                self.tell.too_many()?;
                break;
            }
            let entry = self.add(key, program, list, must).await?;
            self.found.insert(key, entry);
        }
        Ok(())
    }

    async fn add(
        &self,
        key: Key,
        program: Option<String>,
        list: &[Listener],
        must: bool,
    ) -> Result<Entry> {
        let (port, protocol) = key;
        let forward = Forward {
            local: port,
            port,
            protocol,
        };
        if self.publishes(key, port) && !is_out_of_reach(key, list) {
            self.tell
                .place(Event::Published, key, port, program.as_deref())?;
            return Ok(Entry::Published);
        }
        match self.take(forward).await {
            Ok((local, bound)) => {
                self.tell
                    .place(Event::Forwarding, key, local, program.as_deref())?;
                Ok(Entry::Served {
                    _served: Forwarded::serve(bound, port, self.way.clone(), &self.complain),
                })
            }
            // What the sandbox itself has the port with is nobody's to end, and the others are forwarded all the same.
            Err(error) if must && !self.publishes(key, port) => Err(error),
            Err(error) => {
                self.tell.taken(key, &error)?;
                Ok(Entry::Taken)
            }
        }
    }

    /// Where on this machine the sandbox publishes a port; nowhere, where the engine is elsewhere.
    fn published(&self, (port, protocol): Key) -> impl Iterator<Item = HostPort> {
        let is_here = self.engine.is_local() && !self.engine.reach().is_elsewhere();
        let published = self.facts.port_requests.iter().filter(move |published| {
            is_here && published.container_port == port.get() && published.protocol == protocol
        });
        published.filter_map(place)
    }

    /// Whether the sandbox publishes a port at this number of this machine's loopback.
    fn publishes(&self, key: Key, local: Port) -> bool {
        let here = HostPort {
            ip: HostIp::LOCALHOST,
            port: local,
            protocol: key.1,
        };
        self.published(key).any(|place| place.collides(here))
    }

    fn unknown(&self, error: &ClientError) -> Error {
        let name = &self.args.name;
        let told = Error::new(
            Kind::Failure,
            format!("the amikad of sandbox \"{name}\" does not tell what listens"),
        )
        .caused_by(error);
        match error {
            ClientError::Refused { status, .. } if status.as_u16() == 404 => told
                .hint("it is older than this amika: a sandbox that is made now has the newer one"),
            _ => told.hint(format!("`amika sandbox inspect {name}` shows its state")),
        }
    }
}

/// Takes a port of this machine, or the next free one where `any` is as good.
///
/// # Errors
/// Why it cannot be had, and the next one that is free.
pub(in crate::commands) fn taken(
    local: Port,
    protocol: Protocol,
    any: bool,
) -> std::result::Result<(Port, Bound), (std::io::Error, Option<Port>)> {
    let error = match bind(local, protocol) {
        Ok(bound) => return Ok((local, bound)),
        Err(error) => error,
    };
    match next_free(local, protocol) {
        Some(next) if any => Ok(next),
        next => Err((error, next.map(|(free, _)| free))),
    }
}

/// Whether CMD runs.
async fn runs(client: &Client) -> bool {
    let status = client.status().await;
    status.is_ok_and(|status| status.phase == Phase::Running)
}

/// Who listens, by port.
fn programs(list: &[Listener]) -> BTreeMap<Key, Option<String>> {
    list.iter()
        .filter_map(|listener| {
            let port = Port::new(listener.port)?;
            Some(((port, listener.protocol), listener.program.clone()))
        })
        .collect()
}

/// Whether a port is listened on, and by nobody whom a published port reaches.
fn is_out_of_reach((port, protocol): Key, list: &[Listener]) -> bool {
    let mut listeners = list
        .iter()
        .filter(|listener| (listener.port, listener.protocol) == (port.get(), protocol))
        .peekable();
    listeners.peek().is_some() && !listeners.any(Listener::can_be_published)
}

/// What is told of a port that nobody has yet.
fn nobody_yet(forward: Forward, listening: &[Listener]) -> String {
    let (port, protocol) = (forward.port, forward.protocol);
    let others: Vec<String> = wanted(listening)
        .into_keys()
        .map(|(port, protocol)| format!("{port}/{protocol}"))
        .collect();
    let others = if others.is_empty() {
        "nothing does".to_owned()
    } else {
        format!("these do: {}", others.join(", "))
    };
    format!("nothing listens on {port}/{protocol} in the sandbox yet; {others}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_of_this_machine_is_named_once() {
        let read = |texts: &[&str]| -> Vec<Forward> {
            texts.iter().map(|text| text.parse().expect(text)).collect()
        };
        refuse_twice(&read(&["3000", "3001:3000", "3000/udp"])).expect("three ports");
        let error = refuse_twice(&read(&["3000", "3000:80"])).expect_err("one port");
        assert_eq!(error.kind, Kind::Invalid);
        assert!(error.message.contains("3000/tcp"), "{}", error.message);
    }
}
