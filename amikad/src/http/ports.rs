//! `GET /v1/ports`: what listens in the sandbox, once or for as long as somebody follows.
#![allow(
    clippy::result_large_err,
    reason = "a refusal is an answer like any other, made once a request"
)]

use std::collections::HashMap;
use std::sync::Arc;

use hyper::body::Bytes;
use hyper::http::request::Parts;
use hyper::{StatusCode, header};
use tokio::sync::mpsc;

use super::answer::{Answer, error, json, streaming};
use super::events::PING_INTERVAL;
use super::left::Left;
use super::route::StreamPermit;
use crate::ports::{self, List};
use crate::publish::{Shared, closed};

/// Whether the list is to be followed: `?follow=1`, or an `Accept` of server-sent events.
pub(super) fn asks_to_follow(
    query: &HashMap<String, String>,
    request: &Parts,
) -> Result<bool, Answer> {
    match query.get("follow").map(String::as_str) {
        Some("1") => Ok(true),
        Some("0") => Ok(false),
        Some(other) => {
            let message = format!("`follow={other}`: 0 or 1");
            Err(error(StatusCode::BAD_REQUEST, "bad_query", message))
        }
        None => {
            let accept = request.headers.get(header::ACCEPT);
            let accept = accept.and_then(|accept| accept.to_str().ok());
            Ok(accept.is_some_and(|accept| accept.contains("text/event-stream")))
        }
    }
}

/// What listens now.
pub(super) async fn list() -> Answer {
    json(StatusCode::OK, &&*ports::now().await)
}

/// What listens now, and the list anew each time that it changes.
pub(super) fn follow(shared: Arc<Shared>, permit: StreamPermit, mut left: Left) -> Answer {
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        let _permit = permit;
        tokio::select! {
            () = write(&shared, &sender) => {}
            () = left.left() => {}
        }
    });
    streaming("text/event-stream", receiver)
}

async fn write(shared: &Shared, sender: &mpsc::Sender<Bytes>) {
    let mut closing = shared.closing.subscribe();
    let (mut list, mut lists) = ports::follow().await;
    let mut piece = event(&list);
    loop {
        // A slow client waits here, alone, and gets the latest list when it reads again.
        if sender.send(piece).await.is_err() {
            return;
        }
        piece = tokio::select! {
            Ok(()) = lists.changed() => {
                list.clone_from(&lists.borrow_and_update());
                event(&list)
            }
            () = closed(&mut closing) => return,
            () = sender.closed() => return,
            () = tokio::time::sleep(PING_INTERVAL) => Bytes::from_static(b": ping\n\n"),
        };
    }
}

/// The whole list: a client that missed one has missed nothing.
fn event(list: &List) -> Bytes {
    let data = serde_json::to_string(&**list).unwrap_or_default();
    format!("event: ports\ndata: {data}\n\n").into()
}
