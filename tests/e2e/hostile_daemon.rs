//! Root in a sandbox has its amikad's key and may answer in its place: what proves itself as amikad does and then
//! says whatever it likes holds up no command, gets nothing raw to the terminal, and changes nothing here.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::hostile_text::{LINES, PAYLOAD, is_inert};
use crate::impostor::{engine_with_ports, published};
use crate::support::{DEBIAN, Sandbox, Stage};

/// What a command may take, all its tries and ways added up, on a machine that has other work.
const LIMIT: Duration = Duration::from_secs(45);
/// Until what has no end of its own is told to end, and what that may take.
const LOOK: Duration = Duration::from_secs(3);
const END: Duration = Duration::from_secs(10);

/// How a request is answered once the challenge was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// As the protocol has it, with texts that steer a terminal.
    Texts,
    /// With the largest and the least numbers.
    Numbers,
    /// With texts of 900 kB, and thousands of each thing.
    Crowd,
    /// Each value of another type.
    Types,
    /// A document that is nested without end.
    Nested,
    /// A body without an end, as fast as it is read.
    Flood,
    /// A body of which a byte comes now and then.
    Drip,
    /// Header lines without an end.
    Head,
    /// A head of which a byte comes now and then.
    SlowHead,
    /// An error with a text that steers a terminal.
    Refusal,
    /// An error that is no document, whose reason steers a terminal.
    Reason,
    /// What is no HTTP.
    Noise,
    /// Nothing.
    Silence,
}

const WAYS: [Way; 13] = [
    Way::Texts,
    Way::Numbers,
    Way::Crowd,
    Way::Types,
    Way::Nested,
    Way::Flood,
    Way::Drip,
    Way::Head,
    Way::SlowHead,
    Way::Refusal,
    Way::Reason,
    Way::Noise,
    Way::Silence,
];

impl Way {
    /// Answers; nothing when the peer went away.
    fn answer(self, target: &str, peer: &mut TcpStream) -> Option<()> {
        let now_and_then = |peer: &mut TcpStream, byte: u8| {
            std::thread::sleep(Duration::from_millis(300));
            peer.write_all(&[byte]).ok()
        };
        match self {
            Self::Texts | Self::Numbers | Self::Crowd | Self::Types => {
                let body = if target.starts_with("/v1/logs/") && self == Self::Texts {
                    format!("{PAYLOAD}\n\u{1b}[31mred\n{PAYLOAD}")
                } else {
                    self.document(target).to_string()
                };
                let body = if target.contains("/ports?follow") {
                    format!("event: ports\ndata: {body}\n\n")
                } else {
                    body
                };
                send(peer, "200 OK", body.as_bytes())
            }
            Self::Nested => send(peer, "200 OK", &vec![b'['; 900_000]),
            Self::Flood => {
                peer.write_all(b"HTTP/1.1 200 OK\r\n\r\n").ok()?;
                let piece = PAYLOAD.repeat(1000);
                while peer.write_all(piece.as_bytes()).is_ok() {}
                None
            }
            Self::Drip => {
                let head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n";
                peer.write_all(head).ok()?;
                loop {
                    now_and_then(peer, b' ')?;
                }
            }
            Self::Head => {
                peer.write_all(b"HTTP/1.1 200 OK\r\n").ok()?;
                let line = format!("X-{}: {}\r\n", "x".repeat(50), "y".repeat(500));
                while peer.write_all(line.as_bytes()).is_ok() {}
                None
            }
            Self::SlowHead => {
                peer.write_all(b"HTTP/1.1 200 OK\r\nX: ").ok()?;
                loop {
                    now_and_then(peer, b'x')?;
                }
            }
            Self::Refusal => {
                let text = format!("{PAYLOAD}{LINES}");
                let error = json!({"error": {"code": text, "message": text}}).to_string();
                send(peer, "500 Internal Server Error", error.as_bytes())
            }
            Self::Reason => {
                let body = [PAYLOAD.as_bytes(), LINES.as_bytes(), b"\xff\x9b2J\0"].concat();
                send(peer, "418 \u{9b}2J\u{202e}teapot", &body)
            }
            Self::Noise => {
                peer.write_all(format!("{PAYLOAD}\r\n{LINES}\r\n\r\n").as_bytes())
                    .ok()?;
                None
            }
            Self::Silence => {
                let _ = peer.read(&mut [0]);
                None
            }
        }
    }

    /// What the protocol has for a request, with other values.
    fn document(self, target: &str) -> Value {
        let text = match self {
            Self::Crowd => PAYLOAD.repeat(900_000 / PAYLOAD.len() / 10),
            _ => format!("{PAYLOAD}{LINES}"),
        };
        let (number, code, least) = match self {
            Self::Numbers => (u64::MAX, i32::MIN, u16::MIN),
            _ => (7, 3, 3000),
        };
        let count = if self == Self::Crowd { 2000 } else { 1 };
        if self == Self::Types {
            let odd = json!([{"x": PAYLOAD}, null, -1, 1e300]);
            return json!({
                "api": odd, "version": 1, "pid": "x", "phase": odd, "since": -1, "setup": PAYLOAD, "cmd": 1,
                "services": [PAYLOAD], "port": "x", "username": 1, "password": odd, "running": PAYLOAD,
                "last_active_at": PAYLOAD,
            });
        }
        if target.starts_with("/v1/services/") {
            return json!({"port": least, "username": text, "password": text});
        }
        if target.starts_with("/v1/activity") {
            let because = vec!["cpu"; count];
            return json!({"last_active_at": number, "idle_ms": number, "active_because": because});
        }
        if target.starts_with("/v1/execs/") {
            return json!({"running": true, "out_of_memory_kills": number});
        }
        if target.starts_with("/v1/ports") {
            let listener = |at: usize| {
                let short = text.chars().take(400).collect::<String>();
                json!({
                    "port": u16::try_from(at).unwrap().wrapping_add(least), "protocol": "tcp", "address": short,
                    "loopback_only": true, "ipv6_only": true, "ephemeral": false, "pid": code, "program": short,
                    "user": short, "since": number,
                })
            };
            return (0..count).map(listener).collect();
        }
        let service = |at: usize| {
            let service = json!({
                "enabled": true, "installed": true, "state": "failed", "port": least, "pid": code,
                "restarts": u32::MAX, "last_exit": text.chars().take(300).collect::<String>(),
                "next_retry_ms": number,
            });
            (format!("{at}{PAYLOAD}{LINES}"), service)
        };
        let mut services: serde_json::Map<String, Value> = (0..count).map(service).collect();
        services.insert("opencode".into(), service(0).1);
        json!({
            "api": u32::MAX, "version": text, "pid": code, "boot_id": text, "phase": "running",
            "outcome": "setup_failed", "since": number, "uptime_ms": number,
            "setup": {
                "state": "succeeded", "exit_code": code, "signal": code, "failed_line": u32::MAX, "message": text,
                "started_at": number, "duration_ms": number, "log_bytes": number, "log_truncated": true,
            },
            "cmd": {
                "state": "running", "pid": code, "argv0": text, "exit_code": code, "signal": code,
                "started_at": number,
            },
            "services": services, "reaped_orphans": number, "stop_signal": code,
            "out_of_memory": {"kills": number, "last_at": number},
        })
    }
}

fn send(peer: &mut TcpStream, status: &str, body: &[u8]) -> Option<()> {
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    peer.write_all(head.as_bytes()).ok()?;
    peer.write_all(body).ok()
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn unhex(text: &str) -> Vec<u8> {
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    text.as_bytes().chunks(2).map(byte).collect()
}

/// HMAC-SHA-256 (RFC 2104) with a key of 32 bytes.
fn hmac(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let pad = |with: u8| -> Vec<u8> {
        let mut block = key.to_vec();
        block.resize(64, 0);
        block.iter().map(|byte| byte ^ with).collect()
    };
    let inner = Sha256::digest([&pad(0x36)[..], &parts.concat()].concat());
    Sha256::digest([&pad(0x5c)[..], &inner].concat()).to_vec()
}

/// Listens as the amikad whose key this is.
fn stand_in(key: &[u8], way: Way) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let key = key.to_vec();
    std::thread::spawn(move || {
        for peer in listener.incoming().flatten() {
            let key = key.clone();
            std::thread::spawn(move || serve(peer, &key, way));
        }
    });
    port
}

fn serve(mut peer: TcpStream, key: &[u8], way: Way) -> Option<()> {
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            peer.read_exact(&mut byte).ok()?;
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap();
        let target = head.split(' ').nth(1).unwrap_or_default();
        match target.strip_prefix("/v1/challenge?nonce=") {
            Some(nonce) => {
                let server = [9; 32];
                let proof = hmac(key, &[b"server", &unhex(nonce), &server]);
                let answer = json!({"nonce": hex(&server), "proof": hex(&proof)}).to_string();
                send(&mut peer, "200 OK", answer.as_bytes())?;
            }
            None => way.answer(target, &mut peer)?,
        }
    }
}

/// The key of a sandbox's amikad, as root inside and the engine have it.
fn key_of(sandbox: &Sandbox<'_>) -> Vec<u8> {
    let env = sandbox.engine_says("{{range .Config.Env}}{{println .}}{{end}}");
    let key = env
        .lines()
        .find_map(|line| line.strip_prefix("AMIKA_TOKEN_SHA256="));
    unhex(key.unwrap())
}

/// Every command that asks amikad something, at once, on a terminal and as JSON.
fn all_commands(stage: &Stage, name: &str, engine: &str, way: Way) {
    let dead = ["sandbox", "exec", name, "--", "sh", "-c", "kill -9 $$"];
    let commands: [&[&str]; 10] = [
        &["sandbox", "inspect", name],
        &["sandbox", "list", "-l"],
        &["service", "list", "--sandbox-name", name],
        &["sandbox", "logs", name, "--setup"],
        &["sandbox", "logs", name, "--amikad"],
        &["sandbox", "wait", name, "--timeout", "3s"],
        &["sandbox", "start", name, "--timeout", "3s"],
        &dead,
        &["sandbox", "open", name],
        &["sandbox", "forward", name, "--all"],
    ];
    let variables = [("DOCKER_HOST", engine), ("BROWSER", "true")];
    let mut running = Vec::new();
    for command in commands {
        for format in ["text", "json"] {
            // Of these there is no JSON.
            if format == "json" && command[1] == "exec" {
                continue;
            }
            let args: Vec<&str> = match format {
                "json" => [&["-o", "json"], command].concat(),
                _ => command.to_vec(),
            };
            let terminal = stage.on_terminal_of(80, &variables, &args);
            running.push((args, Instant::now(), terminal));
        }
    }
    for (args, begun, mut terminal) in running {
        let what = format!("{way:?} {args:?}");
        let limit = if args.contains(&"open") || args.contains(&"forward") {
            std::thread::sleep(LOOK.saturating_sub(begun.elapsed()));
            terminal.signal(Signal::TERM);
            LOOK + END + begun.elapsed()
        } else {
            LIMIT
        };
        while !terminal.has_ended() {
            let is_late = begun.elapsed() >= limit;
            assert!(!is_late, "{what} does not end: {:?}", terminal.text());
            std::thread::sleep(Duration::from_millis(10));
        }
        let (code, screen) = terminal.end();
        assert!(
            code < 128 || [130, 137].contains(&code),
            "{what} ended with {code}: {screen:?}"
        );
        assert!(
            !screen.contains("panicked") && screen.len() < 40_000_000,
            "{what}: {} bytes, {:?}",
            screen.len(),
            screen.chars().take(2000).collect::<String>()
        );
        is_inert(&[&what], &screen);
    }
}

#[test]
fn whatever_has_amikads_key_holds_up_no_command_and_gets_nothing_raw_through() {
    let stage = Stage::new();
    let script = stage.script("setup.sh", "#!/bin/sh\necho set up\n");
    let args = ["--setup-script", &script, "--", "sleep", "600"];
    let sandbox = stage.sandbox(DEBIAN, &args);
    let (key, real) = (key_of(&sandbox), published(&sandbox, 60999));
    let files = || {
        let found = stage.shell(
            "find \"$1\" -type f -o -type l | sort",
            &[stage.home().to_str().unwrap()],
        );
        found.output().stdout_text()
    };
    let engines: Vec<(Way, String)> = WAYS
        .into_iter()
        .map(|way| {
            let port = loop {
                // The engine's answers keep their length.
                let port = stand_in(&key, way);
                if port.to_string().len() == real.to_string().len() {
                    break port;
                }
            };
            (way, engine_with_ports(&stage, &[(real, port)]))
        })
        .collect();
    let before = files();
    for (way, engine) in &engines {
        all_commands(&stage, &sandbox.name, engine, *way);
    }
    assert_eq!(files(), before);
    assert!(stage.temporary().is_empty(), "{:?}", stage.temporary());
    // It is still there, and is what it was to who goes to it.
    assert_eq!(sandbox.inspect()["status"]["phase"], "running");
    for verb in ["restart", "stop", "delete"] {
        let (_, engine) = &engines[0];
        let mut terminal = stage.on_terminal_of(
            80,
            &[("DOCKER_HOST", engine)],
            &["sandbox", verb, &sandbox.name],
        );
        let (_, screen) = terminal.types("y\n").end();
        is_inert(&[verb], &screen);
    }
}
