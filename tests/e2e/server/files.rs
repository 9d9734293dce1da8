//! Files of a sandbox through the server.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use serde_json::{Value, json};

use super::client::Server;
use crate::support::{DEBIAN, Stage};

impl Server<'_> {
    /// Sends a body of bytes.
    pub(crate) fn put(&self, key: &str, path: &str, kind: &str, body: &[u8]) -> (u16, Value) {
        let (status, body) = self.raw("PUT", key, path, kind, body);
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }

    /// An answer whose body is bytes.
    pub(crate) fn raw(
        &self,
        method: &str,
        key: &str,
        path: &str,
        kind: &str,
        body: &[u8],
    ) -> (u16, Vec<u8>) {
        let mut stream = TcpStream::connect(self.address()).unwrap();
        // A client of HTTP/1.0 is sent no chunks.
        let head = format!(
            "{method} /api/v0beta1{path} HTTP/1.0\r\nHost: {}\r\nAuthorization: Bearer {key}\r\nAccept: {kind}\r\n\
             Content-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
            self.address(),
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        // It may be refused before it is read.
        let _ = stream.write_all(body);
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let at = answer
            .windows(4)
            .position(|it| it == b"\r\n\r\n")
            .expect("a head");
        let head = String::from_utf8_lossy(&answer[..at]).into_owned();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, answer[at + 4..].to_vec())
    }
}

/// Runs a line in a sandbox; what it wrote.
pub(crate) fn sh(server: &Server<'_>, id: &str, line: &str) -> String {
    let ran = server.post(
        &format!("/sandboxes/{id}/exec"),
        &json!({ "cmd": ["sh", "-c", line] }),
    );
    ran.expect(200)["stdout"].as_str().unwrap().to_owned()
}

#[test]
fn files_and_archives_go_in_and_come_out_as_they_are() {
    let stage = Stage::new();
    let server = Server::start(&stage, &[]);
    let made = server.create(DEBIAN, json!({}));
    let id = made["id"].as_str().unwrap();
    let at = |path: &str| format!("/sandboxes/{id}/files?path={path}");
    let (octets, tar) = ("application/octet-stream", "application/x-tar");
    let admin = server.admin.as_str();

    let large: Vec<u8> = (0..5_000_001_u32).map(|it| it.to_le_bytes()[0]).collect();
    let (status, written) = server.put(admin, &at("large.bin&mode=600"), octets, &large);
    assert_eq!(
        (status, &written["bytes"]),
        (200, &json!(large.len())),
        "{written}"
    );
    assert_eq!(
        sh(&server, id, "stat -c '%a %s' large.bin"),
        "600 5000001\n"
    );
    let (status, read) = server.raw("GET", admin, &at("large.bin"), octets, b"");
    assert!(status == 200 && read == large);
    assert_eq!(server.put(admin, &at("empty"), octets, b"").0, 200);
    assert_eq!(server.raw("GET", admin, &at("empty"), octets, b"").1, b"");

    sh(
        &server,
        id,
        "mkdir -p d/e; echo one >d/one; ln -s one d/link; echo x >d/e/two",
    );
    let (status, archive) = server.raw("GET", admin, &at("d"), octets, b"");
    assert_eq!(status, 200);
    sh(&server, id, "mkdir in");
    let (status, written) = server.put(admin, &at("in"), tar, &archive);
    assert_eq!((status, &written["files"]), (200, &json!(2)), "{written}");
    assert_eq!(
        sh(&server, id, "cd in/d; cat one link e/two; readlink link"),
        "one\none\nx\none\n"
    );
    let (_, archive) = server.raw("GET", admin, &at("d/one"), tar, b"");
    assert_eq!(archive.len() % 512, 0);
    assert!(archive.starts_with(b"one\0"));

    for (path, kind, body, status) in [
        ("nope/x", octets, &b"x"[..], 404),
        ("in", octets, b"x", 409),
        ("in/", octets, b"x", 400),
        ("x&mode=4755", octets, b"x", 400),
        ("nope", tar, b"", 404),
        ("in", tar, b"this is no archive", 400),
    ] {
        let (found, told) = server.put(admin, &at(path), kind, body);
        assert_eq!(found, status, "{path} {kind}: {told}");
    }
    for (path, status) in [("nope", 404), ("/dev/null", 400), ("", 400)] {
        let found = server.raw("GET", admin, &at(path), octets, b"").0;
        assert_eq!(found, status, "{path}");
    }
    let member = server.member("ada");
    assert_eq!(server.raw("GET", &member, &at("d"), octets, b"").0, 404);
    assert_eq!(server.put(&member, &at("d"), octets, b"").0, 404);
    // Nothing of this machine is read by a path that climbs, or by a link that leads out.
    sh(&server, id, "ln -s /etc/hostname out");
    let inside = sh(&server, id, "cat /etc/hostname");
    for path in ["out", "../../../../../../etc/hostname"] {
        let read = server.raw("GET", admin, &at(path), octets, b"").1;
        assert_eq!(String::from_utf8_lossy(&read), inside, "{path}");
    }
    server.remove(id);
}
