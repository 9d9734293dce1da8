//! What listens inside, and who is told of it.

use std::io::{BufRead, BufReader, Write};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::http::idle;
use crate::support::{Builder, PROOF, Sandbox, eventually};

/// Servers of every kind, of a user without rights.
const SERVERS: &str = "\
import os, socket
def tcp(family, address, port, only=False):
    made = socket.socket(family)
    if family == socket.AF_INET6: made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only)
    made.bind((address, port)); made.listen(); return made
def udp(address, port):
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); made.bind((address, port)); return made
kept = [tcp(socket.AF_INET, '127.0.0.1', 3000), tcp(socket.AF_INET, '0.0.0.0', 3001),
    tcp(socket.AF_INET6, '::', 3002), tcp(socket.AF_INET6, '::', 3003, True), tcp(socket.AF_INET6, '::1', 3004),
    udp('0.0.0.0', 5353)]
# One that is connected listens to nobody.
client = socket.create_connection(('127.0.0.1', 3000))
open('/tmp/up', 'w').close()
import time; time.sleep(600)
";

fn servers() -> Sandbox {
    let sandbox = Builder::new()
        .with_token()
        .start_words(&["python3", "-c", SERVERS]);
    eventually("the servers", || {
        sandbox.path("/tmp/up").exists().then_some(())
    });
    sandbox
}

fn entry(list: &Value, port: u16) -> &Value {
    let mut entries = list.as_array().unwrap().iter();
    entries
        .find(|entry| entry["port"] == port)
        .unwrap_or_else(|| panic!("{port}: {list}"))
}

#[test]
fn what_listens_is_told_with_address_process_and_user() {
    let sandbox = servers();
    let answer = sandbox.api("/v1/ports");
    assert_eq!(answer.status, 200, "{answer:?}");
    let list = answer.json();
    assert_eq!(
        list.as_array().unwrap().len(),
        6,
        "amikad's own is not among them: {list}"
    );
    for (port, protocol, address, loopback, ipv6) in [
        (3000, "tcp", "127.0.0.1", true, false),
        (3001, "tcp", "0.0.0.0", false, false),
        (3002, "tcp", "::", false, false),
        (3003, "tcp", "::", false, true),
        (3004, "tcp", "::1", true, true),
        (5353, "udp", "0.0.0.0", false, false),
    ] {
        let entry = entry(&list, port);
        assert_eq!(entry["protocol"], protocol, "{entry}");
        assert_eq!(entry["address"], address, "{entry}");
        assert_eq!(entry["loopback_only"], loopback, "{entry}");
        assert_eq!(entry["ipv6_only"], ipv6, "{entry}");
        assert_eq!(entry["ephemeral"], false, "{entry}");
        assert!(entry["pid"].as_i64().unwrap() > 1, "{entry}");
        let program = entry["program"].as_str().unwrap();
        assert!(program.starts_with("python3"), "{entry}");
        assert_eq!(entry["user"], "amika", "{entry}");
        assert!(
            entry["since"].as_u64().unwrap() > 1_600_000_000_000,
            "{entry}"
        );
    }
    assert_eq!(sandbox.get("/v1/ports").status, 401);
    assert_eq!(
        sandbox.request("POST", "/v1/ports", &[PROOF], "").status,
        405
    );
    assert_eq!(sandbox.api("/v1/ports?follow=2").status, 400);
    assert_eq!(sandbox.api("/v1/ports?folow=1").status, 400);
}

#[test]
fn without_the_right_to_look_at_others_the_process_is_found_all_the_same() {
    // As an engine has it: root without SYS_PTRACE.
    let sandbox = Builder::new()
        .with_token()
        .wrapped(&[
            "setpriv",
            "--bounding-set",
            "-sys_ptrace",
            "--inh-caps",
            "-sys_ptrace",
        ])
        .start_words(&["python3", "-c", SERVERS]);
    eventually("the servers", || {
        sandbox.path("/tmp/up").exists().then_some(())
    });
    let status = std::fs::read_to_string(format!("/proc/{}/status", sandbox.pid())).unwrap();
    let effective = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:\t"));
    let effective = u64::from_str_radix(effective.unwrap(), 16).unwrap();
    assert_eq!(effective & (1 << 19), 0, "SYS_PTRACE: {status}");
    let list = sandbox.api("/v1/ports").json();
    assert!(entry(&list, 3000)["pid"].as_i64().unwrap() > 1, "{list}");
}

#[test]
fn a_program_with_thousands_of_ports_and_a_name_of_its_own_is_told_within_bounds() {
    let program = "import resource, socket, sys\n\
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]\n\
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))\n\
        open('/proc/self/comm', 'w').write('\\x1b[31m\\n\"x')\n\
        kept = [socket.create_server(('127.0.0.1', 10000 + number)) for number in range(1500)]\n\
        open('/tmp/up', 'w').close()\n\
        import time; time.sleep(600)\n";
    let sandbox = Builder::new()
        .with_token()
        .start_words(&["python3", "-c", program]);
    eventually("the servers", || {
        sandbox.path("/tmp/up").exists().then_some(())
    });
    let list = sandbox.api("/v1/ports").json();
    assert_eq!(list.as_array().unwrap().len(), 1000);
    assert_eq!(
        entry(&list, 10_000)["program"],
        "\u{1b}[31m\n\"x",
        "told as it is, in JSON"
    );
    assert_eq!(sandbox.get("/livez").status, 200);
}

/// An event stream, and its events as they come.
fn follow(sandbox: &Sandbox, target: &str) -> impl Iterator<Item = (String, Value)> + use<> {
    let (mut stream, proof) = sandbox.prove();
    write!(
        stream,
        "GET {target} HTTP/1.1\r\nHost: localhost\r\n{proof}\r\n\r\n"
    )
    .unwrap();
    let mut event = String::new();
    let lines = BufReader::new(stream).lines();
    lines.map_while(Result::ok).filter_map(move |line| {
        if let Some(name) = line.strip_prefix("event: ") {
            name.clone_into(&mut event);
        }
        let data = line.strip_prefix("data: ")?;
        Some((event.clone(), serde_json::from_str(data).unwrap()))
    })
}

/// Begins to listen once a file is there, and ceases once another is.
fn on_demand() -> Sandbox {
    Builder::new().with_token().start_words(&[
        "python3",
        "-c",
        "import os, socket, time\n\
         def wait(path):\n  while not os.path.exists(path): time.sleep(0.01)\n\
         wait('/tmp/begin'); server = socket.create_server(('127.0.0.1', 4000))\n\
         wait('/tmp/cease'); server.close(); wait('/tmp/never')\n",
    ])
}

fn touch(sandbox: &Sandbox, path: &str) {
    std::fs::write(sandbox.path(path), "").unwrap();
}

#[test]
fn who_follows_is_given_the_list_anew_when_it_changes() {
    let sandbox = on_demand();
    let mut lists = follow(&sandbox, "/v1/ports?follow=1");
    let next = lists.next().unwrap();
    assert_eq!(next, ("ports".into(), serde_json::json!([])));
    touch(&sandbox, "/tmp/begin");
    let (_, list) = lists.next().unwrap();
    assert_eq!(entry(&list, 4000)["loopback_only"], true);
    touch(&sandbox, "/tmp/cease");
    assert_eq!(lists.next().unwrap().1, serde_json::json!([]));
}

#[test]
fn beginnings_and_ends_are_events() {
    let sandbox = on_demand();
    let mut ports = follow(&sandbox, "/v1/events").filter(|(name, _)| name == "port");
    touch(&sandbox, "/tmp/begin");
    let (_, begun) = ports.next().unwrap();
    assert_eq!(
        (&begun["port"], &begun["listening"]),
        (&4000.into(), &true.into())
    );
    touch(&sandbox, "/tmp/cease");
    let (_, ceased) = ports.next().unwrap();
    assert_eq!(
        (&ceased["port"], &ceased["listening"]),
        (&4000.into(), &false.into())
    );
}

#[test]
fn nobody_looks_while_nobody_asks() {
    let sandbox = idle();
    let mut lists = follow(&sandbox, "/v1/ports?follow=1");
    lists.next().unwrap();
    drop(lists);
    // Who left is noticed by the next signs of life; the thread that looked goes once it has had nothing to do for a while.
    let deadline = Instant::now() + Duration::from_secs(80);
    loop {
        let before = sandbox.sleeps();
        std::thread::sleep(Duration::from_secs(4));
        // A tick would be four of them, each of more than one sleep.
        if sandbox.sleeps() == before {
            return;
        }
        assert!(Instant::now() < deadline, "it goes on");
    }
}
