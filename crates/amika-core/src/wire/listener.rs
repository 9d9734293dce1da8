//! What listens in a sandbox, as `/v1/ports` tells it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::port::Protocol;

/// A socket in the sandbox that takes what comes to a port: an entry of `GET /v1/ports`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Listener {
    /// The port.
    pub port: u16,
    /// `tcp` or `udp`.
    pub protocol: Protocol,
    /// The address, without a port; `0.0.0.0` and `::` are all of them.
    pub address: String,
    /// Whether only the sandbox itself reaches it: the address is a loopback one.
    pub loopback_only: bool,
    /// Whether it takes no IPv4: a published port, which leads to an IPv4 address, does not reach it.
    pub ipv6_only: bool,
    /// Whether the number is of those that the kernel gives to who asks for none.
    pub ephemeral: bool,
    /// The process, one of them where several share the socket; none where it cannot be seen.
    pub pid: Option<i32>,
    /// Its name, which it chose itself.
    pub program: Option<String>,
    /// Who it runs as: a name, else a number.
    pub user: Option<String>,
    /// When amikad saw it first; the process's start where nobody was watching by then.
    pub since: u64,
}

impl Listener {
    /// Whether a published port reaches it.
    pub fn can_be_published(&self) -> bool {
        !self.loopback_only && !self.ipv6_only
    }

    /// By what it is the same one in the next list.
    pub fn key(&self) -> (u16, Protocol, &str) {
        (self.port, self.protocol, &self.address)
    }
}

/// An event `port` of `GET /v1/events`: something began or ceased to listen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortChange {
    /// When it was seen.
    pub at: u64,
    /// Whether it listens now.
    pub listening: bool,
    /// What it is, or was.
    #[serde(flatten)]
    pub listener: Listener,
}

/// What is new and what is gone between two lists; gone comes first, since a port may have changed hands.
pub fn port_changes(before: &[Listener], now: &[Listener], at: u64) -> Vec<PortChange> {
    let keyed = |list: &[Listener]| -> BTreeMap<(u16, Protocol, String), Listener> {
        let entry = |listener: &Listener| {
            let (port, protocol, address) = listener.key();
            ((port, protocol, address.to_owned()), listener.clone())
        };
        // Not collected: that would bring a sort into amikad.
        let mut keyed = BTreeMap::new();
        keyed.extend(list.iter().map(entry));
        keyed
    };
    let (before, now) = (keyed(before), keyed(now));
    let differ = |one: &Listener, other: Option<&Listener>| {
        other.is_none_or(|other| (one.pid, one.since) != (other.pid, other.since))
    };
    let change = |listening: bool, listener: &Listener| PortChange {
        at,
        listening,
        listener: listener.clone(),
    };
    let gone = before
        .iter()
        .filter(|(key, listener)| differ(listener, now.get(key)))
        .map(|(_, listener)| change(false, listener));
    let new = now
        .iter()
        .filter(|(key, listener)| differ(listener, before.get(key)))
        .map(|(_, listener)| change(true, listener));
    gone.chain(new).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listener(port: u16, pid: i32) -> Listener {
        Listener {
            port,
            protocol: Protocol::Tcp,
            address: "127.0.0.1".into(),
            loopback_only: true,
            ipv6_only: false,
            ephemeral: false,
            pid: Some(pid),
            program: Some("node".into()),
            user: Some("amika".into()),
            since: 5,
        }
    }

    fn told(before: &[Listener], now: &[Listener]) -> Vec<(bool, u16)> {
        let changes = port_changes(before, now, 9);
        changes
            .iter()
            .map(|change| (change.listening, change.listener.port))
            .collect()
    }

    #[test]
    fn only_what_differs_is_a_change_and_what_is_gone_comes_first() {
        let (web, db) = (listener(3000, 7), listener(5432, 8));
        assert!(told(&[web.clone(), db.clone()], &[db.clone(), web.clone()]).is_empty());
        assert_eq!(
            told(std::slice::from_ref(&web), std::slice::from_ref(&db)),
            [(false, 3000), (true, 5432)]
        );
        assert_eq!(
            told(&[web], &[listener(3000, 9)]),
            [(false, 3000), (true, 3000)]
        );
    }

    #[test]
    fn a_change_is_a_flat_document() {
        let change = &port_changes(&[], &[listener(3000, 7)], 9)[0];
        let json = serde_json::to_value(change).expect("JSON");
        assert_eq!(json["listening"], true);
        assert_eq!(json["port"], 3000);
        assert_eq!(json["protocol"], "tcp");
        assert_eq!(
            serde_json::from_value::<PortChange>(json).expect("the same"),
            *change
        );
    }
}
