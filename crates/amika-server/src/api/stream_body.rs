//! Bodies that are streams: bounded, and given up when nothing comes.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};

use super::error::{ApiError, Result};

/// How long the next piece of a body may take to come.
const NEXT: Duration = Duration::from_mins(1);

/// Why a body broke off, for whoever answers.
#[derive(Clone, Default)]
pub struct Broken(Arc<Mutex<Option<ApiError>>>);

impl Broken {
    /// Why, where it was the body that broke off.
    pub fn why(&self) -> Option<ApiError> {
        let mut why = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        why.take()
    }

    fn tell(&self, why: ApiError) -> io::Error {
        let message = why.message.clone();
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
        io::Error::other(message)
    }
}

/// How long a body says that it is.
pub fn length(headers: &HeaderMap) -> Option<u64> {
    let length = headers.get(header::CONTENT_LENGTH)?;
    length.to_str().ok()?.parse().ok()
}

fn too_large(most: u64) -> ApiError {
    let message = format!("the body is larger than {most} bytes");
    ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)
}

/// The pieces of a body of at most so many bytes.
///
/// # Errors
/// 413 where it says that it is larger.
pub fn pieces(
    headers: &HeaderMap,
    body: Body,
    most: u64,
) -> Result<(
    impl Stream<Item = io::Result<Bytes>> + Send + 'static,
    Broken,
)> {
    pieces_within(headers, body, most, NEXT)
}

/// The same, each within a time.
fn pieces_within(
    headers: &HeaderMap,
    body: Body,
    most: u64,
    next: Duration,
) -> Result<(
    impl Stream<Item = io::Result<Bytes>> + Send + 'static,
    Broken,
)> {
    if length(headers).is_some_and(|length| length > most) {
        return Err(too_large(most));
    }
    let broken = Broken::default();
    let teller = broken.clone();
    let state = Some((body.into_data_stream(), most));
    let pieces = futures_util::stream::unfold(state, move |state| {
        let teller = teller.clone();
        async move {
            let (mut body, left) = state?;
            let told = match tokio::time::timeout(next, body.next()).await {
                Ok(None) => return None,
                Ok(Some(Ok(piece))) => match left.checked_sub(piece.len() as u64) {
                    Some(left) => return Some((Ok(piece), Some((body, left)))),
                    None => too_large(most),
                },
                Ok(Some(Err(_))) => ApiError::usage("the body did not come to its end"),
                Err(_) => {
                    let message = format!("no more of the body came within {} s", next.as_secs());
                    ApiError::new(StatusCode::REQUEST_TIMEOUT, "usage", message)
                }
            };
            Some((Err(teller.tell(told)), None))
        }
    });
    Ok((pieces, broken))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(pieces: &[&'static [u8]], most: u64) -> Option<ApiError> {
        let pieces: Vec<io::Result<Bytes>> =
            pieces.iter().map(|it| Ok(Bytes::from_static(it))).collect();
        let body = Body::from_stream(futures_util::stream::iter(pieces));
        let (pieces, broken) = super::pieces(&HeaderMap::new(), body, most).unwrap();
        let all: Vec<_> = pieces.collect().await;
        let why = broken.why();
        assert_eq!(why.is_some(), all.iter().any(Result::is_err));
        why
    }

    #[tokio::test]
    async fn a_body_is_bounded_and_may_not_stand_still() {
        assert_eq!(read(&[b"ab", b"cd"], 4).await, None);
        let why = read(&[b"ab", b"cde"], 4).await.unwrap();
        assert_eq!(why.status, StatusCode::PAYLOAD_TOO_LARGE);
        let slow = futures_util::stream::pending::<io::Result<Bytes>>();
        let (pieces, broken) = pieces_within(
            &HeaderMap::new(),
            Body::from_stream(slow),
            4,
            Duration::from_millis(20),
        )
        .unwrap();
        assert_eq!(pieces.collect::<Vec<_>>().await.len(), 1);
        assert_eq!(broken.why().unwrap().status, StatusCode::REQUEST_TIMEOUT);
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_LENGTH, 5.into());
        assert!(super::pieces(&headers, Body::empty(), 4).is_err());
    }
}
