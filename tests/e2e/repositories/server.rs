//! A web server for a repository, as a forge is one: git's own `http-backend`, behind a password.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

/// What `Authorization` must be: base64 of `me:ghp_s3cretTOKEN`, or of `me:canary-url-d0f9`.
const AUTHORIZATION: [&str; 2] = [
    "Basic bWU6Z2hwX3MzY3JldFRPS0VO",
    "Basic bWU6Y2FuYXJ5LXVybC1kMGY5",
];

/// A server of all repositories beneath a directory; it ends with the process.
pub(crate) struct Server {
    port: u16,
}

/// What a client asks for.
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    query: String,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// Variables for git's own server, and what is answered in its place.
struct Manner<F> {
    env: Vec<(String, String)>,
    answer: F,
}

impl Server {
    pub(crate) fn start(root: &Path) -> Self {
        Self::answering(root, &[], |_| None)
    }

    /// One whose git has these variables, and that answers some requests by itself: with all that it sends.
    pub(crate) fn answering(
        root: &Path,
        env: &[(&str, &str)],
        answer: impl Fn(&Request) -> Option<Vec<u8>> + Send + Sync + 'static,
    ) -> Self {
        let env = env
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let manner = Arc::new(Manner {
            env: env.collect(),
            answer,
        });
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let root = root.to_owned();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (root, manner) = (root.clone(), Arc::clone(&manner));
                // One that breaks off is git's to complain of.
                std::thread::spawn(move || serve(&stream, root, &manner));
            }
        });
        Self { port }
    }

    /// The URL of a repository, with what `git` signs in with.
    pub(crate) fn url(&self, user: &str, repository: &str) -> String {
        format!("http://{user}127.0.0.1:{}/{repository}", self.port)
    }
}

fn serve<F: Fn(&Request) -> Option<Vec<u8>>>(
    mut stream: &TcpStream,
    root: PathBuf,
    manner: &Manner<F>,
) -> std::io::Result<()> {
    let request = Request::read(stream)?;
    let signed_in = request.header("authorization");
    if signed_in.is_none_or(|value| !AUTHORIZATION.contains(&value)) {
        return stream.write_all(
            b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        );
    }
    if let Some(answer) = (manner.answer)(&request) {
        return stream.write_all(&answer);
    }
    let mut backend = Command::new("git")
        .arg("http-backend")
        .envs(manner.env.iter().cloned())
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("REQUEST_METHOD", &request.method)
        .env("PATH_INFO", &request.path)
        .env("QUERY_STRING", &request.query)
        .env("CONTENT_LENGTH", request.body.len().to_string())
        .env(
            "CONTENT_TYPE",
            request.header("content-type").unwrap_or_default(),
        )
        .env(
            "HTTP_CONTENT_ENCODING",
            request.header("content-encoding").unwrap_or_default(),
        )
        .env(
            "GIT_PROTOCOL",
            request.header("git-protocol").unwrap_or_default(),
        )
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut stdin = backend.stdin.take().unwrap();
    let sending = std::thread::spawn(move || stdin.write_all(&request.body));
    let output = backend.wait_with_output()?;
    sending.join().unwrap()?;
    // CGI says the status as a header.
    let end = output
        .stdout
        .windows(4)
        .position(|part| part == b"\r\n\r\n");
    let head = String::from_utf8_lossy(&output.stdout[..end.unwrap_or_default()]).into_owned();
    let status = head
        .lines()
        .find_map(|line| line.strip_prefix("Status: "))
        .unwrap_or("200 OK");
    stream.write_all(format!("HTTP/1.1 {status}\r\nConnection: close\r\n").as_bytes())?;
    stream.write_all(&output.stdout)
}

impl Request {
    fn read(stream: &TcpStream) -> std::io::Result<Self> {
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let mut words = line.split(' ').map(str::to_owned);
        let method = words.next().unwrap_or_default();
        let target = words.next().unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let mut request = Self {
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
            request.headers.push(header);
        }
        let length = request.header("content-length");
        let length = length.and_then(|length| length.parse().ok()).unwrap_or(0);
        request.body.resize(length, 0);
        reader.read_exact(&mut request.body)?;
        Ok(request)
    }

    fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(header, _)| header == name);
        found.map(|(_, value)| value.as_str())
    }
}
