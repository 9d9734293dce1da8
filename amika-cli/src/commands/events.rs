//! `amika events`: what happens to sandboxes, in the engine's words.

use std::collections::BTreeMap;
use std::time::Duration;

use amika_core::label::{Kind, key};
use futures_util::StreamExt as _;
use schemars::JsonSchema;
use serde::Serialize;

use crate::App;
use crate::args::events::EventsArgs;
use crate::commands::{follow, interruptible};
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
pub(super) struct EventView {
    /// When, in milliseconds since the Unix epoch.
    time: i64,
    /// The engine's word, such as `create`, `start`, `die`, `rename` or `destroy`.
    event: String,
    /// The sandbox; its new name when it was renamed.
    sandbox: String,
    /// The sandbox's id, which stays when it is renamed.
    id: Option<String>,
    /// The engine's id of the container.
    container: String,
    /// Exit code, when it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_code: Option<i64>,
    /// Number of the signal that it was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    signal: Option<String>,
    /// Its name before it was renamed.
    #[serde(skip_serializing_if = "Option::is_none")]
    old_name: Option<String>,
    /// The health check's word.
    #[serde(skip_serializing_if = "Option::is_none")]
    health: Option<String>,
}

pub(super) async fn run(args: &EventsArgs, app: &App) -> Result<u8> {
    let engine = interruptible(app, async { Ok(crate::engine::connect(&app.user).await?) }).await?;
    follow(app, tell(&engine, args, app)).await
}

async fn tell(engine: &Sandboxes, args: &EventsArgs, app: &App) -> Result<()> {
    let now = Duration::from_millis(amika_host::clock::now_millis());
    let query = EventQuery {
        since: args.since.map(|since| since.since_epoch(now)),
        until: args.until.map(|until| until.since_epoch(now)),
    };
    if let Some(since) = query.since
        && let Some(begin) = engine.events_forgotten_before().await?
        && i128::from(begin) > i128::try_from(since.as_millis()).unwrap_or(i128::MAX)
    {
        app.out.warn(&format!(
            "the engine has forgotten what happened before {}: it remembers its last {} events",
            at(begin),
            amika_engine::REMEMBERED
        ));
    }
    let label = format!("{}={}", key::KIND, Kind::Sandbox);
    let mut events = std::pin::pin!(engine.container_events(&label, query));
    while let Some(event) = events.next().await {
        let Some(view) = EventView::of(event?) else {
            continue;
        };
        let names = [Some(&view.sandbox), view.old_name.as_ref()];
        if !args.names.is_empty() && !names.iter().flatten().any(|name| args.names.contains(name)) {
            continue;
        }
        let read = app
            .out
            .item(&view, |out| writeln!(out, "{}", view.line()))?;
        if !read {
            break;
        }
    }
    Ok(())
}

impl EventView {
    /// The view of an event, unless it is none of a sandbox's own.
    fn of(event: ContainerEvent) -> Option<Self> {
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

    /// One line for people.
    fn line(&self) -> String {
        let time = at(self.time);
        let details: BTreeMap<&str, String> = [
            ("exit code", self.exit_code.map(|code| code.to_string())),
            ("signal", self.signal.clone()),
            ("was", self.old_name.clone()),
            ("health", self.health.clone()),
        ]
        .into_iter()
        .filter_map(|(key, value)| Some((key, value?)))
        .collect();
        let mut line = format!("{time}  {}  {}", self.sandbox, self.event);
        for (key, value) in details {
            for part in ["  ", key, " ", &value] {
                line.push_str(part);
            }
        }
        line
    }
}

/// A moment in milliseconds since the Unix epoch, as people read it.
fn at(time: i64) -> String {
    let time = jiff::Timestamp::from_millisecond(time);
    time.map(|time| time.to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(action: &str, attributes: &[(&str, &str)]) -> ContainerEvent {
        ContainerEvent {
            time: 1_795_336_329_001,
            action: action.into(),
            container: "c0ffee".into(),
            attributes: attributes
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
        }
    }

    #[test]
    fn events_are_told_in_one_line() {
        let cases = [
            (
                event("die", &[("name", "box"), ("exitCode", "3")]),
                "2026-11-22T07:52:09.001Z  box  die  exit code 3",
            ),
            (
                event("rename", &[("name", "new"), ("oldName", "/old")]),
                "2026-11-22T07:52:09.001Z  new  rename  was old",
            ),
            (
                event("health_status: healthy", &[("name", "box")]),
                "2026-11-22T07:52:09.001Z  box  health_status  health healthy",
            ),
        ];
        for (event, line) in cases {
            let view = EventView::of(event).expect("an event of its own");
            let time_ends = line.find("  ").expect("there is one");
            let told = view.line();
            assert_eq!(
                told[told.find("  ").expect("there is one")..],
                line[time_ends..]
            );
        }
    }

    #[test]
    fn what_we_do_in_a_sandbox_is_no_event_of_it() {
        for action in ["exec_create: sh -c true", "exec_die", "archive-path"] {
            assert!(EventView::of(event(action, &[("name", "box")])).is_none());
        }
    }
}
