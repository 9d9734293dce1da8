//! `amikad health`: asks the daemon from inside, for an image's HEALTHCHECK.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use amika_core::contract::AMIKAD_PORT;

/// How long the daemon may take.
const TIMEOUT: Duration = Duration::from_secs(4);

/// Exits 0 if the daemon lives, or if CMD runs where `ready` is asked.
pub(crate) fn health(ready: bool) -> i32 {
    let target = if ready { "/readyz" } else { "/livez" };
    match ask(target) {
        Ok(answer) => {
            let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
            crate::print(&format!("{}\n", body.trim_end()));
            i32::from(answer.split_ascii_whitespace().nth(1) != Some("200"))
        }
        Err(error) => {
            crate::say::say(format!("no answer on port {AMIKAD_PORT}: {error}"));
            1
        }
    }
}

fn ask(target: &str) -> std::io::Result<String> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, AMIKAD_PORT));
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    write!(
        stream,
        "GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = Vec::new();
    stream.take(64 << 10).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
