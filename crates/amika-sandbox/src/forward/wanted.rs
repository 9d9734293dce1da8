//! Which ports `--all` means.

use std::collections::BTreeMap;

use amika_core::port::{Port, Protocol};
use amika_core::wire::Listener;

/// A port of the sandbox.
pub type Key = (Port, Protocol);

/// So many ports are forwarded at once: a program inside decides how many there are, and each takes one of this machine's.
pub const MOST: usize = 256;

/// The ports of a list, each with the program that has it. A UDP socket on a number that the kernel chose is a
/// client's, which waits for an answer, and no server.
pub fn wanted(list: &[Listener]) -> BTreeMap<Key, Option<String>> {
    list.iter()
        .filter(|listener| listener.protocol == Protocol::Tcp || !listener.ephemeral)
        .filter_map(|listener| {
            let key = (Port::new(listener.port)?, listener.protocol);
            Some((key, listener.program.clone()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_that_wait_for_an_answer_are_no_servers() {
        let listener = |port, protocol, ephemeral| Listener {
            port,
            protocol,
            address: "0.0.0.0".into(),
            loopback_only: false,
            ipv6_only: false,
            ephemeral,
            pid: Some(7),
            program: Some("node".into()),
            user: None,
            since: 0,
        };
        let list = [
            listener(3000, Protocol::Tcp, false),
            listener(3000, Protocol::Tcp, false),
            listener(40_000, Protocol::Tcp, true),
            listener(40_000, Protocol::Udp, true),
            listener(53, Protocol::Udp, false),
        ];
        let keys: Vec<(u16, Protocol)> = wanted(&list)
            .into_keys()
            .map(|(port, protocol)| (port.get(), protocol))
            .collect();
        assert_eq!(
            keys,
            [
                (53, Protocol::Udp),
                (3000, Protocol::Tcp),
                (40_000, Protocol::Tcp)
            ]
        );
    }
}
