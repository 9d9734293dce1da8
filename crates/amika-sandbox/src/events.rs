//! What happens to sandboxes, in the engine's words.

use amika_core::label::{Kind, key};
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use schemars::JsonSchema;
use serde::Serialize;

use crate::error::Result;
use crate::sandboxes::Sandboxes;
use amika_engine::{ContainerEvent, EventQuery};

/// What the engine tells of its own and our use of a container, and not of the sandbox: processes
/// started in it (each health check is one), streams and copies.
const LEFT_OUT: [&str; 9] = [
    "exec_create",
    "exec_start",
    "exec_die",
    "exec_detach",
    "archive-path",
    "extract-to-dir",
    "attach",
    "detach",
    "top",
];

/// Something that happened to a sandbox.
#[derive(Debug, Serialize, JsonSchema)]
pub struct EventView {
    /// When, in milliseconds since the Unix epoch.
    pub time: i64,
    /// The engine's word, such as `create`, `start`, `die`, `rename` or `destroy`.
    pub event: String,
    /// The sandbox; its new name when it was renamed.
    pub sandbox: String,
    /// The sandbox's id, which stays when it is renamed.
    pub id: Option<String>,
    /// The engine's id of the container.
    pub container: String,
    /// Exit code, when it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i64>,
    /// Number of the signal that it was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signal: Option<String>,
    /// Its name before it was renamed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old_name: Option<String>,
    /// The health check's word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health: Option<String>,
}

impl Sandboxes {
    /// What happens to sandboxes, or happened, without an end where the query has none.
    pub fn events(&self, query: EventQuery) -> BoxStream<'static, Result<EventView>> {
        let label = format!("{}={}", key::KIND, Kind::Sandbox);
        let events = self.container_events(&label, query);
        let own = events.filter_map(async |event| match event {
            Ok(event) => EventView::of(event).map(Ok),
            Err(error) => Some(Err(error.into())),
        });
        own.boxed()
    }
}

impl EventView {
    /// The view of an event, unless it is none of a sandbox's own.
    pub fn of(event: ContainerEvent) -> Option<Self> {
        let ContainerEvent {
            time,
            action,
            container,
            mut attributes,
        } = event;
        let (word, rest) = match action.split_once(": ") {
            Some((word, rest)) => (word, Some(rest.to_owned())),
            None => (action.as_str(), None),
        };
        if LEFT_OUT.contains(&word) {
            return None;
        }
        let mut take = |key: &str| attributes.remove(key);
        Some(Self {
            time,
            sandbox: take("name").unwrap_or_default(),
            id: take(key::ID),
            container,
            exit_code: take("exitCode").and_then(|code| code.parse().ok()),
            signal: take("signal"),
            old_name: take("oldName").map(|name| name.trim_start_matches('/').to_owned()),
            health: rest.filter(|_| word == "health_status"),
            event: word.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_we_do_in_a_sandbox_is_no_event_of_it() {
        for action in ["exec_create: sh -c true", "exec_die", "archive-path"] {
            let event = ContainerEvent {
                time: 1_795_336_329_001,
                action: action.into(),
                container: "c0ffee".into(),
                attributes: [("name".to_owned(), "box".to_owned())].into(),
            };
            assert!(EventView::of(event).is_none(), "{action}");
        }
    }
}
