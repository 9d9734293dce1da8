//! A stream of server-sent events, as far as amikad sends such.

use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use super::client::ClientError;

/// amikad gives a sign of life every 15 s: after this long without, nobody is there.
const SILENCE: Duration = Duration::from_secs(45);
/// No event is larger.
const EVENT_LIMIT: usize = 1024 * 1024;

/// The data of one event after the other.
pub(super) struct Events {
    body: Option<Incoming>,
    lines: Lines,
}

impl Events {
    pub(super) fn new(body: Incoming) -> Self {
        Self {
            body: Some(body),
            lines: Lines::default(),
        }
    }

    /// The next event's data; none at the end, which an error is, too.
    pub(super) async fn next(&mut self) -> Option<Result<Vec<u8>, ClientError>> {
        loop {
            if let Some(data) = self.lines.next() {
                return Some(Ok(data));
            }
            let error = match tokio::time::timeout(SILENCE, self.body.as_mut()?.frame()).await {
                Ok(None) => {
                    self.body = None;
                    return None;
                }
                Ok(Some(Ok(frame))) => {
                    self.lines.take(frame.data_ref().map_or(&[], |data| data));
                    if self.lines.0.len() <= EVENT_LIMIT {
                        continue;
                    }
                    ClientError::Malformed("an event without an end".into())
                }
                Ok(Some(Err(error))) => ClientError::Unreachable(error.to_string()),
                Err(_) => ClientError::Unreachable("it fell silent".into()),
            };
            self.body = None;
            return Some(Err(error));
        }
    }
}

/// What was read and not yet told.
#[derive(Default)]
struct Lines(Vec<u8>);

impl Lines {
    fn take(&mut self, bytes: &[u8]) {
        self.0.extend(bytes);
    }

    /// Data of the first event that is there whole; amikad writes them in one line. Comments are passed over.
    fn next(&mut self) -> Option<Vec<u8>> {
        while let Some(end) = self.0.windows(2).position(|pair| pair == b"\n\n") {
            let event: Vec<u8> = self.0.drain(..end + 2).collect();
            let mut lines = event.split(|byte| *byte == b'\n');
            if let Some(data) = lines.find_map(|line| line.strip_prefix(b"data: ")) {
                return Some(data.to_vec());
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_told_whole_however_they_come() {
        let text =
            b": ping\n\nevent: ports\ndata: [1]\n\n: ping\n\nevent: ports\ndata: []\n\nevent: po";
        for size in [1, 7, text.len()] {
            let mut lines = Lines::default();
            let mut told = Vec::new();
            for piece in text.chunks(size) {
                lines.take(piece);
                told.extend(std::iter::from_fn(|| lines.next()));
            }
            assert_eq!(told, [b"[1]".to_vec(), b"[]".to_vec()], "{size}");
        }
    }
}
