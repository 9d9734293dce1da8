//! What listens in the sandbox: the kernel's sockets, and whose they are.
//!
//! Nothing is connected to, so nobody notices being looked at. `diag` asks the kernel for sockets that wait and no
//! others, `tables` reads them where that is not to be had, `owner` finds the process, `look` makes the list,
//! and `watch` looks at each tick for as long as somebody follows it. `whose` tells whether a port is who should have it.

mod diag;
mod look;
mod owner;
mod tables;
mod watch;
mod whose;

use std::net::IpAddr;

use amika_core::port::Protocol;

pub(crate) use watch::{List, follow, now};
pub(crate) use whose::{Whose, whose};

/// A socket that takes what comes to its port.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Socket {
    protocol: Protocol,
    /// As the kernel has it, but IPv4 in IPv6's clothes taken out of them.
    address: IpAddr,
    port: u16,
    /// Whether it is IPv6 and takes no IPv4.
    ipv6_only: bool,
    /// Its number among the kernel's sockets, by which a process's descriptor is told.
    inode: u64,
    /// Whose it is.
    uid: u32,
}

/// So many sockets are told at most; a program that opens more is not worth the memory.
const SOCKETS: usize = 2048;
/// State of a listening TCP socket, `TCP_LISTEN` of the kernel.
const TCP_LISTEN: u8 = 10;
/// State of an unconnected UDP socket, `TCP_CLOSE` there: one that takes what comes.
const UDP_UNCONNECTED: u8 = 7;

/// In which state a socket waits.
fn waits(protocol: Protocol) -> u8 {
    match protocol {
        Protocol::Tcp => TCP_LISTEN,
        Protocol::Udp => UDP_UNCONNECTED,
    }
}
