//! Server-sent events, as the HTML standard has them: they end with the server, with the reader's rights, and where he
//! reads too slowly.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use tokio::sync::broadcast::{self, error::RecvError};

use crate::sandboxes::bus::Told;
use crate::state::App;
use crate::streams::over;

/// How often a sign of life is given.
const ALIVE: Duration = Duration::from_secs(15);

/// What is said of one thing that happened.
pub enum Next {
    /// Nothing.
    Nothing,
    /// This.
    Event(Bytes),
    /// This, and nothing after it.
    Last(Bytes),
}

/// Whether events are wanted, and not one document.
pub fn is_wanted(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter();
    let mut accepted = accepted.flat_map(|it| it.to_str().unwrap_or_default().split(','));
    accepted.any(|it| {
        let kind = it.split(';').next().unwrap_or_default();
        kind.trim().eq_ignore_ascii_case("text/event-stream")
    })
}

/// The id of the event that the reader was told last.
pub fn last_id(headers: &HeaderMap) -> Option<&str> {
    headers.get("last-event-id")?.to_str().ok()
}

/// An event; `data` is one line.
pub fn event(id: Option<&str>, name: &str, data: &str) -> Bytes {
    let id = id.map(|id| format!("id: {id}\n")).unwrap_or_default();
    format!("{id}event: {name}\ndata: {data}\n\n").into()
}

/// An answer of these events alone.
pub fn of(events: &[Bytes]) -> Response {
    answer(Body::from(events.concat()))
}

/// An answer of these events and of what is said of all that happens.
pub fn follow(
    app: &Arc<App>,
    first: Vec<Bytes>,
    live: broadcast::Receiver<Arc<Told>>,
    next: impl FnMut(&Told) -> Next + Send + 'static,
) -> Response {
    let stream = Stream {
        ready: first.into(),
        live,
        next,
        rights: app.changes.marks().people,
        end: app.ending.subscribe(),
        app: Arc::clone(app),
        _counted: app.metrics.stream(),
        is_over: false,
    };
    let events = futures_util::stream::unfold(stream, async |mut stream| {
        let bytes = stream.next().await?;
        Some((Ok::<_, Infallible>(bytes), stream))
    });
    answer(Body::from_stream(events))
}

fn answer(body: Body) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        // What stands between must not gather them.
        (header::HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    (headers, body).into_response()
}

struct Stream<F> {
    app: Arc<App>,
    ready: VecDeque<Bytes>,
    live: broadcast::Receiver<Arc<Told>>,
    next: F,
    /// How many changes of users and keys there were when it began.
    rights: u64,
    end: tokio::sync::watch::Receiver<bool>,
    _counted: crate::metrics::Stream,
    is_over: bool,
}

impl<F: FnMut(&Told) -> Next> Stream<F> {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(bytes) = self.ready.pop_front() {
                return Some(bytes);
            }
            if self.is_over {
                return None;
            }
            let told = tokio::select! {
                told = self.live.recv() => told,
                () = over(self.end.clone()) => return None,
                () = tokio::time::sleep(ALIVE) => {
                    if self.has_lost_rights() {
                        return None;
                    }
                    return Some(Bytes::from_static(b": alive\n\n"));
                }
            };
            // Whose key was taken away comes again and is refused; others come again.
            if self.has_lost_rights() {
                return None;
            }
            let told = match told {
                Ok(told) => told,
                // More happened than is kept for him.
                Err(RecvError::Lagged(_)) => {
                    self.is_over = true;
                    return Some(event(None, "end", "{\"reason\":\"too slow\"}"));
                }
                Err(RecvError::Closed) => return None,
            };
            match (self.next)(&told) {
                Next::Nothing => {}
                Next::Event(bytes) => return Some(bytes),
                Next::Last(bytes) => {
                    self.is_over = true;
                    return Some(bytes);
                }
            }
        }
    }

    fn has_lost_rights(&self) -> bool {
        self.app.changes.marks().people != self.rights
    }
}

#[cfg(test)]
mod tests {
    use pretty_assertions::assert_eq;

    use super::*;

    #[test]
    fn events_are_wanted_by_whoever_accepts_them() {
        let wanted = |accepted: &[&str]| {
            let mut headers = HeaderMap::new();
            for accept in accepted {
                headers.append(header::ACCEPT, accept.parse().unwrap());
            }
            is_wanted(&headers)
        };
        assert!(wanted(&["text/event-stream"]));
        assert!(wanted(&["application/json, Text/Event-Stream;q=0.5"]));
        assert!(wanted(&["application/json", "text/event-stream"]));
        assert!(!wanted(&["*/*"]) && !wanted(&["application/json"]) && !wanted(&[]));
    }

    #[test]
    fn an_event_is_its_lines_and_an_empty_one() {
        assert_eq!(
            event(Some("a-1"), "step", "{}"),
            "id: a-1\nevent: step\ndata: {}\n\n"
        );
        assert_eq!(event(None, "end", "{}"), "event: end\ndata: {}\n\n");
    }
}
