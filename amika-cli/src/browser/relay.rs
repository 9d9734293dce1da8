//! An HTTP server on this machine's loopback that adds the password to what it passes on.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use amika_core::contract::OPENCODE_PORT;
use amika_core::port::Port;
use amika_core::tunnel::Upgrade;
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
use tokio::sync::Notify;

use super::gate::{Gate, Verdict};
use crate::forward::Opens;

/// How long the system may take to look a local name up.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(1);
/// After a connection could not be taken.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// What a page that came from elsewhere is answered: the next request is of our own page, and so has
/// the cookie, which a redirect would not.
const SIGNED_IN: &str = "<!doctype html><meta charset=utf-8><title>OpenCode</title>\
    <meta http-equiv=refresh content='0; url=/'><a href='/'>OpenCode</a>";

/// OpenCode's port inside.
fn opencode() -> Port {
    Port::new(OPENCODE_PORT).expect("it is not 0")
}

type Body = BoxBody<Bytes, hyper::Error>;

/// Where requests go, and what signs them in.
pub(crate) struct Upstream {
    way: Arc<dyn Opens>,
    authorization: HeaderValue,
}

/// A server that listens.
pub(crate) struct Relay {
    listener: TcpListener,
    /// The same port of the other loopback address.
    second: Option<TcpListener>,
    state: Arc<State>,
}

struct State {
    upstream: Upstream,
    gate: Gate,
    signed_in: Notify,
    sandbox: String,
}

impl Upstream {
    /// OpenCode in the sandbox that `way` leads to: each request goes through a tunnel of an amikad that has just
    /// proved itself, since whoever has OpenCode's published port would be sent the password.
    pub(crate) fn new(way: Arc<dyn Opens>, username: &str, password: &str) -> Self {
        let pair = format!("{username}:{password}");
        let encoded = base64::engine::general_purpose::STANDARD.encode(pair);
        let mut authorization = HeaderValue::from_str(&format!("Basic {encoded}"))
            .expect("base64 is made of printable characters");
        authorization.set_sensitive(true);
        Self { way, authorization }
    }
}

impl Relay {
    /// Listens on a port that the system chooses, on both loopback addresses where it can.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) async fn listen(upstream: Upstream, sandbox: &str) -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        // A name may lead to this one first: it must be nobody else's.
        let second = TcpListener::bind((Ipv6Addr::LOCALHOST, port)).await.ok();
        let name = match second {
            Some(_) => own_name(sandbox, port).await,
            None => None,
        };
        Ok(Self {
            listener,
            second,
            state: Arc::new(State {
                upstream,
                gate: Gate::new(port, name.as_deref()),
                signed_in: Notify::new(),
                sandbox: sandbox.to_owned(),
            }),
        })
    }

    /// The address that signs a browser in, once.
    pub(crate) fn url(&self) -> String {
        self.state.gate.url()
    }

    /// The same by another key, for the browser that amika starts; [`Relay::forget_handed`] ends it.
    pub(crate) fn handed_url(&self) -> String {
        self.state.gate.handed_url()
    }

    /// Makes the handed address worthless, if it was not used.
    pub(crate) fn forget_handed(&self) {
        self.state.gate.forget_handed();
    }

    /// Returns once a browser has signed in.
    pub(crate) async fn signed_in(&self) {
        self.state.signed_in.notified().await;
    }

    /// Serves for as long as it is asked to.
    pub(crate) async fn serve(&self) -> std::convert::Infallible {
        loop {
            let accepted = match &self.second {
                Some(second) => tokio::select! {
                    accepted = self.listener.accept() => accepted,
                    accepted = second.accept() => accepted,
                },
                None => self.listener.accept().await,
            };
            match accepted {
                Ok((stream, _)) => self.serve_connection(stream),
                // Too many open files, or a caller that hung up first: both pass. A listener of this
                // process's own does not break otherwise.
                Err(error) => {
                    tracing::debug!(%error, "a connection could not be taken");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn serve_connection(&self, stream: TcpStream) {
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

/// `SANDBOX.localhost`, where that is a host name and leads to this machine for every browser: cookies
/// are kept by host and not by port, so a page on another port never sees this one's.
async fn own_name(sandbox: &str, port: u16) -> Option<String> {
    let label = sandbox.to_ascii_lowercase();
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if label.len() > 63 || label.ends_with('-') || !label.bytes().all(is_letter) {
        return None;
    }
    let name = format!("{label}.localhost");
    // Chromium and Firefox know such names by themselves; others ask the system.
    let found = tokio::net::lookup_host((name.as_str(), port));
    let found: Vec<_> = tokio::time::timeout(LOOKUP_TIMEOUT, found)
        .await
        .ok()?
        .ok()?
        .collect();
    let is_ours = !found.is_empty() && found.iter().all(|address| address.ip().is_loopback());
    is_ours.then_some(name)
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
            Verdict::SignIn => {
                self.signed_in.notify_one();
                self.sign_in(request.headers().get("sec-fetch-site"))
            }
            Verdict::Refuse(status, text) => said(status, text.to_owned()),
        }
    }

    fn sign_in(&self, site: Option<&HeaderValue>) -> Response<Body> {
        let mut response = if site.is_none_or(|site| site == "none") {
            let mut response = said(StatusCode::SEE_OTHER, String::new());
            let to = HeaderValue::from_static("/");
            response.headers_mut().insert(LOCATION, to);
            response
        } else {
            let mut response = said(StatusCode::OK, SIGNED_IN.to_owned());
            let kind = HeaderValue::from_static("text/html; charset=utf-8");
            response.headers_mut().insert(CONTENT_TYPE, kind);
            response
        };
        if let Ok(cookie) = HeaderValue::from_str(&self.gate.set_cookie()) {
            response.headers_mut().insert(SET_COOKIE, cookie);
        }
        response
    }

    async fn pass(&self, mut request: Request<Incoming>) -> std::io::Result<Response<Body>> {
        let way = &self.upstream.way;
        let tunnel = way.open(opencode(), Upgrade::Tcp).await;
        let tunnel = tunnel.map_err(|failure| std::io::Error::other(failure.to_string()))?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(tunnel))
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
        let authority = format!("127.0.0.1:{OPENCODE_PORT}");
        let own = |text: &str| HeaderValue::from_str(text).expect("a number and a port");
        headers.insert(HOST, own(&authority));
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
