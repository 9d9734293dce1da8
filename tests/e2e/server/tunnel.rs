//! Ports of a sandbox through the server's WebSocket.

use serde_json::json;
use tungstenite::Message;

use super::client::Server;
use crate::forward::SERVER;
use crate::support::{DEBIAN, Stage, eventually};

/// Has a sandbox serve these, by a program that stays.
pub(crate) fn serve(server: &Server<'_>, id: &str, specs: &[&str]) {
    let mut cmd = vec![
        "sh",
        "-c",
        "perl -e \"$0\" \"$@\" >/dev/null 2>&1 &",
        SERVER,
    ];
    cmd.extend(specs);
    let ran = server.post(&format!("/sandboxes/{id}/exec"), &json!({ "cmd": cmd }));
    assert_eq!(ran.expect(200)["exit_code"], 0);
}

#[test]
fn a_port_is_reached_where_only_the_sandbox_itself_has_it_and_each_direction_ends_by_itself() {
    let stage = Stage::new();
    let server = Server::start(&stage, &[]);
    let made = server.create(DEBIAN, json!({}));
    let id = made["id"].as_str().unwrap();
    let path = |port: u16| format!("/sandboxes/{id}/tunnel/{port}");
    serve(&server, id, &["tcp:127.0.0.1:3000", "udp:127.0.0.1:3001"]);
    eventually("it listens", || {
        server.socket(&server.admin, &path(3000)).is_ok()
    });

    // More than any buffer between holds, both ways.
    let mut socket = server.socket(&server.admin, &path(3000)).unwrap();
    for _ in 0..48 {
        socket.bytes(&vec![b'x'; 64 << 10]);
    }
    socket.text(&json!({ "end": true }));
    let (answer, word) = socket.word();
    assert_eq!(answer.len(), 3 << 20);
    assert!(answer.iter().all(|byte| *byte == b'X'));
    assert_eq!(word, json!({ "end": true }));
    assert_eq!(socket.closed().0, 1000);

    let mut socket = server
        .socket(&server.admin, &format!("{}?protocol=udp", path(3001)))
        .unwrap();
    for said in [&b"one"[..], &[b'y'; 9000]] {
        socket.bytes(said);
        assert_eq!(
            socket.next(),
            Message::Binary(said.to_ascii_uppercase().into())
        );
    }
    drop(socket);

    let nobody = server.get(&path(3999)).status;
    assert_eq!(nobody, 426, "it is a socket");
    for (port, status) in [(3999, 502), (60999, 400), (60899, 400), (0, 400)] {
        let refused = server.socket(&server.admin, &path(port)).err();
        assert_eq!(refused, Some(status), "{port}");
    }
    let ada = server.member("ada");
    assert_eq!(server.socket(&ada, &path(3000)).err(), Some(404));
    assert_eq!(server.socket("", &path(3000)).err(), Some(401));

    let mut socket = server.socket(&server.admin, &path(3000)).unwrap();
    socket.text(&json!({ "no": "such word" }));
    assert_eq!(socket.closed().0, 1007);
    let audit = server.get("/audit?limit=1000").expect(200);
    let opened = audit["items"].as_array().unwrap().iter();
    let opened = opened.filter(|it| it["action"] == "GET /sandboxes/{ref}/tunnel/{port}");
    assert!(opened.count() > 4, "{audit}");
    server.remove(id);
}

#[test]
fn an_open_tunnel_is_closed_when_the_server_ends() {
    let stage = Stage::new();
    let mut server = Server::start(&stage, &[]);
    let made = server.create(DEBIAN, json!({}));
    let id = made["id"].as_str().unwrap();
    let path = format!("/sandboxes/{id}/tunnel/3000");
    serve(&server, id, &["tcp:127.0.0.1:3000"]);
    eventually("it listens", || server.socket(&server.admin, &path).is_ok());
    let mut socket = server.socket(&server.admin, &path).unwrap();
    let closed = std::thread::spawn(move || socket.closed());
    assert_eq!(server.signal(rustix::process::Signal::TERM).code, 0);
    assert_eq!(closed.join().unwrap().0, 1001);
    server.again();
    server.remove(id);
}
