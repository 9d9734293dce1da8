//! A web server as a forge is one: repositories by git's own protocol, and their LFS files.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use crate::support::git_command;

/// It serves all repositories beneath a directory, and ends with the process.
pub(crate) struct Forge {
    pub(crate) port: u16,
    seen: Arc<Mutex<Vec<String>>>,
}

struct Asked {
    method: String,
    path: String,
    query: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Forge {
    pub(crate) fn start(root: PathBuf) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (root, log) = (root.clone(), Arc::clone(&log));
                // One that breaks off is git's to complain of.
                std::thread::spawn(move || answer(&stream, &root, port, &log));
            }
        });
        Self { port, seen }
    }

    /// The URL of a repository, or of anything else there.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}/{path}", self.port)
    }

    /// What was asked for so far, each as `GET /path`, with `signed in` where it was.
    pub(crate) fn seen(&self) -> Vec<String> {
        let seen = self.seen.lock();
        seen.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn answer(
    mut stream: &TcpStream,
    root: &Path,
    port: u16,
    log: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let asked = Asked::read(stream)?;
    let is_signed_in = asked.header("authorization").is_some();
    let mut line = format!("{} {}", asked.method, asked.path);
    if is_signed_in {
        line.push_str(" signed in");
    }
    log.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(line);
    let head = |status: &str, more: &str, length: usize| {
        format!("HTTP/1.1 {status}\r\n{more}Content-Length: {length}\r\nConnection: close\r\n\r\n")
    };
    if asked.path.ends_with("/objects/batch") {
        // Who has signed in is told where things are, and nobody else.
        if !is_signed_in {
            let asks = "WWW-Authenticate: Basic realm=\"lfs\"\r\nLFS-Authenticate: Basic realm=\"lfs\"\r\n";
            return stream.write_all(head("401 Unauthorized", asks, 0).as_bytes());
        }
        let body = batch(&String::from_utf8_lossy(&asked.body), port);
        let kind = "Content-Type: application/vnd.git-lfs+json\r\n";
        stream.write_all(head("200 OK", kind, body.len()).as_bytes())?;
        return stream.write_all(body.as_bytes());
    }
    if let Some(oid) = asked.path.strip_prefix("/lfs-object/") {
        let found = find(root, oid);
        let status = if found.is_some() {
            "200 OK"
        } else {
            "404 Not Found"
        };
        let body = found.unwrap_or_default();
        stream.write_all(head(status, "", body.len()).as_bytes())?;
        return stream.write_all(&body);
    }
    backend(stream, root, asked)
}

/// What LFS is answered: each of the objects that it asks for is here.
fn batch(asked: &str, port: u16) -> String {
    let oids = asked.split("\"oid\":\"").skip(1);
    let objects: Vec<String> = oids
        .map(|rest| {
            let (oid, rest) = rest.split_once('"').unwrap();
            let size = rest.split_once("\"size\":").unwrap().1;
            let size: String = size.chars().take_while(char::is_ascii_digit).collect();
            format!(
                "{{\"oid\":\"{oid}\",\"size\":{size},\"actions\":{{\"download\":{{\"href\":\
                 \"http://127.0.0.1:{port}/lfs-object/{oid}\"}}}}}}"
            )
        })
        .collect();
    format!(
        "{{\"transfer\":\"basic\",\"objects\":[{}]}}",
        objects.join(",")
    )
}

/// A content of LFS in any of the repositories.
fn find(root: &Path, oid: &str) -> Option<Vec<u8>> {
    let place = format!("lfs/objects/{}/{}/{oid}", oid.get(..2)?, oid.get(2..4)?);
    let repositories = std::fs::read_dir(root).ok()?.flatten();
    repositories
        .flat_map(|one| {
            [
                one.path().join(&place),
                one.path().join(".git").join(&place),
            ]
        })
        .find_map(|path| std::fs::read(path).ok())
}

/// Git's own server.
fn backend(mut stream: &TcpStream, root: &Path, asked: Asked) -> std::io::Result<()> {
    let mut command: Command = git_command(root, &["http-backend"]);
    let header = |name: &str| asked.header(name).unwrap_or_default().to_owned();
    command
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("REQUEST_METHOD", &asked.method)
        .env("PATH_INFO", &asked.path)
        .env("QUERY_STRING", &asked.query)
        .env("CONTENT_LENGTH", asked.body.len().to_string())
        .env("CONTENT_TYPE", header("content-type"))
        .env("HTTP_CONTENT_ENCODING", header("content-encoding"))
        .env("GIT_PROTOCOL", header("git-protocol"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut backend = command.spawn()?;
    let mut stdin = backend.stdin.take().unwrap();
    let sending = std::thread::spawn(move || stdin.write_all(&asked.body));
    let output = backend.wait_with_output()?;
    let _ = sending.join();
    // CGI says the status as a header.
    let end = output
        .stdout
        .windows(4)
        .position(|part| part == b"\r\n\r\n");
    let head = String::from_utf8_lossy(&output.stdout[..end.unwrap_or_default()]).into_owned();
    let status = head.lines().find_map(|line| line.strip_prefix("Status: "));
    let status = status.unwrap_or("200 OK");
    stream.write_all(format!("HTTP/1.1 {status}\r\nConnection: close\r\n").as_bytes())?;
    stream.write_all(&output.stdout)
}

impl Asked {
    fn read(stream: &TcpStream) -> std::io::Result<Self> {
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let mut words = line.split(' ').map(str::to_owned);
        let method = words.next().unwrap_or_default();
        let target = words.next().unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let mut asked = Self {
            method,
            path: path.to_owned(),
            query: query.to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
        };
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(": ") else {
                break;
            };
            let header = (name.to_ascii_lowercase(), value.to_owned());
            asked.headers.push(header);
        }
        let length = asked.header("content-length");
        let length = length.and_then(|length| length.parse().ok()).unwrap_or(0);
        asked.body.resize(length, 0);
        reader.read_exact(&mut asked.body)?;
        Ok(asked)
    }

    fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(header, _)| header == name);
        found.map(|(_, value)| value.as_str())
    }
}
