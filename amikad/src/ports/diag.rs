//! The kernel's sockets by `sock_diag(7)`: those that wait and no others, whatever number is connected, and whether an IPv6 one
//! takes IPv4 too, which the tables in `/proc` do not tell.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use amika_core::port::Protocol;
use nix::libc;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockProtocol, SockType, setsockopt, socket, sockopt::ReceiveTimeout,
};
use nix::sys::time::{TimeVal, TimeValLike as _};

use super::{SOCKETS, Socket, waits};

/// Length of a netlink message's header: length, type, flags, sequence, port; netlink(7).
const HEADER: usize = 16;
/// Message types: an end, a refusal, and a request or answer of this family.
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
/// `NLM_F_REQUEST | NLM_F_DUMP`.
const FLAGS: u16 = 0x301;
/// Length of a request's `inet_diag_req_v2`.
const REQUEST: usize = 56;
/// Length of an answer's `inet_diag_msg`, behind which its attributes stand.
const ANSWER: usize = 72;
/// The attribute that tells whether an IPv6 socket takes IPv4.
const INET_DIAG_SKV6ONLY: u16 = 11;

/// Asks for the sockets of a protocol that wait; none where the kernel does not answer such questions.
pub(super) fn ask(protocol: Protocol) -> Option<Vec<Socket>> {
    let flags = SockFlag::SOCK_CLOEXEC;
    let kind = SockProtocol::NetlinkSockDiag;
    let socket = socket(AddressFamily::Netlink, SockType::Raw, flags, kind).ok()?;
    setsockopt(&socket, ReceiveTimeout, &TimeVal::seconds(1)).ok()?;
    let mut kernel = File::from(socket);
    let mut sockets = Vec::new();
    let mut buffer = vec![0; 32 << 10];
    for family in [libc::AF_INET, libc::AF_INET6] {
        kernel.write_all(&request(family, protocol)).ok()?;
        let before = sockets.len();
        loop {
            let length = kernel.read(&mut buffer).ok()?;
            let whole = take(buffer.get(..length)?, protocol, &mut sockets)?;
            if whole {
                break;
            }
            // The rest of the answer is dropped with the socket.
            if sockets.len() - before > SOCKETS {
                return Some(sockets);
            }
        }
    }
    Some(sockets)
}

/// A question for all sockets of a family and protocol that wait.
fn request(family: i32, protocol: Protocol) -> Vec<u8> {
    let number = match protocol {
        Protocol::Tcp => libc::IPPROTO_TCP,
        Protocol::Udp => libc::IPPROTO_UDP,
    };
    let states = 1_u32 << waits(protocol);
    let length = u32::try_from(HEADER + REQUEST).unwrap_or_default();
    let mut message = Vec::with_capacity(HEADER + REQUEST);
    message.extend(length.to_ne_bytes());
    message.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    message.extend(FLAGS.to_ne_bytes());
    message.extend([0; 8]);
    let byte = |number: i32| u8::try_from(number).unwrap_or_default();
    message.extend([byte(family), byte(number), 0, 0]);
    message.extend(states.to_ne_bytes());
    message.resize(HEADER + REQUEST, 0);
    message
}

/// Takes the sockets out of one datagram of the answer; whether it was the last. None for a refusal, and for
/// what is no answer.
fn take(mut bytes: &[u8], protocol: Protocol, sockets: &mut Vec<Socket>) -> Option<bool> {
    while bytes.len() >= HEADER {
        let length = usize::try_from(u32::from_ne_bytes(array(bytes, 0)?)).ok()?;
        let kind = u16::from_ne_bytes(array(bytes, 4)?);
        let message = bytes.get(HEADER..length)?;
        match kind {
            NLMSG_DONE => return Some(true),
            NLMSG_ERROR => return None,
            SOCK_DIAG_BY_FAMILY => sockets.extend(socket_in(message, protocol)),
            _ => {}
        }
        // Each message begins at a multiple of four.
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    // An empty datagram would be followed by none.
    (!bytes.is_empty() || !sockets.is_empty()).then_some(false)
}

/// The socket of one answer, if it waits.
fn socket_in(message: &[u8], protocol: Protocol) -> Option<Socket> {
    let (family, state) = (i32::from(*message.first()?), *message.get(1)?);
    let port = u16::from_be_bytes(array(message, 4)?);
    let address: IpAddr = match family {
        libc::AF_INET => Ipv4Addr::from(array::<4>(message, 8)?).into(),
        libc::AF_INET6 => Ipv6Addr::from(array::<16>(message, 8)?).into(),
        _ => return None,
    };
    let uid = u32::from_ne_bytes(array(message, 64)?);
    let inode = u32::from_ne_bytes(array(message, 68)?);
    (state == waits(protocol) && port != 0).then_some(())?;
    let address = address.to_canonical();
    let attributes = message.get(ANSWER..).unwrap_or_default();
    Some(Socket {
        protocol,
        address,
        port,
        ipv6_only: address.is_ipv6() && (!address.is_unspecified() || refuses_ipv4(attributes)),
        inode: inode.into(),
        uid,
    })
}

/// Whether the attributes say that an IPv6 socket takes no IPv4.
fn refuses_ipv4(mut attributes: &[u8]) -> bool {
    while let (Some(length), Some(kind)) = (array(attributes, 0), array(attributes, 2)) {
        let length = usize::from(u16::from_ne_bytes(length));
        if u16::from_ne_bytes(kind) == INET_DIAG_SKV6ONLY {
            return attributes.get(4).is_some_and(|value| *value != 0);
        }
        match attributes.get(length.max(4).next_multiple_of(4)..) {
            Some(rest) => attributes = rest,
            None => return false,
        }
    }
    false
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, UdpSocket};

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_kernel_tells_of_sockets_that_wait_as_its_tables_do() {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        for (protocol, port) in [
            (Protocol::Tcp, tcp.local_addr().unwrap().port()),
            (Protocol::Udp, udp.local_addr().unwrap().port()),
        ] {
            let one = |sockets: Vec<Socket>| {
                let mine = |socket: &Socket| socket.port == port && socket.address.is_loopback();
                sockets.into_iter().find(mine)
            };
            let asked = one(ask(protocol).expect("an answer"));
            assert_eq!(asked, one(super::super::tables::read(protocol)));
            assert!(!asked.expect("ours").ipv6_only);
        }
    }

    #[test]
    fn whether_all_addresses_are_those_of_both_families_is_told() {
        // One that takes both: std never asks for the other.
        let both = TcpListener::bind("[::]:0").unwrap();
        let port = both.local_addr().unwrap().port();
        let sockets = ask(Protocol::Tcp).unwrap();
        let socket = sockets.iter().find(|socket| socket.port == port).unwrap();
        let only = std::fs::read_to_string("/proc/sys/net/ipv6/bindv6only").unwrap();
        assert_eq!(socket.ipv6_only, only.trim() == "1");
        let attribute = |kind: u16, value: u8| {
            let mut bytes = 5_u16.to_ne_bytes().to_vec();
            bytes.extend(kind.to_ne_bytes());
            bytes.extend([value, 0, 0, 0]);
            bytes
        };
        let other = attribute(8, 1);
        assert!(!refuses_ipv4(&other));
        assert!(refuses_ipv4(&[other.clone(), attribute(11, 1)].concat()));
        assert!(!refuses_ipv4(&[other, attribute(11, 0)].concat()));
    }

    #[test]
    fn a_refusal_is_no_answer() {
        let mut message = 36_u32.to_ne_bytes().to_vec();
        message.extend(NLMSG_ERROR.to_ne_bytes());
        message.resize(36, 0);
        assert_eq!(take(&message, Protocol::Tcp, &mut Vec::new()), None);
        message[4..6].copy_from_slice(&NLMSG_DONE.to_ne_bytes());
        assert_eq!(take(&message, Protocol::Tcp, &mut Vec::new()), Some(true));
        assert_eq!(take(&[], Protocol::Tcp, &mut Vec::new()), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300), length in 0_u32..300) {
            let _ = take(&bytes, Protocol::Tcp, &mut Vec::new());
            let mut message = length.to_ne_bytes().to_vec();
            message.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
            message.extend(bytes);
            let _ = take(&message, Protocol::Udp, &mut Vec::new());
        }
    }
}
