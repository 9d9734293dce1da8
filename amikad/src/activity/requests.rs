//! Which requests to OpenCode somebody made, read from the bytes that go to it.
//!
//! Its page keeps a stream of events open and asks how the server is, for as long as a tab is there; that is nobody
//! at work. The parser understands what browsers and clients send (HTTP/1.1, RFC 9112, and WebSocket frames, RFC 6455).
//! What it does not understand it leaves to the rule for tunnels.

/// Size of a request's head that is still read.
const HEAD_LIMIT: usize = 64 << 10;

/// What is known of a connection to OpenCode so far.
#[derive(Debug)]
pub(super) enum Reader {
    /// A head, as far as it has come.
    Head(Vec<u8>),
    /// So many bytes of a body are to come.
    Body(u64),
    /// A WebSocket, whose frames are read.
    Frames(Frames),
    /// Something else.
    Other,
}

/// A WebSocket's frames from a client.
#[derive(Debug, Default)]
pub(super) struct Frames {
    header: Vec<u8>,
    /// So many bytes of content are to come.
    content: u64,
}

/// What some bytes were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// Requests and messages that somebody made.
    pub(super) acts: u64,
    /// Bytes that are in no request that could be read.
    pub(super) other: u64,
}

impl Default for Reader {
    fn default() -> Self {
        Self::Head(Vec::new())
    }
}

impl Reader {
    /// Takes in what comes next.
    pub(super) fn read(&mut self, mut bytes: &[u8]) -> Seen {
        let mut seen = Seen::default();
        while !bytes.is_empty() {
            match self {
                Self::Head(head) => {
                    // By the line: the end of the head may be in two pieces.
                    let line = bytes.iter().position(|byte| *byte == b'\n');
                    let (now, rest) = bytes.split_at(line.map_or(bytes.len(), |at| at + 1));
                    head.extend_from_slice(now);
                    bytes = rest;
                    if head.ends_with(b"\n\r\n") || head.ends_with(b"\n\n") {
                        let (next, counts) = understand(head);
                        seen.acts += u64::from(counts);
                        *self = next;
                    } else if head == b"\r\n" || head == b"\n" {
                        // Between two requests it may stand, and means nothing.
                        head.clear();
                    } else if head.len() > HEAD_LIMIT {
                        seen.other += head.len() as u64;
                        *self = Self::Other;
                    }
                }
                Self::Body(left) => {
                    let now = (*left).min(bytes.len() as u64);
                    *left -= now;
                    bytes = bytes
                        .get(usize::try_from(now).unwrap_or(bytes.len())..)
                        .unwrap_or_default();
                    if *left == 0 {
                        *self = Self::default();
                    }
                }
                Self::Frames(frames) => {
                    seen.acts += frames.read(bytes);
                    return seen;
                }
                Self::Other => {
                    seen.other += bytes.len() as u64;
                    return seen;
                }
            }
        }
        seen
    }
}

/// What follows a head, and whether its request is one that somebody made.
fn understand(head: &[u8]) -> (Reader, bool) {
    let text = String::from_utf8_lossy(head);
    let mut lines = text.lines();
    let mut words = lines.next().unwrap_or_default().split_ascii_whitespace();
    let (Some(method), Some(target), Some(version)) = (words.next(), words.next(), words.next())
    else {
        return (Reader::Other, false);
    };
    if !version.starts_with("HTTP/1.") {
        return (Reader::Other, false);
    }
    let header = |wanted: &str| {
        let pairs = text.lines().skip(1).filter_map(|line| line.split_once(':'));
        let mut values = pairs.filter(|(name, _)| name.eq_ignore_ascii_case(wanted));
        values.next().map(|(_, value)| value.trim())
    };
    let path = target.split('?').next().unwrap_or_default();
    let counts = !is_by_itself(method, path);
    if header("upgrade").is_some_and(|protocol| protocol.eq_ignore_ascii_case("websocket")) {
        // The messages count, and a page takes its socket up again by itself.
        return (Reader::Frames(Frames::default()), false);
    }
    if header("transfer-encoding").is_some() {
        return (Reader::Other, counts);
    }
    match header("content-length").map(str::parse::<u64>) {
        None | Some(Ok(0)) => (Reader::default(), counts),
        Some(Ok(length)) => (Reader::Body(length), counts),
        Some(Err(_)) => (Reader::Other, counts),
    }
}

/// Whether OpenCode's page sends this without anybody doing something: its streams of events, its questions after the
/// server's health and the sessions' state, and the size of a terminal and the leave to join it again. As version 1
/// has them.
fn is_by_itself(method: &str, path: &str) -> bool {
    let path = path.trim_end_matches('/');
    match method {
        "GET" | "HEAD" => {
            path == "/event"
                || path.ends_with("/event")
                || path.ends_with("/health")
                || path == "/session/status"
                || path == "/api/session/active"
        }
        "PUT" => path.starts_with("/pty/") || path.starts_with("/api/pty/"),
        "POST" => path.ends_with("/connect-token"),
        "OPTIONS" => true,
        _ => false,
    }
}

impl Frames {
    /// How many messages begin in what comes next; a pong, a ping and a close are none.
    fn read(&mut self, mut bytes: &[u8]) -> u64 {
        let mut messages = 0;
        while let Some((first, rest)) = bytes.split_first() {
            if self.content > 0 {
                let now = self.content.min(bytes.len() as u64);
                self.content -= now;
                bytes = bytes
                    .get(usize::try_from(now).unwrap_or(bytes.len())..)
                    .unwrap_or_default();
                continue;
            }
            self.header.push(*first);
            bytes = rest;
            if let Some((opcode, length)) = frame(&self.header) {
                messages += u64::from(opcode < 8 && length > 0);
                self.content = length;
                self.header.clear();
            }
        }
        messages
    }
}

/// Kind and length of content of a frame whose header is whole.
fn frame(header: &[u8]) -> Option<(u8, u64)> {
    let (first, second) = (header.first()?, header.get(1)?);
    let extended = match second & 0x7f {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let mask = if second & 0x80 == 0 { 0 } else { 4 };
    if header.len() < 2 + extended + mask {
        return None;
    }
    let length = match extended {
        0 => u64::from(second & 0x7f),
        _ => header
            .get(2..2 + extended)?
            .iter()
            .fold(0, |length, byte| length << 8 | u64::from(*byte)),
    };
    Some((first & 0x0f, length))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn request(line: &str, headers: &str, body: &str) -> String {
        format!("{line} HTTP/1.1\r\nHost: 127.0.0.1:60998\r\n{headers}\r\n{body}")
    }

    fn acts(text: &str) -> u64 {
        let seen = Reader::default().read(text.as_bytes());
        assert_eq!(seen.other, 0, "{text}");
        seen.acts
    }

    #[test]
    fn what_a_forgotten_tab_asks_is_nobody_s_act() {
        for line in [
            "GET /global/event",
            "GET /event?directory=%2Ftmp",
            "GET /api/event",
            "GET /api/session/ses_1/event?after=3",
            "GET /api/health",
            "GET /global/health",
            "GET /session/status?directory=/x",
            "PUT /pty/pty_1",
            "POST /pty/pty_1/connect-token",
            "OPTIONS /session",
        ] {
            assert_eq!(acts(&request(line, "", "")), 0, "{line}");
        }
    }

    #[test]
    fn what_somebody_does_counts() {
        for line in [
            "GET /",
            "GET /session",
            "POST /session/ses_1/message",
            "POST /pty",
            "DELETE /session/ses_1",
            "GET /event-log",
        ] {
            assert_eq!(acts(&request(line, "", "")), 1, "{line}");
        }
    }

    #[test]
    fn each_request_of_a_connection_is_read_and_no_body_is_taken_for_one() {
        let body = "GET / HTTP/1.1\r\n\r\n";
        let length = format!("Content-Length: {}\r\n", body.len());
        let text = [
            request("GET /api/health", "", ""),
            request("PUT /pty/x", &length, body),
            "\r\n".to_owned(),
            request("POST /session", &length, body),
            request("GET /api/health", "", ""),
        ]
        .concat();
        assert_eq!(acts(&text), 1);
        let mut reader = Reader::default();
        let each = text.bytes().map(|byte| reader.read(&[byte]).acts);
        assert_eq!(each.sum::<u64>(), 1, "byte by byte");
    }

    #[test]
    fn messages_of_a_web_socket_count_and_its_pongs_do_not() {
        let upgrade = request(
            "GET /pty/x/connect",
            "Connection: Upgrade\r\nUpgrade: websocket\r\n",
            "",
        );
        let mut reader = Reader::default();
        assert_eq!(reader.read(upgrade.as_bytes()).acts, 0);
        let pong = [0x8a, 0x80, 1, 2, 3, 4];
        let key = [0x81, 0x81, 1, 2, 3, 4, 0x30];
        let mut long = vec![0x82, 0xfe, 1, 0, 1, 2, 3, 4];
        long.extend([0x81; 256]);
        assert_eq!(reader.read(&pong).acts, 0);
        assert_eq!(reader.read(&key).acts, 1);
        assert_eq!(reader.read(&[&long[..], &pong, &key].concat()).acts, 2);
        assert_eq!(reader.read(&pong).acts, 0);
    }

    #[test]
    fn what_is_no_request_is_left_to_the_rule_for_tunnels() {
        let mut reader = Reader::default();
        assert_eq!(reader.read(b"nonsense\r\n\r\n").acts, 0);
        assert_eq!(reader.read(&[0; 2000]).other, 2000);
        let endless = vec![b'x'; HEAD_LIMIT + 1];
        assert!(Reader::default().read(&endless).other > 1024);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_and_pieces_do_not_matter(
            bytes in proptest::collection::vec(any::<u8>(), 0..400),
            begin in "(GET|POST|PUT) /(event|x|pty/1) HTTP/1\\.1\r\n(Content-Length: [0-9]{0,3}\r\n|Upgrade: websocket\r\n)?\r\n",
            cut in 0usize..400,
        ) {
            let all = [begin.as_bytes(), &bytes].concat();
            let whole = Reader::default().read(&all);
            let (a, b) = all.split_at(cut.min(all.len()));
            let mut reader = Reader::default();
            let (a, b) = (reader.read(a), reader.read(b));
            prop_assert_eq!(whole.acts, a.acts + b.acts);
            prop_assert_eq!(whole.other, a.other + b.other);
        }
    }
}
