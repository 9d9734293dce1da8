//! What the API refuses, cuts off, and lives through.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use nix::sys::resource::Resource;

use crate::http::idle;
use crate::support::{PATIENCE, PROOF, eventually, parse};

#[test]
fn heads_and_bodies_have_limits() {
    let sandbox = idle();
    let long = format!("X-Long: {}", "a".repeat(9000));
    assert_eq!(sandbox.request("GET", "/livez", &[&long], "").status, 431);
    let fits = format!("X-Long: {}", "a".repeat(7000));
    assert_eq!(sandbox.request("GET", "/livez", &[&fits], "").status, 200);
    let json = "Content-Type: application/json";
    let restart = "/v1/services/opencode/restart";
    let body = "x".repeat((64 << 10) + 1);
    assert_eq!(
        sandbox
            .request("POST", restart, &[PROOF, json], &body)
            .status,
        413
    );
    let chunked = format!(
        "POST {restart} HTTP/1.1\r\nHost: localhost\r\n{}\r\n{json}\r\nConnection: close\r\n\
         Transfer-Encoding: chunked\r\n\r\n10001\r\n{}\r\n0\r\n\r\n",
        PROOF,
        "x".repeat(0x10001)
    );
    assert_eq!(parse(&sandbox.talk(&chunked)).status, 413);
    assert_eq!(parse(&sandbox.talk("NONSENSE\r\n\r\n")).status, 400);
}

#[test]
fn a_head_that_never_ends_is_cut_off() {
    let sandbox = idle();
    let mut stream = sandbox.connect();
    stream
        .write_all(b"GET /livez HTTP/1.1\r\nHost: local")
        .unwrap();
    let mut rest = Vec::new();
    // Ends by the server's doing, well before the test's own patience.
    stream.read_to_end(&mut rest).unwrap();
    assert!(
        rest.is_empty() || rest.starts_with(b"HTTP/1.1 408"),
        "{rest:?}"
    );
}

#[test]
fn probes_are_answered_while_idle_connections_fill_every_place() {
    let sandbox = idle();
    let hold: Vec<TcpStream> = (0..300).map(|_| sandbox.connect()).collect();
    for _ in 0..20 {
        assert_eq!(sandbox.get("/livez").status, 200);
    }
    assert_eq!(sandbox.api("/v1/status").status, 200);
    drop(hold);
}

#[test]
fn too_many_streams_are_refused() {
    let sandbox = idle();
    let open: Vec<TcpStream> = (0..128)
        .map(|_| {
            let (mut stream, proof) = sandbox.prove();
            let request = format!("GET /v1/events HTTP/1.1\r\nHost: localhost\r\n{proof}\r\n\r\n");
            stream.write_all(request.as_bytes()).unwrap();
            let mut first = [0; 12];
            stream.read_exact(&mut first).unwrap();
            assert_eq!(&first, b"HTTP/1.1 200");
            stream
        })
        .collect();
    let refused = sandbox.api("/v1/events");
    assert_eq!(refused.status, 429);
    drop(open);
    eventually("a free place", || {
        (sandbox.api("/v1/logs/setup").status == 200).then_some(())
    });
}

/// Asks for a stream and reads the first line of the answer.
fn begin(stream: &mut (impl Read + Write), target: &str, proof: &str) -> String {
    let request = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{proof}\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut first = [0; 12];
    stream.read_exact(&mut first).unwrap();
    String::from_utf8(first.to_vec()).unwrap()
}

#[test]
fn followers_of_quiet_logs_that_left_free_their_places() {
    let sandbox = idle();
    // More than there are places for. Nothing is logged meanwhile that could show that they left.
    for number in 0..300 {
        let target = if number % 2 == 0 {
            "/v1/logs/amikad?follow=1&tail=0"
        } else {
            // One that is not there yet, and never will be.
            "/v1/logs/opencode?follow=1"
        };
        eventually("a place", || {
            let (mut stream, proof) = sandbox.prove();
            (begin(&mut stream, target, &proof) == "HTTP/1.1 200").then_some(())
        });
    }
}

#[test]
fn followers_through_roots_socket_that_left_free_their_places_too() {
    let sandbox = idle();
    let connect = || {
        let socket = sandbox.path("/run/amikad/amikad.sock");
        let stream = eventually("the socket", || UnixStream::connect(&socket).ok());
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    };
    for number in 0..300 {
        let target = [
            "/v1/logs/amikad?follow=1",
            "/v1/events",
            "/v1/logs/opencode?follow=1",
        ][number % 3];
        eventually("a place", || {
            let mut stream = connect();
            let is_good = begin(&mut stream, target, "X: y") == "HTTP/1.1 200";
            // As the relay does when its input ends; its other half it closes when the daemon has.
            stream.shutdown(std::net::Shutdown::Write).unwrap();
            let mut rest = Vec::new();
            stream.read_to_end(&mut rest).unwrap();
            let is_whole = target != "/v1/logs/amikad?follow=1" || rest.ends_with(b"0\r\n\r\n");
            (is_good && is_whole).then_some(())
        });
    }
}

#[test]
fn a_body_that_never_comes_is_not_waited_for() {
    let sandbox = idle();
    let head = format!(
        "POST /v1/services/opencode/restart HTTP/1.1\r\nHost: localhost\r\n{PROOF}\r\n\
         Content-Type: application/json\r\nContent-Length: 9\r\n\r\n"
    );
    assert_eq!(parse(&sandbox.talk(&head)).status, 400);
}

#[test]
fn one_connection_too_many_is_told_so() {
    let sandbox = idle();
    let open = |request: &str, rest: &str| {
        // It may be one too many already.
        let (mut stream, proof) = sandbox.try_prove()?;
        let head = format!("{request} HTTP/1.1\r\nHost: localhost\r\n{proof}\r\n{rest}\r\n");
        let _ = stream.write_all(head.as_bytes());
        Some(stream)
    };
    let json = "Content-Type: application/json\r\nContent-Length: 9\r\n";
    let mut hold: Vec<TcpStream> = (0..128).map_while(|_| open("GET /v1/events", "")).collect();
    // Those that wait for a body give up after a while; more come.
    let refusal = eventually("a refusal", || {
        hold.extend((0..40).map_while(|_| open("POST /v1/services/opencode/restart", json)));
        let answer = sandbox.get("/livez");
        (answer.status == 503).then_some(answer)
    });
    assert_eq!(refusal.json()["error"]["code"], "busy");
    drop(hold);
    eventually("a place", || {
        (sandbox.get("/livez").status == 200).then_some(())
    });
}

#[test]
fn requests_no_client_would_send_are_refused_or_read_as_they_are_meant() {
    let sandbox = idle();
    let status = |line: &str, headers: &str| {
        let text = sandbox.talk(&format!("{line}\r\n{headers}Connection: close\r\n\r\n"));
        text.split(' ').nth(1).map(str::to_owned)
    };
    let (host, token) = ("Host: localhost\r\n", format!("{PROOF}\r\n"));
    let doubled = format!("{host}{token}{token}");
    let both = format!("{host}{token}");
    for (line, headers, code) in [
        (
            "GET http://localhost:60999/livez HTTP/1.1",
            host,
            Some("200"),
        ),
        ("GET http://evil.example/livez HTTP/1.1", host, Some("421")),
        (
            "GET http://evil@localhost/v1/status HTTP/1.1",
            &both,
            Some("421"),
        ),
        ("CONNECT localhost:60999 HTTP/1.1", host, Some("404")),
        ("OPTIONS * HTTP/1.1", host, Some("404")),
        ("GET /%76%31/status HTTP/1.1", &both, Some("404")),
        ("GET //v1/status HTTP/1.1", &both, Some("404")),
        ("GET /livez/../v1/status HTTP/1.1", &both, Some("404")),
        ("GET /v1/status HTTP/1.1", &doubled, Some("401")),
        (
            "GET /livez HTTP/1.1",
            "Host: localhost\r\nHost: localhost\r\n",
            Some("400"),
        ),
        ("GET /livez HTTP/1.1", "", Some("400")),
        ("GET /livez HTTP/1.1", "Host : localhost\r\n", Some("400")),
        (
            "GET /livez HTTP/1.1",
            "Host: localhost\r\nX: a\r\n folded\r\n",
            Some("400"),
        ),
        (
            "GET /livez HTTP/1.1",
            "Host: localhost\r\nContent-Length: -1\r\n",
            Some("400"),
        ),
        ("GET /livez", "", Some("400")),
        ("PRI * HTTP/2.0", "", Some("400")),
    ] {
        assert_eq!(status(line, headers).as_deref(), code, "{line} {headers:?}");
    }
    let pipelined = sandbox.talk(
        &[
            "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(20),
            "GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".to_owned(),
        ]
        .concat(),
    );
    assert_eq!(pipelined.matches("HTTP/1.1 200 OK").count(), 21);
}

#[test]
fn heads_that_come_byte_by_byte_are_cut_off_and_starve_no_probe() {
    let sandbox = idle();
    // More than there are places: each says something again and again, and never enough.
    let mut drips: Vec<(TcpStream, Instant)> = (0..300)
        .map(|_| (sandbox.connect(), Instant::now()))
        .collect();
    let mut lived = Vec::new();
    let begun = Instant::now();
    while !drips.is_empty() {
        assert!(
            begun.elapsed() < PATIENCE,
            "{} are still there",
            drips.len()
        );
        drips.retain_mut(|(stream, since)| {
            // The second byte after its end says that there is one.
            let goes_on = stream.write_all(b"G").is_ok();
            if !goes_on {
                lived.push(since.elapsed());
            }
            goes_on
        });
        assert_eq!(sandbox.get("/livez").status, 200);
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(lived.len(), 300);
}

#[test]
fn ten_thousand_connections_that_stay_leave_probes_and_root_served() {
    let most = nix::sys::resource::getrlimit(Resource::RLIMIT_NOFILE)
        .unwrap()
        .1;
    nix::sys::resource::setrlimit(Resource::RLIMIT_NOFILE, most, most).unwrap();
    let at_once = usize::try_from(most)
        .unwrap()
        .saturating_sub(500)
        .min(10_000);
    let sandbox = idle();
    let mut held = VecDeque::new();
    for number in 0..10_000 {
        held.push_back(sandbox.connect());
        if held.len() > at_once {
            held.pop_front();
        }
        if number % 1000 == 999 {
            let begun = Instant::now();
            assert_eq!(sandbox.get("/livez").status, 200, "{number}");
            assert!(begun.elapsed() < Duration::from_secs(2), "{number}");
        }
    }
    assert_eq!(sandbox.api("/v1/status").status, 200);
    let health = sandbox.exec(&["/amikad", "health"]).status().unwrap();
    assert!(health.success());
    let descriptors = std::fs::read_dir(format!("/proc/{}/fd", sandbox.pid()));
    let open = descriptors.unwrap().count();
    assert!(
        open < 700,
        "{open} descriptors for 256 places and as many that wait"
    );
}

/// Requests whose end is told in two ways, and what is hidden behind the earlier one.
#[test]
fn where_a_request_ends_is_never_a_matter_of_opinion() {
    let sandbox = idle();
    let hidden = "GET /v1/status HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let length = hidden.len();
    for smuggled in [
        // Two lengths, in two lines and in one.
        format!("Content-Length: 0\r\nContent-Length: {length}"),
        format!("Content-Length: {length}\r\nContent-Length: 0"),
        format!("Content-Length: 0, {length}"),
        // A length that is none, or goes on in the next line.
        "Content-Length: 0x10".to_owned(),
        "Content-Length: +5".to_owned(),
        "Content-Length:".to_owned(),
        format!("Content-Length: 0\r\n {length}"),
        format!("Content-Length: 0\r\n\t{length}"),
        format!("Content-Length : {length}"),
        format!("Content-Length\0: {length}"),
        // Another coding than the one that there is, also in disguise.
        "Transfer-Encoding: gzip".to_owned(),
        "Transfer-Encoding: chunked, identity".to_owned(),
        "Transfer-Encoding : chunked".to_owned(),
        "Transfer-Encoding: xchunked".to_owned(),
        "Transfer-Encoding:\r\n chunked".to_owned(),
    ] {
        for target in [
            "/livez",
            "/v1/challenge?nonce=5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a",
        ] {
            let told = sandbox.talk(&format!(
                "GET {target} HTTP/1.1\r\nHost: localhost\r\n{smuggled}\r\n\r\n{hidden}"
            ));
            let answers = told.matches("HTTP/1.1 ").count();
            assert!(
                answers == 0 || answers == 1 && told.starts_with("HTTP/1.1 400"),
                "{smuggled:?}: {told}"
            );
        }
    }
    // A length and chunks: the chunks count (RFC 9112, 6.3), and nothing that follows is asked.
    let both = format!(
        "POST /v1/services/opencode/restart HTTP/1.1\r\nHost: localhost\r\n{PROOF}\r\n\
         Content-Type: application/json\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{hidden}"
    );
    let told = sandbox.talk(&both);
    let answers = told.matches("HTTP/1.1 ").count();
    assert!(answers <= 1, "{told}");
    assert!(!told.contains("\"uptime_ms\""), "{told}");
    // Chunks that are none.
    for chunks in [
        "5\r\nabc",
        "x\r\n\r\n",
        "-1\r\n\r\n",
        "fffffffffffffffff\r\n",
        "0 \n\n",
        "3;\nabc\r\n",
    ] {
        let told = sandbox.talk(&format!(
            "POST /v1/services/opencode/restart HTTP/1.1\r\nHost: localhost\r\n{PROOF}\r\n\
             Content-Type: application/json\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n{chunks}"
        ));
        assert!(
            told.is_empty() || told.starts_with("HTTP/1.1 400"),
            "{chunks:?}: {told}"
        );
    }
    assert_eq!(sandbox.get("/livez").status, 200);
}

#[test]
fn three_thousand_half_open_connections_starve_no_probe_and_their_memory_comes_back() {
    let sandbox = idle();
    let resident = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", sandbox.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        let number = line.unwrap().split_whitespace().nth(1).unwrap();
        number.parse::<u64>().unwrap()
    };
    assert_eq!(sandbox.get("/livez").status, 200);
    let before = resident();
    // A window of what one process may hold open.
    let mut held = VecDeque::new();
    for number in 0..3000 {
        let mut stream = sandbox.connect();
        // The daemon may have thrown it out already, to make room.
        let _ = stream.write_all(b"GET /livez HTTP/1.1\r\nHo");
        held.push_back(stream);
        if held.len() > 600 {
            held.pop_front();
        }
        if number % 300 == 299 {
            assert_eq!(sandbox.get("/livez").status, 200, "{number}");
        }
    }
    drop(held);
    eventually("memory to come back", || {
        assert_eq!(sandbox.get("/livez").status, 200);
        (resident() < before + 1024).then_some(())
    });
}
