//! Who may ask: the defence against browsers.
//!
//! A page anywhere on the web can make its visitor's browser send requests to a published port. It
//! cannot choose `Host`, or hide `Origin`.

use std::net::{Ipv4Addr, Ipv6Addr};

use hyper::header;
use hyper::http::request::Parts;
use hyper::{StatusCode, Version};

use super::answer::{Answer, error};

/// Refuses what a browser sends on somebody else's behalf.
pub(super) fn check_origin(request: &Parts, hostname: &str) -> Option<Answer> {
    let mut hosts = request.headers.get_all(header::HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.to_str().ok(),
        (None, None) if request.version == Version::HTTP_10 => None,
        _ => {
            return Some(error(
                StatusCode::BAD_REQUEST,
                "bad_host",
                "exactly one Host is needed",
            ));
        }
    };
    let authority = request
        .uri
        .authority()
        .map(hyper::http::uri::Authority::as_str);
    let given = host.is_some() || request.headers.contains_key(header::HOST);
    let acceptable = |name: &str| is_own_name(name, hostname);
    if given && !host.is_some_and(acceptable) || authority.is_some_and(|name| !acceptable(name)) {
        let message = "this host name is not this sandbox's; use an address or `localhost`";
        return Some(error(
            StatusCode::MISDIRECTED_REQUEST,
            "foreign_host",
            message,
        ));
    }
    let foreign_site = request
        .headers
        .get_all("sec-fetch-site")
        .iter()
        .any(|site| site != "same-origin" && site != "none");
    let foreign_origin = request
        .headers
        .get_all(header::ORIGIN)
        .iter()
        .any(|origin| {
            let own = origin
                .to_str()
                .ok()
                .and_then(|origin| origin.strip_prefix("http://"));
            own.is_none() || own != host
        });
    (foreign_site || foreign_origin).then(|| {
        let message = "requests of other sites' pages are not answered";
        error(StatusCode::FORBIDDEN, "foreign_origin", message)
    })
}

/// Whether `authority` (a host, perhaps with a port) is an address, `localhost`, or `hostname`.
pub(crate) fn is_own_name(authority: &str, hostname: &str) -> bool {
    if let Some(rest) = authority.strip_prefix('[') {
        return rest
            .split_once(']')
            .is_some_and(|(address, port)| address.parse::<Ipv6Addr>().is_ok() && is_port(port));
    }
    let (name, port) = match authority.find(':') {
        Some(colon) => authority.split_at(colon),
        None => (authority, ""),
    };
    is_port(port)
        && (name.parse::<Ipv4Addr>().is_ok()
            || name.eq_ignore_ascii_case("localhost")
            || !hostname.is_empty() && name.eq_ignore_ascii_case(hostname))
}

fn is_port(text: &str) -> bool {
    match text.strip_prefix(':') {
        Some(digits) => digits.parse::<u16>().is_ok() && digits.bytes().all(|b| b.is_ascii_digit()),
        None => text.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_localhost_and_the_own_name_are_accepted() {
        for good in [
            "127.0.0.1",
            "10.0.0.2:60999",
            "localhost",
            "LocalHost:1",
            "[::1]:60999",
            "teal-tokyo:80",
        ] {
            assert!(is_own_name(good, "teal-tokyo"), "{good}");
        }
        for bad in [
            "",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil",
            "[::1",
            "[x]",
            "localhost:x",
            "localhost:",
            "localhost:+1",
            ":60999",
            "teal-tokyo.evil",
        ] {
            assert!(!is_own_name(bad, "teal-tokyo"), "{bad}");
        }
        assert!(!is_own_name("", ""), "no host name is nobody's name");
    }
}
