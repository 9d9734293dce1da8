//! What of a message's head goes on: not what is of the one connection (RFC 9110, 7.6.1), and nothing that is the
//! server's.

use std::net::IpAddr;

use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::cookie;
use crate::auth::session::{COOKIE, HOST_COOKIE, SECOND_HEADER};
use crate::auth::tickets;
use crate::auth::token::KEY_PREFIX;

/// Names of the server's own cookies: none goes in, and none may be set from inside.
const OWN: [&str; 2] = [COOKIE, HOST_COOKIE];

fn is_own(name: &str) -> bool {
    OWN.contains(&name) || cookie::is_own(name)
}

/// Headers of one connection; those that `Connection` names are, too.
const OF_CONNECTION: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Headers by which somebody else would say for whom he asks.
const OF_PROXIES: [&str; 6] = [
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-forwarded-prefix",
    "x-real-ip",
];

/// Which way a request came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// By the origin of the port.
    Origin,
    /// By such an origin that has a listening port of its own, at the host of the server's page.
    OwnPort,
    /// By a path of the server's own origin.
    Path,
}

/// Who asks, as the inside is told.
pub struct Asked<'a> {
    /// From which address.
    pub from: IpAddr,
    /// Whether by TLS.
    pub is_tls: bool,
    /// The host that was asked for.
    pub host: &'a str,
    /// The host that the inside is told.
    pub inside: &'a str,
    /// What of the path is the server's.
    pub prefix: Option<&'a str>,
}

fn drop_connections(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .flat_map(|value| value.to_str().unwrap_or_default().split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named {
        headers.remove(name);
    }
    for name in OF_CONNECTION {
        headers.remove(name);
    }
}

/// Makes the head of a request one that goes in. What it is upgraded to is the caller's to say again.
pub fn inwards(headers: &mut HeaderMap, door: Door, asked: &Asked<'_>) {
    drop_connections(headers);
    // The body's length is told anew, as it is; who waits for a go-ahead was given it.
    for name in [header::CONTENT_LENGTH, header::EXPECT] {
        headers.remove(name);
    }
    for name in OF_PROXIES {
        headers.remove(name);
    }
    headers.remove(SECOND_HEADER);
    let is_key = |value: &HeaderValue| {
        let value = value.to_str().unwrap_or_default();
        value
            .split_ascii_whitespace()
            .any(|word| word.starts_with(KEY_PREFIX))
    };
    if door == Door::Path || headers.get_all(header::AUTHORIZATION).iter().any(is_key) {
        headers.remove(header::AUTHORIZATION);
    }
    keep_words(headers, header::COOKIE, ';', "; ", |cookie| {
        let name = cookie.split('=').next().unwrap_or_default().trim();
        !is_own(name)
    });
    keep_words(headers, header::SEC_WEBSOCKET_PROTOCOL, ',', ", ", |word| {
        !word.starts_with(tickets::PREFIX)
    });
    let scheme = if asked.is_tls { "https" } else { "http" };
    let from = asked.from.to_string();
    for (name, value) in [
        ("host", asked.inside),
        ("x-forwarded-for", from.as_str()),
        ("x-forwarded-host", asked.host),
        ("x-forwarded-proto", scheme),
        ("x-forwarded-prefix", asked.prefix.unwrap_or_default()),
    ] {
        if let (Ok(value), false) = (HeaderValue::from_str(value), value.is_empty()) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
}

/// Keeps those words of a header that may stay; without any it goes.
fn keep_words(
    headers: &mut HeaderMap,
    name: HeaderName,
    between: char,
    join: &str,
    keep: impl Fn(&str) -> bool,
) {
    let all: Vec<String> = headers
        .get_all(&name)
        .iter()
        .flat_map(|value| value.to_str().unwrap_or_default().split(between))
        .map(str::trim)
        .filter(|word| !word.is_empty() && keep(word))
        .map(str::to_owned)
        .collect();
    headers.remove(&name);
    if let (Ok(value), false) = (HeaderValue::from_str(&all.join(join)), all.is_empty()) {
        headers.insert(name, value);
    }
}

/// Makes the head of an answer one that goes out.
pub fn outwards(headers: &mut HeaderMap, door: Door) {
    drop_connections(headers);
    // They would hold for other ports of the host, or other servers.
    for name in ["strict-transport-security", "alt-svc", "public-key-pins"] {
        headers.remove(name);
    }
    let cookies: Vec<HeaderValue> = headers
        .get_all(header::SET_COOKIE)
        .iter()
        .filter_map(|value| confined(value.to_str().ok()?))
        .collect();
    headers.remove(header::SET_COOKIE);
    match door {
        Door::Origin | Door::OwnPort => {
            if door == Door::OwnPort {
                // It would clear what the server's page has at the same host.
                headers.remove("clear-site-data");
            }
            for cookie in cookies {
                headers.append(header::SET_COOKIE, cookie);
            }
        }
        Door::Path => {
            // What answers has no part in the server's origin.
            for name in ["clear-site-data", "service-worker-allowed", "refresh"] {
                headers.remove(name);
            }
            headers.append(
                header::CONTENT_SECURITY_POLICY,
                HeaderValue::from_static("sandbox"),
            );
            headers.insert(
                header::X_CONTENT_TYPE_OPTIONS,
                HeaderValue::from_static("nosniff"),
            );
        }
    }
}

/// A cookie that is set for its own host alone; none where it would be one of the server's.
fn confined(cookie: &str) -> Option<HeaderValue> {
    let mut parts = cookie.split(';');
    let first = parts.next()?;
    let name = first.split('=').next().unwrap_or_default().trim();
    if is_own(name) {
        return None;
    }
    let is_domain = |part: &str| {
        let name = part.split('=').next().unwrap_or_default().trim();
        name.eq_ignore_ascii_case("domain")
    };
    let rest = parts.filter(|part| !is_domain(part));
    let all: Vec<&str> = std::iter::once(first).chain(rest).collect();
    HeaderValue::from_str(&all.join(";")).ok()
}

#[cfg(test)]
mod tests {
    use pretty_assertions::assert_eq;

    use super::*;

    fn headers(all: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in all {
            let name: HeaderName = name.parse().unwrap();
            headers.append(name, value.parse().unwrap());
        }
        headers
    }

    fn shown(headers: &HeaderMap) -> Vec<(String, String)> {
        let mut all: Vec<_> = headers
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
            .collect();
        all.sort();
        all
    }

    #[test]
    fn nothing_of_the_connection_or_the_servers_goes_in() {
        let sent = [
            ("host", "3000-x.localhost:8080"),
            ("connection", "keep-alive, X-Mine"),
            ("x-mine", "1"),
            ("keep-alive", "1"),
            ("transfer-encoding", "chunked"),
            ("content-length", "5"),
            ("te", "trailers"),
            ("upgrade", "h2c"),
            ("proxy-authorization", "x"),
            ("expect", "100-continue"),
            ("x-forwarded-for", "6.6.6.6"),
            ("forwarded", "for=6.6.6.6"),
            ("x-amika-session", "amt_secret"),
            ("authorization", "Bearer amk_secret"),
            ("cookie", "a=b; amika_session=secret; amika_port=secret"),
            ("cookie", "__Host-amika_port=secret; c=d"),
            ("sec-websocket-protocol", "vite-hmr, amw_secret"),
            ("accept", "*/*"),
        ];
        let asked = Asked {
            from: "127.0.0.1".parse().unwrap(),
            is_tls: false,
            host: "3000-x.localhost:8080",
            inside: "3000-x.localhost:8080",
            prefix: None,
        };
        let mut all = headers(&sent);
        inwards(&mut all, Door::Origin, &asked);
        let expected = [
            ("accept", "*/*"),
            ("cookie", "a=b; c=d"),
            ("host", "3000-x.localhost:8080"),
            ("sec-websocket-protocol", "vite-hmr"),
            ("x-forwarded-for", "127.0.0.1"),
            ("x-forwarded-host", "3000-x.localhost:8080"),
            ("x-forwarded-proto", "http"),
        ];
        let expected: Vec<_> = expected
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        assert_eq!(shown(&all), expected);
        let mut own = headers(&[("authorization", "Basic dTpw")]);
        inwards(&mut own, Door::Origin, &asked);
        assert!(own.contains_key("authorization"), "it is the inside's own");
        let mut own = headers(&[("authorization", "Basic dTpw")]);
        inwards(&mut own, Door::Path, &asked);
        assert!(!own.contains_key("authorization"));
    }

    #[test]
    fn cookies_stay_with_their_host_and_none_is_the_servers() {
        let sent = [
            ("set-cookie", "a=b; Domain=localhost; Path=/; HttpOnly"),
            ("set-cookie", "c=d; domain = .localhost"),
            ("set-cookie", "amika_session=evil; Path=/"),
            ("set-cookie", "__Host-amika_port=evil"),
            ("strict-transport-security", "max-age=1"),
            ("alt-svc", "h3=\"evil:1\""),
            ("connection", "close"),
            ("content-type", "text/html"),
        ];
        let mut all = headers(&sent);
        outwards(&mut all, Door::Origin);
        assert_eq!(
            shown(&all),
            [
                ("content-type", "text/html"),
                ("set-cookie", "a=b; Path=/; HttpOnly"),
                ("set-cookie", "c=d"),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
        let mut all = headers(&sent);
        outwards(&mut all, Door::Path);
        assert_eq!(
            shown(&all),
            [
                ("content-security-policy", "sandbox"),
                ("content-type", "text/html"),
                ("x-content-type-options", "nosniff"),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
    }
}
