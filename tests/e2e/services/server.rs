//! A repository whose sandboxes serve TCP, UDP and HTTP, and clients for them.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use crate::support::{
    DEBIAN, Output, Run, Sandbox, Stage, docker, eventually, ports_are_elsewhere,
};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Serves each `kind:port` that it is given; HTTP answers with the sandbox's name.
const SERVER: &str = r#"
use IO::Socket::INET;
for my $spec (@ARGV) {
    my ($kind, $port) = split /:/, $spec;
    next if fork;
    if ($kind eq 'udp') {
        my $socket = IO::Socket::INET->new(LocalPort => $port, Proto => 'udp') or die $!;
        while (defined $socket->recv(my $message, 65536)) { $socket->send($message) }
    }
    my $socket = IO::Socket::INET->new(LocalPort => $port, Listen => 64, ReuseAddr => 1) or die $!;
    while (my $client = $socket->accept) {
        if ($kind eq 'http') {
            while (my $line = <$client>) { last unless $line =~ /\S/ }
            print $client "HTTP/1.0 200 OK\r\n\r\n$ENV{AMIKA_SANDBOX_NAME}";
        } else {
            while (sysread $client, my $bytes, 65536) { syswrite $client, $bytes }
        }
        close $client;
    }
}
1 while wait > 0;
sleep;
"#;

/// A repository with a configuration and the server.
pub(crate) struct Repository {
    path: PathBuf,
}

impl Repository {
    pub(crate) fn new(stage: &Stage, config: &str) -> Self {
        let path = stage.home().join("app");
        std::fs::create_dir_all(path.join(".amika")).unwrap();
        std::fs::write(path.join(".amika/config.toml"), config).unwrap();
        std::fs::write(path.join("serve.pl"), SERVER).unwrap();
        for args in [
            &["init", "-q", "-b", "main"][..],
            &["add", "-A"],
            &[
                "-c",
                "user.name=T",
                "-c",
                "user.email=t@example.com",
                "commit",
                "-q",
                "-m",
                "x",
            ],
        ] {
            let mut command = Command::new("git");
            command.args(args).current_dir(&path);
            assert!(command.status().unwrap().success());
        }
        Self { path }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> String {
        self.path.to_str().unwrap().to_owned()
    }

    /// The arguments that make a sandbox of it that serves `serve`.
    pub(crate) fn args(&self, name: &str, args: &[&str], serve: &[String]) -> Vec<String> {
        let git = self.path.to_str().unwrap();
        [
            "sandbox", "create", "--name", name, "--image", DEBIAN, "--git", git,
        ]
        .iter()
        .chain(&["--no-credentials"])
        .chain(args)
        .chain(&["--", "perl", "/home/amika/workspace/app/serve.pl"])
        .map(|arg| (*arg).to_owned())
        .chain(serve.iter().cloned())
        .collect()
    }

    /// Makes a sandbox of it that serves `serve`.
    pub(crate) fn create(&self, sandbox: &Sandbox<'_>, args: &[&str], serve: &[String]) -> Output {
        self.create_run(sandbox, args, serve).output()
    }

    /// As [`Repository::create`], to be started.
    pub(crate) fn create_run(&self, sandbox: &Sandbox<'_>, args: &[&str], serve: &[String]) -> Run {
        sandbox.stage.amika(&self.args(&sandbox.name, args, serve))
    }
}

/// Ports below the kernel's own range that are free on all addresses, each given out once.
pub(crate) fn free_ports<const N: usize>() -> [u16; N] {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Tests are processes of their own under nextest: they begin at different places.
    let first = u16::try_from(std::process::id() % 900).unwrap() * 12;
    std::array::from_fn(|_| {
        loop {
            let port = 20_000 + (first + NEXT.fetch_add(1, Ordering::Relaxed)) % 11_000;
            let at = ("0.0.0.0", port);
            if TcpListener::bind(at).is_ok() && UdpSocket::bind(at).is_ok() {
                return port;
            }
        }
    })
}

/// What a server behind a URL answers.
pub(crate) fn ask_http(url: &str) -> String {
    let authority = url.strip_prefix("http://").unwrap().to_owned();
    answer(url, || {
        if ports_are_elsewhere() {
            let place = authority.replace(':', "/");
            let text = ask_there(&format!(
                r"exec 3<>/dev/tcp/{place} && printf 'GET / HTTP/1.0\r\n\r\n' >&3 && cat <&3"
            ))?;
            return text.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
        }
        let mut stream = connect(&authority)?;
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        text.split_once("\r\n\r\n").map(|(_, body)| body.to_owned())
    })
}

/// What comes back over TCP.
pub(crate) fn echo_tcp(port: u16, message: &[u8]) -> Vec<u8> {
    answer("tcp", || {
        if ports_are_elsewhere() {
            return echo_there("tcp", port, message);
        }
        let mut stream = connect(&format!("127.0.0.1:{port}"))?;
        stream.write_all(message).ok()?;
        let mut back = vec![0; message.len()];
        stream.read_exact(&mut back).ok()?;
        Some(back)
    })
}

/// What comes back over UDP.
pub(crate) fn echo_udp(port: u16, message: &[u8]) -> Vec<u8> {
    answer("udp", || {
        if ports_are_elsewhere() {
            return echo_there("udp", port, message);
        }
        let socket = UdpSocket::bind("127.0.0.1:0").ok()?;
        socket
            .set_read_timeout(Some(Duration::from_millis(500)))
            .ok()?;
        socket.connect(("127.0.0.1", port)).ok()?;
        socket.send(message).ok()?;
        let mut back = vec![0; 65536];
        let length = socket.recv(&mut back).ok()?;
        back.truncate(length);
        Some(back)
    })
}

/// What a script says that runs where the engine is, whose ports are that machine's.
fn ask_there(script: &str) -> Option<String> {
    let run = [
        "run",
        "--rm",
        "--network",
        "host",
        DEBIAN,
        "timeout",
        "5",
        "bash",
        "-c",
    ];
    let told = docker(&[&run[..], &[script]].concat());
    (told.code == 0).then(|| told.stdout_text())
}

/// What comes back of a message of letters.
fn echo_there(protocol: &str, port: u16, message: &[u8]) -> Option<Vec<u8>> {
    let (text, length) = (std::str::from_utf8(message).unwrap(), message.len());
    let script = format!(
        "exec 3<>/dev/{protocol}/127.0.0.1/{port} && printf '{text}' >&3 && head -c {length} <&3"
    );
    ask_there(&script).map(String::into_bytes)
}

fn connect(authority: &str) -> Option<TcpStream> {
    let stream = TcpStream::connect(authority).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    Some(stream)
}

/// The server may come up after its sandbox is ready: it is asked until it answers.
fn answer<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let mut got = None;
    eventually(&format!("{what} answers"), || {
        got = ask();
        got.is_some()
    });
    got.unwrap()
}
