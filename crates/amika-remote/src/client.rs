//! Requests to a server.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, TryStreamExt as _};
use reqwest::header::{AUTHORIZATION, HeaderValue, RETRY_AFTER};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::account::Account;
use crate::address::Address;
use crate::failure::{Failure, Refusal, Result};

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(10);
/// How long an answer may be silent: longer than the longest that a server takes for one.
const SILENCE: Duration = Duration::from_mins(11);
/// Bytes of an answer that is read as a whole.
const LARGEST: usize = 64 << 20;

/// Who is asked, as whom.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    address: Address,
    key: Option<HeaderValue>,
}

/// What is asked.
#[derive(Clone, Debug)]
pub struct Call<'a> {
    method: Method,
    path: &'a [&'a str],
    query: Vec<(&'a str, String)>,
}

impl<'a> Call<'a> {
    /// `GET`, of a route by its segments.
    pub fn get(path: &'a [&'a str]) -> Self {
        Self {
            method: Method::GET,
            path,
            query: Vec::new(),
        }
    }

    /// `POST`
    pub fn post(path: &'a [&'a str]) -> Self {
        Self {
            method: Method::POST,
            ..Self::get(path)
        }
    }

    /// `PUT`
    pub fn put(path: &'a [&'a str]) -> Self {
        Self {
            method: Method::PUT,
            ..Self::get(path)
        }
    }

    /// `PATCH`
    pub fn patch(path: &'a [&'a str]) -> Self {
        Self {
            method: Method::PATCH,
            ..Self::get(path)
        }
    }

    /// `DELETE`
    pub fn delete(path: &'a [&'a str]) -> Self {
        Self {
            method: Method::DELETE,
            ..Self::get(path)
        }
    }

    /// Adds a parameter.
    #[must_use]
    pub fn with(mut self, name: &'a str, value: &(impl ToString + ?Sized)) -> Self {
        self.query.push((name, value.to_string()));
        self
    }

    /// Adds a parameter where there is a value.
    #[must_use]
    pub fn with_some(self, name: &'a str, value: Option<&(impl ToString + ?Sized)>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }
}

impl Client {
    /// One for an account; `proxy` is the URL of a proxy to go through.
    ///
    /// # Errors
    /// [`Failure::Unreachable`] for a proxy that is none, or where TLS cannot be had.
    pub fn new(account: &Account, proxy: Option<&str>) -> Result<Self> {
        let mut key = HeaderValue::from_str(&format!("Bearer {}", account.key))
            .map_err(|error| unreachable(&account.address, error))?;
        key.set_sensitive(true);
        Ok(Self {
            key: Some(key),
            ..Self::anonymous(&account.address, proxy)?
        })
    }

    /// One who is not signed in.
    ///
    /// # Errors
    /// As [`Client::new`].
    pub fn anonymous(address: &Address, proxy: Option<&str>) -> Result<Self> {
        let failed = |error: reqwest::Error| unreachable(address, error);
        let mut http = reqwest::Client::builder()
            .http1_only()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT)
            .user_agent(concat!("amika/", env!("CARGO_PKG_VERSION")))
            .no_proxy()
            .tls_backend_preconfigured(tls(address)?);
        if let Some(proxy) = proxy.filter(|_| !address.is_loopback()) {
            http = http.proxy(reqwest::Proxy::all(proxy).map_err(failed)?);
        }
        Ok(Self {
            http: http.build().map_err(failed)?,
            address: address.clone(),
            key: None,
        })
    }

    /// Who is asked.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Asks, and reads the answer as a whole.
    ///
    /// # Errors
    /// [`Failure`]
    pub async fn ask<T: DeserializeOwned>(&self, call: Call<'_>) -> Result<T> {
        self.read(self.answer(self.request(&call)).await?).await
    }

    /// Asks with a body of JSON, and reads the answer as a whole.
    ///
    /// # Errors
    /// [`Failure`]
    pub async fn send<T: DeserializeOwned>(
        &self,
        call: Call<'_>,
        body: &impl Serialize,
    ) -> Result<T> {
        self.read(self.answer(self.request(&call).json(body)).await?)
            .await
    }

    /// Asks with a body of JSON as a page does that was signed in: with a cookie and a second secret.
    ///
    /// # Errors
    /// [`Failure`]
    pub async fn send_as_page<T: DeserializeOwned>(
        &self,
        call: Call<'_>,
        body: &impl Serialize,
        (cookie, second): (&str, &str),
    ) -> Result<T> {
        let request = self.request(&call).json(body);
        let request = request
            .header("cookie", cookie)
            .header("x-amika-session", second);
        self.read(self.answer(request).await?).await
    }

    /// Signs in with a link's token, as a page does: the session's cookie and its second secret.
    ///
    /// # Errors
    /// [`Failure`]
    pub async fn sign_in(&self, token: &str) -> Result<(String, String)> {
        #[derive(serde::Deserialize)]
        struct Session {
            secret: String,
        }
        let body = serde_json::json!({ "token": token });
        let answer = self
            .answer(self.request(&Call::post(&["session"])).json(&body))
            .await?;
        let cookie = answer
            .headers()
            .get("set-cookie")
            .and_then(|it| it.to_str().ok());
        let cookie = cookie
            .and_then(|it| it.split(';').next())
            .unwrap_or_default()
            .to_owned();
        let Session { secret } = self.read(answer).await?;
        Ok((cookie, secret))
    }

    /// Asks, and hands the answer on as it comes.
    ///
    /// # Errors
    /// [`Failure`]
    pub async fn stream(
        &self,
        call: Call<'_>,
    ) -> Result<impl Stream<Item = Result<Bytes>> + Send + use<>> {
        let answer = self.answer(self.request(&call)).await?;
        Ok(answer.bytes_stream().map_err(broken))
    }

    /// Asks for what stands at a path, as an archive: whether it is a directory, and its bytes as they come.
    ///
    /// # Errors
    /// [`Failure`]
    pub async fn archive(
        &self,
        call: Call<'_>,
    ) -> Result<(bool, impl Stream<Item = Result<Bytes>> + Send + use<>)> {
        let request = self.request(&call).header("accept", "application/x-tar");
        let answer = self.answer(request).await?;
        let is_directory = answer
            .headers()
            .get("x-amika-kind")
            .is_some_and(|kind| kind == "directory");
        Ok((is_directory, answer.bytes_stream().map_err(broken)))
    }

    /// Asks for a stream of events; those that follow on the one with the id `after`, where it is given.
    ///
    /// # Errors
    /// [`Failure`]
    pub async fn events(
        &self,
        call: Call<'_>,
        after: Option<&str>,
    ) -> Result<impl Stream<Item = Result<crate::events::Event>> + Send + use<>> {
        let mut request = self.request(&call).header("accept", "text/event-stream");
        if let Some(after) = after {
            request = request.header("last-event-id", after);
        }
        let answer = self.answer(request).await?;
        Ok(crate::events::parse(
            answer.bytes_stream().map_err(broken).boxed(),
        ))
    }

    /// Sends what comes, as the body, and reads the answer as a whole.
    ///
    /// # Errors
    /// [`Failure`]
    pub async fn upload<T: DeserializeOwned>(
        &self,
        call: Call<'_>,
        kind: &str,
        body: impl Stream<Item = std::io::Result<Bytes>> + Send + 'static,
    ) -> Result<T> {
        let request = self.request(&call).header("content-type", kind);
        let request = request.body(reqwest::Body::wrap_stream(body));
        self.read(self.unbounded(request).await?).await
    }

    /// Asks for a WebSocket.
    ///
    /// # Errors
    /// [`Failure`]
    pub async fn socket(&self, call: Call<'_>) -> Result<crate::socket::Socket> {
        let request = self
            .request(&call)
            .header("connection", "Upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header(
                "sec-websocket-key",
                tokio_tungstenite::tungstenite::handshake::client::generate_key(),
            );
        let answer = self.answer(request).await?;
        if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Err(self.not_understood(std::io::Error::other(answer.status().to_string())));
        }
        let connection = answer.upgrade().await.map_err(broken)?;
        Ok(crate::socket::Socket::new(connection).await)
    }

    fn request(&self, call: &Call<'_>) -> RequestBuilder {
        let mut request = self
            .http
            .request(call.method.clone(), self.address.route(call.path));
        if !call.query.is_empty() {
            request = request.query(&call.query);
        }
        match &self.key {
            Some(key) => request.header(AUTHORIZATION, key.clone()),
            None => request,
        }
    }

    /// The head of the answer, unless it says no, or takes too long.
    async fn answer(&self, request: RequestBuilder) -> Result<Response> {
        match tokio::time::timeout(SILENCE, self.unbounded(request)).await {
            Ok(answer) => answer,
            Err(late) => Err(unreachable(&self.address, late)),
        }
    }

    /// As [`Client::answer`], for what may take any time to be sent.
    async fn unbounded(&self, request: RequestBuilder) -> Result<Response> {
        let answer = request
            .send()
            .await
            .map_err(|error| unreachable(&self.address, error))?;
        let status = answer.status();
        if status.is_success() || status == StatusCode::SWITCHING_PROTOCOLS {
            return Ok(answer);
        }
        let retry_after = answer
            .headers()
            .get(RETRY_AFTER)
            .and_then(|it| it.to_str().ok()?.parse().ok());
        let body = self.whole(answer).await?;
        // What stands before a server speaks for itself.
        let refusal = serde_json::from_slice(&body).unwrap_or_else(|_| Refusal {
            message: format!("{} answered with {status}", self.address),
            ..Refusal::default()
        });
        Err(Failure::Refused(Box::new(Refusal {
            status: status.as_u16(),
            retry_after,
            ..refusal
        })))
    }

    async fn read<T: DeserializeOwned>(&self, answer: Response) -> Result<T> {
        let body = self.whole(answer).await?;
        let body: &[u8] = if body.is_empty() { b"null" } else { &body };
        serde_json::from_slice(body).map_err(|error| self.not_understood(error))
    }

    async fn whole(&self, answer: Response) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        let mut pieces = answer.bytes_stream();
        while let Some(piece) = tokio::time::timeout(SILENCE, pieces.next())
            .await
            .map_err(|late| Failure::BrokenOff(Box::new(late)))?
        {
            body.extend_from_slice(&piece.map_err(broken)?);
            if body.len() > LARGEST {
                return Err(self.not_understood(std::io::Error::other("it does not end")));
            }
        }
        Ok(body)
    }

    fn not_understood(&self, source: impl std::error::Error + Send + Sync + 'static) -> Failure {
        Failure::NotUnderstood {
            address: self.address.clone(),
            source: Box::new(source),
        }
    }
}

/// TLS with the certificates that the system trusts; for plain HTTP none are read.
fn tls(address: &Address) -> Result<rustls::ClientConfig> {
    let mut roots = rustls::RootCertStore::empty();
    if !address.is_plain() {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let config =
        rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(|error| unreachable(address, error))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

fn unreachable(
    address: &Address,
    source: impl std::error::Error + Send + Sync + 'static,
) -> Failure {
    Failure::Unreachable {
        address: address.clone(),
        source: Box::new(source),
    }
}

fn broken(source: reqwest::Error) -> Failure {
    Failure::BrokenOff(Box::new(source.without_url()))
}
