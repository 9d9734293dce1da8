//! `amika events`: what happens to sandboxes, in the engine's words.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::StreamExt as _;

use crate::App;
use crate::args::events::EventsArgs;
use crate::commands::{follow, interruptible};
use crate::error::Result;
pub(super) use crate::events::EventView;
use crate::sandboxes::Sandboxes;
use amika_engine::EventQuery;

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
    let mut events = engine.events(query);
    while let Some(view) = events.next().await.transpose()? {
        let names = [Some(&view.sandbox), view.old_name.as_ref()];
        if !args.names.is_empty() && !names.iter().flatten().any(|name| args.names.contains(name)) {
            continue;
        }
        let read = app
            .out
            .item(&view, |out| writeln!(out, "{}", line(&view)))?;
        if !read {
            break;
        }
    }
    Ok(())
}

/// One line for people.
fn line(event: &EventView) -> String {
    let time = at(event.time);
    let details: BTreeMap<&str, String> = [
        ("exit code", event.exit_code.map(|code| code.to_string())),
        ("signal", event.signal.clone()),
        ("was", event.old_name.clone()),
        ("health", event.health.clone()),
    ]
    .into_iter()
    .filter_map(|(key, value)| Some((key, value?)))
    .collect();
    let mut line = format!("{time}  {}  {}", event.sandbox, event.event);
    for (key, value) in details {
        for part in ["  ", key, " ", &value] {
            line.push_str(part);
        }
    }
    line
}

/// A moment in milliseconds since the Unix epoch, as people read it.
fn at(time: i64) -> String {
    let time = jiff::Timestamp::from_millisecond(time);
    time.map(|time| time.to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use amika_engine::ContainerEvent;

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
        for (event, expected) in cases {
            let view = EventView::of(event).expect("an event of its own");
            let time_ends = expected.find("  ").expect("there is one");
            let told = line(&view);
            assert_eq!(
                told[told.find("  ").expect("there is one")..],
                expected[time_ends..]
            );
        }
    }
}
