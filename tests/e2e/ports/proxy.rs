//! Something between `amika` and the engine that sees each request before the engine does, so that a
//! test can act at the moment that matters.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Whether a request goes on to the engine.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It does.
    Forward,
    /// It does not; the connection is closed.
    Drop,
}

type Hook = dyn Fn(&str) -> Verdict + Send + Sync;

/// The socket that `amika` is given in place of the engine's. Its threads end with the test.
pub(super) struct Proxy {
    socket: PathBuf,
}

impl Proxy {
    /// Listens at a socket in `dir`; `hook` is asked of each request, such as
    /// `POST /containers/0123/start`.
    pub(super) fn start(
        dir: &Path,
        hook: impl Fn(&str) -> Verdict + Send + Sync + 'static,
    ) -> Self {
        let socket = dir.join("engine.sock");
        let _ = std::fs::remove_file(&socket);
        let listener = UnixListener::bind(&socket).unwrap();
        let hook: Arc<Hook> = Arc::new(hook);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (client, hook) = (client.unwrap(), Arc::clone(&hook));
                std::thread::spawn(move || serve(&client, &*hook));
            }
        });
        Self { socket }
    }

    /// The value of `DOCKER_HOST`.
    pub(super) fn address(&self) -> String {
        format!("unix://{}", self.socket.display())
    }
}

fn serve(client: &UnixStream, hook: &Hook) {
    let engine = std::env::var("DOCKER_HOST").unwrap_or_default();
    let path = engine
        .strip_prefix("unix://")
        .unwrap_or("/var/run/docker.sock");
    let engine = UnixStream::connect(path).unwrap();
    let (mut from, mut to) = (engine.try_clone().unwrap(), client.try_clone().unwrap());
    std::thread::spawn(move || {
        // Either side may go away at any time.
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Both);
    });
    requests(client, &engine, hook);
    let _ = engine.shutdown(Shutdown::Both);
    let _ = client.shutdown(Shutdown::Both);
}

/// Hands requests on. A client writes the head of each at once, so it begins a chunk.
fn requests(mut client: &UnixStream, mut engine: &UnixStream, hook: &Hook) {
    let mut chunk = vec![0; 65536];
    while let Ok(length @ 1..) = client.read(&mut chunk) {
        let chunk = &chunk[..length];
        if let Some(request) = head(chunk)
            && hook(&request) == Verdict::Drop
        {
            return;
        }
        if engine.write_all(chunk).is_err() {
            return;
        }
    }
}

/// Method and path of a request, without the API's version and the query.
fn head(chunk: &[u8]) -> Option<String> {
    let line = chunk.split(|byte| *byte == b'\r').next()?;
    let line = std::str::from_utf8(line).ok()?;
    let (request, _) = line.split_once(" HTTP/1.")?;
    let (method, path) = request.split_once(" /")?;
    let path = path.split('?').next()?;
    let path = match path.split_once('/') {
        Some((version, rest)) if version.starts_with("v1.") => rest,
        _ => path,
    };
    Some(format!("{method} /{path}"))
}
