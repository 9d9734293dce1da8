//! Who asks: by a key, or by a session of the page.

use std::net::{IpAddr, SocketAddr};
use std::ops::Deref;
use std::sync::Arc;

use axum::extract::{FromRequestParts, OriginalUri, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::Response;

use super::scope::{Role, Scope};
use super::session::{self, SECOND_HEADER};
use super::tickets::{self, Purpose};
use super::token::{Hash, is_key};
use crate::api::error::{ApiError, Result};
use crate::config::Cidr;
use crate::state::App;
use crate::store::User;

/// The two ends of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    /// The other side.
    pub remote: SocketAddr,
    /// Ours.
    pub local: SocketAddr,
    /// Whether TLS is spoken on it.
    pub is_tls: bool,
}

/// The address that a request came from, as far as it is believed.
#[derive(Clone, Copy, Debug)]
pub struct From(pub IpAddr);

/// Who asks.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The user.
    pub user: User,
    /// The most that may be done.
    pub scope: Scope,
    /// The key, where it was not the page.
    pub key_id: Option<String>,
}

impl Caller {
    /// Whether this is an administrator who may act as one.
    pub fn is_admin(&self) -> bool {
        self.user.role == Role::Admin && self.scope == Scope::Admin
    }
}

/// Somebody who may look.
pub struct Reader(pub Caller);

/// Somebody who may make, change and remove what is his.
pub struct Writer(pub Caller);

/// Somebody who may do what administrators do.
pub struct Admin(pub Caller);

macro_rules! wants {
    ($name:ident, $scope:expr) => {
        impl Deref for $name {
            type Target = Caller;

            fn deref(&self) -> &Caller {
                &self.0
            }
        }

        impl<S: Send + Sync> FromRequestParts<S> for $name {
            type Rejection = ApiError;

            async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
                allowed(parts, $scope).map(Self)
            }
        }
    };
}

wants!(Reader, Scope::Read);
wants!(Writer, Scope::Write);
wants!(Admin, Scope::Admin);

fn allowed(parts: &Parts, scope: Scope) -> Result<Caller> {
    // Every route stands behind `authenticate`.
    let caller = parts
        .extensions
        .get::<Caller>()
        .ok_or_else(ApiError::internal)?;
    if scope == Scope::Admin && caller.user.role != Role::Admin {
        return Err(ApiError::forbidden("only administrators may do this"));
    }
    if caller.scope < scope {
        return Err(ApiError::forbidden(format!(
            "this key lacks the scope {scope}"
        )));
    }
    Ok(caller.clone())
}

/// The layer that finds out who asks, and lets nobody else by.
pub async fn authenticate(
    State(app): State<Arc<App>>,
    mut request: Request,
    next: Next,
) -> Result<Response> {
    let path = request.extensions().get::<OriginalUri>();
    let path = path.map_or_else(|| request.uri().path(), |uri| uri.path());
    let path = crate::api::plain(path).to_owned();
    let Some(caller) = caller(&app, request.headers(), path).await? else {
        return Err(refused(&app, &request));
    };
    let is_look = matches!(
        *request.method(),
        Method::GET | Method::HEAD | Method::OPTIONS
    );
    let by = caller.key_id.as_ref().unwrap_or(&caller.user.id);
    if !is_look && let Some(seconds) = app.asked.change(by) {
        app.metrics.limited();
        let message = "too many changes were asked for with this key";
        return Err(ApiError::rate_limited(message, seconds));
    }
    request.extensions_mut().insert(caller);
    Ok(next.run(request).await)
}

fn refused(app: &App, request: &Request) -> ApiError {
    let headers = request.headers();
    let has_tried = headers.contains_key(header::AUTHORIZATION)
        || headers.contains_key(SECOND_HEADER)
        || ticket(headers).is_some();
    if !has_tried {
        return ApiError::unauthorized("this needs an API key: Authorization: Bearer amk_…");
    }
    if let Some(From(address)) = request.extensions().get()
        && let Some(seconds) = app.failures.count(*address, app.clock.now())
    {
        let message = "too many requests with a key that does not hold came from your address";
        return ApiError::rate_limited(message, seconds);
    }
    ApiError::unauthorized(
        "the key or session does not hold: it is unknown, was removed, or is over",
    )
}

async fn caller(app: &App, headers: &HeaderMap, path: String) -> Result<Option<Caller>> {
    if let Some(value) = headers.get(header::AUTHORIZATION) {
        let Some(key) = bearer(value.to_str().unwrap_or_default()).filter(|key| is_key(key)) else {
            return Ok(None);
        };
        let Some(holder) = app.store.who_has(&Hash::of(key)).await? else {
            return Ok(None);
        };
        let Some(scope) = holder.scopes.iter().max().copied() else {
            return Ok(None);
        };
        // A note that cannot be made keeps nobody out: the disk may be full.
        let _ = app.store.note_use(&holder, app.clock.now()).await;
        return Ok(Some(Caller {
            scope: scope.min(holder.user.role.most()),
            user: holder.user,
            key_id: Some(holder.key_id),
        }));
    }
    if let Some(ticket) = ticket(headers) {
        let purpose = Purpose::Socket(path);
        return Ok(app.tickets.take(ticket, &purpose, app.clock.now()));
    }
    let (Some(cookie), Some(second)) = (session::cookie(headers), headers.get(SECOND_HEADER))
    else {
        return Ok(None);
    };
    let second = Hash::of(second.to_str().unwrap_or_default());
    let now = app.clock.now();
    let session = app.store.session(&Hash::of(cookie), &second, now).await?;
    Ok(session.map(|session| Caller {
        scope: session.user.role.most(),
        user: session.user,
        key_id: None,
    }))
}

/// The ticket that a request for a web socket has among its protocols.
fn ticket(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::UPGRADE)?;
    let all = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter();
    let mut all = all.flat_map(|value| value.to_str().unwrap_or_default().split(','));
    all.find_map(|word| Some(word.trim()).filter(|word| word.starts_with(tickets::PREFIX)))
}

fn bearer(value: &str) -> Option<&str> {
    let (scheme, key) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
}

/// The address that a request came from: the connection's, and where that is a trusted proxy's the last of
/// `X-Forwarded-For` that is none.
pub fn from(remote: IpAddr, headers: &HeaderMap, trusted: &[Cidr]) -> IpAddr {
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(address));
    let mut from = remote.to_canonical();
    if !is_trusted(from) {
        return from;
    }
    let all = headers.get_all("x-forwarded-for").iter();
    let all: Vec<&str> = all
        .flat_map(|it| it.to_str().unwrap_or_default().split(','))
        .collect();
    for text in all.into_iter().rev() {
        let Ok(address) = text.trim().parse::<IpAddr>() else {
            break;
        };
        from = address.to_canonical();
        if !is_trusted(from) {
            break;
        }
    }
    from
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_trusted_proxy_says_for_whom_it_asks() {
        let trusted = ["10.0.0.0/8".parse().unwrap()];
        let of = |remote: &str, forwarded: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in forwarded {
                headers.append("x-forwarded-for", value.parse().unwrap());
            }
            from(remote.parse().unwrap(), &headers, &trusted).to_string()
        };
        assert_eq!(of("192.0.2.1", &["198.51.100.1"]), "192.0.2.1");
        assert_eq!(of("10.0.0.1", &["198.51.100.1"]), "198.51.100.1");
        assert_eq!(
            of("10.0.0.1", &["6.6.6.6, 198.51.100.1", "10.2.2.2"]),
            "198.51.100.1"
        );
        assert_eq!(of("10.0.0.1", &[]), "10.0.0.1");
        assert_eq!(of("10.0.0.1", &["junk"]), "10.0.0.1");
        assert_eq!(of("::ffff:10.0.0.1", &["198.51.100.1"]), "198.51.100.1");
    }

    #[test]
    fn a_bearers_key_is_found_whatever_the_case_of_the_word() {
        assert_eq!(bearer("Bearer amk_x"), Some("amk_x"));
        assert_eq!(bearer("bearer  amk_x "), Some("amk_x"));
        assert_eq!(bearer("Basic amk_x"), None);
        assert_eq!(bearer("amk_x"), None);
    }
}
