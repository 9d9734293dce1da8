//! The page's sign-in: a cookie, which alone authorises nothing, and a second secret that the page keeps.
//!
//! Cookies ignore ports, so that every published port of a sandbox on this host is sent the page's. What the
//! page keeps in its `localStorage` is its origin's alone.

use axum::http::{HeaderMap, header};

/// Name of the cookie over plain HTTP.
pub const COOKIE: &str = "amika_session";

/// Name of the cookie over TLS: browsers hold it to this host, this scheme and the root.
pub const HOST_COOKIE: &str = "__Host-amika_session";

/// Header of the second secret.
pub const SECOND_HEADER: &str = "x-amika-session";

/// The value of the session's cookie.
pub fn cookie(headers: &HeaderMap) -> Option<&str> {
    let all = headers.get_all(header::COOKIE).iter();
    let mut all = all.flat_map(|value| value.to_str().unwrap_or_default().split(';'));
    all.find_map(|cookie| {
        let (name, value) = cookie.trim().split_once('=')?;
        (name == COOKIE || name == HOST_COOKIE).then_some(value)
    })
}

/// `Set-Cookie` for a value; none takes the cookie away.
pub fn set_cookie(value: Option<&str>, is_tls: bool) -> String {
    let (name, secure) = if is_tls {
        (HOST_COOKIE, "; Secure")
    } else {
        (COOKIE, "")
    };
    let gone = if value.is_none() { "; Max-Age=0" } else { "" };
    let value = value.unwrap_or_default();
    format!("{name}={value}; Path=/; HttpOnly; SameSite=Strict{secure}{gone}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cookie_is_found_among_others_and_is_held_close() {
        let mut headers = HeaderMap::new();
        headers.append(
            header::COOKIE,
            "a=b; amika_sessionx=no; amika_session=yes".parse().unwrap(),
        );
        assert_eq!(cookie(&headers), Some("yes"));
        assert_eq!(cookie(&HeaderMap::new()), None);
        assert_eq!(
            set_cookie(Some("v"), true),
            "__Host-amika_session=v; Path=/; HttpOnly; SameSite=Strict; Secure"
        );
        assert_eq!(
            set_cookie(None, false),
            "amika_session=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0"
        );
    }
}
