//! What comes to the host name of a port.
//!
//! The cookie of the origin says who asks. Another page, on another port of the same host or anywhere else, has it sent
//! along, and so gets nothing: it may lead here, and no more.

use std::sync::Arc;

use amika_core::contract::OPENCODE_PORT;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use super::cookie;
use super::door;
use super::forward::{Forward, forward};
use super::headers::Door;
use super::name::PortName;
use crate::api::error::{ApiError, Result};
use crate::api::{body_bytes, open_port};
use crate::auth::caller::{Caller, From, Peer};
use crate::auth::tickets::Purpose;
use crate::state::App;

/// The path that is the server's on every such origin.
const OPEN: &str = "/.amika/open";

/// Gives the ticket behind the `#` for the cookie. Nothing of it is in a URL that is sent.
const SCRIPT: &str = "fetch('/.amika/open',{method:'POST',body:location.hash.slice(1)}).then(async answer=>{\
if(answer.ok)location.replace('/');else document.body.textContent=await answer.text()})";

/// Bytes of a ticket at most, as a form has it.
const TICKET: usize = 256;

/// Answers.
pub async fn serve(app: &Arc<App>, name: &PortName, request: Request) -> Response {
    let answered = answer(app, name, request).await;
    answered.unwrap_or_else(|error| shown(&error))
}

async fn answer(app: &Arc<App>, name: &PortName, request: Request) -> Result<Response> {
    if request.uri().path() == OPEN {
        return match *request.method() {
            Method::GET => Ok(page()),
            Method::POST => open(app, name, request).await,
            _ => Err(ApiError::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "usage",
                "it takes GET and POST",
            )),
        };
    }
    let port = open_port(name.port)?;
    let (peer, from) = ends(&request)?;
    refuse_others(request.headers(), request.method(), peer.is_tls)?;
    let caller = caller(app, name, request.headers(), &peer, from).await?;
    let way = door::way(app, &caller, &name.sandbox_id, port).await?;
    let mut request = request;
    let has_own = request.headers().contains_key(header::AUTHORIZATION);
    if port.get() == OPENCODE_PORT
        && !has_own
        && let Some(value) = way.opencode().await
    {
        request.headers_mut().insert(header::AUTHORIZATION, value);
    }
    let target = request.uri().path_and_query();
    let target = target.map_or("/", |it| it.as_str()).to_owned();
    let it = Forward {
        port,
        way: &way,
        door: if own_port(&peer, app).is_some() {
            Door::OwnPort
        } else {
            Door::Origin
        },
        from: from.0,
        is_tls: peer.is_tls,
        target: &target,
        prefix: None,
        user_id: &caller.user.id,
    };
    forward(app, it, request).await
}

/// The listening port, where it is the origin's own.
fn own_port(peer: &Peer, app: &App) -> Option<u16> {
    let port = peer.local.port();
    app.ports.own.name(port).map(|_| port)
}

fn ends(request: &Request) -> Result<(Peer, From)> {
    let extensions = request.extensions();
    let ends = extensions.get::<Peer>().zip(extensions.get::<From>());
    let (peer, from) = ends.ok_or_else(ApiError::internal)?;
    Ok((*peer, *from))
}

/// Refuses what another page asks: of what a browser sends there, a link that was followed alone is let by.
fn refuse_others(headers: &HeaderMap, method: &Method, is_tls: bool) -> Result<()> {
    let text = |name: &str| headers.get(name).map(|it| it.to_str().unwrap_or("?"));
    let scheme = if is_tls { "https" } else { "http" };
    let own = format!("{scheme}://{}", text("host").unwrap_or_default());
    let is_own = |origin: &str| origin.eq_ignore_ascii_case(&own);
    let is_foreign = text("origin").is_some_and(|origin| !is_own(origin));
    let is_link = method == Method::GET
        && text("sec-fetch-mode") == Some("navigate")
        && text("sec-fetch-dest") == Some("document");
    let is_elsewhere = matches!(text("sec-fetch-site"), Some("cross-site" | "same-site"));
    if is_foreign || (is_elsewhere && !is_link) {
        return Err(ApiError::forbidden(
            "pages of other origins may not ask this port",
        ));
    }
    Ok(())
}

/// Who asks: whose cookie it is, where that user may still do anything.
async fn caller(
    app: &App,
    name: &PortName,
    headers: &HeaderMap,
    peer: &Peer,
    from: From,
) -> Result<Caller> {
    let now = app.clock.now();
    let bound = (!peer.is_tls).then_some(from.0);
    let signer = &app.ports.signer;
    let user_id = cookie::values(headers).find_map(|value| signer.user(name, value, now, bound));
    let unknown = || {
        ApiError::unauthorized("this port is opened from the server: ask it for a ticket")
            .hint("POST /api/v0beta1/tickets with {\"sandbox\",\"port\"} answers with the address to open")
    };
    let user_id = user_id.ok_or_else(unknown)?;
    let user = app.store.user(user_id).await?;
    let user = user.filter(|user| !user.is_disabled).ok_or_else(unknown)?;
    Ok(Caller {
        scope: user.role.most(),
        user,
        key_id: None,
    })
}

/// Takes a ticket and sets the cookie.
async fn open(app: &Arc<App>, name: &PortName, request: Request) -> Result<Response> {
    let (peer, from) = ends(&request)?;
    let kind = request.headers().get(header::CONTENT_TYPE);
    let is_form = kind.is_some_and(|kind| {
        kind.as_bytes()
            .starts_with(b"application/x-www-form-urlencoded")
    });
    let body = body_bytes(request, TICKET).await?;
    let text = std::str::from_utf8(&body).unwrap_or_default();
    let ticket = text.strip_prefix("ticket=").unwrap_or(text);
    let purpose = Purpose::Port {
        sandbox_id: name.sandbox_id.clone(),
        port: name.port,
    };
    let now = app.clock.now();
    let Some(caller) = app.tickets.take(ticket, &purpose, now) else {
        if let Some(seconds) = app.failures.count(from.0, now) {
            let message = "too many tickets that do not hold came from your address";
            let error = ApiError::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", message);
            return Err(error.retry_after(seconds));
        }
        return Err(ApiError::unauthorized(
            "the ticket does not hold: it is good once, for 30 seconds",
        ));
    };
    let bound = (!peer.is_tls).then_some(from.0);
    let value = app.ports.signer.sign(name, &caller.user.id, now, bound);
    let own = own_port(&peer, app);
    let cookie = [(header::SET_COOKIE, cookie::set(&value, peer.is_tls, own))];
    Ok(if is_form {
        (StatusCode::SEE_OTHER, cookie, [(header::LOCATION, "/")]).into_response()
    } else {
        (StatusCode::NO_CONTENT, cookie).into_response()
    })
}

/// The page that gives the ticket.
fn page() -> Response {
    let digest = STANDARD.encode(Sha256::digest(SCRIPT.as_bytes()));
    let policy = format!(
        "default-src 'none'; script-src 'sha256-{digest}'; connect-src 'self'; frame-ancestors 'none'"
    );
    let text = format!(
        "<!doctype html><meta charset=utf-8><title>Opening</title><body>Opening…<script>{SCRIPT}</script>"
    );
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8".to_owned()),
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::CACHE_CONTROL, "no-store".to_owned()),
        (header::REFERRER_POLICY, "no-referrer".to_owned()),
    ];
    (headers, text).into_response()
}

/// An error, for people who look at a port in a browser.
fn shown(error: &ApiError) -> Response {
    let mut text = format!("{}\n", error.message);
    for hint in &error.hints {
        text = format!("{text}{hint}\n");
    }
    let headers = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "no-store"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; frame-ancestors 'none'",
        ),
    ];
    let mut response = (error.status, headers, text).into_response();
    if let Some(seconds) = error.retry_after {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_pages_may_lead_here_and_no_more() {
        let of = |method: &Method, all: &[(&str, &str)]| {
            let mut headers = HeaderMap::new();
            headers.insert("host", HeaderValue::from_static("3000-x.localhost:8080"));
            for (name, value) in all {
                let name: header::HeaderName = name.parse().unwrap();
                headers.insert(name, value.parse().unwrap());
            }
            refuse_others(&headers, method, false).is_ok()
        };
        let (get, post) = (Method::GET, Method::POST);
        let own = ("origin", "http://3000-x.localhost:8080");
        for all in [
            &[][..],
            &[own],
            &[("sec-fetch-site", "same-origin")],
            &[("sec-fetch-site", "none")],
        ] {
            assert!(of(&get, all) && of(&post, all), "{all:?}");
        }
        let link = [
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-mode", "navigate"),
            ("sec-fetch-dest", "document"),
        ];
        assert!(of(&get, &link));
        assert!(!of(&post, &link));
        for all in [
            &[("origin", "http://3000-x.localhost:9999")][..],
            &[("origin", "http://localhost:8080")],
            &[("origin", "https://3000-x.localhost:8080")],
            &[("origin", "null")],
            &[("sec-fetch-site", "same-site")],
            &[
                ("sec-fetch-site", "cross-site"),
                ("sec-fetch-mode", "navigate"),
                ("sec-fetch-dest", "iframe"),
            ],
        ] {
            assert!(!of(&get, all), "{all:?}");
        }
    }
}
