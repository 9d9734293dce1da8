//! Terminals of amikad's, as the host asks for them.

use amika_core::terminal::UPGRADE;
use amika_core::wire::{Terminal, TerminalRequest};
use hyper::upgrade::Upgraded;
use hyper::{Request, StatusCode};

use super::Client;
use super::client::{ClientError, collect, refused, upgraded};

impl Client {
    /// Starts a terminal; what it is called.
    ///
    /// # Errors
    /// As for any call; [`ClientError::Refused`] with 409 for a name that is taken by one that runs, 429 where as many run
    /// as may, 400 for what cannot be started.
    pub async fn start_terminal(&self, asked: &TerminalRequest) -> Result<String, ClientError> {
        let malformed = |error: serde_json::Error| ClientError::Malformed(error.to_string());
        let body = serde_json::to_vec(asked).map_err(malformed)?;
        let request = || Request::post("/v1/terminals").header("Content-Type", "application/json");
        let response = self.send_with(request, body.into()).await?;
        if response.status() != StatusCode::CREATED {
            return Err(refused(response).await);
        }
        let made: Terminal =
            serde_json::from_slice(&collect(response).await?).map_err(malformed)?;
        Ok(made.name)
    }

    /// How a terminal fares.
    ///
    /// # Errors
    /// As for any call; [`ClientError::Refused`] with 404 where there is none.
    pub async fn show_terminal(&self, name: &str) -> Result<Terminal, ClientError> {
        let response = self
            .send(|| Request::get(format!("/v1/terminals/{name}")))
            .await?;
        if response.status() != StatusCode::OK {
            return Err(refused(response).await);
        }
        serde_json::from_slice(&collect(response).await?)
            .map_err(|error| ClientError::Malformed(error.to_string()))
    }

    /// Looks at a terminal: frames of [`amika_core::terminal`], the first of them a [`amika_core::terminal::FromTerminal::Size`].
    ///
    /// # Errors
    /// As for any call; [`ClientError::Refused`] with 404 where there is none.
    pub async fn attach_terminal(
        &self,
        name: &str,
        size: Option<(u16, u16)>,
    ) -> Result<Upgraded, ClientError> {
        let mut target = format!("/v1/terminals/{name}/attach");
        if let Some((columns, rows)) = size {
            target = format!("{target}?columns={columns}&rows={rows}");
        }
        let request = || {
            Request::post(&target)
                .header("Connection", "Upgrade")
                .header("Upgrade", UPGRADE)
        };
        let response = self.send(request).await?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Err(refused(response).await);
        }
        upgraded(response).await
    }

    /// Ends a terminal, as one that is closed does.
    ///
    /// # Errors
    /// As for any call; [`ClientError::Refused`] with 404 where there is none.
    pub async fn end_terminal(&self, name: &str) -> Result<(), ClientError> {
        let response = self
            .send(|| Request::delete(format!("/v1/terminals/{name}")))
            .await?;
        match response.status() {
            StatusCode::OK | StatusCode::ACCEPTED => Ok(()),
            _ => Err(refused(response).await),
        }
    }
}
