//! What happens to containers, as the engine tells it.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use bollard::query_parameters::EventsOptionsBuilder;
use futures_util::{Stream, StreamExt as _, TryFutureExt as _, TryStreamExt as _};

use super::{Engine, EngineError};

/// One thing that happened to a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerEvent {
    /// When, in milliseconds since the Unix epoch.
    pub time: i64,
    /// The engine's word for it, such as `start`, with what follows a colon there.
    pub action: String,
    /// The engine's id of the container.
    pub container: String,
    /// The container's labels, and with them `name`, `exitCode`, `signal` and the like.
    pub attributes: BTreeMap<String, String>,
}

/// Which part of the engine's events, by the time since the Unix epoch.
#[derive(Clone, Copy, Debug, Default)]
pub struct EventQuery {
    /// Begin with what the engine still remembers since then.
    pub since: Option<Duration>,
    /// End there; without it there is no end.
    pub until: Option<Duration>,
}

/// How many events Docker remembers, of whatever kind, until it is started anew (moby's `eventsLimit`).
pub const REMEMBERED: usize = 256;
/// How long it may take to tell them. It waits for those to come where its clock is behind ours.
const RECALL: Duration = Duration::from_secs(2);
/// How long Podman is given to read what it remembers.
const READING: Duration = Duration::from_secs(2);

impl Engine {
    /// The time, in milliseconds since the Unix epoch, before which the engine has forgotten what happened; none where it
    /// remembers all since it was started, or where that cannot be told.
    ///
    /// # Errors
    /// Those of the engine.
    pub async fn events_forgotten_before(&self) -> Result<Option<i64>, EngineError> {
        // It keeps them in a file or the journal.
        if self.is_podman().await? {
            return Ok(None);
        }
        let until = since_epoch().as_secs() + 1;
        let options = EventsOptionsBuilder::new()
            .since("1")
            .until(&until.to_string());
        let events = self.docker.events(Some(options.build())).take(REMEMBERED);
        let times = events.map_ok(|event| event.time_nano.unwrap_or_default() / 1_000_000);
        match tokio::time::timeout(RECALL, times.try_collect::<Vec<i64>>()).await {
            Ok(times) => Ok(oldest_of_many(&times.map_err(EngineError::from_bollard)?)),
            Err(_) => Ok(None),
        }
    }

    /// What happens to the containers that have a label (`key` or `key=value`).
    pub fn container_events(
        &self,
        label: &str,
        query: EventQuery,
    ) -> impl Stream<Item = Result<ContainerEvent, EngineError>> + Send + use<> {
        let filters = HashMap::from([("type", vec!["container"]), ("label", vec![label])]);
        let options = EventsOptionsBuilder::new().filters(&filters);
        let engine = self.clone();
        let asked = async move {
            let podman = engine.is_podman().await?.then(since_epoch);
            let [since, until] = period(query, podman);
            let end = query.until.filter(|_| podman.is_some());
            let mut options = options;
            if let Some(since) = &since {
                options = options.since(since);
            }
            if let Some(until) = &until {
                options = options.until(until);
            }
            let events = engine.docker.events(Some(options.build()));
            let events = engine.keeping_open(events);
            let events = events.map(|event| Ok(told(event.map_err(EngineError::from_bollard)?)));
            Ok::<_, EngineError>(events.try_filter(move |event| {
                std::future::ready(end.is_none_or(|end| is_until(event, end)))
            }))
        };
        asked.try_flatten_stream().boxed()
    }
}

/// An event as it is told to others.
fn told(event: bollard::models::EventMessage) -> ContainerEvent {
    let actor = event.actor.unwrap_or_default();
    ContainerEvent {
        time: event
            .time_nano
            .map(|nanoseconds| nanoseconds / 1_000_000)
            .or_else(|| event.time.map(|seconds| seconds * 1000))
            .unwrap_or_default(),
        action: in_dockers_word(event.action.unwrap_or_default()),
        container: actor.id.unwrap_or_default(),
        attributes: actor.attributes.unwrap_or_default().into_iter().collect(),
    }
}

fn is_until(event: &ContainerEvent, end: Duration) -> bool {
    i128::from(event.time) <= i128::try_from(end.as_millis()).unwrap_or(i128::MAX)
}

fn since_epoch() -> Duration {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.unwrap_or_default()
}

/// The first of the times of all events that are remembered, where there may have been others before.
fn oldest_of_many(times: &[i64]) -> Option<i64> {
    let first = times.iter().min().copied();
    first.filter(|_| times.len() >= REMEMBERED)
}

/// Begin and end as the engine is told them. Podman, where it is that time, reads whole seconds alone, and shows nothing for
/// others; and it leaves off reading its file when the end has come, wherever it has got to: it is given time to.
fn period(query: EventQuery, podman: Option<Duration>) -> [Option<String>; 2] {
    let exact = |time: Duration| format!("{}.{:09}", time.as_secs(), time.subsec_nanos());
    if let Some(now) = podman {
        let end = |time: Duration| time.as_secs() + u64::from(time.subsec_nanos() > 0);
        [
            query.since.map(|time| time.as_secs().to_string()),
            query
                .until
                .map(|time| end(time.max(now + READING)).to_string()),
        ]
    } else {
        [query.since.map(exact), query.until.map(exact)]
    }
}

/// Podman has other words for some of what happens.
fn in_dockers_word(action: String) -> String {
    match action.as_str() {
        "remove" => "destroy".to_owned(),
        "exec" => "exec_start".to_owned(),
        "exec_died" => "exec_die".to_owned(),
        _ => action,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_is_told_in_nanoseconds_and_to_podman_in_the_seconds_around_it() {
        let query = EventQuery {
            since: Some(Duration::from_millis(1_500)),
            until: Some(Duration::from_millis(2_001)),
        };
        let told = |podman| period(query, podman).map(Option::unwrap);
        assert_eq!(told(None), ["1.500000000", "2.001000000"]);
        // An end that is long past is not, for Podman: it would read nothing.
        assert_eq!(told(Some(Duration::ZERO)), ["1", "3"]);
        assert_eq!(told(Some(Duration::from_millis(9_500))), ["1", "12"]);
        let whole = EventQuery {
            until: Some(Duration::from_secs(12)),
            ..EventQuery::default()
        };
        let now = Some(Duration::from_secs(10));
        assert_eq!(period(whole, now), [None, Some("12".to_owned())]);
    }

    #[test]
    fn what_came_after_the_end_is_left_out() {
        let end = Duration::from_millis(1_500);
        for (time, expected) in [(0, true), (1_500, true), (1_501, false), (i64::MAX, false)] {
            let event = told(bollard::models::EventMessage {
                time_nano: Some(time)
                    .filter(|time| *time < i64::MAX)
                    .map(|time| time * 1_000_000),
                time: Some(i64::MAX / 1000),
                ..bollard::models::EventMessage::default()
            });
            assert_eq!(is_until(&event, end), expected, "{time}");
        }
    }

    #[test]
    fn only_a_memory_that_is_full_may_have_forgotten() {
        let times: Vec<i64> = (1000..).take(REMEMBERED).collect();
        assert_eq!(oldest_of_many(&times), Some(1000));
        assert_eq!(oldest_of_many(&times[1..]), None);
        assert_eq!(oldest_of_many(&[]), None);
    }

    #[test]
    fn what_happens_has_one_word() {
        for (word, expected) in [
            ("remove", "destroy"),
            ("destroy", "destroy"),
            ("die", "die"),
        ] {
            assert_eq!(in_dockers_word(word.to_owned()), expected);
        }
    }
}
