//! The host address that a port is published on.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An address of the host. IPv4 addresses in IPv6 clothes (`::ffff:127.0.0.1`) are taken for the
/// IPv4 address that they mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(from = "IpAddr", into = "IpAddr")]
pub struct HostIp(IpAddr);

impl HostIp {
    /// `127.0.0.1`, on which ports are published unless another address is asked for.
    pub const LOCALHOST: Self = Self(IpAddr::V4(Ipv4Addr::LOCALHOST));

    /// Returns the address.
    pub fn addr(self) -> IpAddr {
        self.0
    }

    /// Whether a listener on one address takes the port away from the other.
    ///
    /// `::` is taken to cover IPv4 as well: whether it does depends on the host's `bindv6only`.
    pub fn overlaps(self, other: Self) -> bool {
        let any_v6 = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
        let covers = |wide: IpAddr, other: IpAddr| {
            wide == any_v6 || (wide.is_unspecified() && other.is_ipv4())
        };
        self.0 == other.0 || covers(self.0, other.0) || covers(other.0, self.0)
    }

    /// Returns the host part of a URL: `localhost` for the default and for wildcard addresses,
    /// otherwise the address itself, IPv6 in brackets.
    pub fn url_host(self) -> String {
        if self == Self::LOCALHOST || self.0.is_unspecified() {
            return "localhost".to_owned();
        }
        self.to_string()
    }
}

impl Default for HostIp {
    fn default() -> Self {
        Self::LOCALHOST
    }
}

impl From<IpAddr> for HostIp {
    fn from(addr: IpAddr) -> Self {
        Self(addr.to_canonical())
    }
}

impl From<HostIp> for IpAddr {
    fn from(host_ip: HostIp) -> Self {
        host_ip.0
    }
}

/// Prints the address as it stands before a port: IPv6 in brackets.
impl fmt::Display for HostIp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V4(addr) => write!(f, "{addr}"),
            IpAddr::V6(addr) => write!(f, "[{addr}]"),
        }
    }
}

/// Reads an IPv4 address, or an IPv6 address with or without brackets.
impl FromStr for HostIp {
    type Err = InvalidHostIp;

    fn from_str(text: &str) -> Result<Self, InvalidHostIp> {
        let invalid = || InvalidHostIp {
            text: text.to_owned(),
        };
        let addr = match text.strip_prefix('[') {
            Some(rest) => {
                let inner = rest.strip_suffix(']').ok_or_else(invalid)?;
                inner.parse::<Ipv6Addr>().map(IpAddr::V6)
            }
            None => text.parse(),
        };
        addr.map(Self::from).map_err(|_| invalid())
    }
}

/// A text that is no IP address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{}\" is no IP address of the host: use one such as 127.0.0.1, 0.0.0.0 or ::1, not a name",
    .text.escape_debug()
)]
pub struct InvalidHostIp {
    /// What was given.
    pub text: String,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ip(text: &str) -> HostIp {
        text.parse().unwrap()
    }

    #[test]
    fn addresses_are_read_with_and_without_brackets() {
        for (text, printed) in [
            ("127.0.0.1", "127.0.0.1"),
            ("0.0.0.0", "0.0.0.0"),
            ("::1", "[::1]"),
            ("[::1]", "[::1]"),
            ("2001:DB8::0", "[2001:db8::]"),
            ("::ffff:127.0.0.1", "127.0.0.1"),
        ] {
            assert_eq!(ip(text).to_string(), printed);
        }
    }

    #[test]
    fn names_and_halves_of_addresses_are_refused() {
        let bad = [
            "",
            "localhost",
            "127.0.0",
            "127.0.0.1 ",
            "127.0.0.256",
            "[127.0.0.1]",
            "[::1",
            "::1]",
            "[]",
            "127.0.0.1:80",
            "0127.0.0.1",
            "fe80::1%eth0",
            "*",
        ];
        for text in bad {
            assert_eq!(
                text.parse::<HostIp>(),
                Err(InvalidHostIp {
                    text: text.to_owned()
                })
            );
        }
        assert_eq!(
            "localhost".parse::<HostIp>().unwrap_err().to_string(),
            "\"localhost\" is no IP address of the host: use one such as 127.0.0.1, 0.0.0.0 or ::1, \
             not a name"
        );
    }

    #[test]
    fn wildcards_overlap_what_they_cover() {
        for (a, b, overlap) in [
            ("127.0.0.1", "127.0.0.1", true),
            ("127.0.0.1", "127.0.0.2", false),
            ("127.0.0.1", "::1", false),
            ("0.0.0.0", "10.0.0.7", true),
            ("0.0.0.0", "::1", false),
            ("0.0.0.0", "::", true),
            ("::", "::1", true),
            ("::", "10.0.0.7", true),
        ] {
            assert_eq!(ip(a).overlaps(ip(b)), overlap, "{a} {b}");
            assert_eq!(ip(b).overlaps(ip(a)), overlap, "{b} {a}");
        }
    }

    #[test]
    fn urls_name_localhost_or_the_address() {
        for (text, host) in [
            ("127.0.0.1", "localhost"),
            ("0.0.0.0", "localhost"),
            ("::", "localhost"),
            ("::1", "[::1]"),
            ("127.0.0.2", "127.0.0.2"),
            ("192.168.1.5", "192.168.1.5"),
            ("2001:db8::5", "[2001:db8::5]"),
        ] {
            assert_eq!(ip(text).url_host(), host);
        }
    }

    proptest! {
        #[test]
        fn every_address_reads_as_it_prints(addr: IpAddr) {
            let host_ip = HostIp::from(addr);
            prop_assert_eq!(host_ip.to_string().parse(), Ok(host_ip));
            prop_assert_eq!(addr.to_string().parse(), Ok(host_ip));
        }
    }
}
