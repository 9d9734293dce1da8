//! `amika events --remote`: what happens to the sandboxes that one sees, in the server's words.

use amika_core::untrusted::Untrusted;
use amika_remote::client::Call;
use amika_remote::events::Event;
use futures_util::StreamExt as _;
use serde_json::{Value, json};

use super::Server;
use super::failure::told;
use crate::App;
use crate::args::events::EventsArgs;
use crate::commands::follow;
use crate::error::Result;

/// Before a stream that ended is asked for again.
const AGAIN: std::time::Duration = std::time::Duration::from_millis(500);

pub(in crate::commands) async fn run(args: &EventsArgs, server: &Server, app: &App) -> Result<u8> {
    if args.since.is_some() || args.until.is_some() {
        let flag = if args.since.is_some() {
            "--since"
        } else {
            "--until"
        };
        let hint = "what was before stands in `GET /sandboxes/NAME/lifecycle-events`";
        return Err(super::unsupported::option(flag, hint));
    }
    follow(app, tell(args, server, app)).await
}

async fn tell(args: &EventsArgs, server: &Server, app: &App) -> Result<()> {
    // Steps and ends of operations name a sandbox by its id alone.
    let mut names = server.ids().await?;
    let mut last: Option<String> = None;
    // A stream ends with the server, with users and keys that change, and for who reads slowly: it goes on where it was.
    loop {
        let path = ["events"];
        let events = server.client.events(Call::get(&path), last.as_deref());
        let events = events.await.map_err(told)?;
        let mut events = std::pin::pin!(events);
        while let Some(event) = events.next().await {
            let Ok(event) = event else { break };
            if event.id.is_some() {
                last.clone_from(&event.id);
            }
            let Ok(data) = serde_json::from_str::<Value>(&event.data) else {
                continue;
            };
            if matches!(event.event.as_str(), "begin" | "end") {
                continue;
            }
            let text = |key: &str| data[key].as_str().unwrap_or_default().to_owned();
            if event.event == "sandbox" {
                names.insert(text("id"), text("name"));
            }
            let id = if event.event.starts_with("sandbox") {
                text("id")
            } else {
                text("sandbox_id")
            };
            let name = names.get(&id).cloned().unwrap_or(id);
            if !args.names.is_empty() && !args.names.contains(&name) {
                continue;
            }
            let view = json!({ "event": event.event, "sandbox": name, "data": data });
            let is_read = app
                .out
                .item(&view, |out| writeln!(out, "{}", line(&event, &name, &data)))?;
            if !is_read {
                return Ok(());
            }
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// One line for people.
fn line(event: &Event, name: &str, data: &Value) -> String {
    let text = |key: &str| data[key].as_str().unwrap_or_default();
    let rest = match event.event.as_str() {
        "sandbox" => format!("is {}", text("state")),
        "sandbox_gone" => "is gone".to_owned(),
        "step" => format!(
            "{}: {} {}  {}",
            text("run_kind"),
            text("step"),
            text("status"),
            text("detail")
        ),
        _ => format!("{} {}", text("kind"), text("state")),
    };
    let now = jiff::Timestamp::from_millisecond(
        i64::try_from(amika_host::clock::now_millis()).unwrap_or(0),
    );
    let now = now.map(|now| now.to_string()).unwrap_or_default();
    format!(
        "{now}  {}  {}",
        Untrusted::new(name),
        Untrusted::new(rest.trim_end())
    )
}

impl Server {
    /// Names by id.
    pub(super) async fn ids(&self) -> Result<std::collections::BTreeMap<String, String>> {
        let list = self.list().await?;
        Ok(list
            .into_iter()
            .map(|(sandbox, _)| (sandbox.id, sandbox.name))
            .collect())
    }
}
