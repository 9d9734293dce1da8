//! The kernel's tables of sockets as text: `/proc/net/tcp` and its likes, proc(5).

use std::fs::File;
use std::io::{BufRead, BufReader, Read as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use amika_core::port::Protocol;

use super::{SOCKETS, Socket, waits};

/// So much of a table is read: sockets that wait come first in TCP's.
const TABLE: u64 = 4 << 20;

/// The sockets of a protocol that wait; none where there are no such tables.
pub(super) fn read(protocol: Protocol) -> Vec<Socket> {
    let names = match protocol {
        Protocol::Tcp => ["/proc/net/tcp", "/proc/net/tcp6"],
        Protocol::Udp => ["/proc/net/udp", "/proc/net/udp6"],
    };
    let mut sockets = Vec::new();
    // A kernel without IPv6 has no table for it.
    for table in names.into_iter().filter_map(|name| File::open(name).ok()) {
        let lines = BufReader::new(table.take(TABLE)).split(b'\n');
        let lines = lines.map_while(Result::ok).skip(1);
        let texts = lines.filter_map(|line| String::from_utf8(line).ok());
        let found = texts.filter_map(|line| socket(&line, protocol));
        sockets.extend(found.take(SOCKETS));
    }
    sockets
}

/// A line's socket, if it waits: `sl local remote st queues timer retrnsmt uid timeout inode`.
fn socket(line: &str, protocol: Protocol) -> Option<Socket> {
    let mut fields = line.split_ascii_whitespace().skip(1);
    let (address, port) = fields.next()?.split_once(':')?;
    let state = u8::from_str_radix(fields.nth(1)?, 16).ok()?;
    let uid = fields.nth(3)?.parse().ok()?;
    let inode = fields.nth(1)?.parse().ok()?;
    let port = u16::from_str_radix(port, 16).ok()?;
    (state == waits(protocol) && port != 0).then_some(())?;
    let address = ip(address)?.to_canonical();
    Some(Socket {
        protocol,
        address,
        port,
        // The tables do not tell it of `::`, which mostly takes both.
        ipv6_only: address.is_ipv6() && !address.is_unspecified(),
        inode,
        uid,
    })
}

/// An address in words of the machine's byte order, each in hexadecimal digits.
fn ip(text: &str) -> Option<IpAddr> {
    let word = |text: &str| {
        let digits = text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let word = digits.then(|| u32::from_str_radix(text, 16).ok())?;
        word.map(u32::to_ne_bytes)
    };
    match text.len() {
        8 => word(text).map(|bytes| Ipv4Addr::from(bytes).into()),
        32 => {
            let mut bytes = [0; 16];
            for (at, place) in bytes.chunks_exact_mut(4).enumerate() {
                place.copy_from_slice(&word(text.get(8 * at..8 * at + 8)?)?);
            }
            Some(Ipv6Addr::from(bytes).into())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(line: &str, protocol: Protocol) -> Option<(String, u16, bool, u64, u32)> {
        let socket = socket(line, protocol)?;
        let address = socket.address.to_string();
        Some((
            address,
            socket.port,
            socket.ipv6_only,
            socket.inode,
            socket.uid,
        ))
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn sockets_that_wait_are_found_with_address_inode_and_user() {
        let listens = "   0: 0100007F:0BB8 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4242 1 0 100 0 0 10 0";
        assert_eq!(
            found(listens, Protocol::Tcp),
            Some(("127.0.0.1".into(), 3000, false, 4242, 1000))
        );
        let connected = listens.replace(" 0A ", " 01 ");
        assert_eq!(found(&connected, Protocol::Tcp), None);
        let header = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode";
        assert_eq!(found(header, Protocol::Tcp), None);
        let six = |address: &str| {
            format!(
                " 1: {address}:1F90 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 7 1"
            )
        };
        let loopback = six("00000000000000000000000001000000");
        assert_eq!(
            found(&loopback, Protocol::Tcp),
            Some(("::1".into(), 8080, true, 7, 0))
        );
        let all = six("00000000000000000000000000000000");
        assert_eq!(
            found(&all, Protocol::Tcp),
            Some(("::".into(), 8080, false, 7, 0))
        );
        let mapped = six("0000000000000000FFFF00000100007F");
        assert_eq!(
            found(&mapped, Protocol::Tcp),
            Some(("127.0.0.1".into(), 8080, false, 7, 0))
        );
        let datagrams = listens.replace(" 0A ", " 07 ");
        assert!(found(&datagrams, Protocol::Udp).is_some());
        assert_eq!(found(&datagrams, Protocol::Tcp), None);
    }

    proptest! {
        #[test]
        fn any_line_is_read_or_passed_over(line in ".{0,200}") {
            let _ = socket(&line, Protocol::Tcp);
        }

        #[test]
        fn any_fields_are_read_or_passed_over(
            line in "[ ]{0,3}[0-9]{1,4}: [0-9A-F+]{0,40}:[0-9A-F]{0,6} [0-9A-F:]{0,40} (0A|07|01|FFF) [0-9:]{1,20} [0-9:]{1,9} [0-9]{1,9} [0-9-]{1,12} 0 [0-9]{1,25}"
        ) {
            if let Some(socket) = socket(&line, Protocol::Udp) {
                prop_assert!(socket.port != 0);
            }
        }
    }
}
