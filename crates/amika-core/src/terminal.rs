//! What amikad and a viewer of a terminal say to each other once a request was upgraded.
//!
//! Frames, so that bytes of the terminal and words about it go through one stream, whatever carries it. The words are
//! those of a WebSocket's text messages in the platform's API, so that a server in between need not translate them.

use serde::{Deserialize, Serialize};

/// What `Upgrade` asks for.
pub const UPGRADE: &str = "terminal";
/// The widest terminal: wider ones are cut to it.
pub const MAX_COLUMNS: u16 = 500;
/// The highest terminal: higher ones are cut to it.
pub const MAX_ROWS: u16 = 300;
/// Bytes of a control frame at most.
pub const MAX_CONTROL: usize = 1024;

/// What a frame is; its content follows a header as in [`crate::tunnel`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Bytes: what somebody typed, or what the program wrote.
    Bytes,
    /// JSON: [`FromViewer`] or [`FromTerminal`].
    Control,
}

/// Bytes before each frame's content: its kind, and its length, the more significant byte first.
pub const HEADER: usize = crate::tunnel::HEADER;
/// The most bytes that a frame holds.
pub const CONTENT: usize = crate::tunnel::CONTENT;

/// The header of a frame; content that is too long has none.
pub fn header(kind: Kind, length: usize) -> Option<[u8; HEADER]> {
    let [high, low] = u16::try_from(length).ok()?.to_be_bytes();
    match kind {
        Kind::Bytes => Some([0, high, low]),
        Kind::Control if length <= MAX_CONTROL => Some([3, high, low]),
        Kind::Control => None,
    }
}

/// Reads a header: the kind, and how many bytes follow. None where it is no header of ours.
pub fn parse([kind, high, low]: [u8; HEADER]) -> Option<(Kind, usize)> {
    let length = usize::from(u16::from_be_bytes([high, low]));
    match kind {
        0 => Some((Kind::Bytes, length)),
        // 1 and 2 are an end and a reset of a tunnel, which a terminal has no use for.
        3 if length <= MAX_CONTROL => Some((Kind::Control, length)),
        _ => None,
    }
}

/// What a viewer has to say beside what is typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FromViewer {
    /// `{"resize":[columns,rows]}`: so much of it can be seen there.
    Resize(u16, u16),
}

/// What is to be known of a terminal beside what its program writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FromTerminal {
    /// `{"size":[columns,rows]}`: so large it is, first of all and after each change.
    Size(u16, u16),
    /// `{"exit_code":n}`: its program ended so, 128+n for a signal; nothing follows.
    ExitCode(i32),
}

/// A size that a terminal can have: cut to the largest, and at least one cell.
pub fn bounded(columns: u16, rows: u16) -> (u16, u16) {
    (columns.clamp(1, MAX_COLUMNS), rows.clamp(1, MAX_ROWS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_and_nothing_else() {
        for (kind, length) in [
            (Kind::Bytes, 0),
            (Kind::Bytes, 258),
            (Kind::Bytes, CONTENT),
            (Kind::Control, 0),
            (Kind::Control, MAX_CONTROL),
        ] {
            assert_eq!(
                parse(header(kind, length).expect("fits")),
                Some((kind, length))
            );
        }
        assert_eq!(header(Kind::Bytes, CONTENT + 1), None);
        assert_eq!(header(Kind::Control, MAX_CONTROL + 1), None);
        for other in [[1, 0, 0], [2, 0, 0], [4, 0, 1], [3, 4, 1], *b"GET"] {
            assert_eq!(parse(other), None, "{other:?}");
        }
    }

    #[test]
    fn words_are_those_of_the_platform_s_web_socket() {
        let written = |word| serde_json::to_string(&word).expect("JSON");
        assert_eq!(written(FromTerminal::Size(80, 24)), r#"{"size":[80,24]}"#);
        assert_eq!(written(FromTerminal::ExitCode(7)), r#"{"exit_code":7}"#);
        let read = serde_json::from_str::<FromViewer>;
        assert_eq!(
            read(r#"{"resize":[120,40]}"#).expect("good"),
            FromViewer::Resize(120, 40)
        );
        for bad in [
            r#"{"resize":[120]}"#,
            r#"{"resize":[-1,4]}"#,
            r#"{"resize":[70000,4]}"#,
            r#"{"exit_code":1}"#,
            r#"{"resize":[1,2],"x":1}"#,
            "",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_size_is_never_none_and_never_huge() {
        assert_eq!(bounded(0, 0), (1, 1));
        assert_eq!(bounded(80, 24), (80, 24));
        assert_eq!(bounded(u16::MAX, u16::MAX), (MAX_COLUMNS, MAX_ROWS));
    }
}
