//! Both sides prove that they know the token, which never travels.

use std::io::{Read, Write};
use std::net::TcpStream;

use amika_core::hex::hex;
use amika_core::proof::Key;

use crate::http::idle;
use crate::support::{
    Answer, Builder, PROOF, Sandbox, TOKEN, authorization, challenge, eventually, one_answer, parse,
};

fn key() -> Key {
    Key::of_token(TOKEN.as_bytes())
}

/// One request on a connection that stays open.
fn ask(stream: &mut TcpStream, target: &str, header: &str) -> Answer {
    let header = if header.is_empty() {
        String::new()
    } else {
        format!("{header}\r\n")
    };
    let text = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{header}\r\n");
    stream.write_all(text.as_bytes()).unwrap();
    one_answer(stream)
}

#[test]
fn a_proof_opens_its_connection_for_good_and_no_other() {
    let sandbox = idle();
    let (mut stream, proof) = sandbox.prove();
    for _ in 0..3 {
        assert_eq!(ask(&mut stream, "/v1/status", &proof).status, 200);
    }
    assert_eq!(
        ask(&mut stream, "/v1/status", "").status,
        401,
        "each request"
    );
    // Replayed: without a challenge there, and after one.
    let mut other = sandbox.connect();
    assert_eq!(ask(&mut other, "/v1/status", &proof).status, 401);
    challenge(&mut other, &key());
    assert_eq!(ask(&mut other, "/v1/status", &proof).status, 401);
    assert_eq!(ask(&mut stream, "/v1/status", &proof).status, 200);
}

#[test]
fn a_new_challenge_takes_the_place_of_the_old() {
    let sandbox = idle();
    let (mut stream, first) = sandbox.prove();
    let nonces = challenge(&mut stream, &key());
    let second = authorization(&key().client_proof(&nonces));
    assert_ne!(first, second, "the server's nonce is new each time");
    assert_eq!(ask(&mut stream, "/v1/status", &first).status, 401);
    assert_eq!(ask(&mut stream, "/v1/status", &second).status, 200);
    // One that is refused changes nothing.
    assert_eq!(ask(&mut stream, "/v1/challenge?nonce=00", "").status, 400);
    assert_eq!(ask(&mut stream, "/v1/status", &second).status, 200);
}

#[test]
fn neither_a_wrong_key_nor_the_servers_own_proof_nor_the_token_opens_it() {
    let sandbox = idle();
    let mut stream = sandbox.connect();
    let nonces = challenge(&mut stream, &key());
    let good = key().client_proof(&nonces);
    let mut flipped = good;
    flipped[31] ^= 1;
    for wrong in [
        authorization(&Key::of_token(b"other").client_proof(&nonces)),
        authorization(&key().server_proof(&nonces)),
        authorization(&flipped),
        authorization(&good[..31]),
        authorization(&[]),
        format!("Authorization: Bearer {TOKEN}"),
        format!("Authorization: Bearer {}", hex(&good)),
        format!("Authorization: Amika {TOKEN}"),
        format!("{0}\r\n{0}", authorization(&good)),
    ] {
        let answer = ask(&mut stream, "/v1/status", &wrong);
        assert_eq!(answer.status, 401, "{wrong}");
        assert!(
            answer.head.contains("www-authenticate: amika"),
            "{answer:?}"
        );
        let message = answer.json()["error"]["message"].to_string();
        assert!(message.contains("/v1/challenge"), "{message}");
    }
    assert_eq!(
        ask(&mut stream, "/v1/status", &authorization(&good)).status,
        200
    );
}

#[test]
fn nonces_that_are_none_are_refused_and_long_ones_serve() {
    let sandbox = idle();
    let digits = |bytes: usize| "ab".repeat(bytes);
    for bad in [
        String::new(),
        "?nonce=".into(),
        format!("?nonce={}", digits(15)),
        format!("?nonce={}", digits(65)),
        format!("?nonce={}c", digits(16)),
        format!("?nonce={}zz", digits(16)),
        format!("?nonce=%61{}", digits(16)),
        format!("?nonce={0}&nonce={0}", digits(16)),
        format!("?nonce={}&more=1", digits(16)),
        format!("?other=1&nonce={}", digits(16)),
        format!("?nonces={}", digits(16)),
    ] {
        let answer = sandbox.get(&format!("/v1/challenge{bad}"));
        assert_eq!(answer.status, 400, "{bad}");
        assert_eq!(answer.json()["error"]["code"], "bad_nonce");
    }
    for good in [digits(16), digits(64), digits(32).to_uppercase()] {
        let answer = sandbox.get(&format!("/v1/challenge?nonce={good}"));
        assert_eq!(answer.status, 200, "{good}");
        for field in ["nonce", "proof"] {
            assert_eq!(answer.json()[field].as_str().unwrap().len(), 64, "{field}");
        }
    }
    let post = sandbox.request("POST", "/v1/challenge", &[], "");
    assert_eq!(post.status, 405);
}

#[test]
fn no_answer_holds_the_key_or_the_token() {
    let sandbox = idle();
    let answer = sandbox.get(&format!("/v1/challenge?nonce={}", "00".repeat(16)));
    let secret = "0e4f23d77a364b3558361dc5ff56b7f1c8420b5bf132144a0070b1b4b276eb0d";
    let text = format!("{}{}", answer.head, answer.body);
    assert!(!text.contains(secret) && !text.contains(TOKEN), "{text}");
}

#[test]
fn a_flood_of_challenges_leaves_probes_and_root_answering() {
    let sandbox = idle();
    let target = format!("/v1/challenge?nonce={}", "01".repeat(64));
    let request = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n").repeat(50);
    let held: Vec<TcpStream> = (0..300)
        .map(|_| {
            let mut stream = sandbox.connect();
            // It may have been thrown out already, to make room.
            let _ = stream.write_all(request.as_bytes());
            stream
        })
        .collect();
    for _ in 0..10 {
        assert_eq!(sandbox.get("/livez").status, 200);
        let health = sandbox.exec(&["/amikad", "health"]).status().unwrap();
        assert!(health.success());
    }
    assert_eq!(sandbox.api("/v1/status").status, 200);
    drop(held);
}

#[test]
fn root_gets_in_when_the_network_has_taken_every_place() {
    let sandbox = idle();
    // Streams, so that nobody makes way, and bodies that do not come.
    let mut hold = Vec::new();
    for (request, rest) in [
        ("GET /v1/events", ""),
        (
            "POST /v1/services/opencode/restart",
            "Content-Type: application/json\r\nContent-Length: 9\r\n",
        ),
    ] {
        hold.extend((0..128).map_while(|_| {
            let (mut stream, proof) = sandbox.try_prove()?;
            let head = format!("{request} HTTP/1.1\r\nHost: localhost\r\n{proof}\r\n{rest}\r\n");
            stream.write_all(head.as_bytes()).ok()?;
            Some(stream)
        }));
    }
    let health = sandbox.exec(&["/amikad", "health"]).status().unwrap();
    assert!(health.success());
    let mut child = sandbox
        .exec(&["/amikad", "relay"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let request = b"GET /v1/logs/setup HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    child.stdin.take().unwrap().write_all(request).unwrap();
    let output = child.wait_with_output().unwrap();
    let answer = parse(&String::from_utf8(output.stdout).unwrap());
    assert_eq!(answer.status, 200, "streams of its own: {answer:?}");
    assert!(hold.len() > 128, "{}", hold.len());
}

#[test]
fn the_port_is_taken_before_cmd_could_have_it() {
    let thief = "import socket\n\
                 try:\n  socket.create_server(('0.0.0.0', 60999))\n\
                 except OSError as error: open('/tmp/refused', 'w').write(str(error))\n\
                 else: open('/tmp/refused', 'w').write('STOLEN')\n";
    let sandbox = Builder::new()
        .with_token()
        .start_words(&["python3", "-c", thief]);
    eventually("the thief", || {
        sandbox.path("/tmp/refused").exists().then_some(())
    });
    sandbox.until_file_has("/tmp/refused", "ddress already in use");
}

#[test]
fn one_listener_has_the_port_on_ipv6_too_and_nobody_else_gets_that_half_of_it() {
    let thief = "import socket, time\n\
                 said = []\n\
                 for family, address in [(socket.AF_INET, '127.0.0.1'), (socket.AF_INET6, '::1'), (socket.AF_INET6, '::')]:\n\
                 \x20 try:\n    s = socket.socket(family)\n\
                 \x20   if family == socket.AF_INET6: s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)\n\
                 \x20   s.bind((address, 60999)); s.listen(); said.append('STOLEN')\n\
                 \x20 except OSError as error: said.append(str(error.errno))\n\
                 open('/tmp/refused', 'w').write(' '.join(said) + '.'); time.sleep(999)\n";
    // Whatever the container says is usual.
    for usual in ["0", "1"] {
        let set = format!("echo {usual} >/proc/sys/net/ipv6/bindv6only; exec \"$@\"");
        let sandbox = Builder::new()
            .with_token()
            .wrapped(&["sh", "-c", &set, "sh"])
            .start_words(&["python3", "-c", thief]);
        sandbox.until_file_has("/tmp/refused", ".");
        assert_eq!(sandbox.read("/tmp/refused"), "98 98 98.", "{usual}");
        for (address, host) in [("127.0.0.1", "127.0.0.1"), ("::1", "[::1]")] {
            let mut stream = eventually("the port", || sandbox.try_connect_to(address));
            write!(stream, "GET /livez HTTP/1.1\r\nHost: {host}:60999\r\n\r\n").unwrap();
            assert_eq!(one_answer(&mut stream).status, 200, "{address}");
        }
    }
}

/// Becomes its arguments under a filter that knows no IPv6: `socket(2)` of that family fails as on a kernel without it.
#[cfg(target_arch = "x86_64")]
const WITHOUT_IPV6: &str = "import ctypes, os, struct, sys\n\
    code = [(0x20, 0, 0, 0), (0x15, 0, 3, 41), (0x20, 0, 0, 16), (0x15, 0, 1, 10), (0x06, 0, 0, 0x50000 | 97), (0x06, 0, 0, 0x7fff0000)]\n\
    text = ctypes.create_string_buffer(b''.join(struct.pack('HBBI', *one) for one in code))\n\
    program = struct.pack('HxxxxxxP', len(code), ctypes.addressof(text))\n\
    libc = ctypes.CDLL(None, use_errno=True)\n\
    assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, program, 0, 0) == 0, ctypes.get_errno()\n\
    os.execv(sys.argv[1], sys.argv[1:])\n";

#[test]
#[cfg(target_arch = "x86_64")]
fn without_ipv6_it_is_there_all_the_same() {
    let sandbox = Builder::new()
        .with_token()
        .wrapped(&["python3", "-c", WITHOUT_IPV6])
        .start_idle();
    assert_eq!(sandbox.api("/v1/status").status, 200);
    assert!(sandbox.try_connect_to("::1").is_none(), "the filter holds");
}

#[test]
fn setup_cannot_have_the_port_either() {
    let sandbox = Builder::new()
        .with_token()
        .setup(
            "#!/bin/sh\npython3 -c \"import socket; socket.create_server(('0.0.0.0', 60999))\" 2>/tmp/refused\nexit 0\n",
        )
        .start_idle();
    sandbox.until_file_has("/tmp/refused", "ddress already in use");
    assert_eq!(sandbox.api("/v1/status").status, 200);
}

#[test]
fn a_port_that_is_taken_is_told_of_before_cmd_speaks() {
    let thief = "import os, socket, sys\ns = socket.create_server(('0.0.0.0', 60999))\n\
                 os.set_inheritable(s.fileno(), True)\nos.execv(sys.argv[1], sys.argv[1:])";
    let mut sandbox = Builder::new()
        .wrapped(&["python3", "-c", thief])
        .start("echo CMD speaks >&2");
    let end = sandbox.wait();
    let said = end.stderr.find("port 60999 cannot be had");
    let spoke = end.stderr.find("CMD speaks");
    assert!(said.is_some() && said < spoke, "{end:?}");
}

#[test]
fn pipelined_requests_after_a_challenge_are_judged_one_by_one() {
    let sandbox: Sandbox = idle();
    let answers = sandbox.talk(&format!(
        "GET /v1/status HTTP/1.1\r\nHost: localhost\r\n{PROOF}\r\n\r\n\
         GET /v1/status HTTP/1.1\r\nHost: localhost\r\n\r\n\
         GET /v1/challenge?nonce={} HTTP/1.1\r\nHost: localhost\r\n\r\n\
         GET /v1/status HTTP/1.1\r\nHost: localhost\r\n{PROOF}\r\nConnection: close\r\n\r\n",
        "77".repeat(16)
    ));
    let codes: Vec<&str> = answers
        .split("HTTP/1.1 ")
        .skip(1)
        .map(|answer| &answer[..3])
        .collect();
    assert_eq!(codes, ["200", "401", "200", "401"], "{answers}");
}

#[test]
fn a_connection_that_only_reads_gets_nothing() {
    let sandbox = idle();
    let mut stream = sandbox.connect();
    let request = b"GET /v1/status HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(request).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert_eq!(parse(&text).status, 401);
    assert!(!text.contains("boot_id"), "{text}");
}
