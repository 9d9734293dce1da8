//! What an engine says of itself in the headers of its answer to a ping, as `docker` asks it too.
//!
//! `GET /version` says the same, and makes the engine run `runc` and `docker-init` each time for their versions: 12 ms of every
//! command. Docker Engine API, "Ping": `Api-Version`, `Server`; Podman adds `Libpod-API-Version`.

use std::path::Path;
use std::pin::pin;

use bollard::ClientVersion;
use bytes::Bytes;
use http_body_util::Empty;
use hyper::header::HOST;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;

/// An engine's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pong {
    /// The newest version of the API that it speaks: major, minor.
    pub api: (usize, usize),
    /// Whether it is Podman behind docker's API, where it said what it is.
    pub is_podman: Option<bool>,
}

impl Pong {
    /// The version for a client, which is the older one of the two.
    pub(super) fn client_version(self, newest: &ClientVersion) -> ClientVersion {
        let newest = (newest.major_version, newest.minor_version);
        let (major_version, minor_version) = self.api.min(newest);
        ClientVersion {
            major_version,
            minor_version,
        }
    }
}

/// Asks who listens on a socket. None where nobody answers as an engine does: whoever asks in another way next learns why.
pub(super) async fn ask(socket: &Path) -> Option<Pong> {
    let stream = UnixStream::connect(socket).await.ok()?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .ok()?;
    let request = hyper::Request::get("/_ping")
        .header(HOST, "localhost")
        .body(Empty::<Bytes>::new())
        .ok()?;
    let mut answer = pin!(sender.send_request(request));
    // The connection is driven for as long as the answer takes; an engine that closes it has most likely answered before.
    let response = tokio::select! {
        response = &mut answer => response,
        _ = connection => answer.await,
    };
    let response = response.ok().filter(|it| it.status().is_success())?;
    let header = |name: &str| response.headers().get(name)?.to_str().ok();
    Some(Pong {
        api: version(header("Api-Version")?)?,
        is_podman: match header("Libpod-API-Version") {
            Some(_) => Some(true),
            None => header("Server")
                .is_some_and(|server| server.starts_with("Docker/"))
                .then_some(false),
        },
    })
}

fn version(text: &str) -> Option<(usize, usize)> {
    let (major, minor) = text.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    async fn answered(answer: &'static str) -> Option<Pong> {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("socket");
        let listener = tokio::net::UnixListener::bind(&path).expect("bound");
        let engine = async {
            let (mut stream, _) = listener.accept().await.expect("a client");
            let mut asked = [0; 512];
            let count = stream.read(&mut asked).await.expect("a request");
            assert!(asked[..count].starts_with(b"GET /_ping HTTP/1.1\r\n"));
            stream.write_all(answer.as_bytes()).await.expect("written");
        };
        tokio::join!(ask(&path), engine).0
    }

    #[tokio::test]
    async fn an_engine_tells_its_api_and_whether_it_is_podman() {
        let docker = "HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nServer: Docker/20.10.24 (linux)\r\nContent-Length: 2\r\n\r\nOK";
        let pong = answered(docker).await.expect("an engine");
        assert_eq!((pong.api, pong.is_podman), ((1, 41), Some(false)));
        // A proxy before it may have taken its words away.
        let unknown = "HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nContent-Length: 2\r\n\r\nOK";
        assert_eq!(answered(unknown).await.expect("an engine").is_podman, None);
        let podman = "HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nLibpod-Api-Version: 5.4.2\r\nContent-Length: 2\r\n\r\nOK";
        assert_eq!(
            answered(podman).await.expect("an engine").is_podman,
            Some(true)
        );
    }

    #[tokio::test]
    async fn who_does_not_answer_as_an_engine_is_asked_in_another_way() {
        for answer in [
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nApi-Version: new\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 500 No\r\nApi-Version: 1.41\r\nContent-Length: 0\r\n\r\n",
            "SSH-2.0-OpenSSH_9.2\r\n",
            "",
        ] {
            assert_eq!(answered(answer).await, None, "{answer}");
        }
        assert_eq!(ask(Path::new("/nowhere/docker.sock")).await, None);
    }

    #[test]
    fn the_older_of_two_versions_is_spoken() {
        let newest = ClientVersion {
            major_version: 1,
            minor_version: 52,
        };
        for (api, minor) in [((1, 41), 41), ((1, 52), 52), ((1, 60), 52)] {
            let pong = Pong {
                api,
                is_podman: None,
            };
            assert_eq!(pong.client_version(&newest).minor_version, minor);
        }
    }
}
