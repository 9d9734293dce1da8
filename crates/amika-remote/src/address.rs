//! Where a server is.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use reqwest::Url;

/// The path of all routes below an address.
const PREFIX: [&str; 2] = ["api", "v0beta1"];

/// What a sign-in link carries behind `#`, before its token.
const SIGN_IN: &str = "sign-in=";

/// The origin of a server: `scheme://host[:port]`.
#[derive(Clone, PartialEq, Eq)]
pub struct Address(Url);

/// Text that names no server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAnAddress {
    /// It is no URL.
    // It may have a password or a link's token in it, and is not repeated.
    #[error(
        "that is no address of a server: one is written as https://host or http://localhost:8080"
    )]
    NoUrl,
    /// It has more than an origin.
    #[error("the address of a server ends with its host and port: {0}")]
    HasPath(Address),
}

impl Address {
    /// Reads an address, and the token of the sign-in link that it may be.
    ///
    /// # Errors
    /// [`NotAnAddress`]
    pub fn parse(text: &str) -> Result<(Self, Option<String>), NotAnAddress> {
        let refused = || NotAnAddress::NoUrl;
        let mut url = Url::parse(text).map_err(|_| refused())?;
        let is_http = matches!(url.scheme(), "http" | "https");
        if !is_http
            || url.host_str().is_none()
            || !url.username().is_empty()
            || url.password().is_some()
        {
            return Err(refused());
        }
        let token = url.fragment().and_then(|it| it.strip_prefix(SIGN_IN));
        let token = token.map(str::to_owned);
        let has_more = url.path() != "/" || url.query().is_some();
        url.set_fragment(None);
        url.set_query(None);
        url.set_path("/");
        let address = Self(url);
        if has_more {
            return Err(NotAnAddress::HasPath(address));
        }
        Ok((address, token))
    }

    /// Its host, as it is written.
    pub fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default()
    }

    /// Whether it is spoken to without TLS.
    pub fn is_plain(&self) -> bool {
        self.0.scheme() == "http"
    }

    /// Whether what is sent there can be read on the way: plain HTTP to another machine.
    pub fn is_readable_by_others(&self) -> bool {
        self.is_plain() && !self.is_loopback()
    }

    /// Whether it is this machine (RFC 6761: `localhost` and what is below it, and the loopback addresses).
    pub fn is_loopback(&self) -> bool {
        let host = self.host();
        let name = host.trim_end_matches('.');
        if name == "localhost" || name.ends_with(".localhost") {
            return true;
        }
        let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
        address.is_ok_and(|address| address.to_canonical().is_loopback())
    }

    /// The URL of a route, of which each segment is taken as it is.
    pub(crate) fn route(&self, segments: &[&str]) -> Url {
        let mut url = self.0.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.clear().extend(PREFIX).extend(segments);
        }
        url
    }
}

impl FromStr for Address {
    type Err = NotAnAddress;

    fn from_str(text: &str) -> Result<Self, NotAnAddress> {
        Self::parse(text).map(|(address, _)| address)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.0.as_str().trim_end_matches('/'))
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use pretty_assertions::assert_eq;

    use super::*;

    #[test]
    fn an_address_is_an_origin_and_a_link_has_a_token() {
        let parsed =
            |text| Address::parse(text).map(|(address, token)| (address.to_string(), token));
        let of =
            |address: &str, token: Option<&str>| Ok((address.to_owned(), token.map(str::to_owned)));
        assert_eq!(
            parsed("http://localhost:8080"),
            of("http://localhost:8080", None)
        );
        assert_eq!(parsed("https://a.example/"), of("https://a.example", None));
        assert_eq!(
            parsed("http://[::1]:81/#sign-in=aml_x"),
            of("http://[::1]:81", Some("aml_x"))
        );
        assert_eq!(parsed("http://a/#other=aml_x"), of("http://a", None));
        for text in [
            "",
            "localhost:8080",
            "ftp://a",
            "https://user:word@a",
            "https://",
        ] {
            assert!(parsed(text).is_err(), "{text}");
        }
        assert!(matches!(
            parsed("https://a/api/v0beta1"),
            Err(NotAnAddress::HasPath(_))
        ));
    }

    #[test]
    fn what_others_could_read_on_the_way_is_known() {
        let readable = |text: &str| text.parse::<Address>().unwrap().is_readable_by_others();
        for text in [
            "http://localhost:1",
            "http://box.localhost",
            "http://127.3.2.1",
            "http://[::1]:1",
            "http://[::ffff:127.0.0.1]",
            "https://a.example",
        ] {
            assert!(!readable(text), "{text}");
        }
        for text in [
            "http://a.example",
            "http://10.0.0.1",
            "http://localhost.example",
            "http://0.0.0.0",
        ] {
            assert!(readable(text), "{text}");
        }
    }

    #[test]
    fn a_segment_of_a_route_leads_nowhere_else() {
        let address: Address = "http://localhost:1".parse().unwrap();
        assert_eq!(
            address
                .route(&["sandboxes", "../users", "a/b?c#d"])
                .as_str(),
            "http://localhost:1/api/v0beta1/sandboxes/..%2Fusers/a%2Fb%3Fc%23d"
        );
    }
}
