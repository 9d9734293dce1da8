//! Ports of a sandbox on this machine, published or not.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use rustix::process::Signal;

use crate::support::{DEBIAN, Daemon, Running, Sandbox, Stage, eventually};

const QUIET: [&str; 2] = ["--env", "AMIKA_OPENCODE_WEB=0"];

/// How long an answer may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// Serves each `kind:address:port` that it is given: says in upper case what it is told, a connection once all of it
/// was said.
pub(crate) const SERVER: &str = "
use IO::Socket::INET;
$| = 1; $SIG{CHLD} = 'IGNORE';
for my $spec (@ARGV) {
    my ($kind, $address, $port) = split /:/, $spec;
    next if fork;
    my %at = (LocalAddr => $address, LocalPort => $port);
    if ($kind eq 'udp') {
        my $socket = IO::Socket::INET->new(%at, Proto => 'udp') or die $!;
        while (defined $socket->recv(my $message, 65536)) { $socket->send(uc $message) }
    }
    my $socket = IO::Socket::INET->new(%at, Listen => 300, ReuseAddr => 1) or die $!;
    while (1) {
        my $client = $socket->accept or next;
        unless (fork) {
            my $all = '';
            while (sysread $client, my $bytes, 65536) { $all .= uc $bytes }
            print $client $all; close $client; exit;
        }
        close $client;
    }
}
print \"up\\n\";
sleep 1000;
";

/// As [`free_ports`], one.
pub(crate) fn free_port() -> u16 {
    let [port] = free_ports();
    port
}

/// Numbers that nobody has on this machine; inside, everybody may have them.
fn free_ports<const N: usize>() -> [u16; N] {
    let held = [(); N].map(|()| TcpListener::bind(("127.0.0.1", 0)).unwrap());
    held.map(|listener| listener.local_addr().unwrap().port())
}

/// A sandbox whose CMD serves these.
fn serving<'a>(stage: &'a Stage, options: &[&str], specs: &[String]) -> Sandbox<'a> {
    let sandbox = stage.adopt(stage.name());
    create(&sandbox, options, specs).ended(0, &[]);
    sandbox.logs("up");
    sandbox
}

fn create(sandbox: &Sandbox<'_>, options: &[&str], specs: &[String]) -> crate::support::Output {
    let mut args = QUIET.to_vec();
    args.extend(options);
    args.extend(["--", "perl", "-e", SERVER]);
    args.extend(specs.iter().map(String::as_str));
    sandbox.create(DEBIAN, &args)
}

fn forward(sandbox: &Sandbox<'_>, args: &[&str]) -> Running {
    let mut all = vec!["forward", sandbox.name.as_str()];
    all.extend(args);
    let run = sandbox.stage.amika(&all);
    run.limit(Duration::from_mins(3)).start()
}

/// What is said to a port of this machine, and what it says; nothing where it breaks.
fn ask(port: u16, text: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(text.as_bytes()).ok()?;
    stream.shutdown(Shutdown::Write).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

#[test]
fn ports_are_reached_where_none_is_published() {
    let stage = Stage::new();
    let [tcp, udp, other] = free_ports();
    let specs = [
        format!("tcp:127.0.0.1:{tcp}"),
        format!("udp:127.0.0.1:{udp}"),
    ];
    let sandbox = serving(&stage, &["--network", "none"], &specs);
    let (named, datagrams) = (format!("{other}:{tcp}"), format!("{udp}/udp"));
    let running = forward(&sandbox, &[&tcp.to_string(), &named, &datagrams]);
    running.says(&format!("127.0.0.1:{tcp} -> {tcp}/tcp  (perl)\n"));
    running.says(&format!("127.0.0.1:{other} -> {tcp}/tcp"));
    running.says(&format!("127.0.0.1:{udp} -> {udp}/udp"));
    for port in [tcp, other] {
        assert_eq!(ask(port, "some words").as_deref(), Some("SOME WORDS"));
    }
    let large = "x".repeat(3 << 20);
    assert_eq!(ask(tcp, &large).map(|answer| answer.len()), Some(3 << 20));
    let socket = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.connect(("127.0.0.1", udp)).unwrap();
    for said in [&b"one"[..], b"", &[b'y'; 9000]] {
        socket.send(said).unwrap();
        let mut heard = vec![0; 65_536];
        let count = socket.recv(&mut heard).unwrap();
        assert_eq!(heard[..count], said.to_ascii_uppercase());
    }
    running.signal(Signal::INT);
    running.wait().ended(130, &[]);
    assert!(TcpStream::connect(("127.0.0.1", tcp)).is_err());
}

#[test]
fn many_at_once_are_served_whoever_does_not_read() {
    let stage = Stage::new();
    let [port] = free_ports();
    let sandbox = serving(&stage, &[], &[format!("tcp:127.0.0.1:{port}")]);
    let running = forward(&sandbox, &[&port.to_string()]);
    running.says("->");
    // More than all buffers on the way hold, and nobody takes it.
    let mut stalled = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stalled.write_all(&vec![b'x'; 32 << 20]).unwrap();
    stalled.shutdown(Shutdown::Write).unwrap();
    let mut open: Vec<TcpStream> = (0..100)
        .map(|number| {
            let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            write!(stream, "number {number}").unwrap();
            stream
        })
        .collect();
    for (number, stream) in open.iter_mut().enumerate() {
        stream.shutdown(Shutdown::Write).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, format!("NUMBER {number}"));
    }
}

/// Events of `-o json`, as far as they have come.
fn lines(running: &Running) -> Vec<serde_json::Value> {
    let text = running.said_text();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn count(running: &Running, event: &str, port: u16) -> usize {
    let lines = lines(running);
    lines
        .iter()
        .filter(|line| line["event"] == event && line["port"] == port)
        .count()
}

#[test]
fn all_follows_what_begins_and_ceases_and_survives_a_restart() {
    let stage = Stage::new();
    let [first, second] = free_ports();
    let sandbox = serving(&stage, &[], &[format!("tcp:127.0.0.1:{first}")]);
    let running = forward(&sandbox, &["--all", "-o", "json"]);
    eventually("what listens already is there", || {
        count(&running, "forwarding", first) == 1
    });
    assert_eq!(ask(first, "words").as_deref(), Some("WORDS"));
    let more = format!("tcp:127.0.0.1:{second}");
    let server = sandbox.exec(&["perl", "-e", SERVER, &more]).start();
    eventually("what begins is there", || {
        ask(second, "more").as_deref() == Some("MORE")
    });
    assert_eq!(count(&running, "forwarding", second), 1);
    server.signal(Signal::INT);
    // What it forked listens on; the group of the first one is ended by the engine's restart below otherwise.
    let end = "for (glob '/proc/[0-9]*') { open my $f, '<', \"$_/cmdline\" or next; local $/; my $c = <$f>; \
        kill 'KILL', m/(\\d+)/ if $c =~ /$ARGV[0]/ && !/\\/$$$/ }";
    sandbox.exec(&["perl", "-e", end, &more]).output();
    eventually("what ceases is gone", || {
        count(&running, "closed", second) == 1 && TcpStream::connect(("127.0.0.1", second)).is_err()
    });

    sandbox
        .verb("restart", &["--stop-timeout", "1s"])
        .output()
        .ended(0, &[]);
    eventually("it is reached again", || {
        ask(first, "again").as_deref() == Some("AGAIN")
    });
    std::thread::sleep(Duration::from_secs(4));
    assert_eq!(count(&running, "forwarding", first), 1, "said once");
    assert_eq!(count(&running, "closed", first), 0);
    assert_eq!(ask(first, "still").as_deref(), Some("STILL"));

    stage
        .sandbox_verb(&["delete", "--force", "--volumes", &sandbox.name])
        .ended(0, &[]);
    let ended = running.wait();
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(ended.stdout_text().contains("\"deleted\""), "{ended:?}");
}

#[test]
fn a_port_of_this_machine_that_is_taken_is_never_shared() {
    let stage = Stage::new();
    let held = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = held.local_addr().unwrap().port();
    let sandbox = serving(&stage, &[], &[format!("tcp:127.0.0.1:{port}")]);
    let refused = forward(&sandbox, &[&port.to_string(), "-o", "json"]).wait();
    assert_eq!(refused.code, 4, "{refused:?}");
    let error = &refused.json()["error"];
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("is in use by"), "{message}");
    let free = error["free_port"].as_u64().unwrap();
    let offered = format!("`amika forward {} {free}:{port}`", sandbox.name);
    assert!(
        error["hint"].as_str().unwrap().contains(&offered),
        "{error}"
    );
    forward(&sandbox, &["--all"]).wait().ended(4, &["--any"]);
    for args in [[&port.to_string(), "--any"], ["--all", "--any"]] {
        let running = forward(&sandbox, &args);
        running.says(&format!("-> {port}/tcp"));
        let text = running.said_text();
        let local = text.split([':', ' ']).nth(1).unwrap().parse().unwrap();
        assert_ne!(local, port);
        assert_eq!(ask(local, "words").as_deref(), Some("WORDS"));
    }
}

#[test]
fn a_port_that_the_sandbox_publishes_is_told_with_its_place_and_hinders_no_other() {
    let stage = Stage::new();
    let [published, near, other, moved] = free_ports();
    let specs = [
        format!("tcp:0.0.0.0:{published}"),
        format!("tcp:127.0.0.1:{near}"),
        format!("tcp:127.0.0.1:{other}"),
        format!("tcp:0.0.0.0:{moved}"),
    ];
    let [elsewhere] = free_ports();
    let ports = [
        format!("{published}:{published}"),
        format!("{near}:{near}"),
        format!("{elsewhere}:{moved}"),
    ];
    let options: Vec<&str> = ports.iter().flat_map(|port| ["--port", port]).collect();
    let sandbox = serving(&stage, &options, &specs);
    let there = format!("127.0.0.1:{published} -> {published}/tcp  (perl)  (published)\n");
    let running = forward(&sandbox, &[&published.to_string(), &other.to_string()]);
    running.says(&there);
    running.says(&format!("127.0.0.1:{other} -> {other}/tcp"));
    for port in [published, other] {
        assert_eq!(ask(port, "words").as_deref(), Some("WORDS"));
    }
    drop(running);

    // Nobody is reached there: its server listens on loopback inside.
    let refused = forward(&sandbox, &[&near.to_string()]).wait();
    let at = format!("publishes {near}/tcp at 127.0.0.1:{near}");
    refused.ended(4, &[&at, "nobody is reached there", "is free", "--any"]);
    let all = forward(&sandbox, &["--all"]);
    all.says(&there);
    all.says(&format!("127.0.0.1:{other} -> {other}/tcp"));
    all.warns(&format!("{near}/tcp is not forwarded"));
    assert_eq!(ask(other, "words").as_deref(), Some("WORDS"));
    drop(all);

    let held = TcpListener::bind(("127.0.0.1", moved)).unwrap();
    let refused = forward(&sandbox, &[&moved.to_string()]).wait();
    let at = format!("the sandbox publishes {moved}/tcp at 127.0.0.1:{elsewhere}");
    refused.ended(4, &["is in use by", &at]);
    drop(held);
}

#[test]
fn what_cannot_be_forwarded_is_told_with_what_to_do() {
    let stage = Stage::new();
    let [port] = free_ports();
    let sandbox = serving(&stage, &[], &[format!("tcp:127.0.0.1:{port}")]);
    for bad in [
        "60999", "60899", "0", "65536", "x", "80/sctp", "8080:", "1:2:3",
    ] {
        for command in [&["forward"][..], &["sandbox", "forward"]] {
            let args = [command, &[&sandbox.name, bad]].concat();
            stage.amika(&args).output().ended(2, &["error"]);
        }
    }
    for bad in [&["3000", "3000:80"][..], &[], &["--all", "3000"]] {
        forward(&sandbox, bad).wait().ended(2, &["error"]);
    }
    stage
        .amika(&["forward", "no-such-sandbox", "80"])
        .output()
        .ended(3, &["no sandbox"]);

    // Nobody there: who comes is refused, and it is told once, with the ports that are.
    let [nobody] = free_ports();
    let running = forward(&sandbox, &[&nobody.to_string()]);
    running.says("->");
    running.warns(&format!("nothing listens on {nobody}/tcp"));
    running.warns(&format!("{port}/tcp"));
    assert_eq!(ask(nobody, "hello"), None);
    assert_eq!(ask(nobody, "hello"), None);
    running.warns("was not reached");
    running.signal(Signal::INT);
    let ended = running.wait();
    let told = ended.stderr_text().matches("was not reached").count();
    assert_eq!(told, 1, "{ended:?}");

    sandbox.verb("stop", &[]).output().ended(0, &[]);
    let start = format!("amika sandbox start {}", sandbox.name);
    forward(&sandbox, &["--all"]).wait().ended(4, &[&start]);
    forward(&sandbox, &["80"]).wait().ended(4, &[&start]);
}

#[test]
fn an_engine_elsewhere_is_reached_by_the_relay() {
    let stage = Stage::new();
    let [port] = free_ports();
    let sandbox = serving(&stage, &[], &[format!("tcp:127.0.0.1:{port}")]);
    // No published port is reached from there; half a close goes through all the same.
    let client = format!(
        "use IO::Socket::INET; my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => {port}) or exit 9; \
         print $s 'far words'; $s->flush; shutdown $s, 1; print <$s>"
    );
    let script = format!(
        "exec unshare --net bash -c 'ip link set lo up; \"$0\" forward \"$1\" {port} >out & pid=$!; \
         until grep -q . out; do sleep 0.05; done; perl -e \"$2\"; code=$?; kill $pid; wait $pid; exit $code' \
         \"$0\" \"$@\""
    );
    let output = stage
        .shell(&script, &[&sandbox.name, &client])
        .dir(stage.home())
        .output();
    assert_eq!(output.stdout_text(), "FAR WORDS", "{output:?}");
}

#[test]
fn who_listens_is_listed_and_a_published_port_that_reaches_nobody_is_told() {
    let stage = Stage::new();
    let [loopback, all, nobody, undeclared] = free_ports();
    let config = format!(
        "[services.near]\nport = {loopback}\n[services.far]\nport = {all}\n[services.none]\nport = {nobody}\n"
    );
    let repository = stage.repository("repo", &[(".amika/config.toml", &config)]);
    let specs = [
        format!("tcp:127.0.0.1:{loopback}"),
        format!("tcp:0.0.0.0:{all}"),
        format!("tcp:127.0.0.1:{undeclared}"),
    ];
    let sandbox = stage.adopt(stage.name());
    // Its servers are up before it is ready: the report is of that moment.
    let setup = stage.script("setup.sh", "#!/bin/sh\ntrue\n");
    let created = create(
        &sandbox,
        &["--git", &repository, "--trust", "--setup-script", &setup],
        &specs,
    );
    assert_eq!(created.code, 0, "{created:?}");
    sandbox.logs("up");
    let list = |args: &[&str]| {
        let all = [&["service", "list", "--sandbox-name", &sandbox.name], args].concat();
        stage.amika(&all).output()
    };
    let rows = list(&["--all", "-o", "json"]).json();
    let heard = |service: Option<&str>, port: u16| {
        let rows = rows.as_array().unwrap();
        let row = rows.iter().find(|row| {
            row["service"].as_str() == service && row["ports"][0]["container_port"] == port
        });
        row.unwrap_or_else(|| panic!("{port}: {rows:?}"))["ports"][0]["listening"].clone()
    };
    assert_eq!(heard(Some("near"), loopback)["state"], "loopback_only");
    assert_eq!(heard(Some("near"), loopback)["program"], "perl");
    assert_eq!(heard(Some("far"), all)["state"], "listening");
    assert_eq!(heard(Some("none"), nobody)["state"], "nothing");
    assert_eq!(heard(None, undeclared)["state"], "loopback_only");
    let text = list(&["--all"]).stdout_text();
    assert!(
        text.contains("loopback only") && text.contains("nothing"),
        "{text}"
    );
    let plain = list(&["-o", "json"]).json();
    assert_eq!(plain.as_array().unwrap().len(), 3, "{plain}");
    assert!(plain[0]["ports"][0].get("listening").is_none(), "{plain}");

    // Started while they listen, it says so.
    let started = sandbox.verb("start", &[]).output();
    let warned = started.stderr_text();
    assert!(
        warned.contains(&format!("port {loopback}/tcp is published and not reached")),
        "{started:?}"
    );
    assert!(!warned.contains(&format!("{all}/tcp")), "{started:?}");
    assert!(
        !warned.contains(&format!("{undeclared}/tcp")),
        "{started:?}"
    );
}

#[test]
fn what_the_engine_listens_on_inside_is_neither_told_nor_reached() {
    let stage = Stage::new();
    let sandbox = stage.sandbox(DEBIAN, &["--env", "AMIKA_OPENCODE_WEB=0"]);
    // Its name server, which is in the sandbox's network and has no process there: `sl address:port … state`.
    let table = sandbox
        .exec(&["cat", "/proc/net/tcp"])
        .output()
        .stdout_text();
    let ports: Vec<u16> = table
        .lines()
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_ascii_whitespace().collect();
            let port = fields.get(1)?.strip_prefix("0B00007F:")?;
            (fields.get(3) == Some(&"0A")).then(|| u16::from_str_radix(port, 16).unwrap())
        })
        .collect();
    assert!(!ports.is_empty(), "{table}");
    let mut daemon = Daemon::by_port(&sandbox);
    let (status, told) = daemon.get("/v1/ports");
    assert_eq!((status, told), (200, serde_json::json!([])));
    let upgrade = "Connection: Upgrade\r\nUpgrade: tcp\r\n";
    for port in ports.into_iter().chain([53, 2375, 2376]) {
        let target = format!("/v1/ports/{port}/tunnel");
        let (status, answer) = daemon.text("POST", &target, upgrade, "");
        assert_eq!(status, 502, "{port}: {answer}");
        assert!(answer.contains("nothing_listens"), "{answer}");
    }
}
