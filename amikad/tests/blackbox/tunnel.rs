//! Tunnels to ports inside.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

use crate::http::idle;
use crate::support::{Builder, PROOF, Sandbox, eventually, one_answer};

const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: tcp\r\n";

/// Echoes what each connection says, in upper case, once its other side has said all of it; listens
/// on one address only.
fn echo(address: &str) -> Sandbox {
    let program = format!(
        "import socket, threading\n\
         family = socket.AF_INET6 if ':' in '{address}' else socket.AF_INET\n\
         server = socket.create_server(('{address}', 8080), family=family, backlog=512)\n\
         def talk(peer):\n  said = b''\n  peer.sendall(b'hello\\n')\n\
         \x20 while data := peer.recv(65536): said += data\n\
         \x20 peer.sendall(said.upper()); peer.close()\n\
         open('/tmp/up', 'w').close()\n\
         while True: threading.Thread(target=talk, args=(server.accept()[0],), daemon=True).start()\n"
    );
    let sandbox = Builder::new()
        .with_token()
        .start_words(&["python3", "-c", &program]);
    eventually("the server", || {
        sandbox.path("/tmp/up").exists().then_some(())
    });
    sandbox
}

/// A tunnel, unless it is refused.
pub fn tunnel(sandbox: &Sandbox, port: &str) -> Result<TcpStream, u16> {
    let (mut stream, proof) = sandbox.prove();
    let request = format!(
        "POST /v1/ports/{port}/tunnel HTTP/1.1\r\nHost: localhost\r\n{proof}\r\n{UPGRADE}\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let answer = one_answer(&mut stream);
    if answer.status == 101 {
        assert!(answer.head.contains("upgrade: tcp"), "{answer:?}");
        assert!(answer.head.contains("connection: upgrade"), "{answer:?}");
        return Ok(stream);
    }
    assert!(answer.json()["error"]["code"].is_string(), "{answer:?}");
    Err(answer.status)
}

/// What comes back after everything was said: the end of one direction leaves the other open.
fn say(mut stream: TcpStream, text: &str) -> String {
    stream.write_all(text.as_bytes()).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn bytes_pass_both_ways_and_half_a_close_is_carried_over() {
    for address in ["127.0.0.1", "::1", "0.0.0.0"] {
        let sandbox = echo(address);
        let stream = tunnel(&sandbox, "8080").unwrap();
        assert_eq!(say(stream, "some words"), "hello\nSOME WORDS", "{address}");
        let large = "x".repeat(3 << 20);
        let answer = say(tunnel(&sandbox, "8080").unwrap(), &large);
        assert_eq!(answer.len(), large.len() + 6, "{address}");
    }
}

#[test]
fn what_cannot_be_reached_is_told_apart() {
    let sandbox = idle();
    assert_eq!(tunnel(&sandbox, "8080").unwrap_err(), 502);
    // OpenCode's may be reached, and nothing is there.
    assert_eq!(tunnel(&sandbox, "60998").unwrap_err(), 502);
    for bad in [
        "60999", "60899", "60997", "0", "65536", "x", "-1", "+80", "", "80/x",
    ] {
        assert_eq!(tunnel(&sandbox, bad).unwrap_err(), 400, "{bad}");
    }
    let target = "/v1/ports/8080/tunnel";
    let both = ["Connection: Upgrade", "Upgrade: tcp"];
    assert_eq!(sandbox.request("POST", target, &both, "").status, 401);
    let bearer = "Authorization: Bearer blackbox-token";
    let given = [bearer, both[0], both[1]];
    assert_eq!(sandbox.request("POST", target, &given, "").status, 401);
    assert_eq!(sandbox.request("POST", target, &[PROOF], "").status, 426);
    let proven = [PROOF, both[0], both[1]];
    assert_eq!(sandbox.request("POST", target, &proven, "body").status, 400);
    assert_eq!(sandbox.request("GET", target, &proven, "").status, 405);
}

#[test]
fn two_hundred_at_once_and_one_that_nobody_reads_leave_everybody_served() {
    let sandbox = echo("127.0.0.1");
    // Nobody reads what this one's server sends back.
    let mut stalled = tunnel(&sandbox, "8080").unwrap();
    stalled.write_all(&vec![b'y'; 16 << 20]).unwrap();
    stalled.shutdown(Shutdown::Write).unwrap();
    let open: Vec<TcpStream> = (0..199)
        .map(|_| tunnel(&sandbox, "8080").unwrap())
        .collect();
    assert_eq!(tunnel(&sandbox, "8080").unwrap_err(), 429);
    for _ in 0..10 {
        assert_eq!(sandbox.get("/livez").status, 200);
    }
    assert_eq!(sandbox.api("/v1/status").status, 200);
    for (number, stream) in open.into_iter().enumerate() {
        let text = format!("number {number}");
        assert_eq!(say(stream, &text), format!("hello\nNUMBER {number}"));
    }
    drop(stalled);
    eventually("free places", || tunnel(&sandbox, "8080").ok());
}
