//! A program's output as server-sent events, as fast as whoever asked takes them.

use std::time::Duration;

use amika_engine::ExecOutput;
use amika_sandbox::program::Program;
use axum::body::Body;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::error::ApiError;
use super::exec::late;
use super::sse;
use crate::streams::Place;

/// Events that wait for the other side.
const WAITING: usize = 2;

/// How often something goes out where nothing else does.
const COMMENT: Duration = Duration::from_secs(15);

/// The answer, which begins at once.
pub fn answer(program: Program, input: String, time: Option<Duration>, place: Place) -> Response {
    let (sender, receiver) = mpsc::channel(WAITING);
    tokio::spawn(run(program, input, time, place, Events(sender)));
    let body = Body::from_stream(ReceiverStream::new(receiver));
    let kind = [(header::CONTENT_TYPE, "text/event-stream")];
    (kind, body).into_response()
}

/// Where events go.
struct Events(mpsc::Sender<Result<Bytes, std::convert::Infallible>>);

/// Whoever asked has left.
struct Left;

impl Events {
    async fn send(&self, bytes: Bytes) -> Result<(), Left> {
        self.0.send(Ok(bytes)).await.map_err(|_| Left)
    }

    async fn event(&self, name: &str, data: &Value) -> Result<(), Left> {
        self.send(sse::event(None, name, &data.to_string())).await
    }
}

/// How it came to an end.
enum Over {
    Exit(i64),
    Failed(ApiError),
    Left,
}

async fn run(
    program: Program,
    input: String,
    time: Option<Duration>,
    place: Place,
    events: Events,
) {
    let running = program.running.clone();
    let time_is_up = async {
        match time {
            Some(time) => tokio::time::sleep(time).await,
            None => std::future::pending().await,
        }
    };
    let over = tokio::select! {
        over = told(program, input, &events) => over,
        () = events.0.closed() => Over::Left,
        () = time_is_up => Over::Failed(late(time.unwrap_or_default())),
        () = place.over() => Over::Failed(ending()),
    };
    if !matches!(over, Over::Exit(_)) {
        running.end().await;
    }
    // Whoever left hears nothing of it.
    let _ = match over {
        Over::Exit(code) => events.event("exit", &json!({ "exit_code": code })).await,
        Over::Failed(error) => {
            let error =
                json!({ "code": error.code, "message": error.message, "hints": error.hints });
            events.event("error", &error).await
        }
        Over::Left => Ok(()),
    };
}

fn ending() -> ApiError {
    let status = axum::http::StatusCode::SERVICE_UNAVAILABLE;
    ApiError::new(
        status,
        "upstream",
        "the server ends, and the program with it",
    )
}

/// Tells what a program writes, to its end.
async fn told(program: Program, input: String, events: &Events) -> Over {
    let Program {
        running,
        mut output,
        input: mut to,
    } = program;
    let fed = async {
        // A program need not read.
        let _ = to.write_all(input.as_bytes()).await;
        let _ = to.shutdown().await;
        std::future::pending::<()>().await;
    };
    let heard = async {
        let (mut stdout, mut stderr) = (Text::default(), Text::default());
        loop {
            let piece = tokio::select! {
                piece = output.next() => piece,
                () = tokio::time::sleep(COMMENT) => {
                    events.send(Bytes::from_static(b": the program runs\n\n")).await?;
                    continue;
                }
            };
            let (name, data) = match piece {
                None => break,
                Some(Ok(ExecOutput::Stdout(bytes))) => ("stdout", stdout.next(&bytes)),
                Some(Ok(ExecOutput::Stderr(bytes))) => ("stderr", stderr.next(&bytes)),
                Some(Err(error)) => {
                    let error = amika_sandbox::error::Error::from(error);
                    return Ok(Err(ApiError::from(error)));
                }
            };
            if let Some(data) = data {
                events.event(name, &data).await?;
            }
        }
        for (name, data) in [("stdout", stdout.rest()), ("stderr", stderr.rest())] {
            if let Some(data) = data {
                events.event(name, &data).await?;
            }
        }
        Ok(Ok(()))
    };
    let heard: Result<Result<(), ApiError>, Left> = tokio::select! {
        heard = heard => heard,
        () = fed => Ok(Ok(())),
    };
    match heard {
        Err(Left) => Over::Left,
        Ok(Err(error)) => Over::Failed(error),
        Ok(Ok(())) => match running.exit_code().await {
            Ok(code) => Over::Exit(code),
            Err(error) => Over::Failed(error.into()),
        },
    }
}

/// Bytes on their way to be text: a character may come in two pieces.
#[derive(Default)]
struct Text(Vec<u8>);

impl Text {
    /// What there is to tell with the next piece.
    fn next(&mut self, bytes: &[u8]) -> Option<Value> {
        self.0.extend_from_slice(bytes);
        let kept = match std::str::from_utf8(&self.0) {
            // The beginning of a character: the rest of it is on its way.
            Err(error) if error.error_len().is_none() => self.0.split_off(error.valid_up_to()),
            _ => Vec::new(),
        };
        let told = std::mem::replace(&mut self.0, kept);
        data(told)
    }

    /// What is left at the end.
    fn rest(self) -> Option<Value> {
        data(self.0)
    }
}

fn data(bytes: Vec<u8>) -> Option<Value> {
    if bytes.is_empty() {
        return None;
    }
    Some(match String::from_utf8(bytes) {
        Ok(text) => json!({ "text": text }),
        Err(error) => json!({ "base64": STANDARD.encode(error.as_bytes()) }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_text_wherever_it_was_cut_and_bytes_are_told_whole() {
        let mut text = Text::default();
        let whole = "a\u{20ac}b\n".as_bytes();
        assert_eq!(text.next(&whole[..2]), Some(json!({ "text": "a" })));
        assert_eq!(text.next(&whole[2..3]), None);
        assert_eq!(
            text.next(&whole[3..]),
            Some(json!({ "text": "\u{20ac}b\n" }))
        );
        assert_eq!(text.next(b"\xff\x00"), Some(json!({ "base64": "/wA=" })));
        assert_eq!(text.next(b"\xe2"), None);
        assert_eq!(text.rest(), Some(json!({ "base64": "4g==" })));
    }
}
