//! The stream of a process with a terminal, byte for byte.
//!
//! With a terminal the engine sends bytes as they are; without one, in frames with a header. The
//! client library takes both for frames: a first byte of 0, 1 or 2 (a NUL, a Ctrl-A) makes it wait
//! for the rest of a frame that never comes. So this connection is made by hand, where it can be.

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use super::error::chain;
use super::exec::{ExecOutput, ExecSession};
use super::{Engine, EngineError};

/// Read at once.
const PIECE: usize = 16 * 1024;

trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

impl Engine {
    /// Starts a process that was made with a terminal; `None` where the endpoint needs more than a
    /// plain connection, such as TLS.
    pub(super) async fn attach_terminal(
        &self,
        exec: &str,
    ) -> Result<Option<ExecSession>, EngineError> {
        let Some(connection) = self.dial().await else {
            return Ok(None);
        };
        let connection = connection.map_err(|error| broken(&error))?;
        let (mut sender, driver) = hyper::client::conn::http1::handshake(TokioIo::new(connection))
            .await
            .map_err(|error| broken(&error))?;
        tokio::spawn(driver.with_upgrades());
        let version = self.docker.client_version();
        let request = Request::post(format!("/v{version}/exec/{exec}/start"))
            .header("Host", "docker")
            .header("Connection", "Upgrade")
            .header("Upgrade", "tcp")
            .header("Content-Type", "application/json")
            .body(Full::new(Bytes::from_static(
                br#"{"Detach":false,"Tty":true}"#,
            )))
            .map_err(|error| broken(&error))?;
        let response = sender
            .send_request(request)
            .await
            .map_err(|error| broken(&error))?;
        let status = response.status();
        if status != StatusCode::SWITCHING_PROTOCOLS {
            let body = response.into_body().collect().await;
            let body = body.map(http_body_util::Collected::to_bytes);
            let message = reason(&body.unwrap_or_default());
            return Err(EngineError::from_answer(status.as_u16(), message));
        }
        let upgraded = hyper::upgrade::on(response)
            .await
            .map_err(|error| broken(&error))?;
        let (output, input) = tokio::io::split(TokioIo::new(upgraded));
        Ok(Some(ExecSession {
            id: exec.to_owned(),
            output: Box::pin(self.keeping_open(pieces(output))),
            input: Box::pin(input),
        }))
    }

    async fn dial(&self) -> Option<std::io::Result<Box<dyn Duplex>>> {
        let endpoint = self.endpoint();
        if endpoint.tls.is_some() {
            return None;
        }
        let host = endpoint.host.as_str();
        if let Some(path) = host.strip_prefix("unix://") {
            let stream = UnixStream::connect(path).await;
            return Some(stream.map(|stream| Box::new(stream) as _));
        }
        let address = host
            .strip_prefix("tcp://")
            .or_else(|| host.strip_prefix("http://"))?;
        let stream = TcpStream::connect(address.trim_end_matches('/')).await;
        Some(stream.and_then(|stream| {
            stream.set_nodelay(true)?;
            Ok(Box::new(stream) as _)
        }))
    }
}

/// The engine's words of a refusal: `{"message": …}`, or whatever a proxy before it wrote.
fn reason(body: &[u8]) -> String {
    #[derive(serde::Deserialize)]
    struct Refusal {
        message: String,
    }
    serde_json::from_slice(body).map_or_else(
        |_| String::from_utf8_lossy(body).into_owned(),
        |Refusal { message }| message,
    )
}

fn pieces(
    output: impl AsyncRead + Unpin + Send,
) -> impl futures_util::Stream<Item = Result<ExecOutput, EngineError>> + Send {
    futures_util::stream::unfold(Some(output), |output| async move {
        let mut output = output?;
        let mut buffer = vec![0; PIECE];
        match tokio::io::AsyncReadExt::read(&mut output, &mut buffer).await {
            Ok(0) => None,
            Ok(count) => {
                buffer.truncate(count);
                Some((Ok(ExecOutput::Stdout(buffer.into())), Some(output)))
            }
            Err(error) => Some((Err(broken(&error)), None)),
        }
    })
}

fn broken(error: &dyn std::error::Error) -> EngineError {
    EngineError::Broken(chain(error))
}
