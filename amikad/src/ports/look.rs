//! One look at what listens.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use amika_core::contract::RESERVED_PORTS;
use amika_core::port::Protocol;
use amika_core::wire::Listener;

use super::owner::{self, Owner};
use super::{Socket, diag, tables};
use crate::ordered;
use crate::users::Accounts;

/// The name server that engines put into the network of a container, without a process in it.
const ENGINES_RESOLVER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 11));
/// So many times a socket's process is looked for: the engine's sockets have none.
const TRIES: u8 = 3;
/// What the last look has not seen is new if that was so short ago, and else as old as its process.
const WATCHED: Duration = Duration::from_secs(3);
/// So many are told at most.
const LISTENERS: usize = 1000;

/// What is known from one look to the next.
#[derive(Debug, Default)]
pub(super) struct Looker {
    known: BTreeMap<u64, Known>,
    last: Option<Instant>,
}

#[derive(Debug)]
struct Known {
    owner: Option<Owner>,
    tries: u8,
    since: Option<u64>,
    user: Option<String>,
}

impl Looker {
    /// What listens now, by port.
    pub(super) fn look(&mut self) -> Vec<Listener> {
        let mut sockets = Vec::new();
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            sockets.extend(diag::ask(protocol).unwrap_or_else(|| tables::read(protocol)));
        }
        sockets.retain(|socket| !RESERVED_PORTS.contains(&socket.port));
        let is_watched = self.last.is_some_and(|last| last.elapsed() < WATCHED);
        self.last = Some(Instant::now());
        self.recognise(&sockets, is_watched);
        self.list(sockets)
    }

    /// Keeps what is known of these sockets, forgets the others, and looks for the processes of those whose own is not known.
    fn recognise(&mut self, sockets: &[Socket], is_watched: bool) {
        let inodes = ordered::map(sockets.iter().map(|socket| (socket.inode, socket.uid)));
        self.known.retain(|inode, _| inodes.contains_key(inode));
        let mut nobodys = BTreeSet::new();
        for inode in inodes.keys().copied() {
            let known = self.known.entry(inode).or_insert(Known {
                owner: None,
                tries: 0,
                since: None,
                user: None,
            });
            if known.owner.as_ref().is_some_and(|owner| !owner.has(inode)) {
                known.owner = None;
                known.tries = 0;
            }
            if known.owner.is_none() && known.tries < TRIES {
                known.tries += 1;
                nobodys.insert(inode);
            }
        }
        if nobodys.is_empty() {
            return;
        }
        let mut owners = owner::find(nobodys.clone());
        let accounts = Accounts::read();
        let now = now();
        for inode in nobodys {
            let Some(known) = self.known.get_mut(&inode) else {
                continue;
            };
            known.owner = owners.remove(&inode);
            let started = known.owner.as_ref().and_then(|owner| owner.started);
            let unwatched = started.filter(|_| !is_watched).unwrap_or(now);
            known.since.get_or_insert(unwatched);
            let sockets_own = inodes.get(&inode).copied().unwrap_or_default();
            let uid = known.owner.as_ref().map_or(sockets_own, |owner| owner.uid);
            let name = accounts.by_uid(uid).name;
            known.user = Some(name.unwrap_or_else(|| uid.to_string()));
        }
    }

    fn list(&self, sockets: Vec<Socket>) -> Vec<Listener> {
        let ephemeral = ephemeral();
        let listeners = sockets.into_iter().filter_map(|socket| {
            let known = self.known.get(&socket.inode);
            let owner = known.and_then(|known| known.owner.as_ref());
            if socket.address == ENGINES_RESOLVER && owner.is_none() {
                return None;
            }
            Some(Listener {
                port: socket.port,
                protocol: socket.protocol,
                address: socket.address.to_string(),
                loopback_only: socket.address.is_loopback(),
                ipv6_only: socket.ipv6_only,
                ephemeral: ephemeral.contains(&socket.port),
                pid: owner.map(|owner| owner.pid),
                program: owner.map(|owner| owner.program.clone()),
                user: known.and_then(|known| known.user.clone()),
                since: known.and_then(|known| known.since).unwrap_or_else(now),
            })
        });
        // Workers share a port, each with a socket of its own: the oldest stands for all.
        let mut oldest: BTreeMap<(u16, Protocol, String), Listener> = BTreeMap::new();
        for listener in listeners {
            let (port, protocol, address) = listener.key();
            match oldest.entry((port, protocol, address.to_owned())) {
                Entry::Vacant(place) => {
                    place.insert(listener);
                }
                Entry::Occupied(mut place) => {
                    let there = place.get();
                    if (listener.since, listener.pid) < (there.since, there.pid) {
                        place.insert(listener);
                    }
                }
            }
        }
        oldest.into_values().take(LISTENERS).collect()
    }
}

/// The numbers that the kernel gives to who asks for none; its own default where it does not say.
fn ephemeral() -> RangeInclusive<u16> {
    let text = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range");
    let range = text.ok().and_then(|text| {
        let mut numbers = text.split_ascii_whitespace();
        Some(numbers.next()?.parse().ok()?..=numbers.next()?.parse().ok()?)
    });
    range.unwrap_or(32768..=60999)
}

fn now() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
    since_epoch.map_or(0, |time| {
        u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
    })
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_listener_is_told_with_its_process_and_keeps_its_time() {
        let mut looker = Looker::default();
        looker.look();
        let begun = now();
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = server.local_addr().unwrap().port();
        let mut look = || {
            let all = looker.look();
            all.into_iter().find(|listener| listener.port == port)
        };
        let first = look().expect("it listens");
        assert_eq!(first.pid, Some(std::process::id().cast_signed()));
        assert_eq!(first.address, "127.0.0.1");
        assert!(first.loopback_only && !first.ipv6_only && first.ephemeral);
        assert!(first.since >= begun, "{first:?} {begun}");
        assert!(first.program.is_some() && first.user.is_some());
        assert_eq!(look(), Some(first));
        drop(server);
        assert_eq!(look(), None);
    }
}
