//! A client of the API that can send anything.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;

use amika_core::hex::{hex, unhex};
use amika_core::proof::{Key, Nonces};
use nix::sched::CloneFlags;

use super::{PATIENCE, Sandbox, TOKEN, eventually};

/// A header of a request that [`Sandbox::talk`] makes good for its connection.
pub const PROOF: &str = "Authorization: proof-of-this-connection";

/// A challenge with a nonce of the test's own.
const CHALLENGE: &str =
    "GET /v1/challenge?nonce=5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a HTTP/1.1\r\nHost: localhost\r\n\r\n";

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
        self.try_connect_to("127.0.0.1")
    }

    /// A connection to the API's port at another address, if somebody takes it.
    pub fn try_connect_to(&self, address: &'static str) -> Option<TcpStream> {
        let namespace = fs::File::open(format!("/proc/{}/ns/net", self.pid())).unwrap();
        // A thread of its own: it stays in the namespace, and the test does not.
        let connect = move || {
            nix::sched::setns(namespace, CloneFlags::CLONE_NEWNET).unwrap();
            TcpStream::connect((address, 60999)).ok()
        };
        let stream = std::thread::spawn(connect).join().unwrap()?;
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Some(stream)
    }

    /// A connection on which both sides proved that they know the token, and the header for it.
    pub fn prove(&self) -> (TcpStream, String) {
        self.prove_by(TOKEN)
    }

    /// The same with another token.
    pub fn prove_by(&self, token: &str) -> (TcpStream, String) {
        let mut stream = self.connect();
        let key = Key::of_token(token.as_bytes());
        let nonces = challenge(&mut stream, &key);
        (stream, authorization(&key.client_proof(&nonces)))
    }

    /// The same, where the connection may be refused.
    pub fn try_prove(&self) -> Option<(TcpStream, String)> {
        let mut stream = self.connect();
        let key = Key::of_token(TOKEN.as_bytes());
        stream.write_all(CHALLENGE.as_bytes()).ok()?;
        let answer = try_answer(&mut stream).filter(|answer| answer.status == 200)?;
        let nonces = nonces_of(&answer);
        Some((stream, authorization(&key.client_proof(&nonces))))
    }

    /// Sends raw bytes and reads all that comes until the connection ends. [`PROOF`] in them is made
    /// good for the connection.
    pub fn talk(&self, request: &str) -> String {
        let (mut stream, request) = if request.contains(PROOF) {
            let (stream, proof) = self.prove();
            (stream, request.replace(PROOF, &proof))
        } else {
            (self.connect(), request.to_owned())
        };
        // A server that refuses answers before it has read all, and may close what is still being
        // written: the answer tells, not the write.
        let _ = stream.write_all(request.as_bytes());
        let mut all = Vec::new();
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
        self.request("GET", target, &[PROOF], "")
    }

    /// POST of a JSON document with the token.
    pub fn post(&self, target: &str, body: &serde_json::Value) -> Answer {
        let headers = [PROOF, "Content-Type: application/json"];
        self.request("POST", target, &headers, &body.to_string())
    }

    /// DELETE with the token.
    pub fn delete(&self, target: &str) -> Answer {
        self.request("DELETE", target, &[PROOF], "")
    }

    /// Waits until a status document fits.
    pub fn until_status(&self, what: &str, fits: impl Fn(&serde_json::Value) -> bool) {
        eventually(what, || fits(&self.api("/v1/status").json()).then_some(()));
    }
}

/// Sends a challenge, checks the proof, and returns the nonces.
pub fn challenge(stream: &mut TcpStream, key: &Key) -> Nonces {
    stream.write_all(CHALLENGE.as_bytes()).unwrap();
    let answer = one_answer(stream);
    assert_eq!(answer.status, 200, "{answer:?}");
    let nonces = nonces_of(&answer);
    let proof = unhex(answer.json()["proof"].as_str().unwrap()).unwrap();
    // With a wrong key of the test's own there is nothing to check.
    let right = Key::of_token(TOKEN.as_bytes());
    if right.is_clients(&key.client_proof(&nonces), &nonces) {
        assert!(key.is_servers(&proof, &nonces), "{answer:?}");
    }
    nonces
}

fn nonces_of(answer: &Answer) -> Nonces {
    let server = unhex(answer.json()["nonce"].as_str().unwrap()).unwrap();
    Nonces::new(vec![0x5a; 16], server.try_into().unwrap()).unwrap()
}

/// The header that carries a proof.
pub fn authorization(proof: &[u8]) -> String {
    format!("Authorization: Amika {}", hex(proof))
}

/// Reads one answer with a length, and leaves the connection open.
pub fn one_answer(stream: &mut TcpStream) -> Answer {
    try_answer(stream).expect("an answer")
}

fn try_answer(stream: &mut TcpStream) -> Option<Answer> {
    let mut text = Vec::new();
    let mut byte = [0];
    while !text.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        text.push(byte[0]);
    }
    let head = String::from_utf8(text.clone()).unwrap().to_lowercase();
    let length = head.split("content-length: ").nth(1);
    let length = length.map_or(0, |rest| {
        rest.split("\r\n").next().unwrap().parse().unwrap()
    });
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    text.extend(body);
    Some(parse(&String::from_utf8(text).unwrap()))
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
