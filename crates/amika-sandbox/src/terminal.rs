//! Terminals of amikad's, which stay when nobody looks at them.

use amika_core::wire::{TaskState, TerminalRequest};
use hyper::StatusCode;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;

use crate::daemon::{Client, ClientError};
use crate::error::{Error, Kind, Result};
use crate::sandbox::Sandbox;
use crate::sandboxes::Sandboxes;
use crate::tunnel::no_answer;

/// How often one that somebody else made meanwhile is looked for.
const TRIES: u32 = 3;

/// A terminal that is looked at: frames of [`amika_core::terminal`] go both ways.
pub struct Attached {
    /// The frames.
    pub frames: TokioIo<Upgraded>,
    /// The terminal.
    pub terminal: Terminal,
}

/// One terminal.
pub struct Terminal {
    client: Client,
    /// What it is called.
    pub name: String,
}

impl Terminal {
    /// Ends it, as a terminal that is closed does.
    pub async fn end(&self) {
        if let Err(error) = self.client.end_terminal(&self.name).await {
            tracing::debug!(%error, "a terminal is not ended");
        }
    }
}

impl Sandboxes {
    /// Looks at the terminal of this name, which is made where none of it runs. `size`: columns and rows that can be seen.
    ///
    /// # Errors
    /// [`Kind::NotFound`]; [`Kind::Conflict`] for a sandbox that does not run, or has as many terminals as may be;
    /// [`Kind::Invalid`] for what cannot be started; those of the engine.
    pub async fn terminal(
        &self,
        name: &str,
        mut request: TerminalRequest,
        size: Option<(u16, u16)>,
    ) -> Result<Attached> {
        let checked = request.clone().program();
        checked.map_err(|error| Error::new(Kind::Invalid, error.to_string()))?;
        let sandbox = Sandbox::find_whole(self, name).await?;
        sandbox.must_run()?;
        if request.user.is_none() {
            request.user.clone_from(&sandbox.record.user);
        }
        let client = sandbox.client(self)?;
        let mut tries = 1;
        loop {
            if let Some(name) = &request.name {
                match client.show_terminal(name).await {
                    Ok(shown) if shown.task.state == TaskState::Running => {
                        let frames = client.attach_terminal(name, size).await;
                        let frames = frames.map_err(|error| told(&error))?;
                        return Ok(attached(client, name.clone(), frames));
                    }
                    // One that ended is looked at no more: another one takes its name.
                    Ok(_) => {}
                    Err(error) if is(&error, StatusCode::NOT_FOUND) => {}
                    Err(error) => return Err(told(&error)),
                }
            }
            let name = match client.start_terminal(&request).await {
                Ok(name) => name,
                // Somebody else made it meanwhile.
                Err(error)
                    if request.name.is_some()
                        && tries < TRIES
                        && is(&error, StatusCode::CONFLICT) =>
                {
                    tries += 1;
                    continue;
                }
                Err(error) => return Err(told(&error)),
            };
            return match client.attach_terminal(&name, size).await {
                Ok(frames) => Ok(attached(client, name, frames)),
                Err(error) => Err(told(&error)),
            };
        }
    }
}

fn attached(client: Client, name: String, frames: Upgraded) -> Attached {
    Attached {
        frames: TokioIo::new(frames),
        terminal: Terminal { client, name },
    }
}

fn is(error: &ClientError, wanted: StatusCode) -> bool {
    matches!(error, ClientError::Refused { status, .. } if *status == wanted)
}

fn told(error: &ClientError) -> Error {
    let mut told = no_answer(error);
    if let ClientError::Refused { status, .. } = error {
        told.kind = match *status {
            StatusCode::BAD_REQUEST => Kind::Invalid,
            StatusCode::CONFLICT | StatusCode::TOO_MANY_REQUESTS => Kind::Conflict,
            _ => told.kind,
        };
    }
    told
}
