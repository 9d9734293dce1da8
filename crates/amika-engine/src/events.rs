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

impl Engine {
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
