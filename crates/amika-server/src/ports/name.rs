//! The host names of ports: `<port>-<id of the sandbox>` below `localhost`, or below the server's domain.

use crate::config::Config;

/// A port of a sandbox, as a host name names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortName {
    /// The port.
    pub port: u16,
    /// The sandbox's id.
    pub sandbox_id: String,
}

impl PortName {
    /// What a host name names, without its port.
    pub fn parse(host: &str, domain: Option<&str>) -> Option<Self> {
        let (label, parent) = host.split_once('.')?;
        if parent != "localhost" && Some(parent) != domain {
            return None;
        }
        let (port, id) = label.split_once('-')?;
        let is_port = !port.starts_with('0') && port.bytes().all(|byte| byte.is_ascii_digit());
        let is_id = !id.is_empty()
            && id
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        (is_port && is_id).then(|| {
            Some(Self {
                port: port.parse().ok().filter(|port| *port > 0)?,
                sandbox_id: id.to_owned(),
            })
        })?
    }
}

/// The name and the port of `name[:port]`; an address of IPv6 stands in brackets.
pub fn split_port(authority: &str) -> (&str, Option<&str>) {
    match authority.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => (name, Some(port)),
        _ => (authority, None),
    }
}

/// Where a port is found: `scheme://host[:port]`; `address` is where the server is.
pub fn origin(config: &Config, address: &str, sandbox_id: &str, port: u16) -> String {
    let (scheme, authority) = address.split_once("://").unwrap_or(("http", address));
    let own_port = split_port(authority).1.map(|port| format!(":{port}"));
    let own_port = own_port.unwrap_or_default();
    let parent = config.domain.as_deref().unwrap_or("localhost");
    format!("{scheme}://{port}-{sandbox_id}.{parent}{own_port}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_port_and_a_sandbox_below_a_name_of_the_servers() {
        let id = "0a1b2c3d-0000-4000-8000-000000000000";
        let parse = |host: &str| PortName::parse(host, Some("amika.example"));
        for parent in ["localhost", "amika.example"] {
            let found = parse(&format!("3000-{id}.{parent}")).unwrap();
            assert_eq!((found.port, found.sandbox_id.as_str()), (3000, id));
        }
        for bad in [
            "localhost",
            "amika.example",
            "3000-x.evil.example",
            "3000-x.localhost.evil.example",
            "a.3000-x.localhost",
            "-x.localhost",
            "0-x.localhost",
            "03-x.localhost",
            "65536-x.localhost",
            "3000-.localhost",
            "3000-X.localhost",
            "3000-a_b.localhost",
            "x-3000.localhost",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
        assert_eq!(PortName::parse("3000-x.amika.example", None), None);
    }
}
