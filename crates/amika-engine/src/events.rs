//! What happens to containers, as the engine tells it.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use bollard::query_parameters::EventsOptionsBuilder;
use futures_util::{Stream, StreamExt as _};

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
        let mut options = EventsOptionsBuilder::new().filters(&filters);
        let text = |time: Duration| format!("{}.{:09}", time.as_secs(), time.subsec_nanos());
        let since = query.since.map(text);
        let until = query.until.map(text);
        if let Some(since) = &since {
            options = options.since(since);
        }
        if let Some(until) = &until {
            options = options.until(until);
        }
        let docker = self.docker.clone();
        docker
            .events(Some(options.build()))
            .map(|item| {
                let item = item.map_err(EngineError::from_bollard)?;
                let actor = item.actor.unwrap_or_default();
                Ok(ContainerEvent {
                    time: item
                        .time_nano
                        .map(|nanoseconds| nanoseconds / 1_000_000)
                        .or_else(|| item.time.map(|seconds| seconds * 1000))
                        .unwrap_or_default(),
                    action: item.action.unwrap_or_default(),
                    container: actor.id.unwrap_or_default(),
                    attributes: actor.attributes.unwrap_or_default().into_iter().collect(),
                })
            })
            .boxed()
    }
}
