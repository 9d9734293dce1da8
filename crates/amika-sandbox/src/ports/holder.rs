//! Who holds a port: a container that publishes it, or a process of this machine.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use amika_core::port::{HostIp, Protocol};
use amika_core::service::HostPort;
use serde::Serialize;

use crate::sandboxes::Sandboxes;
use amika_core::untrusted::Untrusted;
use amika_engine::PublishedPort;

/// What has a port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Holder {
    /// A container publishes it.
    Container {
        /// Its name.
        name: String,
    },
    /// A process listens on it.
    Process {
        /// Its id.
        pid: u32,
        /// Its command, without arguments: those may hold secrets.
        command: String,
    },
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Container { name } => write!(f, "container \"{}\"", Untrusted::new(name)),
            Self::Process { pid, command } => write!(f, "{} (pid {pid})", Untrusted::new(command)),
        }
    }
}

impl Holder {
    /// Finds what has a port of this machine, wherever the engine is.
    pub async fn find_here(engine: &Sandboxes, host: HostPort) -> Option<Self> {
        if engine.is_local() {
            return Self::find(engine, host).await;
        }
        process(Path::new("/proc"), host)
    }

    /// Finds what has a port; nothing when that cannot be seen from here.
    pub async fn find(engine: &Sandboxes, host: HostPort) -> Option<Self> {
        // The container first: the process that listens for it is the engine's, and tells nobody
        // what to end.
        let container = container(engine, host).await;
        container.or_else(|| {
            engine
                .is_local()
                .then(|| process(Path::new("/proc"), host))
                .flatten()
        })
    }
}

async fn container(engine: &Sandboxes, host: HostPort) -> Option<Holder> {
    let running = engine.running_containers().await.ok()?;
    let publishes =
        |port: &PublishedPort| super::place(port).is_some_and(|place| place.collides(host));
    let container = running
        .into_iter()
        .find(|container| container.ports.iter().any(publishes))?;
    Some(Holder::Container {
        name: container.name,
    })
}

/// Looks for a process with an open socket that has the port. Those of other users are hidden from
/// all but root.
fn process(proc: &Path, host: HostPort) -> Option<Holder> {
    let tables: &[&str] = match host.protocol {
        Protocol::Tcp => &["tcp", "tcp6"],
        Protocol::Udp => &["udp", "udp6"],
    };
    let inodes: BTreeSet<String> = tables
        .iter()
        .filter_map(|table| std::fs::read_to_string(proc.join("net").join(table)).ok())
        .flat_map(|table| {
            let inodes = sockets_at(&table, host).into_iter();
            inodes
                .map(|inode| format!("socket:[{inode}]"))
                .collect::<Vec<_>>()
        })
        .collect();
    if inodes.is_empty() {
        return None;
    }
    for entry in std::fs::read_dir(proc).ok()?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|pid| pid.parse().ok()) else {
            continue;
        };
        let Ok(files) = std::fs::read_dir(entry.path().join("fd")) else {
            continue;
        };
        let has_it = files.flatten().any(|file| {
            std::fs::read_link(file.path())
                .is_ok_and(|target| target.to_str().is_some_and(|it| inodes.contains(it)))
        });
        if has_it {
            let command = std::fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
            return Some(Holder::Process {
                pid,
                command: command.trim_end().to_owned(),
            });
        }
    }
    None
}

/// The inodes of the sockets in a table of `/proc/net` (proc(5)) that stand in a port's way.
fn sockets_at(table: &str, host: HostPort) -> Vec<&str> {
    /// `TCP_LISTEN`; for UDP the kernel shows a bound socket as `TCP_CLOSE`.
    const LISTEN: &str = "0A";
    const BOUND: &str = "07";
    let state = match host.protocol {
        Protocol::Tcp => LISTEN,
        Protocol::Udp => BOUND,
    };
    table
        .lines()
        .skip(1)
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_ascii_whitespace().collect();
            let (address, port) = fields.get(1)?.split_once(':')?;
            let here = u16::from_str_radix(port, 16).ok()? == host.port.get()
                && *fields.get(3)? == state
                && HostIp::from(address_of(address)?).overlaps(host.ip);
            here.then_some(*fields.get(9)?)
        })
        .filter(|inode| *inode != "0")
        .collect()
}

/// Reads an address as the kernel prints it: words of four bytes, each as a number of this machine.
fn address_of(text: &str) -> Option<IpAddr> {
    let word = |at: usize| {
        u32::from_str_radix(text.get(at..at + 8)?, 16)
            .ok()
            .map(u32::to_ne_bytes)
    };
    match text.len() {
        8 => Some(IpAddr::V4(Ipv4Addr::from(word(0)?))),
        32 => {
            let mut bytes = [0; 16];
            for (index, chunk) in bytes.chunks_exact_mut(4).enumerate() {
                chunk.copy_from_slice(&word(index * 8)?);
            }
            Some(IpAddr::V6(Ipv6Addr::from(bytes)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::net::{SocketAddr, TcpListener, UdpSocket};

    use amika_core::port::Port;

    use super::*;

    fn at(address: SocketAddr, protocol: Protocol) -> HostPort {
        HostPort {
            ip: HostIp::from(address.ip()),
            port: Port::new(address.port()).unwrap(),
            protocol,
        }
    }

    #[test]
    fn this_process_is_found_by_its_sockets() {
        let found = |address, protocol| process(Path::new("/proc"), at(address, protocol));
        let is_this = |holder: &Option<Holder>| matches!(holder, Some(Holder::Process { pid, .. }) if *pid == std::process::id());
        for ip in ["127.0.0.1:0", "0.0.0.0:0", "[::1]:0"] {
            let tcp = TcpListener::bind(ip).unwrap();
            let holder = found(tcp.local_addr().unwrap(), Protocol::Tcp);
            assert!(is_this(&holder), "{ip}: {holder:?}");
            let udp = UdpSocket::bind(ip).unwrap();
            let holder = found(udp.local_addr().unwrap(), Protocol::Udp);
            assert!(is_this(&holder), "{ip}/udp: {holder:?}");
        }
    }

    #[test]
    fn a_wildcard_listener_holds_every_address() {
        let tcp = TcpListener::bind("0.0.0.0:0").unwrap();
        let port = tcp.local_addr().unwrap().port();
        let local = at(([127, 0, 0, 1], port).into(), Protocol::Tcp);
        assert!(process(Path::new("/proc"), local).is_some());
    }

    #[test]
    fn a_port_that_nobody_has_has_no_holder() {
        let free = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        assert_eq!(process(Path::new("/proc"), at(free, Protocol::Tcp)), None);
    }

    #[test]
    fn established_connections_hold_nothing() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
                     0: 0100007F:0BB8 0100007F:A0F6 01 00000000:00000000 00:00000000 00000000  0  0 4711 1\n\
                     1: 0100007F:0BB8 00000000:0000 0A 00000000:00000000 00:00000000 00000000  0  0 4712 1\n";
        let host = at("127.0.0.1:3000".parse().unwrap(), Protocol::Tcp);
        if cfg!(target_endian = "little") {
            assert_eq!(sockets_at(table, host), ["4712"]);
        }
    }

    #[test]
    fn a_holder_s_name_cannot_steer_the_terminal() {
        let holder = Holder::Process {
            pid: 7,
            command: "a\u{1b}[2Jb".into(),
        };
        assert_eq!(holder.to_string(), "a\\u{1b}[2Jb (pid 7)");
    }
}
