//! Terminals through the server.

use serde_json::{Value, json};

use super::client::Server;
use super::socket::Socket;
use crate::support::{DEBIAN, Stage};

/// The next word that is no size.
fn ended(socket: &mut Socket) -> Value {
    loop {
        let word = socket.word().1;
        if word.get("size").is_none() {
            return word;
        }
    }
}

#[test]
fn a_terminal_with_a_name_is_looked_at_again_and_one_without_ends_with_its_socket() {
    let stage = Stage::new();
    let server = Server::start(&stage, &[]);
    let made = server.create(DEBIAN, json!({}));
    let id = made["id"].as_str().unwrap();
    let open =
        |query: &str| server.socket(&server.admin, &format!("/sandboxes/{id}/terminal{query}"));
    let mut first = open("?session=work&columns=100&rows=30&cmd=sh").unwrap();
    assert_eq!(first.word().1, json!({ "size": [100, 30] }));
    first.bytes(b"word=kept-$((6*7)); echo $word\n");
    first.until("kept-42");
    first.vanish();
    let mut again = open("?session=work").unwrap();
    again.until("kept-42");
    again.bytes(b"echo again-$word\n");
    again.until("again-kept-42");
    // Somebody else may look at the same one.
    let mut other = open("?session=work&columns=60&rows=20").unwrap();
    other.until("again-kept-42");
    other.text(&json!({ "resize": [50, 10] }));
    loop {
        if again.word().1 == json!({ "size": [50, 10] }) {
            break;
        }
    }
    again.bytes(b"exit 5\n");
    for socket in [&mut again, &mut other] {
        assert_eq!(ended(socket), json!({ "exit_code": 5 }));
        assert_eq!(socket.closed().0, 1000);
    }
    // The name is free again.
    let mut anew = open("?session=work&cmd=sh&cmd=-c&cmd=exit%20$((2%2B1))").unwrap();
    assert_eq!(ended(&mut anew), json!({ "exit_code": 3 }));

    let mut passing = open("?cmd=sleep&cmd=65432").unwrap();
    passing.word();
    passing.vanish();
    let look = "cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep -c '[s]leep 65432'";
    let look = json!({ "cmd": ["sh", "-c", look] });
    crate::support::eventually("it is ended", || {
        let seen = server.post(&format!("/sandboxes/{id}/exec"), &look);
        seen.expect(200)["stdout"] == "0\n"
    });

    for (query, status) in [
        ("?session=a%20b", 400),
        ("?session=../../v1/status", 400),
        ("?columns=4", 400),
        ("?env=A%3Db", 400),
    ] {
        assert_eq!(open(query).err(), Some(status), "{query}");
    }
    let mut socket = open("").unwrap();
    socket.text(&json!({ "exit_code": 1 }));
    assert_eq!(socket.closed().0, 1007);
    let path = format!("/sandboxes/{id}/terminal");
    assert_eq!(server.socket(&server.member("ada"), &path).err(), Some(404));
    let lesser = server.key(&["read", "write"]);
    let root = format!("{path}?root=true");
    assert_eq!(server.socket(&lesser, &root).err(), Some(403));
    let mut root = server
        .socket(&server.admin, &format!("{root}&cmd=id&cmd=-u"))
        .unwrap();
    root.until("0\r\n");
    server.remove(id);
}
