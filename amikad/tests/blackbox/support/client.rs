//! A client of the API that can send anything.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;

use nix::sched::CloneFlags;

use super::{PATIENCE, Sandbox, TOKEN, eventually};

/// One HTTP answer.
#[derive(Debug)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Head, lower case.
    pub head: String,
    /// Body, with chunks put together.
    pub body: String,
}

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }
}

impl Sandbox {
    /// A connection to the API's port.
    pub fn connect(&self) -> TcpStream {
        eventually("port 60999", || self.try_connect())
    }

    fn try_connect(&self) -> Option<TcpStream> {
        let namespace = fs::File::open(format!("/proc/{}/ns/net", self.pid())).unwrap();
        // A thread of its own: it stays in the namespace, and the test does not.
        let connect = move || {
            nix::sched::setns(namespace, CloneFlags::CLONE_NEWNET).unwrap();
            TcpStream::connect(("127.0.0.1", 60999)).ok()
        };
        let stream = std::thread::spawn(connect).join().unwrap()?;
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Some(stream)
    }

    /// Sends raw bytes and reads all that comes until the connection ends.
    pub fn talk(&self, request: &str) -> String {
        let mut stream = self.connect();
        stream.write_all(request.as_bytes()).unwrap();
        let mut all = Vec::new();
        // A server that refuses may reset what it did not read.
        let _ = stream.read_to_end(&mut all);
        String::from_utf8_lossy(&all).into_owned()
    }

    /// One request with these extra header lines.
    pub fn request(&self, method: &str, target: &str, headers: &[&str], body: &str) -> Answer {
        let extra = [headers, &[""]].concat().join(
            "
",
        );
        let host = if extra.to_lowercase().contains("host:") {
            ""
        } else {
            "Host: localhost\r\n"
        };
        let length = body.len();
        let text = self.talk(&format!(
            "{method} {target} HTTP/1.1\r\n{host}{extra}Content-Length: {length}\r\n\
             Connection: close\r\n\r\n{body}"
        ));
        parse(&text)
    }

    /// GET without a token.
    pub fn get(&self, target: &str) -> Answer {
        self.request("GET", target, &[], "")
    }

    /// GET with the token.
    pub fn api(&self, target: &str) -> Answer {
        self.request(
            "GET",
            target,
            &[&format!("Authorization: Bearer {TOKEN}")],
            "",
        )
    }

    /// Waits until a status document fits.
    pub fn until_status(&self, what: &str, fits: impl Fn(&serde_json::Value) -> bool) {
        eventually(what, || fits(&self.api("/v1/status").json()).then_some(()));
    }
}

/// Takes an HTTP answer apart.
pub fn parse(text: &str) -> Answer {
    let (head, body) = text
        .split_once("\r\n\r\n")
        .unwrap_or_else(|| panic!("no answer: {text:?}"));
    let head = head.to_lowercase();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let body = if head.contains("transfer-encoding: chunked") {
        dechunk(body)
    } else {
        // As a client would read it: what the head says, and no more.
        let length = head.split("content-length: ").nth(1);
        let length = length.and_then(|rest| rest.split("\r\n").next()?.parse().ok());
        body.get(..length.unwrap_or(body.len()))
            .unwrap_or(body)
            .into()
    };
    Answer { status, head, body }
}

fn dechunk(mut text: &str) -> String {
    let mut body = String::new();
    while let Some((size, rest)) = text.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            break;
        }
        body.push_str(&rest[..size]);
        text = &rest[size + 2..];
    }
    body
}
