//! A browser of `amika sandbox open`: it signs in by the address that is told, and asks for pages.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use super::{Running, eventually};

/// Who signed in.
pub(crate) struct Browser {
    authority: String,
    cookie: String,
}

impl Browser {
    /// Reads the address and uses it.
    pub(crate) fn sign_in(open: &Running) -> Self {
        eventually("the address is told", || {
            open.said_text().contains("/amika/")
        });
        let told = open.said_text();
        let mut words = told.split_whitespace();
        let address = words.find(|word| word.contains("/amika/"));
        let (authority, path) = address
            .and_then(|address| address.strip_prefix("http://"))
            .and_then(|rest| rest.split_once('/'))
            .unwrap();
        let signed = get(authority, path, "Sec-Fetch-Site: cross-site\r\n").unwrap();
        let cookie = signed
            .lines()
            .find_map(|line| line.strip_prefix("set-cookie: "))
            .and_then(|pair| pair.split(';').next())
            .unwrap();
        Self {
            authority: authority.to_owned(),
            cookie: cookie.to_owned(),
        }
    }

    /// The port of this machine's loopback that it asks.
    pub(crate) fn port(&self) -> u16 {
        port(&self.authority)
    }

    /// The answer to a GET, head and body; none where there was none.
    pub(crate) fn get(&self, path: &str) -> Option<String> {
        let header = format!("Cookie: {}\r\n", self.cookie);
        get(&self.authority, path, &header).ok()
    }
}

fn port(authority: &str) -> u16 {
    // The name in it is the browser's; it listens on loopback.
    authority.rsplit_once(':').unwrap().1.parse().unwrap()
}

fn get(authority: &str, path: &str, header: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port(authority)))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    write!(
        stream,
        "GET /{path} HTTP/1.1\r\nHost: {authority}\r\n{header}Connection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
