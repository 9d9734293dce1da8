//! From where repositories are cloned: hosts of the internet by HTTPS and SSH, with no sign-in of the server's own.

use std::ffi::OsStr;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use amika_host::machine::Machine;

use crate::api::error::{ApiError, Result};

/// How a host is spoken with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// HTTPS.
    Https,
    /// HTTP.
    Http,
    /// SSH.
    Ssh,
}

impl Scheme {
    fn port(self) -> u16 {
        match self {
            Self::Https => 443,
            Self::Http => 80,
            Self::Ssh => 22,
        }
    }
}

/// Where a URL leads.
#[derive(Debug, PartialEq, Eq)]
pub struct Place {
    /// How.
    pub scheme: Scheme,
    /// Whether it says who signs in.
    pub has_user: bool,
    /// The host, in small letters.
    pub host: String,
    /// Its port.
    pub port: u16,
}

impl Place {
    /// The host, with its port where that is not the usual one.
    pub fn named(&self) -> String {
        if self.port == self.scheme.port() {
            return self.host.clone();
        }
        format!("{}:{}", self.host, self.port)
    }
}

/// The machine that a clone of a URL is made on: git asks nobody, has no sign-in, follows no redirect, and connects to
/// the addresses that were looked at.
pub fn machine_for(place: Option<(&Place, &[IpAddr])>, machine: &Machine, data: &Path) -> Machine {
    let home = data.join("home");
    let docker = machine.docker_config_dir();
    let mut config = vec![
        ("http.followRedirects", "false".to_owned()),
        ("credential.helper", String::new()),
        ("core.askPass", String::new()),
    ];
    let mut protocols = "https:ssh";
    if let Some((place, addresses)) = place {
        if place.scheme == Scheme::Http {
            protocols = "https:ssh:http";
        }
        let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        let pin = format!("{}:{}:{}", place.host, place.port, addresses.join(","));
        config.push(("http.curloptResolve", pin));
    }
    let mut variables: Vec<(String, Option<String>)> = vec![
        ("GIT_TERMINAL_PROMPT".into(), Some("0".into())),
        ("GIT_ASKPASS".into(), None),
        ("SSH_ASKPASS".into(), None),
        ("SSH_AUTH_SOCK".into(), None),
        ("GIT_SSH".into(), None),
        ("GIT_SSH_COMMAND".into(), None),
        ("GIT_CONFIG_PARAMETERS".into(), None),
        ("GIT_CONFIG_GLOBAL".into(), Some("/dev/null".into())),
        ("GIT_CONFIG_NOSYSTEM".into(), Some("1".into())),
        ("XDG_CONFIG_HOME".into(), None),
        ("GIT_ALLOW_PROTOCOL".into(), Some(protocols.into())),
        ("GIT_CONFIG_COUNT".into(), Some(config.len().to_string())),
    ];
    for (index, (key, value)) in config.into_iter().enumerate() {
        variables.push((format!("GIT_CONFIG_KEY_{index}"), Some(key.to_owned())));
        variables.push((format!("GIT_CONFIG_VALUE_{index}"), Some(value)));
    }
    let variables = variables
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_deref().map(OsStr::new)));
    let places = [
        ("HOME", Some(home.as_os_str())),
        ("DOCKER_CONFIG", Some(docker.as_os_str())),
    ];
    machine.with_variables(variables.chain(places))
}

/// Reads where a URL leads.
///
/// # Errors
/// 400 for what is neither HTTPS nor SSH, and for HTTP unless `allow_private`.
pub fn place(url: &str, allow_private: bool) -> Result<Place> {
    let refused = |message: &str| ApiError::field("/repo_url", message);
    let (scheme, authority) = match url.split_once("://") {
        Some((scheme, rest)) => {
            let scheme = match scheme.to_ascii_lowercase().as_str() {
                "https" => Scheme::Https,
                "ssh" => Scheme::Ssh,
                "http" if allow_private => Scheme::Http,
                "http" => {
                    return Err(refused(
                        "repo_url is http://, which this server does not allow",
                    ));
                }
                _ => return Err(refused("repo_url must be an https:// or ssh:// URL")),
            };
            (
                scheme,
                rest.split(['/', '?', '#']).next().unwrap_or_default(),
            )
        }
        // scp's way: the colon ends the host.
        None => match url.split_once(':') {
            Some((authority, _)) if !authority.contains('/') => (Scheme::Ssh, authority),
            _ => return Err(refused("repo_url must be an https:// or ssh:// URL")),
        },
    };
    let (user, host) = match authority.rsplit_once('@') {
        Some((user, host)) => (Some(user), host),
        None => (None, authority),
    };
    let (host, port) = match host.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (host, None),
    };
    let port = match port {
        None => Some(scheme.port()),
        Some(port) => port.parse().ok(),
    };
    let port = port.ok_or_else(|| refused("repo_url has a port that is none"))?;
    let is_option = |text: &str| text.starts_with('-');
    if host.is_empty() || is_option(host) || user.is_some_and(is_option) {
        return Err(refused("repo_url has a host that is none"));
    }
    Ok(Place {
        scheme,
        has_user: user.is_some(),
        host: host.to_ascii_lowercase(),
        port,
    })
}

/// The addresses of a host.
///
/// # Errors
/// 400 where there is none, and for private ones unless `allow_private`.
pub async fn addresses(place: &Place, allow_private: bool) -> Result<Vec<IpAddr>> {
    let name = place.host.trim_matches(['[', ']']);
    let found = tokio::net::lookup_host((name, place.port)).await;
    let found: Vec<IpAddr> = match found {
        Ok(found) => found.map(|address| address.ip().to_canonical()).collect(),
        Err(_) => Vec::new(),
    };
    if found.is_empty() {
        return Err(ApiError::field(
            "/repo_url",
            "the host of repo_url has no address",
        ));
    }
    if !allow_private && !found.iter().all(|address| is_public(*address)) {
        let message =
            "the host of repo_url is at a private address, which this server does not allow";
        return Err(ApiError::field("/repo_url", message));
    }
    Ok(found)
}

/// Whether an address is one of the internet (IANA's registries of special addresses).
fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let is_shared = a == 100 && (64..128).contains(&b);
    let is_protocols = a == 192 && b == 0 && c == 0;
    let is_benchmark = a == 198 && (b == 18 || b == 19);
    !(address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        || a == 0
        || a >= 224
        || is_shared
        || is_protocols
        || is_benchmark)
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    // Global unicast alone, less what carries an IPv4 address or is for documents.
    let is_global = segments[0] & 0xe000 == 0x2000;
    let is_teredo_or_alike = segments[0] == 0x2001 && segments[1] < 0x0200;
    let is_document = segments[0] == 0x2001 && segments[1] == 0x0db8 || segments[0] == 0x3fff;
    let is_6to4 = segments[0] == 0x2002;
    is_global && !is_teredo_or_alike && !is_document && !is_6to4
}

#[cfg(test)]
mod tests {
    use pretty_assertions::assert_eq;

    use super::Scheme::{Http, Https, Ssh};
    use super::*;

    #[test]
    fn private_addresses_of_all_kinds_are_none_of_the_internet() {
        for text in [
            "10.1.2.3",
            "127.0.0.1",
            "169.254.169.254",
            "172.17.0.1",
            "192.168.1.1",
            "0.0.0.0",
            "100.64.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "192.0.0.8",
            "198.18.0.1",
            "::1",
            "::",
            "fe80::1",
            "fc00::1",
            "fd00::1",
            "::ffff:10.0.0.1",
            "::ffff:127.0.0.1",
            "64:ff9b::a00:1",
            "2002:7f00:1::",
            "2001::1",
            "ff02::1",
        ] {
            assert!(!is_public(text.parse().unwrap()), "{text}");
        }
        for text in [
            "1.1.1.1",
            "140.82.112.3",
            "2606:50c0:8000::153",
            "2a00:1450::1",
        ] {
            assert!(is_public(text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn a_place_is_read_as_git_reads_it() {
        let place = |url| {
            place(url, true)
                .map(|it| (it.scheme, it.has_user, it.named()))
                .ok()
        };
        let of = |scheme, user, named: &str| Some((scheme, user, named.to_owned()));
        for (url, expected) in [
            (
                "https://u:p@Example.com:8443/o/r",
                of(Https, true, "example.com:8443"),
            ),
            ("https://a@b@example.com/o", of(Https, true, "example.com")),
            ("https://example.com:443/o", of(Https, false, "example.com")),
            ("http://[::1]:81/o", of(Http, false, "[::1]:81")),
            ("http://[::1]/o", of(Http, false, "[::1]")),
            ("ssh://git@example.com/o/r", of(Ssh, true, "example.com")),
            (
                "ssh://git@example.com:2222/o/r",
                of(Ssh, true, "example.com:2222"),
            ),
            ("git@Example.com:o/r", of(Ssh, true, "example.com")),
            ("ssh://-oProxyCommand=x/o/r", None),
            ("-oProxyCommand=x:o/r", None),
            ("-x@example.com:o/r", None),
            ("/o/r", None),
            ("file:///o/r", None),
            ("git://example.com/o/r", None),
            ("https://h:99999/o", None),
            ("https:///o", None),
        ] {
            assert_eq!(place(url), expected, "{url}");
        }
    }

    #[tokio::test]
    async fn git_has_no_sign_in_and_no_way_to_private_addresses() {
        let machine = Machine::of_process();
        let data = Path::new("/data");
        for url in [
            "https://127.0.0.1/o/r",
            "https://[::1]/o/r",
            "https://localhost/o/r",
            "ssh://git@127.0.0.1/o/r",
            "git@localhost:o/r",
        ] {
            let place = place(url, false).unwrap();
            assert!(addresses(&place, false).await.is_err(), "{url}");
        }
        assert!(place("http://1.1.1.1/o/r", false).is_err());
        let there = place("http://127.0.0.1:81/o/r", true).unwrap();
        let addresses = addresses(&there, true).await.unwrap();
        let allowed = machine_for(Some((&there, &addresses)), &machine, data);
        assert_eq!(allowed.text("GIT_ALLOW_PROTOCOL"), Some("https:ssh:http"));
        assert_eq!(
            allowed.text("GIT_CONFIG_VALUE_3"),
            Some("127.0.0.1:81:127.0.0.1")
        );
        assert_eq!(allowed.home(), Some(Path::new("/data/home")));
        assert_eq!(allowed.variable("SSH_AUTH_SOCK"), None);
        let plain = machine_for(None, &machine, data);
        assert_eq!(plain.text("GIT_ALLOW_PROTOCOL"), Some("https:ssh"));
    }
}
