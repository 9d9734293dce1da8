//! Server-sent events (HTML, "Server-sent events").

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, Stream, StreamExt as _};

use crate::failure::{Failure, Result};

/// Bytes that one event may have.
const LARGEST: usize = 4 << 20;

/// An event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// Its kind; empty for the one without a name.
    pub event: String,
    /// What it carries, line by line.
    pub data: String,
    /// Its number, where it has one.
    pub id: Option<String>,
}

/// The events of an answer.
pub(crate) fn parse(
    pieces: BoxStream<'static, Result<Bytes>>,
) -> impl Stream<Item = Result<Event>> + Send {
    stream::try_unfold(
        (pieces, Reader::default()),
        async |(mut pieces, mut reader)| {
            loop {
                if let Some(event) = reader.next()? {
                    return Ok(Some((event, (pieces, reader))));
                }
                match pieces.next().await {
                    Some(piece) => reader.unread.extend_from_slice(&piece?),
                    None => return Ok(None),
                }
            }
        },
    )
}

#[derive(Default)]
struct Reader {
    unread: Vec<u8>,
    event: Event,
    has_data: bool,
}

impl Reader {
    /// The next event that is there as a whole.
    fn next(&mut self) -> Result<Option<Event>> {
        while let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.unread.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            let line = line.trim_end_matches(['\n', '\r']);
            if line.is_empty() {
                let event = std::mem::take(&mut self.event);
                if std::mem::take(&mut self.has_data) {
                    return Ok(Some(event));
                }
                continue;
            }
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "event" => value.clone_into(&mut self.event.event),
                "id" => self.event.id = Some(value.to_owned()),
                "data" => {
                    if std::mem::replace(&mut self.has_data, true) {
                        self.event.data.push('\n');
                    }
                    self.event.data.push_str(value);
                }
                // Comments keep the connection alive; whatever else there is is not for us.
                _ => {}
            }
        }
        if self.unread.len() + self.event.data.len() > LARGEST {
            return Err(Failure::BrokenOff("an event of it does not end".into()));
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use pretty_assertions::assert_eq;

    use super::*;

    #[test]
    fn events_are_told_apart_wherever_the_pieces_end() {
        let text = ": alive\n\nevent: step\r\nid: 7\r\ndata: {\"a\":1}\r\ndata:two\r\n\r\ndata\n\nid: 8\n\ndata: left";
        let of = |event: &str, data: &str, id: Option<&str>| Event {
            event: event.into(),
            data: data.into(),
            id: id.map(str::to_owned),
        };
        for size in 1..text.len() {
            let mut reader = Reader::default();
            let mut events = Vec::new();
            for piece in text.as_bytes().chunks(size) {
                reader.unread.extend_from_slice(piece);
                while let Some(event) = reader.next().unwrap() {
                    events.push(event);
                }
            }
            assert_eq!(
                events,
                [of("step", "{\"a\":1}\ntwo", Some("7")), of("", "", None)],
                "{size}"
            );
        }
    }

    #[test]
    fn an_event_without_an_end_is_not_gathered_for_ever() {
        let mut reader = Reader {
            unread: vec![b'x'; LARGEST + 1],
            ..Reader::default()
        };
        assert!(reader.next().is_err());
    }
}
