//! Ports: what may be named as one, in the container and on the host.
//!
//! A [`ContainerPort`] is never zero and never one of Amika's own, so code that holds one has
//! nothing left to check. Numbers are read digit by digit and never wrapped or truncated.

use std::fmt;
use std::num::NonZeroU16;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::contract::RESERVED_PORTS;

mod forward;
mod host_ip;
mod publish;

pub use forward::Forward;
pub use host_ip::{HostIp, InvalidHostIp};
pub use publish::{InvalidPublish, Publish, PublishProblem};

/// A port number, 1 to 65535.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct Port(NonZeroU16);

impl Port {
    /// Returns the port, unless `number` is 0.
    pub fn new(number: u16) -> Option<Self> {
        NonZeroU16::new(number).map(Self)
    }

    /// Returns the port of a number of any size, as TOML and JSON have it.
    pub fn from_integer(number: i64) -> Result<Self, InvalidPort> {
        match u16::try_from(number) {
            Ok(number) => Self::new(number).ok_or(InvalidPort::Zero),
            Err(_) => Err(InvalidPort::OutOfRange {
                text: number.to_string(),
            }),
        }
    }

    /// Returns the number.
    pub fn get(self) -> u16 {
        self.0.get()
    }
}

impl FromStr for Port {
    type Err = InvalidPort;

    fn from_str(text: &str) -> Result<Self, InvalidPort> {
        if text.is_empty() {
            return Err(InvalidPort::Empty);
        }
        if !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(InvalidPort::NotANumber {
                text: text.to_owned(),
            });
        }
        if text.bytes().all(|byte| byte == b'0') {
            return Err(InvalidPort::Zero);
        }
        if text.starts_with('0') {
            // In C and in older TOML a leading zero means octal: what is meant is not ours to guess.
            return Err(InvalidPort::LeadingZero {
                text: text.to_owned(),
            });
        }
        let out_of_range = || InvalidPort::OutOfRange {
            text: text.to_owned(),
        };
        text.parse()
            .ok()
            .and_then(Self::new)
            .ok_or_else(out_of_range)
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why something is no port number.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPort {
    /// Nothing was given.
    #[error("port number is missing")]
    Empty,
    /// A character that is no digit: a sign, a space, a range, a service's name.
    #[error("\"{}\" is no port number: write digits only", .text.escape_debug())]
    NotANumber {
        /// What was given.
        text: String,
    },
    /// 0, which means "any" to a kernel and nothing to a reader.
    #[error("port 0 is not allowed: use 1 to 65535")]
    Zero,
    /// More than 65535, or less than 0.
    #[error("port {text} is out of range: use 1 to 65535")]
    OutOfRange {
        /// What was given.
        text: String,
    },
    /// A number such as `080`.
    #[error("port \"{text}\" has a leading zero: write \"{}\"", .text.trim_start_matches('0'))]
    LeadingZero {
        /// What was given.
        text: String,
    },
}

/// A transport protocol.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    #[default]
    Tcp,
    /// UDP.
    Udp,
}

impl Protocol {
    /// Returns the protocol as the engine and `/etc/services` spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

impl FromStr for Protocol {
    type Err = InvalidProtocol;

    fn from_str(text: &str) -> Result<Self, InvalidProtocol> {
        match text {
            "tcp" => Ok(Self::Tcp),
            "udp" => Ok(Self::Udp),
            _ => Err(InvalidProtocol {
                text: text.to_owned(),
            }),
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A protocol other than `tcp` and `udp`, in exactly this spelling.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown protocol \"{}\": use tcp or udp", .text.escape_debug())]
pub struct InvalidProtocol {
    /// What was given.
    pub text: String,
}

/// A port in the container that users may declare or publish: none of [`RESERVED_PORTS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ContainerPort {
    port: Port,
    protocol: Protocol,
}

impl ContainerPort {
    /// Returns the container port, unless the number is reserved.
    pub fn new(port: Port, protocol: Protocol) -> Result<Self, InvalidContainerPort> {
        if RESERVED_PORTS.contains(&port.get()) {
            return Err(InvalidContainerPort::Reserved { port });
        }
        Ok(Self { port, protocol })
    }

    /// Returns the number.
    pub fn port(self) -> Port {
        self.port
    }

    /// Returns the protocol.
    pub fn protocol(self) -> Protocol {
        self.protocol
    }
}

/// Reads `port/protocol`; the protocol is never left out here.
impl FromStr for ContainerPort {
    type Err = InvalidContainerPort;

    fn from_str(text: &str) -> Result<Self, InvalidContainerPort> {
        let Some((port, protocol)) = text.split_once('/') else {
            // The number is looked at first: "http" is better told as no number than as no protocol.
            let port = text.parse()?;
            return Err(InvalidContainerPort::NoProtocol { port });
        };
        Self::new(port.parse()?, protocol.parse()?)
    }
}

impl fmt::Display for ContainerPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.port, self.protocol)
    }
}

impl<'de> Deserialize<'de> for ContainerPort {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Fields {
            port: Port,
            protocol: Protocol,
        }
        let Fields { port, protocol } = Fields::deserialize(deserializer)?;
        Self::new(port, protocol).map_err(serde::de::Error::custom)
    }
}

/// Why something is no container port.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidContainerPort {
    /// The number is bad.
    #[error(transparent)]
    Port(#[from] InvalidPort),
    /// The protocol is bad.
    #[error(transparent)]
    Protocol(#[from] InvalidProtocol),
    /// A number without a protocol, where one is needed.
    #[error("port \"{port}\" has no protocol: write \"{port}/tcp\" or \"{port}/udp\"")]
    NoProtocol {
        /// The number.
        port: Port,
    },
    /// One of Amika's own ports.
    #[error(
        "port {port} is reserved: Amika uses container ports {} to {}",
        RESERVED_PORTS.start(), RESERVED_PORTS.end()
    )]
    Reserved {
        /// The number.
        port: Port,
    },
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn port_message(text: &str) -> String {
        text.parse::<Port>().unwrap_err().to_string()
    }

    fn message(text: &str) -> String {
        text.parse::<ContainerPort>().unwrap_err().to_string()
    }

    #[test]
    fn numbers_are_never_wrapped_or_guessed_at() {
        let out_of_range = |text: &str| format!("port {text} is out of range: use 1 to 65535");
        for text in ["65536", "65616", "4294967376", "99999999999999999999999999"] {
            assert_eq!(port_message(text), out_of_range(text));
        }
        for text in [
            "+80", "-80", " 80", "80 ", "8 0", "80.0", "0x50", "8_0", "٨٠", "http", "1-2",
        ] {
            assert_eq!(
                port_message(text),
                format!("\"{text}\" is no port number: write digits only")
            );
        }
        assert_eq!(
            port_message("80\n"),
            "\"80\\n\" is no port number: write digits only"
        );
        assert_eq!(port_message(""), "port number is missing");
        assert_eq!(port_message("0"), "port 0 is not allowed: use 1 to 65535");
        assert_eq!(port_message("000"), "port 0 is not allowed: use 1 to 65535");
        assert_eq!(
            port_message("080"),
            "port \"080\" has a leading zero: write \"80\""
        );
    }

    #[test]
    fn integers_of_any_size_are_judged_whole() {
        assert_eq!(Port::from_integer(1).map(Port::get), Ok(1));
        assert_eq!(Port::from_integer(65_535).map(Port::get), Ok(65_535));
        assert_eq!(Port::from_integer(0), Err(InvalidPort::Zero));
        for number in [-1, 65_536, 65_616, (1 << 32) + 80, i64::MAX, i64::MIN] {
            let text = number.to_string();
            assert_eq!(
                Port::from_integer(number),
                Err(InvalidPort::OutOfRange { text })
            );
        }
    }

    #[test]
    fn container_ports_need_a_protocol_in_its_own_spelling() {
        assert_eq!(
            "4838/tcp".parse::<ContainerPort>().unwrap().to_string(),
            "4838/tcp"
        );
        assert_eq!(
            "53/udp".parse::<ContainerPort>().unwrap().to_string(),
            "53/udp"
        );
        assert_eq!(
            message("4838"),
            "port \"4838\" has no protocol: write \"4838/tcp\" or \"4838/udp\""
        );
        for protocol in ["TCP", "sctp", "", " tcp", "tcp ", "tcp/udp", "tcp\u{7}"] {
            let shown = protocol.escape_debug();
            assert_eq!(
                message(&format!("80/{protocol}")),
                format!("unknown protocol \"{shown}\": use tcp or udp")
            );
        }
        assert_eq!(message("/tcp"), "port number is missing");
        assert_eq!(message(""), "port number is missing");
        assert_eq!(
            message("http/tcp"),
            "\"http\" is no port number: write digits only"
        );
    }

    #[test]
    fn the_reserved_range_has_exact_ends() {
        for (number, reserved) in [
            (60_898, false),
            (60_899, true),
            (60_999, true),
            (61_000, false),
        ] {
            for protocol in [Protocol::Tcp, Protocol::Udp] {
                let port = ContainerPort::new(Port::new(number).unwrap(), protocol);
                assert_eq!(port.is_err(), reserved, "{number}");
            }
        }
        assert_eq!(
            message("60950/udp"),
            "port 60950 is reserved: Amika uses container ports 60899 to 60999"
        );
    }

    #[test]
    fn json_cannot_smuggle_a_reserved_port_in() {
        let port: ContainerPort = serde_json::from_str(r#"{"port":80,"protocol":"udp"}"#).unwrap();
        assert_eq!(port.to_string(), "80/udp");
        assert_eq!(
            serde_json::to_string(&port).unwrap(),
            r#"{"port":80,"protocol":"udp"}"#
        );
        for bad in [
            r#"{"port":0,"protocol":"udp"}"#,
            r#"{"port":60999,"protocol":"tcp"}"#,
        ] {
            assert!(serde_json::from_str::<ContainerPort>(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn every_number_in_range_reads_as_it_prints(number in 1u16..) {
            let port: Port = number.to_string().parse().unwrap();
            prop_assert_eq!(port.get(), number);
            prop_assert_eq!(Port::from_integer(i64::from(number)), Ok(port));
        }

        #[test]
        fn what_is_accepted_prints_as_it_was_typed(text in "\\PC{0,6}|[0-9]{0,6}/(tcp|udp)") {
            if let Ok(port) = text.parse::<ContainerPort>() {
                prop_assert_eq!(port.to_string(), text);
            }
        }
    }
}
