//! `GET /v1/logs/{setup,amikad,SERVICE}`: a log's text, from an offset or its end, and onwards.
#![allow(
    clippy::result_large_err,
    reason = "a refusal is an answer like any other, made once a request"
)]

use std::collections::HashMap;
use std::sync::Arc;

use hyper::body::Bytes;
use hyper::http::request::Parts;
use hyper::{Method, StatusCode, header};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::answer::{Answer, error, streaming};
use super::events::PING_INTERVAL;
use super::left::Left;
use super::route::StreamPermit;
use crate::jobs::Job;
use crate::logs::{Found, Log, gap_note};
use crate::publish::{Logs, Shared, closed};
use crate::service::ServiceId;

/// Read at a time.
const CHUNK: usize = 16 << 10;
/// A line longer than this is cut in an event stream.
const LINE_LIMIT: usize = 64 << 10;

/// One of the logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Which {
    Setup,
    Amikad,
    Service(ServiceId),
}

impl Which {
    fn of_name(name: &str) -> Option<Self> {
        match name {
            "setup" => Some(Self::Setup),
            "amikad" => Some(Self::Amikad),
            service => ServiceId::of_name(service).map(Self::Service),
        }
    }

    /// The log, if there is one by now.
    fn pick(self, logs: Logs) -> Option<Arc<Log>> {
        match self {
            Self::Setup => logs.setup,
            Self::Amikad => logs.amikad,
            Self::Service(id) => logs.services.get(&id).cloned(),
        }
    }
}

fn unknown_log() -> Answer {
    let services: Vec<String> = ServiceId::all()
        .map(|id| format!("`{}`", id.spec().name))
        .collect();
    let message = format!(
        "there are the logs `setup`, `amikad`, {}",
        services.join(", ")
    );
    error(StatusCode::NOT_FOUND, "unknown_log", message)
}

/// Answers with the log `name`.
pub(super) fn stream(
    name: &str,
    request: &Parts,
    query: &HashMap<String, String>,
    shared: &Arc<Shared>,
    permit: StreamPermit,
    left: Left,
) -> Result<Answer, Answer> {
    let Some(which) = Which::of_name(name) else {
        return Err(unknown_log());
    };
    // Setup's log is there from the start or never; the others may yet come.
    let may_come = (which != Which::Setup).then_some(which);
    let log = which.pick(shared.logs());
    stream_log(log, may_come, request, query, shared, (permit, left))
}

/// Answers with the log of a job.
pub(super) fn stream_job(
    job: Arc<Job>,
    request: &Parts,
    query: &HashMap<String, String>,
    shared: &Arc<Shared>,
    permit: StreamPermit,
    left: Left,
) -> Result<Answer, Answer> {
    let log = job.log.clone();
    // Held for as long as it is read: with the last one goes the file.
    let permit = (permit, job);
    stream_log(Some(log), None, request, query, shared, (permit, left))
}

fn stream_log(
    log: Option<Arc<Log>>,
    may_come: Option<Which>,
    request: &Parts,
    query: &HashMap<String, String>,
    shared: &Arc<Shared>,
    (permit, mut left): (impl Send + 'static, Left),
) -> Result<Answer, Answer> {
    let follow = match query.get("follow").map(String::as_str) {
        None | Some("0" | "false") => false,
        Some("1" | "true") => true,
        Some(_) => return Err(bad_number("follow")),
    };
    let offset = start_offset(query, log.as_deref())?;
    let events = request.headers.get(header::ACCEPT).is_some_and(|accept| {
        accept
            .to_str()
            .is_ok_and(|accept| accept.contains("text/event-stream"))
    });
    let (sender, receiver) = mpsc::channel(2);
    if request.method != Method::HEAD {
        let writer = Writer {
            sender,
            offset,
            line: events.then(Vec::new),
        };
        let may_come = may_come.filter(|_| follow);
        let closing = shared.closing.subscribe();
        let shared = shared.clone();
        tokio::spawn(async move {
            let _permit = permit;
            let log = match (log, may_come) {
                (None, Some(which)) => tokio::select! {
                    log = appear(which, &shared) => log,
                    () = writer.sender.closed() => None,
                    () = left.left() => None,
                },
                (log, _) => log,
            };
            if let Some(log) = log {
                // The error says that the client left.
                let _ = writer.write(&log, follow, closing, left).await;
            }
        });
    }
    let kind = if events {
        "text/event-stream"
    } else {
        "text/plain; charset=utf-8"
    };
    Ok(streaming(kind, receiver))
}

fn start_offset(query: &HashMap<String, String>, log: Option<&Log>) -> Result<u64, Answer> {
    let number = |key: &str| match query.get(key) {
        None => Ok(None),
        Some(text) => text.parse::<u64>().map(Some).map_err(|_| bad_number(key)),
    };
    let (since, tail) = (number("since")?, number("tail")?);
    let Some(log) = log else { return Ok(0) };
    if let Some(since) = since {
        let gone = since > log.total() || matches!(log.read(since, &mut [0]), Found::Gone { .. });
        if gone {
            let message = "what was written there is not kept any more";
            return Err(error(StatusCode::GONE, "gone", message));
        }
    }
    let from_tail = tail.map(|lines| log.tail_offset(usize::try_from(lines).unwrap_or(usize::MAX)));
    Ok(since.unwrap_or(0).max(from_tail.unwrap_or(0)))
}

fn bad_number(key: &str) -> Answer {
    error(
        StatusCode::BAD_REQUEST,
        "bad_query",
        format!("`{key}` is no number that fits"),
    )
}

/// Waits for a log that is not there yet; none if the daemon exits before it is.
async fn appear(which: Which, shared: &Shared) -> Option<Arc<Log>> {
    let mut published = shared.subscribe();
    let mut closing = shared.closing.subscribe();
    loop {
        if let Some(log) = which.pick(shared.logs()) {
            return Some(log);
        }
        tokio::select! {
            () = closed(&mut closing) => return None,
            _ = published.changed() => {}
        }
    }
}

/// The client takes nothing any more.
struct ClientGone;

struct Writer {
    sender: mpsc::Sender<Bytes>,
    offset: u64,
    /// In an event stream, the line that is not ended yet.
    line: Option<Vec<u8>>,
}

impl Writer {
    async fn write(
        mut self,
        log: &Log,
        follow: bool,
        mut closing: watch::Receiver<bool>,
        mut left: Left,
    ) -> Result<(), ClientGone> {
        let mut changed = log.subscribe();
        let mut buffer = vec![0_u8; CHUNK];
        let mut follow = follow;
        let mut ping = interval_at(Instant::now() + PING_INTERVAL, PING_INTERVAL);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            changed.mark_unchanged();
            // In this order: what was added before the end is read before the end is believed.
            let finished = log.finished() || *closing.borrow();
            self.drain(log, &mut buffer).await?;
            if finished || !follow {
                return self.end().await;
            }
            tokio::select! {
                _ = changed.changed() => {}
                () = closed(&mut closing) => {}
                () = self.sender.closed() => return Err(ClientGone),
                // What is there by now may still be asked for; what comes is not.
                () = left.left() => follow = false,
                _ = ping.tick(), if self.line.is_some() => {
                    self.send(Bytes::from_static(b": ping\n\n")).await?;
                }
            }
        }
    }

    async fn drain(&mut self, log: &Log, buffer: &mut [u8]) -> Result<(), ClientGone> {
        loop {
            match log.read(self.offset, buffer) {
                Found::Bytes(read) => {
                    self.offset += read as u64;
                    self.text(&buffer[..read]).await?;
                }
                Found::Gone { resume } => {
                    let note = gap_note(resume - self.offset);
                    self.offset = resume;
                    self.text(note.as_bytes()).await?;
                }
                Found::End => return Ok(()),
            }
        }
    }

    async fn text(&mut self, bytes: &[u8]) -> Result<(), ClientGone> {
        let Some(line) = &mut self.line else {
            return self.send(Bytes::copy_from_slice(bytes)).await;
        };
        line.extend_from_slice(bytes);
        let ended = line
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map(|index| index + 1);
        let cut = ended.or((line.len() > LINE_LIMIT).then_some(line.len()));
        let Some(cut) = cut else { return Ok(()) };
        let lines: Vec<u8> = line.drain(..cut).collect();
        let id = self.offset - line.len() as u64;
        self.send(event(&lines, id).into()).await
    }

    async fn end(mut self) -> Result<(), ClientGone> {
        if let Some(line) = self.line.take().filter(|line| !line.is_empty()) {
            let id = self.offset;
            self.send(event(&line, id).into()).await?;
        }
        // Dropping the sender ends the body.
        Ok(())
    }

    async fn send(&self, bytes: Bytes) -> Result<(), ClientGone> {
        self.sender.send(bytes).await.map_err(|_| ClientGone)
    }
}

/// Whole lines as one event; `id` is the offset to resume at with `since`.
fn event(lines: &[u8], id: u64) -> Vec<u8> {
    let text = String::from_utf8_lossy(lines);
    let mut event = format!("id: {id}\n");
    for line in text.strip_suffix('\n').unwrap_or(&text).split('\n') {
        // A lone carriage return would end the field.
        event.extend(["data: ", &line.replace('\r', " "), "\n"]);
    }
    event.push('\n');
    event.into_bytes()
}
