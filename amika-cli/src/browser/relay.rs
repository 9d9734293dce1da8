//! An HTTP server on this machine's loopback that adds the password to what it passes on.

use std::sync::Arc;

use base64::Engine as _;
use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, COOKIE, HOST, HeaderValue, LOCATION, ORIGIN,
    REFERER, REFERRER_POLICY, SET_COOKIE, WWW_AUTHENTICATE,
};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

use super::gate::{Gate, Verdict};

type Body = BoxBody<Bytes, hyper::Error>;

/// Where requests go, and what signs them in.
pub(crate) struct Upstream {
    authority: String,
    authorization: HeaderValue,
}

/// A server that listens.
pub(crate) struct Relay {
    listener: TcpListener,
    state: Arc<State>,
}

struct State {
    upstream: Upstream,
    gate: Gate,
    sandbox: String,
}

impl Upstream {
    /// OpenCode on a port of this machine.
    pub(crate) fn new(port: u16, username: &str, password: &str) -> Self {
        let pair = format!("{username}:{password}");
        let encoded = base64::engine::general_purpose::STANDARD.encode(pair);
        let mut authorization = HeaderValue::from_str(&format!("Basic {encoded}"))
            .expect("base64 is made of printable characters");
        authorization.set_sensitive(true);
        Self {
            authority: format!("127.0.0.1:{port}"),
            authorization,
        }
    }
}

impl Relay {
    /// Listens on a port that the system chooses.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) async fn listen(upstream: Upstream, sandbox: &str) -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let gate = Gate::new(listener.local_addr()?.port());
        Ok(Self {
            listener,
            state: Arc::new(State {
                upstream,
                gate,
                sandbox: sandbox.to_owned(),
            }),
        })
    }

    /// The address that signs a browser in, once.
    pub(crate) fn url(&self) -> String {
        self.state.gate.url()
    }

    /// Serves until the listener breaks.
    pub(crate) async fn serve(&self) -> std::io::Error {
        loop {
            let stream = match self.listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => return error,
            };
            let state = Arc::clone(&self.state);
            tokio::spawn(async move {
                let service = service_fn(move |request| {
                    let state = Arc::clone(&state);
                    async move { Ok::<_, std::convert::Infallible>(state.answer(request).await) }
                });
                let served = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service)
                    .with_upgrades()
                    .await;
                if let Err(error) = served {
                    tracing::debug!(%error, "a connection of the browser broke");
                }
            });
        }
    }
}

impl State {
    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        match self
            .gate
            .judge(request.method(), request.uri().path(), request.headers())
        {
            Verdict::Pass => match self.pass(request).await {
                Ok(response) => response,
                Err(error) => {
                    tracing::debug!(%error, "OpenCode did not answer");
                    let text = format!(
                        "OpenCode in {} does not answer; is the sandbox running?",
                        self.sandbox
                    );
                    said(StatusCode::BAD_GATEWAY, text)
                }
            },
            Verdict::SignIn => self.sign_in(),
            Verdict::Refuse(status, text) => said(status, text.to_owned()),
        }
    }

    fn sign_in(&self) -> Response<Body> {
        let mut response = said(StatusCode::SEE_OTHER, String::new());
        let headers = response.headers_mut();
        headers.insert(LOCATION, HeaderValue::from_static("/"));
        if let Ok(cookie) = HeaderValue::from_str(&self.gate.set_cookie()) {
            headers.insert(SET_COOKIE, cookie);
        }
        response
    }

    async fn pass(&self, mut request: Request<Incoming>) -> std::io::Result<Response<Body>> {
        let stream = TcpStream::connect(&self.upstream.authority).await?;
        stream.set_nodelay(true)?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(std::io::Error::other)?;
        tokio::spawn(connection.with_upgrades());
        // Taken before the request goes: its other half joins it when both sides agreed.
        let browser = hyper::upgrade::on(&mut request);
        self.rewrite(&mut request);
        let mut response = sender
            .send_request(request)
            .await
            .map_err(std::io::Error::other)?;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            let opencode = hyper::upgrade::on(&mut response);
            tokio::spawn(async move {
                let (Ok(browser), Ok(opencode)) = tokio::join!(browser, opencode) else {
                    return;
                };
                let (mut browser, mut opencode) = (TokioIo::new(browser), TokioIo::new(opencode));
                // Either side ends it.
                let _ = tokio::io::copy_bidirectional(&mut browser, &mut opencode).await;
            });
        }
        // A browser that asked for a password would show it to whoever looks on.
        response.headers_mut().remove(WWW_AUTHENTICATE);
        Ok(response.map(BodyExt::boxed))
    }

    /// Makes a request one that was sent to OpenCode itself.
    fn rewrite(&self, request: &mut Request<Incoming>) {
        let cookies = self.gate.foreign_cookies(request.headers());
        let headers = request.headers_mut();
        headers.remove(COOKIE);
        headers.remove(REFERER);
        if let Some(cookies) = cookies {
            headers.insert(COOKIE, cookies);
        }
        headers.insert(AUTHORIZATION, self.upstream.authorization.clone());
        let authority = &self.upstream.authority;
        let own = |text: &str| HeaderValue::from_str(text).expect("a number and a port");
        headers.insert(HOST, own(authority));
        if headers.contains_key(ORIGIN) {
            headers.insert(ORIGIN, own(&format!("http://{authority}")));
        }
    }
}

/// An answer of the relay's own.
fn said(status: StatusCode, text: String) -> Response<Body> {
    let text = if text.is_empty() { text } else { text + "\n" };
    let body = Full::new(Bytes::from(text)).map_err(|never| match never {});
    let mut response = Response::new(body.boxed());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}
