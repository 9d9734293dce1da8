//! The frames of a tunnel: what amikad and `amika` say to each other once a request was upgraded.
//!
//! A connection has more to say than bytes: that one direction is over, and that it broke. A published port
//! could carry both by itself, the pipes of a relay cannot. Datagrams have limits that a stream loses.

/// Bytes before each frame's content: its kind, and its length, the more significant byte first.
pub const HEADER: usize = 3;
/// The most bytes that a frame holds.
pub const CONTENT: usize = u16::MAX as usize;

/// What `Upgrade` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upgrade {
    /// The bytes of a TCP connection, as they are.
    Tcp,
    /// A TCP connection in frames.
    TcpFrames,
    /// Datagrams, each in a frame.
    Udp,
}

impl Upgrade {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Tcp, Self::TcpFrames, Self::Udp];

    /// The header's value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::TcpFrames => "tcp-frames",
            Self::Udp => "udp",
        }
    }

    /// Reads the header's value; names of protocols have no case (RFC 9110, 7.8).
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|upgrade| upgrade.as_str().eq_ignore_ascii_case(text.trim()))
    }
}

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Bytes, or one datagram, which may be empty.
    Data,
    /// Nothing more comes in this direction; the other one goes on.
    End,
    /// The connection broke: it is over in both directions, and what is under way is lost.
    Reset,
}

/// The header of a frame; content longer than [`CONTENT`] has none.
pub fn header(kind: Kind, length: usize) -> Option<[u8; HEADER]> {
    let [high, low] = u16::try_from(length).ok()?.to_be_bytes();
    let kind = match kind {
        Kind::Data => 0,
        Kind::End => 1,
        Kind::Reset => 2,
    };
    Some([kind, high, low])
}

/// Reads a header: the kind, and how many bytes follow. None where it is no header of ours.
pub fn parse([kind, high, low]: [u8; HEADER]) -> Option<(Kind, usize)> {
    let length = usize::from(u16::from_be_bytes([high, low]));
    match (kind, length) {
        (0, _) => Some((Kind::Data, length)),
        (1, 0) => Some((Kind::End, 0)),
        (2, 0) => Some((Kind::Reset, 0)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_and_nothing_else() {
        for (kind, length) in [
            (Kind::Data, 0),
            (Kind::Data, 258),
            (Kind::Data, CONTENT),
            (Kind::End, 0),
            (Kind::Reset, 0),
        ] {
            assert_eq!(
                parse(header(kind, length).expect("fits")),
                Some((kind, length))
            );
        }
        assert_eq!(header(Kind::Data, CONTENT + 1), None);
        for other in [[3, 0, 0], [1, 0, 1], [2, 1, 0], *b"GET", *b"HTT"] {
            assert_eq!(parse(other), None, "{other:?}");
        }
    }

    #[test]
    fn protocols_have_no_case() {
        for upgrade in Upgrade::ALL {
            let upper = upgrade.as_str().to_uppercase();
            assert_eq!(Upgrade::parse(&format!(" {upper}")), Some(upgrade));
        }
        assert_eq!(Upgrade::parse("websocket"), None);
        assert_eq!(Upgrade::parse("tcp, udp"), None);
    }
}
