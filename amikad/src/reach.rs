//! `amikad reach`: waits until a service beside the sandbox takes connections, or answers a request.
//!
//! It is found by its name, as the programs of the sandbox find it. This program is linked statically and has no resolver of a C
//! library: one question to the name server of `/etc/resolv.conf`, which is the engine's own, is all that is needed (RFC 1035).

use std::fs;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::say::say;

/// From one try to the next.
const PAUSE: Duration = Duration::from_millis(100);
/// How long one of a try's steps may take.
const STEP: Duration = Duration::from_secs(2);
/// Where the engine tells its name server.
const RESOLVER: &str = "/etc/resolv.conf";
/// The port of name servers.
const DNS_PORT: u16 = 53;
/// An address of IPv4, and the class of the internet: RFC 1035, sections 3.2.2 and 3.2.4.
const TYPE_A: u16 = 1;
const CLASS_IN: u16 = 1;

/// What is to be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reach {
    /// Its name, or an address.
    pub(crate) host: String,
    /// Its port.
    pub(crate) port: u16,
    /// Beginning with `/`, a path that is to be answered with a status below 400; none where a connection will do.
    pub(crate) path: Option<String>,
    /// For so long it is tried.
    pub(crate) within: Duration,
}

/// Exits 0 once it is reached, else 1, and says then what was in the way.
pub(crate) fn reach(wanted: &Reach) -> i32 {
    let begun = Instant::now();
    loop {
        let Err(error) = try_once(wanted) else {
            return 0;
        };
        if begun.elapsed() + PAUSE >= wanted.within {
            let Reach {
                host, port, within, ..
            } = wanted;
            let seconds = within.as_secs();
            say(format!(
                "{host}:{port} is not reached after {seconds} s: {error}"
            ));
            return 1;
        }
        sleep(PAUSE);
    }
}

fn try_once(wanted: &Reach) -> io::Result<()> {
    let address = match wanted.host.parse::<IpAddr>() {
        Ok(address) => address,
        Err(_) => IpAddr::V4(address_of(&wanted.host)?),
    };
    let stream = TcpStream::connect_timeout(&SocketAddr::new(address, wanted.port), STEP)?;
    match &wanted.path {
        None => Ok(()),
        Some(path) => ask(stream, &wanted.host, path),
    }
}

/// Asks for a path in HTTP/1.0, whose answers end with the connection.
fn ask(mut stream: TcpStream, host: &str, path: &str) -> io::Result<()> {
    let until = Instant::now() + STEP;
    stream.set_write_timeout(Some(STEP))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {host}\r\n\r\n")?;
    let (mut head, mut filled) = ([0; 12], 0);
    while filled < head.len() {
        // A byte at a time, it is over all the same. No time at all would be none that ends.
        let left = until.saturating_duration_since(Instant::now());
        stream.set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
        match stream.read(&mut head[filled..])? {
            0 => break,
            count => filled += count,
        }
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
    }
    let head = String::from_utf8_lossy(&head);
    let status = head.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..));
    match status.and_then(|status| status.parse::<u16>().ok()) {
        Some(200..400) => Ok(()),
        Some(status) => Err(io::Error::other(format!(
            "{path} is answered with {status}"
        ))),
        None => Err(io::Error::other("it answers in another language than HTTP")),
    }
}

fn address_of(name: &str) -> io::Result<Ipv4Addr> {
    let server = server(&fs::read_to_string(RESOLVER)?)
        .ok_or_else(|| io::Error::other(format!("{RESOLVER} names no server")))?;
    let ours = match server {
        IpAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        IpAddr::V6(_) => SocketAddr::from((std::net::Ipv6Addr::UNSPECIFIED, 0)),
    };
    let socket = UdpSocket::bind(ours)?;
    socket.set_read_timeout(Some(STEP))?;
    socket.connect((server, DNS_PORT))?;
    // A socket that is connected hears its server alone.
    let [.., high, low] = std::process::id().to_be_bytes();
    let id = u16::from_be_bytes([high, low]);
    socket.send(&question(id, name))?;
    let mut answer = [0; 1500];
    let length = socket.recv(&mut answer)?;
    let answer = answer.get(..length).unwrap_or_default();
    first_address(answer, id).ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::NotFound,
            format!("no name server knows {name}"),
        )
    })
}

/// The first name server of a `resolv.conf`.
fn server(text: &str) -> Option<IpAddr> {
    let mut lines = text.lines().map(str::split_ascii_whitespace);
    lines.find_map(|mut words| {
        let is_one = words.next() == Some("nameserver");
        words.next().filter(|_| is_one)?.parse().ok()
    })
}

/// Asks for the address of a name: a head with the wish for recursion, and one question (RFC 1035, section 4.1).
fn question(id: u16, name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for word in [id, 0x0100, 1, 0, 0, 0] {
        bytes.extend(word.to_be_bytes());
    }
    for label in name.split('.').filter(|label| !label.is_empty()) {
        // A label has at most 63 bytes: one that is longer is nobody's name.
        let label = &label.as_bytes()[..label.len().min(63)];
        bytes.extend(u8::try_from(label.len()));
        bytes.extend(label);
    }
    bytes.push(0);
    for word in [TYPE_A, CLASS_IN] {
        bytes.extend(word.to_be_bytes());
    }
    bytes
}

/// The first address among the answers to that question.
fn first_address(answer: &[u8], id: u16) -> Option<Ipv4Addr> {
    let word = |at: usize| {
        let bytes = answer.get(at..at + 2)?;
        Some(u16::from_be_bytes(bytes.try_into().ok()?))
    };
    let is_well = word(0)? == id && word(2)? & 0x800f == 0x8000;
    if !is_well {
        return None;
    }
    let mut at = 12;
    for _ in 0..word(4)? {
        at = after_name(answer, at)? + 4;
    }
    for _ in 0..word(6)? {
        at = after_name(answer, at)?;
        let (kind, length) = (word(at)?, usize::from(word(at + 8)?));
        let data = answer.get(at + 10..at + 10 + length)?;
        if kind == TYPE_A {
            return Some(Ipv4Addr::from(<[u8; 4]>::try_from(data).ok()?));
        }
        at += 10 + length;
    }
    None
}

/// Where a name ends that begins here: labels, then nothing, or what points at the rest of it elsewhere.
fn after_name(answer: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *answer.get(at)? {
            0 => return Some(at + 1),
            length if length & 0xc0 == 0xc0 => return Some(at + 2),
            length => at += 1 + usize::from(length),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn wanted(port: u16, path: Option<&str>) -> Reach {
        Reach {
            host: "127.0.0.1".to_owned(),
            port,
            path: path.map(str::to_owned),
            within: Duration::from_millis(400),
        }
    }

    #[test]
    fn it_waits_for_a_connection_and_no_longer_than_it_is_told() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert_eq!(reach(&wanted(port, None)), 0);
        drop(listener);
        assert_eq!(reach(&wanted(port, None)), 1);
    }

    #[test]
    fn an_answer_below_400_is_one() {
        for (answer, code) in [
            ("HTTP/1.1 204 No Content\r\n\r\n", 0),
            ("HTTP/1.0 503 Busy\r\n\r\n", 1),
            ("SSH-2.0-OpenSSH\r\n", 1),
        ] {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = listener.local_addr().unwrap().port();
            let served = std::thread::spawn(move || {
                listener.set_nonblocking(true).unwrap();
                let until = Instant::now() + Duration::from_millis(700);
                while Instant::now() < until {
                    if let Ok((mut stream, _)) = listener.accept() {
                        stream.set_nonblocking(false).unwrap();
                        let mut request = [0; 256];
                        let _ = stream.read(&mut request);
                        let _ = stream.write_all(answer.as_bytes());
                    }
                    sleep(Duration::from_millis(5));
                }
            });
            assert_eq!(reach(&wanted(port, Some("/health"))), code, "{answer}");
            served.join().unwrap();
        }
    }

    #[test]
    fn names_are_asked_for_and_answers_read_as_the_rfc_has_it() {
        let text =
            "# made by an engine\nsearch local\nnameserver 127.0.0.11\nnameserver 10.0.0.1\n";
        assert_eq!(server(text), Some(IpAddr::from([127, 0, 0, 11])));
        assert_eq!(server("search x\n"), None);
        let asked = question(0x1234, "db");
        assert_eq!(
            asked,
            b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x02db\0\0\x01\0\x01"
        );
        let mut answer = asked.clone();
        answer[2..4].copy_from_slice(&[0x81, 0x80]);
        answer[7] = 2;
        // An alias first, then the address, both of a name that points at the question's.
        answer.extend(b"\xc0\x0c\0\x05\0\x01\0\0\x02\x58\0\x02\xc0\x0c");
        answer.extend(b"\xc0\x0c\0\x01\0\x01\0\0\x02\x58\0\x04\x0a\xd5\xc0\x03");
        let address = first_address(&answer, 0x1234);
        assert_eq!(address, Some(Ipv4Addr::new(10, 213, 192, 3)));
        assert_eq!(first_address(&answer, 0x1235), None);
        for length in 0..answer.len() {
            assert_eq!(first_address(&answer[..length], 0x1234), None, "{length}");
        }
        answer[3] = 0x83;
        assert_eq!(first_address(&answer, 0x1234), None, "no such name");
    }
}
