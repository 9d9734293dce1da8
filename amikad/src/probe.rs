//! `amikad health`: asks the daemon from inside, for an image's HEALTHCHECK.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use amika_core::contract::{AMIKAD_PORT, path};

/// How long the daemon may take.
const TIMEOUT: Duration = Duration::from_secs(4);

/// Exits 0 if the daemon lives and, where `ready` is asked, CMD runs. Prints the answer that decided.
pub(crate) fn health(ready: bool) -> i32 {
    // Readiness is read from a snapshot: only liveness tells that the loop which made it still turns.
    let targets: &[&str] = if ready {
        &["/livez", "/readyz"]
    } else {
        &["/livez"]
    };
    let mut last = String::new();
    for target in targets {
        match ask(target) {
            Ok(answer) => last = answer,
            Err(error) => {
                crate::say::say(format!("amikad does not answer: {error}"));
                return 1;
            }
        }
        if !is_good(&last) {
            break;
        }
    }
    let body = last.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    crate::print(&format!("{}\n", body.trim_end()));
    i32::from(!is_good(&last))
}

fn is_good(answer: &str) -> bool {
    answer.split_ascii_whitespace().nth(1) == Some("200")
}

/// Asks on the root-only socket, which nobody else can have; who is not root asks on the port.
fn ask(target: &str) -> std::io::Result<String> {
    if let Ok(stream) = UnixStream::connect(path::CONTROL_SOCKET) {
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        return talk(stream, target);
    }
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, AMIKAD_PORT));
    let stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    talk(stream, target)
}

fn talk(mut stream: impl Read + Write, target: &str) -> std::io::Result<String> {
    write!(
        stream,
        "GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = Vec::new();
    stream.take(64 << 10).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
