//! What is forwarded: `[LOCAL:]PORT[/protocol]`.

use std::fmt;
use std::str::FromStr;

use crate::contract::{OPENCODE_PORT, RESERVED_PORTS};

use super::{InvalidContainerPort, Port, Protocol};

/// A port of the sandbox that is brought to this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Forward {
    /// The port of this machine; the same number where none was named.
    pub local: Port,
    /// The port in the sandbox. `OpenCode`'s is allowed here, since it asks for a password of its own.
    pub port: Port,
    /// The protocol of both.
    pub protocol: Protocol,
}

impl Forward {
    /// What brings `port` to the same number.
    ///
    /// # Errors
    /// When the number is one of Amika's own.
    pub fn same(port: Port, protocol: Protocol) -> Result<Self, InvalidContainerPort> {
        Self::new(port, port, protocol)
    }

    /// # Errors
    /// When the sandbox's port is one of Amika's own.
    pub fn new(local: Port, port: Port, protocol: Protocol) -> Result<Self, InvalidContainerPort> {
        if RESERVED_PORTS.contains(&port.get()) && port.get() != OPENCODE_PORT {
            return Err(InvalidContainerPort::Reserved { port });
        }
        Ok(Self {
            local,
            port,
            protocol,
        })
    }
}

/// Reads `3000`, `8080:3000`, `53/udp`, `5353:53/udp`, `3000/tcp`.
impl FromStr for Forward {
    type Err = InvalidContainerPort;

    fn from_str(text: &str) -> Result<Self, InvalidContainerPort> {
        let (ports, protocol) = match text.split_once('/') {
            Some((ports, protocol)) => (ports, protocol.parse()?),
            None => (text, Protocol::default()),
        };
        let (local, port) = ports.split_once(':').unwrap_or((ports, ports));
        // The sandbox's first: of a number without a colon it is the one that is meant.
        let port = port.parse()?;
        Self::new(local.parse()?, port, protocol)
    }
}

/// Prints the shortest text that means the same.
impl fmt::Display for Forward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.local != self.port {
            write!(f, "{}:", self.local)?;
        }
        write!(f, "{}", self.port)?;
        match self.protocol {
            Protocol::Tcp => Ok(()),
            Protocol::Udp => f.write_str("/udp"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Option<(u16, u16, Protocol)> {
        let forward: Forward = text.parse().ok()?;
        Some((forward.local.get(), forward.port.get(), forward.protocol))
    }

    #[test]
    fn a_port_alone_keeps_its_number() {
        assert_eq!(read("3000"), Some((3000, 3000, Protocol::Tcp)));
        assert_eq!(read("3000/tcp"), Some((3000, 3000, Protocol::Tcp)));
        assert_eq!(read("8080:80"), Some((8080, 80, Protocol::Tcp)));
        assert_eq!(read("5353:53/udp"), Some((5353, 53, Protocol::Udp)));
        // Amika's own numbers are anybody's on this machine.
        assert_eq!(read("60999:80"), Some((60999, 80, Protocol::Tcp)));
        assert_eq!(read("60998"), Some((60998, 60998, Protocol::Tcp)));
    }

    #[test]
    fn what_is_no_port_of_a_sandbox_is_refused_with_the_reason() {
        let why = |text: &str| text.parse::<Forward>().expect_err(text).to_string();
        assert!(why("60999").contains("reserved"));
        assert!(why("8080:60899").contains("reserved"));
        assert!(why("65536").contains("out of range"));
        assert!(why("0").contains("port 0"));
        assert!(why("0:80").contains("port 0"));
        for text in [
            "",
            ":",
            ":80",
            "80:",
            "a",
            "-1",
            "+80",
            "080",
            "1:2:3",
            "80/sctp",
            "80/",
            "/udp",
            "80/TCP",
            "127.0.0.1:80",
            "80-90",
            "80 ",
            "[::1]:80:80",
            "99999999999999999999",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_as_the_same(text in "[0-9]{1,6}(:[0-9]{1,6})?(/tcp|/udp)?") {
            if let Ok(forward) = text.parse::<Forward>() {
                prop_assert_eq!(forward.to_string().parse::<Forward>(), Ok(forward));
            }
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".{0,20}") {
            let _ = text.parse::<Forward>();
        }
    }
}
