//! `GET /v1/events`: what changed so far and what changes from now on, without a gap.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use amika_core::wire::{PortChange, port_changes};
use hyper::body::Bytes;
use hyper::http::request::Parts;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::answer::{Answer, streaming};
use super::left::Left;
use super::route::StreamPermit;
use crate::ports::{self, List};
use crate::publish::{Shared, closed};

/// A sign of life when nothing happens.
pub(super) const PING_INTERVAL: Duration = Duration::from_secs(15);
/// How often memory is looked at while somebody follows: the kernel does not call.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Answers with the event stream.
pub(super) fn stream(
    request: &Parts,
    shared: Arc<Shared>,
    permit: StreamPermit,
    mut left: Left,
) -> Answer {
    let last = request
        .headers
        .get("last-event-id")
        .and_then(|id| id.to_str().ok());
    let boot = shared.status().boot_id;
    let next = last.and_then(|id| resume_after(id, &boot)).unwrap_or(0);
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        let _permit = permit;
        tokio::select! {
            () = write(&shared, &boot, next, &sender) => {}
            () = left.left() => {}
        }
    });
    streaming("text/event-stream", receiver)
}

/// The number after `id`, if it is one of this boot; an earlier boot's history is no more.
fn resume_after(id: &str, boot: &str) -> Option<u64> {
    let (of_boot, seq) = id.rsplit_once('-')?;
    (of_boot == boot).then(|| seq.parse::<u64>().ok()?.checked_add(1))?
}

async fn write(shared: &Shared, boot: &str, mut next: u64, sender: &mpsc::Sender<Bytes>) {
    let mut published = shared.subscribe();
    let mut closing = shared.closing.subscribe();
    // Who follows events asks for ports, too: what listens is looked for from now on.
    let mut listening: List = Arc::new([]);
    let (mut latest, mut ports) = ports::follow().await;
    // Clocks of their own: what is published and is no change of a state puts them off for ever otherwise.
    let mut ping = interval_at(Instant::now() + PING_INTERVAL, PING_INTERVAL);
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut look = interval_at(Instant::now() + LOOK_INTERVAL, LOOK_INTERVAL);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        published.mark_unchanged();
        shared.look_at_memory();
        let last_round = *closing.borrow();
        // A slow client waits here, alone: what it misses meanwhile is counted and told.
        while let Some(change) = shared.change_from(next) {
            let lost = change.seq - next;
            let lost = match lost {
                0 => String::new(),
                lost => format!("event: lost\ndata: {}\n\n", json!({ "lost": lost })),
            };
            let name = serde_json::to_value(&change.changed).unwrap_or_default();
            let name = name.as_str().unwrap_or("change").to_owned();
            let data = serde_json::to_string(&change).unwrap_or_default();
            let seq = change.seq;
            let text = format!("{lost}id: {boot}-{seq}\nevent: {name}\ndata: {data}\n\n");
            next = change.seq + 1;
            if sender.send(text.into()).await.is_err() {
                return;
            }
            ping.reset();
        }
        // What changed twice while a client was slow did not change.
        for change in port_changes(&listening, &latest, now()) {
            if sender.send(port_event(&change)).await.is_err() {
                return;
            }
        }
        listening.clone_from(&latest);
        if last_round {
            return;
        }
        tokio::select! {
            _ = published.changed() => {}
            Ok(()) = ports.changed() => latest.clone_from(&ports.borrow_and_update()),
            () = closed(&mut closing) => {}
            () = sender.closed() => return,
            _ = look.tick() => {}
            _ = ping.tick() => {
                if sender.send(Bytes::from_static(b": ping\n\n")).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// An event without an id: what listens is not kept, and told anew to who comes again.
fn port_event(change: &PortChange) -> Bytes {
    let data = serde_json::to_string(change).unwrap_or_default();
    format!("event: port\ndata: {data}\n\n").into()
}

/// Milliseconds since the Unix epoch.
fn now() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
    since_epoch.map_or(0, |time| {
        u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ids_of_this_boot_are_resumed() {
        assert_eq!(resume_after("ab-4", "ab"), Some(5));
        assert_eq!(resume_after("cd-4", "ab"), None);
        assert_eq!(resume_after("ab-x", "ab"), None);
        assert_eq!(resume_after("4", "ab"), None);
        assert_eq!(resume_after(&format!("ab-{}", u64::MAX), "ab"), None);
    }
}
