//! The layers around every route: trace id, host name, foreign pages, what browsers are told.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::error::ApiError;
use crate::auth::caller::{From, Peer, from};
use crate::ports::name::{PortName, split_port};
use crate::ports::origin;
use crate::state::App;

/// Header of the trace id.
const TRACE_ID: HeaderName = HeaderName::from_static("x-trace-id");

/// Finds a request in the log.
#[derive(Clone, Debug)]
pub struct TraceId(pub String);

/// The outermost layer: gives the request its id, writes what failed in the one shape, counts and logs.
pub async fn trace(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    let trace_id = amika_core::hex::hex(&rand::random::<[u8; 16]>());
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let begun = std::time::Instant::now();
    let extensions = request.extensions_mut();
    extensions.insert(TraceId(trace_id.clone()));
    if let Some(name) = port_name(&app, &mut request) {
        let response = origin::serve(&app, &name, request).await;
        let status = response.status().as_u16();
        app.metrics.answered(status);
        tracing::debug!(%method, port = name.port, status, trace_id, "answered for a port");
        return response;
    }
    let mut response = match checked(&app, &mut request) {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    };
    if let Some(error) = response.extensions_mut().remove::<ApiError>() {
        response = written(&error, &trace_id);
    }
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&trace_id) {
        headers.insert(TRACE_ID, value);
    }
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; frame-ancestors 'none'",
        ),
    ] {
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
    let status = response.status().as_u16();
    app.metrics.answered(status);
    let took = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    tracing::debug!(%method, path, status, took_ms = took, trace_id, "answered");
    response
}

/// An answer to a request that failed, as it goes out.
fn written(error: &ApiError, trace_id: &str) -> Response {
    let mut response = (error.status, axum::Json(error.body(trace_id))).into_response();
    let headers = response.headers_mut();
    if let Some(seconds) = error.retry_after {
        headers.insert(header::RETRY_AFTER, seconds.into());
    }
    if error.status == StatusCode::UNAUTHORIZED {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

/// The port that a request is meant for: by the listening port that it came to, or by its host's name.
fn port_name(app: &App, request: &mut Request) -> Option<PortName> {
    let authority = host(request.headers(), request.uri())?;
    let host = name_of(&authority);
    let peer = request.extensions().get::<Peer>().copied()?;
    let name = match app.ports.own.name(peer.local.port()) {
        // By another name it is misdirected, as it is everywhere.
        Some(own) => is_named(app, &peer, &host).then_some(own)?,
        None => PortName::parse(&host, app.config.domain.as_deref())?,
    };
    let address = from(
        peer.remote.ip(),
        request.headers(),
        &app.config.trusted_proxy,
    );
    request.extensions_mut().insert(From(address));
    Some(name)
}

/// Whether a host name is one of this server's, or the address that was asked.
fn is_named(app: &App, peer: &Peer, name: &str) -> bool {
    let local = peer.local.ip().to_canonical().to_string();
    app.names.contains(name) || name.trim_matches(['[', ']']) == local
}

/// Whether the request is meant for this server, and comes from no foreign page.
fn checked(app: &App, request: &mut Request) -> Result<(), ApiError> {
    let peer = request.extensions().get::<Peer>().copied();
    let peer = peer.ok_or_else(ApiError::internal)?;
    let address = from(
        peer.remote.ip(),
        request.headers(),
        &app.config.trusted_proxy,
    );
    request.extensions_mut().insert(From(address));
    if let Some(seconds) = app.asked.request(address) {
        app.metrics.limited();
        return Err(ApiError::rate_limited(
            "too many requests came from your address",
            seconds,
        ));
    }
    let named = host(request.headers(), request.uri());
    let authority = named.ok_or_else(|| ApiError::usage("the request has no Host"))?;
    let name = name_of(&authority);
    if !is_named(app, &peer, &name) {
        let shown: String = name.chars().take(100).collect();
        return Err(ApiError::new(
            StatusCode::MISDIRECTED_REQUEST,
            "usage",
            format!("\"{}\" is no name of this server", shown.escape_debug()),
        )
        .hint(
            "whoever runs the server tells it its name in its configuration: domain, or public_url",
        ));
    }
    if let Some(origin) = request.headers().get(header::ORIGIN) {
        let origin = origin.to_str().unwrap_or_default().to_ascii_lowercase();
        let own = [
            format!("http://{authority}"),
            format!("https://{authority}"),
        ];
        let is_public = app
            .config
            .public_url
            .as_ref()
            .is_some_and(|url| url.text == origin);
        if !own.contains(&origin) && !is_public {
            return Err(ApiError::forbidden(
                "pages of other origins may not ask this server",
            ));
        }
    }
    Ok(())
}

/// `host[:port]` that the request is meant for, in lower case.
fn host(headers: &HeaderMap, uri: &Uri) -> Option<String> {
    // A request line may name the host, and must not name another than the header.
    let mut all = headers.get_all(header::HOST).iter();
    let host = all.next()?.to_str().ok()?.to_ascii_lowercase();
    let is_one = all.next().is_none();
    let is_same = uri
        .authority()
        .is_none_or(|it| it.as_str().eq_ignore_ascii_case(&host));
    (is_one && is_same && !host.is_empty()).then_some(host)
}

/// The name of `name[:port]`.
fn name_of(authority: &str) -> String {
    let (name, _) = split_port(authority);
    name.strip_suffix('.').unwrap_or(name).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_from_ports_in_both_families() {
        for (text, name) in [
            ("localhost:8080", "localhost"),
            ("localhost", "localhost"),
            ("127.0.0.1:80", "127.0.0.1"),
            ("[::1]:8080", "[::1]"),
            ("[::1]", "[::1]"),
            ("example.com.:80", "example.com"),
        ] {
            assert_eq!(name_of(text), name);
        }
    }

    #[test]
    fn a_request_is_meant_for_one_host() {
        let mut headers = HeaderMap::new();
        headers.append(header::HOST, "A.example:80".parse().unwrap());
        let at = |text: &str| text.parse::<Uri>().unwrap();
        assert_eq!(host(&headers, &at("/x")).as_deref(), Some("a.example:80"));
        assert_eq!(host(&headers, &at("http://b.example/x")), None);
        headers.append(header::HOST, "b".parse().unwrap());
        assert_eq!(host(&headers, &at("/x")), None);
    }
}
