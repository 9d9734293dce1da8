//! The host's ports: whether one is free now, and one that the system offers.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener, UdpSocket};

use amika_core::port::{HostIp, Port, Protocol, Publish};
use amika_core::service::{
    Availability, Binding, HostPort, PortProbe, ResolveError, Service, Unprobed, resolve,
};

use crate::error::{CommandError, ExitCode, Result};

/// Asks the kernel by binding.
struct Kernel;

impl PortProbe for Kernel {
    fn probe(&mut self, at: HostPort) -> Availability {
        match bind(at.ip, at.port.get(), at.protocol) {
            Ok(_) => Availability::Free,
            Err(error) if error.kind() == ErrorKind::PermissionDenied => Availability::NotPermitted,
            Err(_) => Availability::Taken,
        }
    }

    fn ephemeral(&mut self, host_ip: HostIp, protocol: Protocol) -> Option<Port> {
        Port::new(bind(host_ip, 0, protocol).ok()?)
    }
}

/// Binds and lets go again; returns the port.
fn bind(ip: HostIp, port: u16, protocol: Protocol) -> std::io::Result<u16> {
    let address = SocketAddr::new(ip.addr(), port);
    match protocol {
        Protocol::Tcp => TcpListener::bind(address)?.local_addr(),
        Protocol::Udp => UdpSocket::bind(address)?.local_addr(),
    }
    .map(|address| address.port())
}

/// Settles the host port of every service and flag. A remote engine's ports cannot be probed.
///
/// # Errors
/// [`ExitCode::Usage`] for flags that contradict each other, [`ExitCode::Conflict`] for a port that
/// is in the way.
pub fn settle(
    services: &[Service],
    flags: &[Publish],
    host_ip: HostIp,
    excluded: &BTreeSet<HostPort>,
    local: bool,
) -> Result<Vec<Binding>> {
    let resolved = if local {
        resolve(services, flags, host_ip, excluded, &mut Kernel)
    } else {
        let mut probe = Unprobed(|n| rand::random_range(0..n));
        resolve(services, flags, host_ip, excluded, &mut probe)
    };
    resolved.map_err(|error| {
        let code = match error {
            ResolveError::FlagTwice { .. } => ExitCode::Usage,
            _ => ExitCode::Conflict,
        };
        let hint = match &error {
            ResolveError::Conflict { flag, .. } => {
                format!("drop `{flag}`, or remove the port from the service")
            }
            ResolveError::FlagTwice { .. } => "publish each port once".to_owned(),
            ResolveError::HostPortTaken { .. } => {
                "choose another host port, or leave it out and the system chooses one".to_owned()
            }
            ResolveError::NoFreePort { .. } => "end programs that hold ports".to_owned(),
        };
        CommandError::new(code, error.to_string()).hint(hint)
    })
}
