//! A connection to a sandbox's amikad: by its published port, on which both sides prove themselves, or through the engine
//! by `amikad relay`.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::Sandbox;

/// How long an answer may take on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// The connection.
pub(crate) struct Daemon {
    way: Way,
    /// A line of the head of each request.
    proof: String,
}

enum Way {
    Port(TcpStream),
    Relay(Child, ChildStdin, ChildStdout),
}

impl Daemon {
    /// By the port that the engine published.
    pub(crate) fn by_port(sandbox: &Sandbox<'_>) -> Self {
        let template = r#"{{(index (index .NetworkSettings.Ports "60999/tcp") 0).HostPort}} {{json .Config.Env}}"#;
        let told = sandbox.engine_says(template);
        let (port, env) = told.split_once(' ').unwrap();
        let env: Vec<String> = serde_json::from_str(env).unwrap();
        let key = env
            .iter()
            .find_map(|pair| pair.strip_prefix("AMIKA_TOKEN_SHA256="));
        let key = unhex(key.unwrap());
        let stream = TcpStream::connect(("127.0.0.1", port.parse::<u16>().unwrap())).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut daemon = Self {
            way: Way::Port(stream),
            proof: String::new(),
        };
        let mine = [0x5a; 16];
        let target = format!("/v1/challenge?nonce={}", hex(&mine));
        let (status, answer) = daemon.get(&target);
        assert_eq!(status, 200, "{answer}");
        let theirs = unhex(answer["nonce"].as_str().unwrap());
        let proof = |side: &[u8]| hex(&hmac(&key, &[side, &mine, &theirs].concat()));
        assert_eq!(answer["proof"], proof(b"server"), "it is no amikad of ours");
        daemon.proof = format!("Authorization: Amika {}\r\n", proof(b"client"));
        daemon
    }

    /// Through the engine, as root.
    pub(crate) fn by_relay(sandbox: &Sandbox<'_>) -> Self {
        let mut relay = Command::new("docker")
            .args([
                "exec",
                "-i",
                &sandbox.name,
                "/usr/local/lib/amikad/amikad",
                "relay",
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (stdin, stdout) = (relay.stdin.take().unwrap(), relay.stdout.take().unwrap());
        Self {
            way: Way::Relay(relay, stdin, stdout),
            proof: String::new(),
        }
    }

    /// Asks for a document.
    pub(crate) fn get(&mut self, target: &str) -> (u16, Value) {
        self.ask("GET", target, "")
    }

    /// Sends a document; another one answers.
    pub(crate) fn post(&mut self, target: &str, body: &Value) -> (u16, Value) {
        self.ask("POST", target, &body.to_string())
    }

    /// A request whose answer is a document.
    pub(crate) fn ask(&mut self, method: &str, target: &str, body: &str) -> (u16, Value) {
        let (status, text) = self.text(method, target, "", body);
        (status, serde_json::from_str(&text).unwrap_or_default())
    }

    /// A request with further lines of its head, and the text of its answer.
    pub(crate) fn text(
        &mut self,
        method: &str,
        target: &str,
        head: &str,
        body: &str,
    ) -> (u16, String) {
        let (proof, length) = (&self.proof, body.len());
        let request = format!(
            "{method} {target} HTTP/1.1\r\nHost: localhost\r\n{proof}{head}Content-Type: application/json\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        );
        self.write_all(request.as_bytes()).unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.extend(self.bytes(1));
        }
        let head = String::from_utf8(head).unwrap().to_lowercase();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut body = Vec::new();
        if head.contains("transfer-encoding: chunked") {
            loop {
                let size = self.line();
                let size = usize::from_str_radix(&size, 16).unwrap();
                body.extend(self.bytes(size));
                assert_eq!(self.line(), "");
                if size == 0 {
                    break;
                }
            }
        } else if let Some((_, rest)) = head.split_once("content-length: ") {
            body = self.bytes(rest.split("\r\n").next().unwrap().parse().unwrap());
        }
        (status, String::from_utf8_lossy(&body).into_owned())
    }

    fn line(&mut self) -> String {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            line.extend(self.bytes(1));
        }
        String::from_utf8(line).unwrap().trim_end().to_owned()
    }

    /// So many bytes of what follows an answer.
    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.read_exact(&mut bytes).unwrap();
        bytes
    }
}

impl Read for Daemon {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match &mut self.way {
            Way::Port(stream) => stream.read(buffer),
            Way::Relay(_, _, stdout) => stdout.read(buffer),
        }
    }
}

impl Write for Daemon {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match &mut self.way {
            Way::Port(stream) => stream.write(bytes),
            Way::Relay(_, stdin, _) => stdin.write(bytes),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        match &mut self.way {
            Way::Port(stream) => stream.flush(),
            Way::Relay(_, stdin, _) => stdin.flush(),
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Way::Relay(relay, ..) = &mut self.way {
            // It may have ended by itself.
            let _ = relay.kill();
            let _ = relay.wait();
        }
    }
}

/// HMAC-SHA256 (RFC 2104) under a key of 32 bytes.
fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut block = [0; 64];
    block[..key.len()].copy_from_slice(key);
    let pad = |byte: u8| block.map(|key| key ^ byte);
    let inner = Sha256::new().chain_update(pad(0x36)).chain_update(message);
    let outer = Sha256::new()
        .chain_update(pad(0x5c))
        .chain_update(inner.finalize());
    outer.finalize().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits
        .filter_map(|digit| char::from_digit(digit.into(), 16))
        .collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}
