//! A web server as a forge is one: repositories by git's own protocol, and their LFS files.

use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

#[path = "shared/http.rs"]
mod http;

use crate::support::git_command;
use http::{Request, answer_by_git};

/// It serves all repositories beneath a directory, and ends with the process.
pub(crate) struct Forge {
    pub(crate) port: u16,
    seen: Arc<Mutex<Vec<String>>>,
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
    let asked = Request::read(stream)?;
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
    answer_by_git(git_command(root, &["http-backend"]), stream, root, asked)
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
