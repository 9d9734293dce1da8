//! Addresses in a configuration: the one that people use, and networks.

use std::net::IpAddr;
use std::str::FromStr;

use axum::http::Uri;

use super::ConfigError;

/// An address of the form `scheme://host[:port]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl {
    /// The host, in lower case.
    pub host: String,
    /// All of it, without a slash at the end.
    pub text: String,
}

impl FromStr for PublicUrl {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let refused = |why: &str| {
            ConfigError::new(format!("public_url \"{}\" {why}", text.escape_debug()))
                .hint("give it as `https://HOST[:PORT]`")
        };
        let uri: Uri = text.parse().map_err(|_| refused("is no URL"))?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) {
            return Err(refused("is neither http nor https"));
        }
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(refused("has a path: the server must be at the root"));
        }
        let authority = uri.authority().ok_or_else(|| refused("has no host"))?;
        if authority.as_str().contains('@') {
            return Err(refused("has a user"));
        }
        Ok(Self {
            host: authority.host().to_ascii_lowercase(),
            text: text.trim_end_matches('/').to_ascii_lowercase(),
        })
    }
}

/// A network, as `10.0.0.0/8`; an address alone is one of a single address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    network: u128,
    prefix: u32,
}

impl Cidr {
    /// Whether an address is in it.
    pub fn contains(self, address: IpAddr) -> bool {
        let differs = self.network ^ bits(address);
        self.prefix == 0 || differs >> (128 - self.prefix) == 0
    }
}

/// IPv4 addresses stand in IPv6's space, where they are mapped.
fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

impl FromStr for Cidr {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| "no IP address".to_owned())?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => width,
            Some(prefix) => prefix
                .parse()
                .ok()
                .filter(|prefix| *prefix <= width)
                .ok_or_else(|| format!("the prefix is a number from 0 to {width}"))?,
        };
        Ok(Self {
            network: bits(address),
            prefix: prefix + 128 - width,
        })
    }
}
