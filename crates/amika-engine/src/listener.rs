//! Who listens on a port of this machine's loopback: an engine, or who passes it on from elsewhere.
//!
//! A port tells nothing of who took its connection, as a socket file does. The kernel's table of listeners has
//! the inode of each, and the open files of each process those that it holds.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

/// The engines' own programs, by the names that the kernel keeps of processes. Whoever else listens passes a
/// connection on, as `ssh -L`, `socat` and `docker-proxy` do, and nobody can tell where to.
const ENGINES: [&str; 2] = ["dockerd", "podman"];
/// State of a socket that listens, in the kernel's tables.
const LISTENS: &str = "0A";

/// A port of this machine's loopback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LoopbackPort {
    /// The addresses that are meant; two for `localhost`.
    pub(super) addresses: Vec<IpAddr>,
    /// The port.
    pub(super) port: u16,
}

impl LoopbackPort {
    /// Reads `HOST:PORT`; none for other hosts, and for one without a port.
    pub(super) fn parse(authority: &str) -> Option<Self> {
        let (host, port) = authority.rsplit_once(':')?;
        let addresses = if host == "localhost" {
            vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]
        } else {
            let bare = host.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
            let address: IpAddr = bare.unwrap_or(host).parse().ok()?;
            vec![address]
        };
        addresses.iter().all(IpAddr::is_loopback).then_some(Self {
            addresses,
            port: port.parse().ok()?,
        })
    }

    /// Whether engines that see this machine's files are all who listens there. In doubt they are not: nobody
    /// but root and its own user may look at the open files of a process.
    pub(super) fn is_an_engines(&self) -> bool {
        self.is_held_by(&ENGINES)
    }

    fn is_held_by(&self, names: &[&str]) -> bool {
        let inodes: Vec<u64> = ["/proc/net/tcp", "/proc/net/tcp6"]
            .iter()
            .filter_map(|table| std::fs::read_to_string(table).ok())
            .flat_map(|table| self.listeners(&table))
            .collect();
        !inodes.is_empty() && {
            let held = held_here_by(names);
            inodes.iter().all(|inode| held.contains(inode))
        }
    }

    /// The inodes of those who would be given a connection to this port, in a table of `/proc/net`.
    fn listeners(&self, table: &str) -> Vec<u64> {
        table
            .lines()
            .filter_map(|line| {
                let fields: Vec<&str> = line.split_whitespace().collect();
                let (address, port) = fields.get(1)?.split_once(':')?;
                let address = address_of(address)?;
                let takes = *fields.get(3)? == LISTENS
                    && u16::from_str_radix(port, 16).ok()? == self.port
                    && (address.is_unspecified() || self.addresses.contains(&address));
                takes.then(|| fields.get(9)?.parse().ok()).flatten()
            })
            .collect()
    }
}

/// Reads an address as the kernel writes it: words of 32 bits in the machine's order.
fn address_of(hex: &str) -> Option<IpAddr> {
    let word = |at: usize| {
        let digits = hex.get(at * 8..at * 8 + 8)?;
        u32::from_str_radix(digits, 16).ok().map(u32::to_ne_bytes)
    };
    match hex.len() {
        8 => word(0).map(IpAddr::from),
        32 => {
            let bytes: Vec<u8> = [word(0)?, word(1)?, word(2)?, word(3)?].concat();
            let bytes: [u8; 16] = bytes.try_into().ok()?;
            Some(IpAddr::from(bytes).to_canonical())
        }
        _ => None,
    }
}

/// The sockets that processes of these names have open, as far as they have this machine's mounts, as a program in a
/// container has not.
fn held_here_by(names: &[&str]) -> Vec<u64> {
    let Ok(mounts) = std::fs::read_link("/proc/self/ns/mnt") else {
        return Vec::new();
    };
    let Ok(processes) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    processes
        .flatten()
        .map(|process| process.path())
        .filter(|process| {
            let name = std::fs::read_to_string(process.join("comm"));
            name.is_ok_and(|name| names.contains(&name.trim_end()))
                && std::fs::read_link(process.join("ns/mnt")).is_ok_and(|its| its == mounts)
        })
        .flat_map(|process| sockets_of(&process))
        .collect()
}

fn sockets_of(process: &Path) -> Vec<u64> {
    let Ok(files) = std::fs::read_dir(process.join("fd")) else {
        return Vec::new();
    };
    files
        .flatten()
        .filter_map(|file| {
            let target = std::fs::read_link(file.path()).ok()?;
            let inode = target.to_str()?.strip_prefix("socket:[")?;
            inode.strip_suffix(']')?.parse().ok()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn only_a_port_of_loopback_may_be_this_machines() {
        for (authority, count) in [
            ("127.0.0.1:2375", 1),
            ("127.8.9.1:2375", 1),
            ("[::1]:2375", 1),
            ("localhost:2375", 2),
        ] {
            let port = LoopbackPort::parse(authority).expect(authority);
            assert_eq!((port.addresses.len(), port.port), (count, 2375));
        }
        for authority in [
            "10.0.0.1:2375",
            "0.0.0.0:2375",
            "localhost.example:1",
            "localhost",
            "127.0.0.1",
            "127.0.0.1:",
            "127.0.0.1.example:1",
            "",
        ] {
            assert_eq!(LoopbackPort::parse(authority), None, "{authority}");
        }
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn who_listens_on_the_address_or_on_all_takes_the_connection() {
        let v4 = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
             0: 0100007F:0947 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 11 1 0\n\
             1: 00000000:0947 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 12 1 0\n\
             2: 0100007F:0948 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 13 1 0\n\
             3: 0100007F:0947 0100007F:9C40 01 00000000:00000000 00:00000000 00000000     0        0 14 1 0\n\
             4: 0500000A:0947 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 15 1 0\n";
        let v6 = "header\n\
             0: 00000000000000000000000001000000:0947 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 21 1\n\
             1: 00000000000000000000000000000000:0947 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 22 1\n\
             2: 0000000000000000FFFF00000100007F:0947 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 23 1\n";
        let port = |authority| LoopbackPort::parse(authority).expect("one");
        assert_eq!(port("127.0.0.1:2375").listeners(v4), [11, 12]);
        assert_eq!(port("127.0.0.1:2375").listeners(v6), [22, 23]);
        assert_eq!(port("[::1]:2375").listeners(v6), [21, 22]);
        assert_eq!(port("localhost:2375").listeners(v6), [21, 22, 23]);
    }

    #[test]
    fn a_listener_is_an_engine_by_its_programs_name_alone() {
        let own = std::fs::read_to_string("/proc/self/comm").expect("a name");
        for address in ["127.0.0.1", "0.0.0.0"] {
            let listener = TcpListener::bind((address, 0)).expect("bound");
            let number = listener.local_addr().expect("an address").port();
            let port = LoopbackPort::parse(&format!("127.0.0.1:{number}")).expect("one");
            assert!(port.is_held_by(&[own.trim_end()]), "{address}");
            assert!(!port.is_an_engines(), "{address}");
            drop(listener);
            assert!(!port.is_held_by(&[own.trim_end()]), "nobody listens");
        }
    }
}
