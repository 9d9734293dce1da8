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
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let until = now.unwrap_or_default().as_secs() + 1;
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
            let [since, until] = period(query, engine.is_podman().await?);
            let mut options = options;
            if let Some(since) = &since {
                options = options.since(since);
            }
            if let Some(until) = &until {
                options = options.until(until);
            }
            let events = engine.docker.events(Some(options.build()));
            let events = engine.keeping_open(events);
            Ok::<_, EngineError>(events.map_err(EngineError::from_bollard))
        };
        asked
            .try_flatten_stream()
            .map(|item| {
                let item = item?;
                let actor = item.actor.unwrap_or_default();
                Ok(ContainerEvent {
                    time: item
                        .time_nano
                        .map(|nanoseconds| nanoseconds / 1_000_000)
                        .or_else(|| item.time.map(|seconds| seconds * 1000))
                        .unwrap_or_default(),
                    action: in_dockers_word(item.action.unwrap_or_default()),
                    container: actor.id.unwrap_or_default(),
                    attributes: actor.attributes.unwrap_or_default().into_iter().collect(),
                })
            })
            .boxed()
    }
}

/// The first of the times of all events that are remembered, where there may have been others before.
fn oldest_of_many(times: &[i64]) -> Option<i64> {
    let first = times.iter().min().copied();
    first.filter(|_| times.len() >= REMEMBERED)
}

/// Begin and end as the engine is told them. Podman reads whole seconds alone, and shows nothing for others.
fn period(query: EventQuery, is_podman: bool) -> [Option<String>; 2] {
    let exact = |time: Duration| format!("{}.{:09}", time.as_secs(), time.subsec_nanos());
    if is_podman {
        let end = |time: Duration| time.as_secs() + u64::from(time.subsec_nanos() > 0);
        [
            query.since.map(|time| time.as_secs().to_string()),
            query.until.map(|time| end(time).to_string()),
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
        let told = |is_podman| period(query, is_podman).map(Option::unwrap);
        assert_eq!(told(false), ["1.500000000", "2.001000000"]);
        assert_eq!(told(true), ["1", "3"]);
        let whole = EventQuery {
            until: Some(Duration::from_secs(2)),
            ..EventQuery::default()
        };
        assert_eq!(period(whole, true), [None, Some("2".to_owned())]);
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
