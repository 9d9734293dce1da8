//! Responses: JSON, errors, and bodies that grow.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use amika_core::wire::{ErrorBody, ErrorDetail};
use hyper::body::{Bytes, Frame, SizeHint};
use hyper::{HeaderMap, Response, StatusCode, header};
use serde::Serialize;
use tokio::sync::mpsc;

/// A response of ours.
pub(super) type Answer = Response<Body>;

/// A body that is there, or that comes.
#[derive(Debug)]
pub(super) struct Body {
    content: Content,
    /// Cleared when the body is through: the connection may be evicted again.
    busy: Option<Arc<AtomicBool>>,
}

#[derive(Debug)]
enum Content {
    Whole(Option<Bytes>),
    Stream(mpsc::Receiver<Bytes>),
}

impl Body {
    /// A body that comes piece by piece until the sender is dropped.
    pub(super) fn stream(receiver: mpsc::Receiver<Bytes>) -> Self {
        Self {
            content: Content::Stream(receiver),
            busy: None,
        }
    }

    fn whole(bytes: impl Into<Bytes>) -> Self {
        Self {
            content: Content::Whole(Some(bytes.into())),
            busy: None,
        }
    }

    /// Clears `busy` once this body is dropped.
    pub(super) fn mark_idle_at_end(&mut self, busy: Arc<AtomicBool>) {
        self.busy = Some(busy);
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        if let Some(busy) = &self.busy {
            busy.store(false, Ordering::Relaxed);
        }
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let bytes = match &mut self.get_mut().content {
            Content::Whole(bytes) => Poll::Ready(bytes.take()),
            Content::Stream(receiver) => receiver.poll_recv(context),
        };
        bytes.map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.content, Content::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Whole(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Content::Stream(_) => SizeHint::default(),
        }
    }
}

/// A response with the headers that all of ours have.
fn with_type(status: StatusCode, kind: &'static str, body: Body) -> Answer {
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    set(headers, header::CONTENT_TYPE, kind);
    set(headers, header::CACHE_CONTROL, "no-store");
    set(headers, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    answer
}

/// Sets a header to a constant.
pub(super) fn set(headers: &mut HeaderMap, name: header::HeaderName, value: &'static str) {
    headers.insert(name, header::HeaderValue::from_static(value));
}

/// `document` as JSON.
pub(super) fn json(status: StatusCode, document: &impl Serialize) -> Answer {
    match serde_json::to_vec(document) {
        Ok(bytes) => with_type(status, "application/json", Body::whole(bytes)),
        Err(error) => {
            let text = error.to_string();
            with_type(
                StatusCode::INTERNAL_SERVER_ERROR,
                "text/plain",
                Body::whole(text),
            )
        }
    }
}

/// A text.
pub(super) fn text(status: StatusCode, text: String) -> Answer {
    with_type(status, "text/plain; charset=utf-8", Body::whole(text))
}

/// A body that comes piece by piece.
pub(super) fn streaming(kind: &'static str, receiver: mpsc::Receiver<Bytes>) -> Answer {
    with_type(StatusCode::OK, kind, Body::stream(receiver))
}

/// 101: what follows is no HTTP but `protocol`.
pub(super) fn switching(protocol: header::HeaderValue) -> Answer {
    let mut answer = Response::new(Body {
        content: Content::Whole(None),
        busy: None,
    });
    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    set(answer.headers_mut(), header::CONNECTION, "Upgrade");
    answer.headers_mut().insert(header::UPGRADE, protocol);
    answer
}

/// The one form of all errors.
pub(super) fn error(status: StatusCode, code: &str, message: impl Into<String>) -> Answer {
    let detail = ErrorDetail {
        code: code.to_owned(),
        message: message.into(),
    };
    json(status, &ErrorBody { error: detail })
}
