//! The value of `--port`: `[hostIP:][hostPort]:containerPort[/protocol]`.

use std::fmt;
use std::str::FromStr;

use super::{
    ContainerPort, HostIp, InvalidContainerPort, InvalidHostIp, InvalidPort, InvalidProtocol, Port,
    Protocol,
};

/// A port that the user asked to publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Publish {
    /// The host address, where the flag names one; else `--port-host-ip` decides.
    pub host_ip: Option<HostIp>,
    /// The host port; none lets the operating system choose.
    pub host_port: Option<Port>,
    /// The port in the container.
    pub container: ContainerPort,
}

/// Reads the forms that `docker run --publish` knows, ranges apart: `80`, `:80`, `8080:80`,
/// `127.0.0.1:8080:80/tcp`, `127.0.0.1::80`, `[::1]:8080:80/udp`.
impl FromStr for Publish {
    type Err = InvalidPublish;

    fn from_str(text: &str) -> Result<Self, InvalidPublish> {
        parse(text).map_err(|problem| InvalidPublish {
            text: text.to_owned(),
            problem,
        })
    }
}

fn parse(text: &str) -> Result<Publish, PublishProblem> {
    let (address, protocol) = match text.split_once('/') {
        Some((address, protocol)) => (address, protocol.parse()?),
        None => (text, Protocol::default()),
    };
    let (host_ip, ports) = split_host_ip(address)?;
    let (host_port, container) = match ports.split_once(':') {
        Some((host_port, container)) => (host_port, container),
        None => match host_ip {
            Some(host_ip) if !ports.is_empty() => {
                return Err(PublishProblem::OnePort {
                    host_ip,
                    port: ports.to_owned(),
                });
            }
            _ => ("", ports),
        },
    };
    if [host_port, container].into_iter().any(is_range) {
        return Err(PublishProblem::Range);
    }
    let host_port = match host_port {
        "" => None,
        "0" => return Err(PublishProblem::HostPortZero),
        number => match (number.parse(), number.parse()) {
            (Ok(port), _) => Some(port),
            (Err(_), Ok(host_ip)) => {
                return Err(PublishProblem::OnePort {
                    host_ip,
                    port: container.to_owned(),
                });
            }
            (Err(error), Err(_)) => return Err(PublishProblem::HostPort(error)),
        },
    };
    if container.is_empty() {
        return Err(PublishProblem::NoContainerPort);
    }
    let container = ContainerPort::new(container.parse().map_err(PublishProblem::Port)?, protocol)
        .map_err(PublishProblem::ContainerPort)?;
    Ok(Publish {
        host_ip,
        host_port,
        container,
    })
}

/// Splits off a leading host address, which is there when two colons are, or a bracket.
fn split_host_ip(address: &str) -> Result<(Option<HostIp>, &str), PublishProblem> {
    if address.starts_with('[') {
        let end = address.find(']').ok_or(PublishProblem::Bracket)? + 1;
        let (host_ip, rest) = address.split_at(end);
        let ports = rest
            .strip_prefix(':')
            .ok_or(PublishProblem::NoContainerPort)?;
        if ports.matches(':').count() > 1 {
            return Err(PublishProblem::Shape);
        }
        return Ok((Some(host_ip.parse()?), ports));
    }
    match address.matches(':').count() {
        0 | 1 => Ok((None, address)),
        2 => {
            let (host_ip, ports) = address.split_once(':').unwrap_or((address, ""));
            if host_ip.is_empty() {
                return Err(PublishProblem::Shape);
            }
            Ok((Some(host_ip.parse()?), ports))
        }
        _ => Err(PublishProblem::Ipv6WithoutBrackets),
    }
}

fn is_range(text: &str) -> bool {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    text.split_once('-')
        .is_some_and(|(from, to)| digits(from) && digits(to))
}

/// Prints the shortest text that means the same.
impl fmt::Display for Publish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(host_ip) = self.host_ip {
            write!(f, "{host_ip}:")?;
        }
        if let Some(host_port) = self.host_port {
            write!(f, "{host_port}")?;
        }
        if self.host_ip.is_some() || self.host_port.is_some() {
            f.write_str(":")?;
        }
        match self.container.protocol() {
            Protocol::Tcp => write!(f, "{}", self.container.port()),
            Protocol::Udp => write!(f, "{}", self.container),
        }
    }
}

/// A value of `--port` that means nothing, with the reason.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("--port \"{}\": {problem}", .text.escape_debug())]
pub struct InvalidPublish {
    /// What was given.
    pub text: String,
    /// What is wrong with it.
    pub problem: PublishProblem,
}

/// What is wrong with a value of `--port`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublishProblem {
    /// The container port is missing.
    #[error("container port is missing: write hostPort:containerPort")]
    NoContainerPort,
    /// A host address with one port, which could be either.
    #[error("one port behind a host address: write {host_ip}::{port} or {host_ip}:hostPort:{port}")]
    OnePort {
        /// The address.
        host_ip: HostIp,
        /// The port.
        port: String,
    },
    /// Too many parts.
    #[error("too many colons: write hostPort:containerPort or hostIP:hostPort:containerPort")]
    Shape,
    /// An opening bracket without a closing one.
    #[error("\"[\" without \"]\": write an IPv6 address as [::1]")]
    Bracket,
    /// Many colons and no brackets.
    #[error("write an IPv6 address in brackets: [::1]:hostPort:containerPort")]
    Ipv6WithoutBrackets,
    /// A range of ports, which docker knows and we do not.
    #[error("ranges are not supported: give one --port for each")]
    Range,
    /// A host port 0.
    #[error("host port 0 is not allowed: leave it out to let the operating system choose")]
    HostPortZero,
    /// The host port is bad.
    #[error("host {0}")]
    HostPort(InvalidPort),
    /// The container port is no port.
    #[error("container {0}")]
    Port(InvalidPort),
    /// The container port may not be used.
    #[error("container {0}")]
    ContainerPort(InvalidContainerPort),
    /// The protocol is bad.
    #[error(transparent)]
    Protocol(#[from] InvalidProtocol),
    /// The host address is bad.
    #[error(transparent)]
    HostIp(#[from] InvalidHostIp),
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn problem(text: &str) -> String {
        let error = text.parse::<Publish>().unwrap_err();
        assert_eq!(error.text, text);
        error.problem.to_string()
    }

    #[test]
    fn every_form_is_read() {
        for (text, printed) in [
            ("80", "80"),
            (":80", "80"),
            ("80/tcp", "80"),
            (":80/udp", "80/udp"),
            ("8080:80", "8080:80"),
            ("5353:53/udp", "5353:53/udp"),
            ("127.0.0.1:8080:80/tcp", "127.0.0.1:8080:80"),
            ("127.0.0.1::80", "127.0.0.1::80"),
            ("0.0.0.0:8080:80", "0.0.0.0:8080:80"),
            ("[::1]:8080:80", "[::1]:8080:80"),
            ("[::1]::53/udp", "[::1]::53/udp"),
            ("60999:80", "60999:80"),
        ] {
            assert_eq!(
                text.parse::<Publish>()
                    .map(|flag| flag.to_string())
                    .as_deref(),
                Ok(printed)
            );
        }
    }

    #[test]
    fn every_part_is_judged_with_its_own_message() {
        for (text, expected) in [
            (
                "",
                "container port is missing: write hostPort:containerPort",
            ),
            (
                "8080:",
                "container port is missing: write hostPort:containerPort",
            ),
            (
                ":",
                "container port is missing: write hostPort:containerPort",
            ),
            (
                "/tcp",
                "container port is missing: write hostPort:containerPort",
            ),
            (
                "[::1]",
                "container port is missing: write hostPort:containerPort",
            ),
            (
                "0:80",
                "host port 0 is not allowed: leave it out to let the operating system choose",
            ),
            ("80:0", "container port 0 is not allowed: use 1 to 65535"),
            (
                "70000:80",
                "host port 70000 is out of range: use 1 to 65535",
            ),
            (
                "80:65616",
                "container port 65616 is out of range: use 1 to 65535",
            ),
            (
                "+80:80",
                "host \"+80\" is no port number: write digits only",
            ),
            (
                "80:+80",
                "container \"+80\" is no port number: write digits only",
            ),
            (
                " 80:80",
                "host \" 80\" is no port number: write digits only",
            ),
            (
                "80:80 ",
                "container \"80 \" is no port number: write digits only",
            ),
            (
                "80:-1",
                "container \"-1\" is no port number: write digits only",
            ),
            (
                "080:80",
                "host port \"080\" has a leading zero: write \"80\"",
            ),
            (
                "80:http",
                "container \"http\" is no port number: write digits only",
            ),
            (
                "8000-8005:8000-8005",
                "ranges are not supported: give one --port for each",
            ),
            (
                "3000-3001",
                "ranges are not supported: give one --port for each",
            ),
            ("80:80/TCP", "unknown protocol \"TCP\": use tcp or udp"),
            ("80:80/sctp", "unknown protocol \"sctp\": use tcp or udp"),
            ("80:80/", "unknown protocol \"\": use tcp or udp"),
            (
                "80:60999",
                "container port 60999 is reserved: Amika uses container ports 60899 to 60999",
            ),
            (
                ":60899/udp",
                "container port 60899 is reserved: Amika uses container ports 60899 to 60999",
            ),
            (
                "::1:80:80",
                "write an IPv6 address in brackets: [::1]:hostPort:containerPort",
            ),
            (
                "::80",
                "too many colons: write hostPort:containerPort or hostIP:hostPort:containerPort",
            ),
            (
                "[::1]:1:2:3",
                "too many colons: write hostPort:containerPort or hostIP:hostPort:containerPort",
            ),
            (
                "[::1:80:80",
                "\"[\" without \"]\": write an IPv6 address as [::1]",
            ),
            (
                "localhost:80:80",
                "\"localhost\" is no IP address of the host: use one such as 127.0.0.1, 0.0.0.0 or \
                 ::1, not a name",
            ),
            (
                "[127.0.0.1]:80:80",
                "\"[127.0.0.1]\" is no IP address of the host: use one such as 127.0.0.1, 0.0.0.0 \
                 or ::1, not a name",
            ),
        ] {
            assert_eq!(problem(text), expected, "{text:?}");
        }
    }

    #[test]
    fn the_message_names_the_flag() {
        assert_eq!(
            "80:0".parse::<Publish>().unwrap_err().to_string(),
            "--port \"80:0\": container port 0 is not allowed: use 1 to 65535"
        );
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_as_the_same(
            host_ip: Option<std::net::IpAddr>,
            host_port in proptest::option::of(1u16..),
            port in 1u16..60_899,
            udp: bool,
        ) {
            let protocol = if udp { Protocol::Udp } else { Protocol::Tcp };
            let flag = Publish {
                host_ip: host_ip.map(HostIp::from),
                host_port: host_port.and_then(Port::new),
                container: ContainerPort::new(Port::new(port).unwrap(), protocol).unwrap(),
            };
            prop_assert_eq!(flag.to_string().parse(), Ok(flag));
        }

        #[test]
        fn no_text_makes_it_panic(text in "[0-9:/\\[\\]a-f.+ -]{0,24}|\\PC*") {
            if let Ok(flag) = text.parse::<Publish>() {
                prop_assert_eq!(flag.to_string().parse(), Ok(flag));
            }
        }
    }
}
