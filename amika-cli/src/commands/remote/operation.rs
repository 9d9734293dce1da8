//! What a server does meanwhile: followed to its end, its steps shown as they are taken.

use std::time::Duration;

use amika_remote::client::Call;
use amika_remote::events::Event;
use amika_remote::sandbox::Sandbox;
use futures_util::StreamExt as _;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Server;
use super::failure::{told, word};
use crate::error::{Error, Kind, Result};
use amika_sandbox::progress::Steps;

/// Before a stream that broke off is asked for again.
const AGAIN: Duration = Duration::from_millis(500);

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
struct Taken {
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

    /// Waits until what was begun of a sandbox is done.
    ///
    /// # Errors
    /// What it failed with.
    pub(super) async fn settled(
        &self,
        name: &str,
        operation: &str,
        steps: &mut Steps,
    ) -> Result<()> {
        let path = ["operations", operation];
        let mut last: Option<String> = None;
        loop {
            let events = self.client.events(Call::get(&path), last.as_deref());
            let events = events.await.map_err(told)?;
            let mut events = std::pin::pin!(events);
            while let Some(Ok(event)) = events.next().await {
                match event.event.as_str() {
                    "operation" => return ended(name, data(&event)?, steps),
                    "step" => show(data(&event)?, steps),
                    _ => {}
                }
                last = event.id.or(last);
            }
            tokio::time::sleep(AGAIN).await;
        }
    }
}

fn data<T: DeserializeOwned>(event: &Event) -> Result<T> {
    serde_json::from_str(&event.data).map_err(|error| not_understood(&error))
}

/// How it ended.
fn ended(name: &str, operation: Operation, steps: &mut Steps) -> Result<()> {
    match operation.error {
        None if operation.state == "canceled" => {
            Err(Error::new(Kind::Canceled, "somebody broke it off"))
        }
        None => Ok(()),
        Some(why) => {
            steps.fail("");
            Err(advised(name, Error::new(word(&why.code), why.message)))
        }
    }
}

fn show(step: Taken, steps: &mut Steps) {
    let detail = step.detail.unwrap_or_default();
    match step.status.as_str() {
        "started" => steps.begin(&step.step),
        "succeeded" => steps.finish(&detail),
        "failed" => steps.fail(&detail),
        "warning" => crate::output::warn(&detail),
        _ => {}
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
    Sandbox::deserialize(whole).map_err(|error| not_understood(&error))
}

fn not_understood(error: &serde_json::Error) -> Error {
    Error::new(Kind::Failure, "what the server answered is not understood").caused_by(error)
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
