//! What this machine's kernel says of a port.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener, UdpSocket};

use amika_core::port::{HostIp, Port, Protocol};
use amika_core::service::{Availability, HostPort, PortProbe};

/// Asks the kernel by binding.
pub struct Kernel;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_taken_while_something_listens() {
        for (protocol, ip) in [
            (Protocol::Tcp, "127.0.0.1"),
            (Protocol::Udp, "127.0.0.1"),
            (Protocol::Tcp, "0.0.0.0"),
        ] {
            let ip: HostIp = ip.parse().unwrap();
            let address = SocketAddr::new(ip.addr(), 0);
            let (port, held): (u16, Box<dyn std::any::Any>) = match protocol {
                Protocol::Tcp => {
                    let socket = TcpListener::bind(address).unwrap();
                    (socket.local_addr().unwrap().port(), Box::new(socket))
                }
                Protocol::Udp => {
                    let socket = UdpSocket::bind(address).unwrap();
                    (socket.local_addr().unwrap().port(), Box::new(socket))
                }
            };
            let at = HostPort {
                ip: HostIp::LOCALHOST,
                port: Port::new(port).unwrap(),
                protocol,
            };
            assert_eq!(Kernel.probe(at), Availability::Taken, "{at}");
            drop(held);
            assert_eq!(Kernel.probe(at), Availability::Free, "{at}");
        }
    }
}
