//! Who comes with ill intent: from inside a sandbox, and slowly.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use serde_json::json;

use super::client::Server;
use crate::support::{DEBIAN, Stage};

/// Connections that say half of what they have to say.
const SLOW: usize = 5000;

/// Asks an address of the machine from inside, with these lines for a head; the answer's first line.
const ASK: &str = "use IO::Socket::INET; my ($to, @lines) = @ARGV; my $s = IO::Socket::INET->new(PeerAddr => $to, Timeout => 5) or die $!; \
    print $s join('', map { \"$_\\r\\n\" } @lines, 'Connection: close', ''); my $first = <$s>; print $first";

#[test]
fn a_sandbox_that_asks_the_server_by_the_bridge_gets_nothing() {
    let stage = Stage::new();
    let free = TcpListener::bind(("0.0.0.0", 0)).unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let wide = format!("0.0.0.0:{port}");
    let server = Server::start(&stage, &["--insecure-http", "--listen", &wide]);
    let made = server.create(DEBIAN, json!({}));
    let id = made["id"].as_str().unwrap();
    let routes =
        json!({ "cmd": ["sh", "-c", "awk '$2 == \"00000000\" { print $3 }' /proc/net/route"] });
    let gateway = server
        .post(&format!("/sandboxes/{id}/exec"), &routes)
        .expect(200);
    let gateway = u32::from_str_radix(gateway["stdout"].as_str().unwrap().trim(), 16).unwrap();
    let gateway = std::net::Ipv4Addr::from(gateway.swap_bytes());
    let ask = |lines: &[&str]| {
        let to = format!("{gateway}:{port}");
        let mut cmd = vec!["perl", "-e", ASK, &to];
        cmd.extend(lines);
        let ran = server.post(&format!("/sandboxes/{id}/exec"), &json!({ "cmd": cmd }));
        ran.expect(200)["stdout"].as_str().unwrap().to_owned()
    };
    // The cookie of a port, which it may have seen, is another address's.
    let wanted = json!({ "sandbox": id, "port": 3000 });
    let ticket = server.post("/tickets", &wanted).expect(200);
    let ticket = ticket["ticket"].as_str().unwrap();
    let name = format!("Host: 3000-{id}.localhost");
    let cookie = server.open_port(&name, ticket);
    let by_address = format!("Host: {gateway}:{port}");
    let cookie = format!("Cookie: {cookie}");
    let bearer = "Authorization: Bearer amk_0000000000000000000000000000000000000000000";
    for (lines, status) in [
        (&["GET /api/v0beta1/me HTTP/1.1", &by_address][..], "401"),
        (
            &["GET /api/v0beta1/me HTTP/1.1", &by_address, bearer],
            "401",
        ),
        (&["GET /metrics HTTP/1.1", &by_address], "401"),
        (
            &["GET /api/v0beta1/me HTTP/1.1", "Host: rebound.example"],
            "421",
        ),
        (&["GET / HTTP/1.1", &name], "401"),
        (&["GET / HTTP/1.1", &name, &cookie], "401"),
        (
            &["GET /api/v0beta1/me HTTP/1.1", &by_address, &cookie],
            "401",
        ),
    ] {
        let answer = ask(lines);
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{lines:?}: {answer}"
        );
    }
    server.remove(id);
}

#[test]
fn thousands_of_slow_connections_hold_up_nobody_and_are_let_go() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    setrlimit(Resource::Nofile, raised).unwrap();
    let stage = Stage::new();
    let server = Server::start(&stage, &[]);
    let mut slow: Vec<TcpStream> = (0..SLOW)
        .map(|_| {
            let mut stream = TcpStream::connect(server.address()).unwrap();
            stream
                .write_all(b"GET /healthz HTTP/1.1\r\nHost: loc")
                .unwrap();
            stream
        })
        .collect();
    let begun = Instant::now();
    server.get("/me").expect(200);
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
    // Each is let go within the time that a head may take.
    let begun = Instant::now();
    for stream in &mut slow {
        stream
            .set_read_timeout(Some(Duration::from_secs(40)))
            .unwrap();
        let mut rest = Vec::new();
        // It is closed, however that is told.
        if let Err(error) = stream.read_to_end(&mut rest) {
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{error}");
        }
    }
    assert!(
        begun.elapsed() < Duration::from_secs(40),
        "{:?}",
        begun.elapsed()
    );
    server.get("/me").expect(200);
}
