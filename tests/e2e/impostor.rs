//! Somebody else has the port that a sandbox's amikad or its `OpenCode` is published on: what it is sent
//! is good for nothing, and every command goes on by the engine's way.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::{Arc, Mutex};

use rustix::process::Signal;

use crate::support::{DEBIAN, Run, Sandbox, Stage, engine_socket, eventually};

/// What somebody on a port was sent.
type Record = Arc<Mutex<Vec<u8>>>;

/// Stands in for `OpenCode`, which other images lack: answers all with the head that it was sent.
pub(crate) const SETUP: &str = r#"#!/bin/sh
cat >/usr/local/bin/opencode <<'END'
#!/usr/bin/perl
use IO::Socket::INET;
my $server = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 60998, Listen => 50, ReuseAddr => 1) or die;
while (my $peer = $server->accept) {
    my $head = '';
    while (my $line = <$peer>) { last if $line =~ /^\r?\n$/; $line =~ s/[\r\n"]//g; $head .= "$line|"; }
    my $body = qq({"healthy":true,"head":"$head"});
    my $length = length $body;
    print $peer "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: $length\r\n\r\n$body";
    close $peer;
}
END
chmod +x /usr/local/bin/opencode
echo set up
"#;

fn with_opencode(stage: &Stage) -> Sandbox<'_> {
    let script = stage.script("setup.sh", SETUP);
    let args = ["--setup-script", script.as_str(), "--", "sleep", "600"];
    stage.sandbox(DEBIAN, &args)
}

/// The number that the engine published a container's port under.
pub(crate) fn published(sandbox: &Sandbox<'_>, port: u16) -> u16 {
    let template =
        format!(r#"{{{{(index (index .NetworkSettings.Ports "{port}/tcp") 0).HostPort}}}}"#);
    sandbox.engine_says(&template).trim().parse().unwrap()
}

/// Listens, notes what comes, and answers each request so; with none, whoever comes is connected with
/// `through`, another sandbox's amikad.
fn impostor(answer: Option<&'static str>, through: u16) -> (u16, Record) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let record = Record::default();
    let kept = Arc::clone(&record);
    std::thread::spawn(move || {
        for peer in listener.incoming().flatten() {
            let record = Arc::clone(&kept);
            std::thread::spawn(move || serve(peer, answer, through, &record));
        }
    });
    (port, record)
}

fn serve(mut peer: TcpStream, answer: Option<&str>, through: u16, record: &Record) {
    let mut behind = answer.is_none().then(|| {
        let behind = TcpStream::connect(("127.0.0.1", through)).unwrap();
        let (mut from, mut to) = (behind.try_clone().unwrap(), peer.try_clone().unwrap());
        std::thread::spawn(move || std::io::copy(&mut from, &mut to));
        behind
    });
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = peer.read(&mut buffer) {
        record.lock().unwrap().extend_from_slice(&buffer[..count]);
        let sent = match (&mut behind, answer) {
            (Some(behind), _) => behind.write_all(&buffer[..count]),
            (None, answer) => peer.write_all(answer.unwrap_or_default().as_bytes()),
        };
        if sent.is_err() {
            return;
        }
    }
}

/// An engine that says `instead` wherever the real one says `port`; both have five digits.
pub(crate) fn engine_with_ports(stage: &Stage, ports: &[(u16, u16)]) -> String {
    let ports: Vec<(String, String)> = ports
        .iter()
        .map(|(port, instead)| (port.to_string(), instead.to_string()))
        .collect();
    assert!(ports.iter().all(|(a, b)| a.len() == b.len()), "{ports:?}");
    let socket = stage.home().join(format!("engine-{}.sock", ports[0].1));
    let listener = UnixListener::bind(&socket).unwrap();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let engine = UnixStream::connect(engine_socket()).unwrap();
            let (mut up, mut down) = (engine.try_clone().unwrap(), client.try_clone().unwrap());
            let ports = ports.clone();
            std::thread::spawn(move || {
                let mut client = client;
                let _ = std::io::copy(&mut client, &mut up);
                let _ = up.shutdown(std::net::Shutdown::Write);
            });
            std::thread::spawn(move || {
                let mut engine = engine;
                let mut buffer = vec![0; 256 * 1024];
                while let Ok(count @ 1..) = engine.read(&mut buffer) {
                    for (port, instead) in &ports {
                        replace(&mut buffer[..count], port.as_bytes(), instead.as_bytes());
                    }
                    if down.write_all(&buffer[..count]).is_err() {
                        return;
                    }
                }
                let _ = down.shutdown(std::net::Shutdown::Write);
            });
        }
    });
    format!("unix://{}", socket.display())
}

fn replace(text: &mut [u8], what: &[u8], by: &[u8]) {
    for start in 0..text.len().saturating_sub(what.len() - 1) {
        if text[start..].starts_with(what) {
            text[start..start + by.len()].copy_from_slice(by);
        }
    }
}

/// Nothing but challenges came.
fn learned_nothing(record: &Record, secrets: &[&str]) {
    let text = String::from_utf8_lossy(&record.lock().unwrap()).into_owned();
    assert!(!text.is_empty(), "it was asked");
    assert!(!text.to_lowercase().contains("authorization"), "{text}");
    for secret in secrets {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
    for line in text.lines().filter(|line| line.contains(" HTTP/1.1")) {
        assert!(line.starts_with("GET /v1/challenge?nonce="), "{text}");
    }
}

#[test]
fn an_impostor_on_amikads_port_learns_nothing_and_every_command_works() {
    let stage = Stage::new();
    let sandbox = with_opencode(&stage);
    let other = stage.sandbox(DEBIAN, &["--", "sleep", "600"]);
    let password = sandbox.secrets()["password"].as_str().unwrap().to_owned();
    let elsewhere = published(&other, 60999);
    let lie = "HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n{\"nonce\":\"\",\"a\":1}";
    let mail = "220 mail ready\r\n";
    for answer in [Some(lie), Some(mail), None] {
        let (port, record) = impostor(answer, elsewhere);
        let engine = engine_with_ports(&stage, &[(published(&sandbox, 60999), port)]);
        let ask = |run: Run| run.env("DOCKER_HOST", &engine).output();
        let inspected = ask(sandbox.verb("inspect", &["--show-secrets", "-o", "json"]));
        inspected.ended(0, &[]);
        assert_eq!(inspected.json()["status"]["phase"], "running");
        assert_eq!(inspected.json()["opencode"]["password"], password.as_str());
        let warned = inspected.stderr_text();
        let sentence = format!("what answers on 127.0.0.1:{port} is not this sandbox's amikad");
        assert!(warned.contains(&sentence), "{warned}");
        let logged = ask(sandbox.verb("logs", &["--setup"]));
        logged.ended(0, &[]);
        assert!(logged.stdout_text().contains("set up"), "{logged:?}");
        ask(sandbox.verb("wait", &[])).ended(0, &[]);
        ask(stage.amika(&["-o", "json", "ls"])).ended(0, &[]);
        learned_nothing(&record, &[&password]);
    }
}

/// Opens the sandbox with a browser that notes every command line, and signs in by what it was given.
fn open_with_a_browser(stage: &Stage, sandbox: &Sandbox<'_>, engine: Option<&str>) -> String {
    let browser = stage.script(
        "browser",
        "#!/bin/sh\ncd \"$(dirname \"$0\")\"\nfile=${1#file://}\n\
         for each in /proc/[0-9]*/cmdline; do tr '\\0' ' ' <$each; echo; done >cmdlines 2>/dev/null\n\
         stat -c %a \"$file\" \"$(dirname \"$file\")\" >modes\n\
         sed -n 's/.*; url=\\([^\"]*\\)\".*/\\1/p' \"$file\" >address\n\
         dirname \"$file\" >directory\nmv address given\n",
    );
    let mut run = sandbox.verb("open", &[]).env("BROWSER", &browser);
    if let Some(engine) = engine {
        run = run.env("DOCKER_HOST", engine);
    }
    let running = run.start();
    let read = |name: &str| std::fs::read_to_string(stage.home().join(name)).unwrap_or_default();
    eventually("the browser was started", || {
        !read("given").trim().is_empty()
    });
    let address = read("given").trim().to_owned();
    let (authority, key) = address
        .strip_prefix("http://")
        .unwrap()
        .split_once("/amika/")
        .unwrap();
    assert_eq!(key.len(), 64, "{address}");
    assert!(!read("cmdlines").contains(key), "{}", read("cmdlines"));
    assert!(
        read("cmdlines").contains("/browser file://"),
        "the stand-in saw itself"
    );
    assert_eq!(read("modes"), "600\n700\n");
    let local = authority.rsplit_once(':').unwrap().1.parse().unwrap();
    let ask = |path: &str, header: &str| {
        let mut stream = TcpStream::connect(("127.0.0.1", local)).unwrap();
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: {authority}\r\n{header}Connection: close\r\n\r\n"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    // A page of a file is another site: the next request has to come from a page of this one.
    let signed = ask(&format!("/amika/{key}"), "Sec-Fetch-Site: cross-site\r\n");
    assert!(signed.starts_with("HTTP/1.1 200 "), "{signed}");
    assert!(signed.contains("http-equiv=refresh"), "{signed}");
    let cookie = signed
        .lines()
        .find_map(|line| line.strip_prefix("set-cookie: "))
        .and_then(|pair| pair.split(';').next())
        .unwrap();
    let again = ask(&format!("/amika/{key}"), "");
    assert!(again.starts_with("HTTP/1.1 403 "), "{again}");
    let directory = read("directory").trim().to_owned();
    eventually("the page is removed", || {
        !std::path::Path::new(&directory).exists()
    });
    let page = ask("/", &format!("Cookie: {cookie}\r\n"));
    running.signal(Signal::INT);
    running.wait().ended(0, &[]);
    page
}

#[test]
fn the_address_of_open_stands_in_no_command_line_and_signs_in_once() {
    let stage = Stage::new();
    let sandbox = with_opencode(&stage);
    let page = open_with_a_browser(&stage, &sandbox, None);
    assert!(page.starts_with("HTTP/1.1 200 "), "{page}");
    assert!(
        page.to_lowercase().contains("authorization: basic "),
        "{page}"
    );
}

#[test]
fn opencodes_password_goes_to_nobody_who_has_its_port_or_amikads() {
    let stage = Stage::new();
    let sandbox = with_opencode(&stage);
    let (daemon, asked) = impostor(Some("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"), 0);
    let (web, sent) = impostor(Some("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"), 0);
    let ports = [
        (published(&sandbox, 60999), daemon),
        (published(&sandbox, 60998), web),
    ];
    let engine = engine_with_ports(&stage, &ports);
    let page = open_with_a_browser(&stage, &sandbox, Some(&engine));
    assert!(page.starts_with("HTTP/1.1 200 "), "{page}");
    assert!(page.contains("healthy"), "it is the sandbox's own: {page}");
    learned_nothing(&asked, &["Basic"]);
    assert!(sent.lock().unwrap().is_empty(), "nobody goes to its port");
}

/// Takes the place of amikad on its socket while setup runs, as root in the sandbox may, and answers as `$1`:
/// `refuses` everything, or goes on to say that setup runs and `breaks` its log off at once. Counts who asks.
const USURPER: &str = r#"#!/bin/sh
cat >/usr/local/bin/usurper <<'END'
#!/usr/bin/perl
use IO::Socket::UNIX;
my ($path, $way) = ('/run/amikad/amikad.sock', $ARGV[0]);
my $real = IO::Socket::UNIX->new(Peer => $path) or die;
print $real "GET /v1/status HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
my $status = join '', <$real>;
$status =~ s/.*?\r\n\r\n//s;
unlink $path;
my $server = IO::Socket::UNIX->new(Local => $path, Listen => 50) or die;
open my $mark, '>', '/run/usurped';
my $length = length $status;
while (my $peer = $server->accept) {
    my $head = '';
    while (my $line = <$peer>) { last if $line =~ /^\r?\n$/; $head .= $line; }
    open my $asked, '>>', '/run/asked';
    print $asked "once\n";
    close $asked;
    if ($way eq 'refuses') { print $peer "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n"; }
    elsif ($head =~ /status/) { print $peer "HTTP/1.1 200 OK\r\nContent-Length: $length\r\n\r\n$status"; }
    else { print $peer "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"; }
    close $peer;
}
END
perl /usr/local/bin/usurper "$WAY" >/dev/null 2>&1 &
while [ ! -e /run/usurped ]; do sleep 0.05; done
"#;

#[test]
fn a_wait_ends_in_time_and_asks_calmly_whatever_stands_in_for_amikad() {
    let stage = Stage::new();
    let script = stage.script("setup.sh", USURPER);
    for way in ["refuses", "breaks"] {
        let variable = format!("WAY={way}");
        let args = ["--setup-script", &script, "--env", &variable];
        let sandbox = stage.sandbox(DEBIAN, &[&args[..], &["--", "sleep", "600"]].concat());
        // The port leads to somebody who knows no challenge, so that the engine's way is taken.
        let (port, _) = impostor(
            Some("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n"),
            0,
        );
        let engine = engine_with_ports(&stage, &[(published(&sandbox, 60999), port)]);
        let asked = || {
            sandbox
                .docker_exec(&["cat", "/run/asked"])
                .stdout_text()
                .lines()
                .count()
        };
        let before = asked();
        let waited = sandbox
            .verb("wait", &["--timeout", "2s"])
            .env("DOCKER_HOST", &engine);
        waited.output().ended(21, &["not ready"]);
        // Each look is an exec; without a pause it would be as many as the engine can start.
        let asked = asked() - before;
        assert!((1..=60).contains(&asked), "{way}: {asked} times");
        let logs = sandbox
            .verb("logs", &["--setup"])
            .env("DOCKER_HOST", &engine);
        assert_ne!(logs.output().code, 0, "{way}");
    }
}
