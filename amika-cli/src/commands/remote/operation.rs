//! What a server does meanwhile: followed to its end, its steps shown as they are taken.

use std::time::Duration;

use amika_remote::client::Call;
use amika_remote::sandbox::Sandbox;
use serde::Deserialize;
use serde_json::Value;

use super::Server;
use super::failure::{told, word};
use crate::error::{Error, Kind, Result};
use amika_sandbox::progress::Steps;

/// Between two looks: the first are quick, since most of what is done is.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

#[derive(Debug, Deserialize)]
struct Operation {
    state: String,
    error: Option<Why>,
}

#[derive(Debug, Deserialize)]
struct Why {
    code: String,
    message: String,
}

#[derive(Debug, Deserialize)]
struct Events {
    events: Vec<Event>,
}

#[derive(Debug, Deserialize)]
struct Event {
    id: i64,
    step: String,
    status: String,
    detail: Option<String>,
}

impl Server {
    /// A sandbox, and all that is said of it.
    pub(super) async fn sandbox(&self, name: &str) -> Result<(Sandbox, Value)> {
        let whole: Value = self
            .client
            .ask(Call::get(&["sandboxes", name]))
            .await
            .map_err(told)?;
        Ok((read(&whole)?, whole))
    }

    /// Waits until what was begun of a sandbox is done; events up to `seen` are old ones.
    ///
    /// # Errors
    /// What it failed with.
    pub(super) async fn settled(
        &self,
        name: &str,
        operation: &str,
        seen: i64,
        steps: &mut Steps,
    ) -> Result<()> {
        let mut shown = seen;
        let mut pause = FIRST_PAUSE;
        loop {
            let path = ["operations", operation];
            let now: Operation = self.client.ask(Call::get(&path)).await.map_err(told)?;
            self.show(name, &mut shown, steps).await;
            if now.state == "running" {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
                continue;
            }
            return match now.error {
                None if now.state == "canceled" => {
                    Err(Error::new(Kind::Canceled, "somebody broke it off"))
                }
                None => Ok(()),
                Some(why) => {
                    steps.fail("");
                    Err(advised(name, Error::new(word(&why.code), why.message)))
                }
            };
        }
    }

    /// The last event of a sandbox that there is.
    pub(super) async fn last_event(&self, name: &str) -> i64 {
        let events = self.lifecycle(name).await;
        events.last().map_or(0, |event| event.id)
    }

    async fn show(&self, name: &str, shown: &mut i64, steps: &mut Steps) {
        for event in self.lifecycle(name).await {
            if event.id <= *shown {
                continue;
            }
            *shown = event.id;
            let detail = event.detail.unwrap_or_default();
            match event.status.as_str() {
                "started" => steps.begin(&event.step),
                "succeeded" => steps.finish(&detail),
                "failed" => steps.fail(&detail),
                "warning" => crate::output::warn(&detail),
                _ => {}
            }
        }
    }

    /// What happened to it; nothing where it is gone already.
    async fn lifecycle(&self, name: &str) -> Vec<Event> {
        let path = ["sandboxes", name, "lifecycle-events"];
        let events: Result<Events, _> = self.client.ask(Call::get(&path)).await;
        events.map(|it| it.events).unwrap_or_default()
    }
}

fn advised(name: &str, error: Error) -> Error {
    match error.kind {
        Kind::SetupFailed => error.hint(format!(
            "`amika sandbox logs --remote --setup {name}` shows all of it"
        )),
        _ => error,
    }
}

/// What is read of an answer.
pub(super) fn read(whole: &Value) -> Result<Sandbox> {
    Sandbox::deserialize(whole).map_err(|error| {
        Error::new(Kind::Failure, "what the server answered is not understood").caused_by(&error)
    })
}

/// Why a sandbox is not what was asked for, where it failed.
pub(super) fn failed(sandbox: &Sandbox) -> Option<Error> {
    if sandbox.state != "failed" {
        return None;
    }
    let kind = match sandbox.setup_status.as_deref() {
        Some("setup-failed") => Kind::SetupFailed,
        Some("git-failed") => Kind::Repository,
        _ => Kind::Failure,
    };
    let message = sandbox.error_message.clone();
    Some(Error::new(
        kind,
        message.unwrap_or_else(|| format!("sandbox \"{}\" failed", sandbox.name)),
    ))
}
