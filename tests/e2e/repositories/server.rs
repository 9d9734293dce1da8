//! A web server for a repository, as a forge is one: git's own `http-backend`, behind a password.

use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

#[path = "../../../crates/amika-git/tests/shared/http.rs"]
mod http;

pub(crate) use http::Request;
use http::answer_by_git;

/// What `Authorization` must be: base64 of `me:ghp_s3cretTOKEN`, or of `me:canary-url-d0f9`.
const AUTHORIZATION: [&str; 2] = [
    "Basic bWU6Z2hwX3MzY3JldFRPS0VO",
    "Basic bWU6Y2FuYXJ5LXVybC1kMGY5",
];

/// A server of all repositories beneath a directory; it ends with the process.
pub(crate) struct Server {
    port: u16,
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
                std::thread::spawn(move || serve(&stream, &root, &manner));
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
    root: &Path,
    manner: &Manner<F>,
) -> std::io::Result<()> {
    let request = Request::read(stream)?;
    let signed_in = request.header("authorization");
    // What is beneath `public` anybody reads.
    let is_public = request.path.starts_with("/public/");
    if !is_public && signed_in.is_none_or(|value| !AUTHORIZATION.contains(&value)) {
        return stream.write_all(
            b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        );
    }
    if let Some(answer) = (manner.answer)(&request) {
        return stream.write_all(&answer);
    }
    let mut git = Command::new("git");
    git.arg("http-backend").envs(manner.env.iter().cloned());
    answer_by_git(git, stream, root, request)
}
