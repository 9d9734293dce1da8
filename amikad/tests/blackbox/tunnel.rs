//! Tunnels to ports inside.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

use crate::http::idle;
use crate::support::{Answer, Builder, PROOF, Sandbox, eventually, one_answer};

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

/// A tunnel of another kind.
fn tunnel_of(sandbox: &Sandbox, port: u16, upgrade: &str) -> Result<TcpStream, Answer> {
    let (mut stream, proof) = sandbox.prove();
    write!(
        stream,
        "POST /v1/ports/{port}/tunnel HTTP/1.1\r\nHost: localhost\r\n{proof}\r\n\
         Connection: Upgrade\r\nUpgrade: {upgrade}\r\n\r\n"
    )
    .unwrap();
    let answer = one_answer(&mut stream);
    match answer.status {
        101 => Ok(stream),
        _ => Err(answer),
    }
}

/// A frame: its kind and content.
fn frame(stream: &mut TcpStream) -> (u8, Vec<u8>) {
    let mut head = [0; 3];
    stream.read_exact(&mut head).unwrap();
    let mut content = vec![0; usize::from(u16::from_be_bytes([head[1], head[2]]))];
    stream.read_exact(&mut content).unwrap();
    (head[0], content)
}

fn send(stream: &mut TcpStream, kind: u8, content: &[u8]) {
    let length = u16::try_from(content.len()).unwrap().to_be_bytes();
    stream.write_all(&[kind, length[0], length[1]]).unwrap();
    stream.write_all(content).unwrap();
}

#[test]
fn frames_carry_bytes_and_the_end_of_one_direction() {
    let sandbox = echo("127.0.0.1");
    let mut stream = tunnel_of(&sandbox, 8080, "tcp-frames").unwrap();
    assert_eq!(frame(&mut stream), (0, b"hello\n".to_vec()));
    send(&mut stream, 0, b"some ");
    send(&mut stream, 0, b"words");
    send(&mut stream, 1, b"");
    assert_eq!(frame(&mut stream), (0, b"SOME WORDS".to_vec()));
    assert_eq!(frame(&mut stream), (1, Vec::new()));
}

/// Serves one connection after the other with these lines of Python, in which it is `peer`.
fn serving(lines: &str) -> Sandbox {
    let program = format!(
        "import socket, struct, time\n\
         server = socket.create_server(('127.0.0.1', 8080))\n\
         def reset(peer): peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0)); peer.close()\n\
         open('/tmp/up', 'w').close()\n\
         while True:\n  peer = server.accept()[0]\n  {lines}\n"
    );
    let sandbox = Builder::new()
        .with_token()
        .start_words(&["python3", "-c", &program]);
    eventually("the server", || {
        sandbox.path("/tmp/up").exists().then_some(())
    });
    sandbox
}

#[test]
fn a_reset_inside_is_a_reset_outside() {
    let sandbox = serving("peer.recv(2); reset(peer)");
    let mut plain = tunnel(&sandbox, "8080").unwrap();
    plain.write_all(b"go").unwrap();
    let error = plain.read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    let mut framed = tunnel_of(&sandbox, 8080, "tcp-frames").unwrap();
    send(&mut framed, 0, b"go");
    assert_eq!(frame(&mut framed), (2, Vec::new()));
}

#[test]
fn a_reset_outside_is_a_reset_inside() {
    let wait = "try:\n    while peer.recv(9): pass\n    open('/tmp/ended', 'w').close()\n\
        \x20 except ConnectionResetError: open('/tmp/reset', 'a').write('1')";
    let sandbox = serving(wait);
    let resets = |count: usize| {
        eventually("a reset", || {
            (sandbox.read("/tmp/reset").len() == count).then_some(())
        });
    };
    let plain = tunnel(&sandbox, "8080").unwrap();
    nix::sys::socket::setsockopt(
        &plain,
        nix::sys::socket::sockopt::Linger,
        &nix::libc::linger {
            l_onoff: 1,
            l_linger: 0,
        },
    )
    .unwrap();
    drop(plain);
    resets(1);
    let mut framed = tunnel_of(&sandbox, 8080, "tcp-frames").unwrap();
    send(&mut framed, 2, b"");
    resets(2);
    // One that goes without a word has not said all that it had to say.
    drop(tunnel_of(&sandbox, 8080, "tcp-frames").unwrap());
    resets(3);
    assert!(!sandbox.path("/tmp/ended").exists());
}

#[test]
fn datagrams_keep_their_limits() {
    let program = "import socket\n\
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); made.bind(('127.0.0.1', 5353))\n\
        open('/tmp/up', 'w').close()\n\
        while True:\n  said, peer = made.recvfrom(70000); made.sendto(said.upper(), peer)\n";
    let sandbox = Builder::new()
        .with_token()
        .start_words(&["python3", "-c", program]);
    eventually("the server", || {
        sandbox.path("/tmp/up").exists().then_some(())
    });
    let mut stream = tunnel_of(&sandbox, 5353, "udp").unwrap();
    for said in [&b"one"[..], b"", b"two", &vec![b'x'; 60_000]] {
        send(&mut stream, 0, said);
        assert_eq!(frame(&mut stream), (0, said.to_ascii_uppercase()));
    }
    // What nobody can be sent is lost, and nothing else.
    send(&mut stream, 0, &vec![b'x'; 65_535]);
    send(&mut stream, 0, b"still there");
    assert_eq!(frame(&mut stream).1, b"STILL THERE");
    // The other protocol's port is another port.
    assert_eq!(tunnel_of(&sandbox, 5353, "tcp").unwrap_err().status, 502);
    assert_eq!(tunnel_of(&sandbox, 5354, "udp").unwrap_err().status, 502);
    assert_eq!(
        tunnel_of(&sandbox, 5353, "websocket").unwrap_err().status,
        426
    );
}

#[test]
fn where_nothing_listens_the_ports_that_do_are_told() {
    let sandbox = echo("127.0.0.1");
    let answer = tunnel_of(&sandbox, 8081, "tcp").unwrap_err();
    let error = &answer.json()["error"];
    assert_eq!(error["code"], "nothing_listens");
    let message = error["message"].as_str().unwrap();
    assert!(
        message.contains("8081") && message.contains("8080/tcp"),
        "{message}"
    );
    assert_eq!(error["ports"][0]["port"], 8080, "{answer:?}");
}

#[test]
fn an_address_of_its_own_is_reached_too() {
    let sandbox = echo("127.0.0.9");
    let stream = tunnel(&sandbox, "8080").unwrap();
    assert_eq!(say(stream, "words"), "hello\nWORDS");
}

#[test]
fn a_tunnel_opens_to_nobody_who_may_not_ask_for_one() {
    let sandbox = serving("open('/tmp/reached', 'w').close()");
    let target = "/v1/ports/8080/tunnel";
    let upgrade = ["Connection: Upgrade", "Upgrade: tcp"];
    let with = |more: &[&str]| {
        let headers = [&upgrade[..], more].concat();
        sandbox.request("POST", target, &headers, "").status
    };
    assert_eq!(with(&[]), 401);
    assert_eq!(with(&["Authorization: Amika 00"]), 401);
    assert_eq!(with(&["Cookie: token=blackbox-token"]), 401);
    assert_eq!(with(&[PROOF, "Origin: http://evil.example"]), 403);
    assert_eq!(with(&[PROOF, "Sec-Fetch-Site: cross-site"]), 403);
    assert_eq!(with(&[PROOF, "Host: evil.example"]), 421);
    // Two lengths, a length and chunks, a header that goes on in the next line.
    for smuggled in [
        "Content-Length: 0\r\nContent-Length: 5",
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked",
        "Content-Length: 0\r\n 5",
        "Content-Length: +0",
        "Upgrade : tcp",
    ] {
        let told = sandbox.talk(&format!(
            "POST {target} HTTP/1.1\r\nHost: localhost\r\n{PROOF}\r\n{UPGRADE}{smuggled}\r\n\r\n0\r\n\r\n"
        ));
        assert!(
            told.is_empty() || told.starts_with("HTTP/1.1 400"),
            "{smuggled}: {told}"
        );
    }
    assert!(!sandbox.path("/tmp/reached").exists());
    assert!(tunnel(&sandbox, "8080").is_ok());
    eventually("the server", || {
        sandbox.path("/tmp/reached").exists().then_some(())
    });
}

#[test]
fn no_way_of_writing_it_leads_to_amikads_own_port() {
    let sandbox = idle();
    for port in [
        "60999",
        "060999",
        "%36%30%39%39%39",
        "0xEE47",
        "60999/../3000",
        "60999;",
        "60999%00",
        "126535",
        "４",
    ] {
        assert_eq!(tunnel(&sandbox, port).unwrap_err(), 400, "{port}");
    }
    for kind in ["tcp", "TCP", "tcp-frames", "udp"] {
        let refused = tunnel_of(&sandbox, 60999, kind).unwrap_err();
        assert_eq!(
            (refused.status, refused.json()["error"]["code"].as_str()),
            (400, Some("reserved_port")),
            "{kind}"
        );
    }
    assert_eq!(tunnel_of(&sandbox, 60998, "tcp").unwrap_err().status, 502);
}

#[test]
fn opencode_s_port_is_reached_for_it_asks_for_a_password_of_its_own() {
    let program = "import socket\n\
                   server = socket.create_server(('127.0.0.1', 60998))\n\
                   open('/tmp/up', 'w').close()\n\
                   while True:\n  peer = server.accept()[0]; peer.sendall(peer.recv(99).upper()); peer.close()\n";
    let sandbox = Builder::new()
        .with_token()
        .env("AMIKA_OPENCODE_WEB", "0")
        .start_words(&["python3", "-c", program]);
    eventually("the server", || {
        sandbox.path("/tmp/up").exists().then_some(())
    });
    assert_eq!(say(tunnel(&sandbox, "60998").unwrap(), "words"), "WORDS");
    assert_eq!(tunnel(&sandbox, "60999").unwrap_err(), 400);
}

#[test]
fn probes_get_in_while_every_tunnel_is_full_and_nobody_reads() {
    // Says without an end, and reads nothing.
    let sandbox = serving(
        "import threading; threading.Thread(target=lambda p: [p.sendall(b'x' * 65536) for _ in iter(int, 1)], args=(peer,), daemon=True).start()",
    );
    let full: Vec<TcpStream> = (0..200)
        .map(|number| tunnel_of(&sandbox, 8080, ["tcp", "tcp-frames"][number % 2]).unwrap())
        .collect();
    for _ in 0..20 {
        assert_eq!(sandbox.get("/livez").status, 200);
        assert_eq!(sandbox.get("/readyz").status, 200);
    }
    assert_eq!(sandbox.api("/v1/ports").status, 200);
    drop(full);
    eventually("free places", || tunnel(&sandbox, "8080").ok());
}

#[test]
fn a_client_that_vanishes_is_asked_for() {
    let sandbox = echo("127.0.0.1");
    let _open = tunnel_of(&sandbox, 8080, "tcp-frames").unwrap();
    let tables = ["tcp", "tcp6"].map(|name| format!("/proc/{}/net/{name}", sandbox.pid()));
    // Ours is 0xEE47, it is established (01), and of its timers keep-alive runs (02), once all that was sent has arrived.
    eventually("keep-alive", || {
        let texts = tables
            .iter()
            .filter_map(|table| std::fs::read_to_string(table).ok());
        let texts: Vec<String> = texts.collect();
        let kept = texts.concat().lines().any(|line| {
            let fields: Vec<&str> = line.split_ascii_whitespace().collect();
            fields.len() > 5
                && fields[1].ends_with(":EE47")
                && fields[3] == "01"
                && fields[5].starts_with("02:")
        });
        kept.then_some(())
    });
}
